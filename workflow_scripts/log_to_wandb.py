"""Rule log_to_wandb: a dataset's finished tables as W&B runs, and a receipt of the runs there are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.reporting.tracking import collect_runs, log_runs, write_receipt
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table
from autojudge.tables.reporting import PARETO, SPEED
from autojudge.tables.table import TOKENS

COLUMNS = [name for name, column in SWEEP.columns.items() if column.type != TOKENS]


def log_to_wandb(
    inputs: Mapping[str, str],
    sweeps: Mapping[str, str],
    judges: Mapping[str, str],
    dataset: str,
    config: Mapping[str, Any],
    tracking: Mapping[str, Any],
    folder: str,
    receipt: str,
    speeds: Mapping[str, str],
    pages: Mapping[str, str],
) -> None:
    """Write one W&B run for each pair and rule of a dataset, and a receipt whatever W&B does.

    Parameters
    ----------
    inputs : mapping of str to path
        `pareto` table and `figure`.
    sweeps, judges : mapping of pair to path
        Sweep tables and folders of judges.
    config, tracking : mapping
        The values that define the runs; and `mode`, `project`, `entity` and `experiment`.
    folder : path
        Where W&B writes, a folder named `wandb`.
    speeds, pages : mapping of pair to path
        Tables `speed`, and pages of the judges' mismatches.
    """
    runs = collect_runs(
        dataset=dataset,
        pareto=read_table(PARETO, inputs["pareto"]),
        sweeps={pair: read_table(SWEEP, path, COLUMNS) for pair, path in sweeps.items()},
        judges={pair: Path(path) for pair, path in judges.items()},
        figure=Path(inputs["figure"]),
        config=config,
        speeds={pair: read_table(SPEED, path) for pair, path in speeds.items()},
        pages={pair: Path(path) for pair, path in pages.items()},
    )
    write_receipt(dataset, log_runs(runs, tracking, folder), receipt)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        pairs, params = snakemake.params.pairs, snakemake.params
        folders = [str(Path(path).parent) for path in snakemake.input.get("judges", [])]
        log_to_wandb(
            inputs={name: snakemake.input[name] for name in ("pareto", "figure")},
            sweeps=dict(zip(pairs, snakemake.input.sweeps, strict=True)),
            judges=dict(zip(pairs, folders, strict=True)) if folders else {},
            dataset=params.dataset,
            config=params.config,
            tracking=params.tracking,
            folder=params.folder,
            receipt=snakemake.output[0],
            speeds=dict(zip(pairs, snakemake.input.speeds, strict=True)),
            pages={Path(page).parent.name: page for page in snakemake.input.get("pages", [])},
        )
