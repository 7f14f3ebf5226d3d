"""Turn a dataset's finished tables into W&B runs and write down which runs there are."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from autojudge.jobs.progress import job_log
from autojudge.reporting.tracking import collect_runs, log_runs
from autojudge.tables import schemas

COLUMNS = [field.name for field in schemas.arrow_schema("sweep") if field.type != schemas.TOKENS]


def log_to_wandb(
    pareto_csv: str,
    figure_png: str,
    sweeps: Mapping[str, str],
    judges: Mapping[str, str],
    dataset: str,
    config: Mapping[str, Any],
    tracking: Mapping[str, Any],
    folder: str,
    receipt: str,
) -> None:
    """Write one W&B run for each pair and rule of a dataset, and a receipt whatever W&B does.

    Parameters
    ----------
    sweeps, judges : mapping of pair to path
        Sweep tables and folders of judges.
    config, tracking : mapping
        The values that define the runs; and `mode`, `project`, `entity` and `experiment`.
    folder : path
        Where W&B writes, a folder named `wandb`.
    """
    # Only an empty field is missing: a pair may be named "null".
    pareto = pd.read_csv(pareto_csv, keep_default_na=False, na_values=[""], dtype={"pair": str, "rule": str})
    tables = {pair: schemas.read_table("sweep", path, COLUMNS) for pair, path in sweeps.items()}
    folders = {pair: Path(path) for pair, path in judges.items()}
    runs = log_runs(collect_runs(dataset, pareto, tables, folders, Path(figure_png), config), tracking, folder)
    partial = Path(f"{receipt}.partial")
    partial.write_text(json.dumps({"dataset": dataset, "runs": runs}, indent=2) + "\n")
    os.replace(partial, receipt)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        given, values = snakemake.input, snakemake.params
        folders = [str(Path(path).parent) for path in given.get("judges", [])]
        judges = dict(zip(values.pairs, folders, strict=True)) if folders else {}
        sweeps = dict(zip(values.pairs, given.sweeps, strict=True))
        settings = (values.dataset, values.config, values.tracking, values.folder)
        log_to_wandb(given.pareto, given.figure, sweeps, judges, *settings, snakemake.output[0])
