"""Rule train_judge: fit the classifiers of one feature set on one fold, and measure them on what they have not seen."""

import time

import pyarrow as pa
import torch

from autojudge.judging.artifact import Judge
from autojudge.judging.classifiers import HYPERPARAMETERS, features_read, fit_grid
from autojudge.judging.metrics import METRICS, measure
from autojudge.judging.mismatches import Mismatches, Part
from autojudge.tables.feature_names import SCALARS, expand_blocks
from autojudge.tables.files import write_table
from autojudge.tables.judging import GRID, SCORES


def train_judge(
    mismatches: Mismatches,
    feature_set: str,
    blocks: list[str],
    classifiers: dict[str, dict],
    fold: str,
    seed: int,
    outputs: dict[str, str],
) -> None:
    """Write one row a grid point, and one a grid point and unseen mismatch."""
    columns = expand_blocks(blocks)
    train, unseen = mismatches.of_fold(fold)
    x, features = train.features(columns), {split: part.features(columns) for split, part in unseen.items()}
    own, rows, scores = next(iter(unseen)), [], []
    for classifier, grid in classifiers.items():
        if classifier == "boosting" and not set(columns) & set(SCALARS):
            continue
        start = time.monotonic()
        for value, tensors in fit_grid(classifier, grid[HYPERPARAMETERS[classifier]], train, x, columns, seed):
            judge = Judge(tensors, {"columns": columns, "classifier": classifier})
            point = {"feature_set": feature_set, "classifier": classifier, "value": value, "fold": fold}
            point["hyperparameter"] = HYPERPARAMETERS[classifier]
            found = {split: judge.predict(torch.from_numpy(features[split])).numpy() for split in unseen}
            metrics = measure(found[own], unseen[own].important)
            seen = measure(judge.predict(torch.from_numpy(x)).numpy(), train.important)
            rows.append(
                point
                | {name: float(metrics[name][0]) for name in METRICS}
                | {"auc_train": float(seen["auc"][0]), "n_train": len(train), "n_fold": len(unseen[own])}
                | {"features_read": features_read(classifier, tensors, x.shape[1])}
                | {"seconds": time.monotonic() - start}
            )
            scores += [score_table(point, unseen[split], found[split]) for split in unseen]
            start = time.monotonic()
    write_table(GRID, rows, outputs["grid"])
    write_table(SCORES, pa.concat_tables(scores), outputs["scores"])


def score_table(point: dict, part: Part, score) -> pa.Table:
    """Return the rows of `scores` of a grid point and some mismatches."""
    keys = part.rows[["split", "problem_id", "position", "important"]]
    return pa.Table.from_pandas(
        keys.assign(**point, score=score)[list(SCORES.columns)],
        SCORES.schema,
        preserve_index=False,
    )


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        torch.set_num_threads(snakemake.threads)
        given, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
        data = Mismatches(given.labels, given.features, **params.mismatches)
        grid = (wildcards.feature_set, params.blocks, params.classifiers, wildcards.fold)
        train_judge(data, *grid, params.seed, dict(snakemake.output.items()))
