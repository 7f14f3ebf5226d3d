"""Rule measure_learning_curve: how good the judge is with fewer mined problems, to see when to stop mining."""

from collections.abc import Mapping
from pathlib import Path

from autojudge.judging.artifact import Judge, load_judge
from autojudge.judging.choice import best_values
from autojudge.judging.learning_curve import learning_curve
from autojudge.judging.mismatches import Mismatches
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.judging import GRID
from autojudge.tables.reporting import LEARNING_CURVE

DRAWS = 8  # random parts of each size
LINEAR = "logistic_regression"  # the paper's


def measure_learning_curve(
    mismatches: Mismatches,
    grid: str,
    judge: Judge,
    feature_sets: Mapping[str, list[str]],
    linear_set: str,
    seed: int,
    output: str,
) -> None:
    """Write the table of the judge and of the paper's kind, a linear one on the feature set `linear_set`."""
    best = best_values(read_table(GRID, grid), "auc")
    linear = best[(best["feature_set"] == linear_set) & (best["classifier"] == LINEAR)]
    shown = {(p["feature_set"], p["classifier"]): p for p in (judge.record.point, *records(linear))}
    rows = []
    for point in shown.values():
        rows += learning_curve(mismatches, point, feature_sets[point["feature_set"]], seed, DRAWS)
    write_table(LEARNING_CURVE, rows, output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        measure_learning_curve(
            mismatches=Mismatches(inputs.labels, inputs.features, **params.mismatches),
            grid=inputs.grid,
            judge=load_judge(Path(inputs.judge[0]).parent),
            feature_sets=params.feature_sets,
            linear_set=params.linear_set,
            seed=params.seed,
            output=snakemake.output[0],
        )
