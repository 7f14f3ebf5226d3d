"""Rule build_pareto: summarise every pair's sweep of a dataset; draw accuracy against accepted tokens per cycle."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from autojudge.decoding.thresholds import expand_thresholds
from autojudge.reporting import figures as plotting
from autojudge.reporting import statistics
from autojudge.reporting import summary as reporting
from autojudge.rules import rule_kind
from autojudge.tables.schemas import arrow_schema, read_table, write_table
from autojudge.tasks import describe_task

COLUMNS = [name for name in arrow_schema("sweep").names if name not in ("answer", "response")]


def build_pareto(
    sweeps: Mapping[str, str],
    judges: Mapping[str, str],
    rules: dict,
    dataset: str,
    task: str,
    tolerance: float,
    seed: int,
    outputs: Mapping[str, str],
) -> None:
    """Write a dataset's tables `pareto`, `curve` and `summary`, and its figure.

    Parameters
    ----------
    sweeps : mapping of str to path
        Pair to its sweep.parquet.
    judges : mapping of str to path
        Pair to its judge.json; empty where no judge is swept.
    rules : dict
        Rule to its thresholds in the config.
    task : str
        The dataset's task, named with its scoring version.
    outputs : mapping of str to path
        `csv`, `pdf`, `png`, `curve`, `summary`, `markdown` and `latex`.
    """
    kinds = {rule: rule_kind(rule) for rule in ("target", *rules)}
    parts = []
    for pair, path in sweeps.items():
        of_judge = json.loads(Path(judges[pair]).read_text())["thresholds"] if pair in judges else None
        given = expand_thresholds(rules, of_judge)
        sweep = read_table("sweep", path, COLUMNS)
        parts.append(statistics.summarise_sweep(sweep, pair, given, kinds, tolerance, seed))
    table, curve, summary = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
    for name, frame, output in (("pareto", table, "csv"), ("curve", curve, "curve"), ("summary", summary, "summary")):
        arrow = pa.Table.from_pandas(frame, arrow_schema(name), preserve_index=False)
        write_table(name, arrow, outputs[output])
    title = f"{dataset}: accuracy against accepted tokens per cycle"
    plotting.plot_pareto(table, curve, summary, title, outputs["pdf"], outputs["png"])
    reporting.write_summary(summary, f"{dataset} ({task})", tolerance, outputs["markdown"], outputs["latex"])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        params, judges = snakemake.params, snakemake.input.get("judges", [])
        build_pareto(
            dict(zip(params.pairs, snakemake.input.sweeps, strict=True)),
            dict(zip(params.pairs, judges, strict=True)) if judges else {},
            params.rules,
            params.dataset,
            describe_task(params.task),
            params.tolerance,
            params.seed,
            dict(snakemake.output.items()),
        )
