"""Rule train_judge: fit the classifier grid on the training split, measure it on the validation split."""

import time

from joblib import Parallel, delayed
from sklearn.metrics import roc_auc_score

from autojudge import schemas
from autojudge.features import expand_blocks
from autojudge.grid import CLASSIFIERS, Mismatches, build_classifier, fit_quietly


def train_judge(
    labels: str,
    features: str,
    feature_sets: dict,
    classifiers: dict,
    exclude_cut_off: bool,
    seed: int,
    threads: int,
    output: str,
) -> None:
    """Write one row a grid point."""
    train, validation = (Mismatches(labels, features, split, exclude_cut_off) for split in ("train", "validation"))
    rows = []
    for feature_set, blocks in feature_sets.items():
        columns = expand_blocks(blocks)
        x_train, x_validation = train.features(columns), validation.features(columns)

        def fit_point(name, value, feature_set=feature_set, x_train=x_train, x_validation=x_validation):
            start = time.monotonic()
            pipeline = fit_quietly(build_classifier(name, value, seed), x_train, train.important)
            seconds = time.monotonic() - start
            return {
                "feature_set": feature_set,
                "classifier": name,
                "hyperparameter": CLASSIFIERS[name],
                "value": value,
                "fold": "validation",
                "auc": roc_auc_score(validation.important, pipeline.predict_proba(x_validation)[:, 1]),
                "auc_train": roc_auc_score(train.important, pipeline.predict_proba(x_train)[:, 1]),
                "n_train": len(train.important),
                "n_fold": len(validation.important),
                "seconds": seconds,
            }

        points = [(name, value) for name in classifiers for value in classifiers[name][CLASSIFIERS[name]]]
        rows += Parallel(n_jobs=threads, prefer="threads")(delayed(fit_point)(*point) for point in points)
    schemas.write_table("grid", rows, output)


if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]):
        train_judge(
            snakemake.input.labels,
            snakemake.input.features,
            snakemake.params.feature_sets,
            snakemake.params.classifiers,
            snakemake.params.exclude_cut_off,
            snakemake.params.seed,
            snakemake.threads,
            snakemake.output[0],
        )
