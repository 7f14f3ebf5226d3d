"""Rule select_judge: the best judge by validation AUC, its threshold by recall, as an artifact."""

from pathlib import Path

from autojudge import provenance, schemas
from autojudge.features import expand_blocks
from autojudge.grid import Mismatches, fit_judge
from autojudge.models import describe_models
from autojudge.tasks import describe_task


def select_judge(
    grid: str,
    labels: str,
    features: str,
    feature_sets: dict,
    select: dict,
    exclude_cut_off: bool,
    task: str,
    pair: dict,
    seed: int,
    folder: Path,
) -> None:
    """Choose among the configured grid points, fit once more on the training split, and write judge/."""
    points = schemas.read_table("grid", grid)
    allowed = points["feature_set"].isin(select["feature_sets"]) & points["classifier"].isin(select["classifiers"])
    best = points[allowed].sort_values("auc", kind="stable").iloc[-1]
    judge = fit_judge(
        Mismatches(labels, features, "train", exclude_cut_off),
        Mismatches(labels, features, "validation", exclude_cut_off),
        expand_blocks(feature_sets[best["feature_set"]]),
        best["classifier"],
        best["value"],
        seed,
        select["recall"],
        select["thresholds"],
    )
    origin = {
        "feature_set": best["feature_set"],
        "hyperparameter": {best["hyperparameter"]: best["value"]},
        "grid_auc": best["auc"],
        "task": task,
        "models": describe_models(pair),
        "provenance": provenance.describe_run(seed),
    }
    judge.info.update(origin)
    judge.save(folder)


if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]):
        select_judge(
            snakemake.input.grid,
            snakemake.input.labels,
            snakemake.input.features,
            snakemake.params.feature_sets,
            snakemake.params.select,
            snakemake.params.exclude_cut_off,
            describe_task(snakemake.params.task),
            snakemake.params.pair,
            snakemake.params.seed,
            Path(snakemake.output.info).parent,
        )
