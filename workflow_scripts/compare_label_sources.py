"""Rule compare_label_sources: what labels of other sources cost, and what judges of them are worth."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from autojudge.judging.artifact import load_judge
from autojudge.judging.mismatches import VALIDATION, Mismatches, Part
from autojudge.reporting.label_sources import REFERENCES, Source, compare_sources
from autojudge.reporting.label_sources_page import write_markdown
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, write_table
from autojudge.tables.mining import LABELS, RESPONSES
from autojudge.tables.source_comparison import LABEL_SOURCES

OF_LABELS = ["problem_id", "position", "target_token", "draft_token", "important", "stopped", "audited"]
OF_RESPONSES = ["problem_id", "seconds", "target_evaluated"]
OF_SWEEP = [name for name in SWEEP.columns if name not in ("answer", "response")]


def read_sweep(path: str, rule: str) -> pd.DataFrame:
    """Return the rows of a sweep that compare a judge, whose rule is `rule`."""
    sweep = read_table(SWEEP, path, OF_SWEEP)
    return sweep[sweep["rule"].isin([*REFERENCES, rule])]


def exact_parts(mismatches: Sequence[Mismatches]) -> tuple[str, list[Part]]:
    """Return the split on which judges are measured, and its mismatches, of each fold its own."""
    mined = all((found.rows["split"] == "test").any() for found in mismatches)
    split = "test" if mined else VALIDATION
    return split, [found.of_split(split) for found in mismatches]


def compare_label_sources(
    sources: Sequence[Source],
    mismatches: Sequence[Mismatches],
    pair: str,
    cost: float,
    tolerance: float,
    seed: int,
    title: str,
    outputs: dict[str, str],
) -> None:
    """Write the table and its page.

    Parameters
    ----------
    sources : sequence of Source
        That of exact labels first.
    mismatches : sequence of Mismatches
        The exactly labelled ones, as each fold has them.
    """
    split, parts = exact_parts(mismatches)
    table = compare_sources(sources, parts, split, pair, cost, tolerance, seed)
    write_table(LABEL_SOURCES, table, outputs["csv"])
    Path(outputs["markdown"]).write_text(write_markdown(table, title, tolerance, cost), encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        folds = params.folds or [None]
        judges = [load_judge(Path(record).parent) for record in inputs.judges]
        compare_label_sources(
            sources=[
                Source(
                    name=name,
                    settings=json.dumps(settings) if settings is not None else None,
                    labels=read_table(LABELS, inputs.labels[number], OF_LABELS),
                    responses=read_table(RESPONSES, inputs.responses[number], OF_RESPONSES),
                    judges=judges[number * len(folds) : (number + 1) * len(folds)],
                    sweep=read_sweep(inputs.sweeps[number], params.rules[number]),
                    rule=params.rules[number],
                )
                for number, (name, settings) in enumerate(params.sources.items())
            ],
            mismatches=[
                Mismatches(inputs.labels[0], inputs.features, held_out=fold, **params.mismatches) for fold in folds
            ],
            pair=snakemake.wildcards.pair,
            cost=json.loads(Path(inputs.cost).read_text(encoding="utf-8"))["ratio"],
            tolerance=params.tolerance,
            seed=params.seed,
            title=params.title,
            outputs=dict(snakemake.output.items()),
        )
