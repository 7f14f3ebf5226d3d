"""Rule plot_ablation: how judges differ by what they read and by how they decide; the chosen one's reliability."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from autojudge.judging.artifact import Judge, load_judge
from autojudge.judging.choice import judge_scores
from autojudge.judging.comparison import report_split
from autojudge.judging.mismatches import Mismatches
from autojudge.reporting.ablation_figure import draw_ablation
from autojudge.reporting.style import save_figure
from autojudge.tables.files import read_table
from autojudge.tables.judging import GRID, SCORES


def plot_ablation(
    mismatches: Mismatches,
    tables: Mapping[str, str],
    judge: Judge,
    feature_sets: Mapping[str, list[str]],
    title: str,
    seed: int,
    outputs: Mapping[str, str],
) -> None:
    """Draw the figure."""
    grid, scores = (read_table(table, tables[table.name]) for table in (GRID, SCORES))
    split = report_split(scores)
    part = mismatches.of_split(split)
    plain = replace(judge, tensors={name: t for name, t in judge.tensors.items() if name != "calibration"})
    reliability = judge_scores(plain, part), judge_scores(judge, part), part.important
    figure = draw_ablation(grid, scores, feature_sets, judge.record.point, reliability, split, title, seed)
    save_figure(figure, outputs["pdf"], outputs["png"])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        plot_ablation(
            mismatches=Mismatches(inputs.labels, inputs.features, **params.mismatches),
            tables={"grid": inputs.grid, "scores": inputs.scores},
            judge=load_judge(Path(inputs.judge[0]).parent),
            feature_sets=params.feature_sets,
            title=params.title,
            seed=params.seed,
            outputs=dict(snakemake.output.items()),
        )
