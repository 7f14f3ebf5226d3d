"""Rule plot_learning_curve: how good the judge is with fewer mined problems, to see when to stop mining."""

from pathlib import Path

import pandas as pd

from autojudge import judge_plots, schemas
from autojudge.judge import load_judge
from autojudge.judge_report import learning_curve
from autojudge.mismatches import Mismatches

DRAWS = 8  # random parts of each size


def plot_learning_curve(
    mismatches: Mismatches, judge_folder: Path, feature_sets: dict, title: str, seed: int, outputs: dict[str, str]
) -> None:
    """Write table and figure."""
    info = load_judge(judge_folder).info
    point = {"classifier": info["classifier"], "value": next(iter(info["hyperparameter"].values()))}
    rows = list(learning_curve(mismatches, point, feature_sets[info["feature_set"]], seed, DRAWS))
    schemas.write_table("learning_curve", rows, outputs["csv"])
    judge_plots.plot_learning_curve(pd.DataFrame(rows), title, outputs)


if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]):
        given, params = snakemake.input, snakemake.params
        data = Mismatches(given.labels, given.features, **params.mismatches)
        settings = (Path(given.judge[0]).parent, params.feature_sets, params.title, params.seed)
        plot_learning_curve(data, *settings, dict(snakemake.output.items()))
