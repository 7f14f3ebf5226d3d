"""Rule plot_learning_curve: how good the judge is with fewer mined problems, to see when to stop mining."""

from pathlib import Path

import pandas as pd

from autojudge.judging.artifact import load_judge
from autojudge.judging.choice import best_values
from autojudge.judging.mismatches import Mismatches
from autojudge.reporting import judge_figures as judge_plots
from autojudge.reporting.judges_page import learning_curve
from autojudge.tables.files import read_table, write_table
from autojudge.tables.judging import GRID
from autojudge.tables.reporting import LEARNING_CURVE

DRAWS = 8  # random parts of each size


def plot_learning_curve(
    mismatches: Mismatches, grid: str, judge_folder: Path, judge: dict, title: str, seed: int, outputs: dict[str, str]
) -> None:
    """Write table and figure of the judge and of the paper's kind, a linear one on the first set of `select`."""
    points = read_table(GRID, grid)
    info = load_judge(judge_folder).info
    chosen = dict(zip(("hyperparameter", "value"), *info["hyperparameter"].items(), strict=True))
    chosen |= {"feature_set": info["feature_set"], "classifier": info["classifier"]}
    best = best_values(points, "auc")
    linear = best[
        (best["feature_set"] == judge["select"]["feature_sets"][0]) & (best["classifier"] == "logistic_regression")
    ]
    shown = {(p["feature_set"], p["classifier"]): p for p in (chosen, *linear.to_dict("records"))}
    rows = []
    for point in shown.values():
        rows += learning_curve(mismatches, point, judge["feature_sets"][point["feature_set"]], seed, DRAWS)
    write_table(LEARNING_CURVE, rows, outputs["csv"])
    judge_plots.plot_learning_curve(pd.DataFrame(rows), title, outputs)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        given, params = snakemake.input, snakemake.params
        data = Mismatches(given.labels, given.features, **params.mismatches)
        settings = (given.grid, Path(given.judge[0]).parent, params.judge, params.title, params.seed)
        plot_learning_curve(data, *settings, dict(snakemake.output.items()))
