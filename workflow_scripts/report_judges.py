"""Rule report_judges: every candidate judge and the training-free rules side by side."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from autojudge.judging.artifact import Judge, load_judge
from autojudge.judging.comparison import compare_judges, report_split, weigh_near_ties
from autojudge.judging.label_sources import answer_sources
from autojudge.judging.mismatches import Mismatches
from autojudge.reporting.judges_page import write_markdown
from autojudge.tables.files import read_table, write_table
from autojudge.tables.judging import GRID, SCORES
from autojudge.tables.reporting import JUDGES


def report_judges(
    mismatches: Mismatches,
    tables: Mapping[str, str],
    judge: Judge,
    feature_sets: Mapping[str, list[str]],
    recall: float,
    title: str,
    seed: int,
    outputs: Mapping[str, str],
) -> None:
    """Write table and text of the comparison."""
    grid, scores = (read_table(table, tables[table.name]) for table in (GRID, SCORES))
    part, point = mismatches.of_split(report_split(scores)), judge.record.point
    table = compare_judges(grid, scores, part, feature_sets, f"accepted_at_{round(100 * recall)}", point, seed)
    arrow = pa.Table.from_pandas(table, JUDGES.schema, preserve_index=False)
    write_table(JUDGES, arrow, outputs["csv"])
    near_ties = weigh_near_ties(mismatches, point, feature_sets[point["feature_set"]], part, seed)
    page = write_markdown(table, near_ties, answer_sources(mismatches), title, recall)
    Path(outputs["markdown"]).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        report_judges(
            mismatches=Mismatches(inputs.labels, inputs.features, **params.mismatches),
            tables={"grid": inputs.grid, "scores": inputs.scores},
            judge=load_judge(Path(inputs.judge[0]).parent),
            feature_sets=params.feature_sets,
            recall=params.recall,
            title=params.title,
            seed=params.seed,
            outputs=dict(snakemake.output.items()),
        )
