"""Rule build_pareto: every pair's accuracy and speed at each threshold of each rule, from the sweeps of a dataset."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from autojudge.decoding.thresholds import expand_thresholds
from autojudge.reporting.statistics import summarise_sweep
from autojudge.rules import Settings, rule_kind
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, write_table
from autojudge.tables.reporting import CURVE, PARETO, SUMMARY

COLUMNS = [name for name in SWEEP.columns if name not in ("answer", "response")]


def build_pareto(
    sweeps: Mapping[str, str],
    judges: Mapping[str, str],
    rules: Mapping[str, Settings],
    tolerance: float,
    seed: int,
    outputs: Mapping[str, str],
) -> None:
    """Write a dataset's tables `pareto`, `curve` and `summary`.

    Parameters
    ----------
    sweeps, judges : mapping of pair to path
        Its sweep.parquet; its judge.json, where a judge is swept.
    rules : mapping of rule name to mapping
        The swept rules' entries of the config.
    outputs : mapping of table to path
    """
    kinds = {"target": rule_kind("target")} | {name: rule_kind(name, settings) for name, settings in rules.items()}
    parts = []
    for pair, path in sweeps.items():
        of_judge = json.loads(Path(judges[pair]).read_text(encoding="utf-8"))["thresholds"] if pair in judges else None
        given = expand_thresholds(rules, of_judge)
        parts.append(summarise_sweep(read_table(SWEEP, path, COLUMNS), pair, given, kinds, tolerance, seed))
    for table, frames in zip((PARETO, CURVE, SUMMARY), zip(*parts, strict=True), strict=True):
        write_table(table, pd.concat(frames, ignore_index=True), outputs[table.name])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        pairs, judges = snakemake.params.pairs, snakemake.input.get("judges", [])
        build_pareto(
            sweeps=dict(zip(pairs, snakemake.input.sweeps, strict=True)),
            judges=dict(zip(pairs, judges, strict=True)) if judges else {},
            rules=snakemake.params.rules,
            tolerance=snakemake.params.tolerance,
            seed=snakemake.params.seed,
            outputs=dict(snakemake.output.items()),
        )
