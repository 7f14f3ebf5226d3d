"""Rule build_pareto: every pair's accuracy and speed at each threshold of each rule, from the sweeps of a dataset."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from autojudge.decoding.thresholds import expand_thresholds
from autojudge.decoding.truncation import name_truncated
from autojudge.reporting.statistics import MEASURED_COST, Comparison, summarise_sweep
from autojudge.rules import Settings, rule_kind
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, write_table
from autojudge.tables.reporting import CURVE, PARETO, SUMMARY, WINDOWS

COLUMNS = [name for name in SWEEP.columns if name not in ("answer", "response")]


def build_pareto(
    sweeps: Mapping[str, str],
    judges: Mapping[str, str],
    costs: Mapping[str, str],
    rules: Mapping[str, Settings],
    cost_ratios: Sequence[float],
    tolerance: float,
    seed: int,
    outputs: Mapping[str, str],
) -> None:
    """Write a dataset's tables `pareto`, `curve`, `summary` and `windows`.

    Parameters
    ----------
    sweeps, judges, costs : mapping of pair to path
        Its sweep.parquet; its judge.json, where a judge is swept; its call_cost.json.
    rules : mapping of rule name to mapping
        The swept rules' entries of the config.
    cost_ratios : sequence of float
        Times of a draft call over that of a target call, beside the pair's own.
    outputs : mapping of table to path
    """
    kinds = {"target": rule_kind("target")} | {name: rule_kind(name, settings) for name, settings in rules.items()}
    kinds |= {name_truncated(name): "reference" for name in rules}
    parts = []
    for pair, path in sweeps.items():
        of_judge = json.loads(Path(judges[pair]).read_text(encoding="utf-8"))["thresholds"] if pair in judges else None
        given = expand_thresholds(rules, of_judge)
        given |= {name_truncated(name): thresholds for name, thresholds in given.items()}
        measured = json.loads(Path(costs[pair]).read_text(encoding="utf-8"))["ratio"]
        ratios = {MEASURED_COST: measured} | {f"{ratio:g}": ratio for ratio in cost_ratios}
        comparison = Comparison(given, kinds, ratios, tolerance, seed)
        parts.append(summarise_sweep(read_table(SWEEP, path, COLUMNS), pair, comparison))
    for table in (PARETO, CURVE, SUMMARY, WINDOWS):
        write_table(table, pd.concat([part[table.name] for part in parts], ignore_index=True), outputs[table.name])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        pairs, judges = snakemake.params.pairs, snakemake.input.get("judges", [])
        build_pareto(
            sweeps=dict(zip(pairs, snakemake.input.sweeps, strict=True)),
            judges=dict(zip(pairs, judges, strict=True)) if judges else {},
            costs=dict(zip(pairs, snakemake.input.costs, strict=True)),
            rules=snakemake.params.rules,
            cost_ratios=snakemake.params.cost_ratios,
            tolerance=snakemake.params.tolerance,
            seed=snakemake.params.seed,
            outputs=dict(snakemake.output.items()),
        )
