"""The grid: every classifier at every value on one feature set and fold, measured on what it has not seen."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from autojudge.judging.classifiers import check_classifier, features_read, fit_grid, predict
from autojudge.judging.label_sources import soften
from autojudge.judging.metrics import METRICS, measure
from autojudge.judging.mismatches import Mismatches, Part
from autojudge.tables.feature_names import expand_blocks
from autojudge.tables.judging import SCORES

logger = logging.getLogger("autojudge")


def measure_grid(
    mismatches: Mismatches,
    feature_set: str,
    blocks: list[str],
    classifiers: Mapping[str, Mapping[str, Sequence[float]]],
    fold: str,
    seed: int,
) -> tuple[list[dict[str, Any]], pa.Table]:
    """Return the rows of table `grid` of a feature set and fold, and table `scores`.

    A classifier that needs what the feature set lacks is left out, which the log tells.

    Parameters
    ----------
    blocks : list of str
        What the feature set holds.
    classifiers : mapping
        That entry of `judge` in the config.
    fold : str
        As `Mismatches.of_fold` has it.

    Raises
    ------
    InputError
        There are too few mismatches for the fold or for a classifier.
    """
    columns, (train, unseen) = expand_blocks(blocks), mismatches.of_fold(fold)
    x, features = train.features(columns), {split: part.features(columns) for split, part in unseen.items()}
    own, rows, scores = next(iter(unseen)), [], []
    fitted = soften(mismatches, train, x)
    for classifier, grid in classifiers.items():
        declared = check_classifier(classifier)
        if missing := declared.missing(blocks):
            message = "%s is left out: it needs a feature set that ends with %s, and %s does not"
            logger.info(message, classifier, ", ".join(missing), feature_set)
            continue
        start = time.monotonic()
        for value, tensors in fit_grid(classifier, grid[declared.hyperparameter], *fitted, columns, seed):
            point = {"feature_set": feature_set, "classifier": classifier, "value": value, "fold": fold}
            point["hyperparameter"] = declared.hyperparameter
            found = {split: predict(classifier, tensors, torch.from_numpy(z)).numpy() for split, z in features.items()}
            metrics = measure(found[own], unseen[own].important)
            seen = measure(predict(classifier, tensors, torch.from_numpy(x)).numpy(), train.important)
            rows.append(
                point
                | {name: float(metrics[name][0]) for name in METRICS}
                | {"auc_train": float(seen["auc"][0]), "n_train": len(train), "n_fold": len(unseen[own])}
                | {"features_read": features_read(tensors, x.shape[1]), "seconds": time.monotonic() - start}
            )
            scores += [_score_table(point, unseen[split], found[split]) for split in unseen]
            start = time.monotonic()
    return rows, pa.concat_tables(scores) if scores else SCORES.schema.empty_table()


def _score_table(
    point: Mapping[str, Any],
    part: Part,
    score: NDArray[np.float32],  # (n,)
) -> pa.Table:
    """Return the rows of `scores` of a grid point and some mismatches."""
    keys = part.rows[["split", "problem_id", "position", "important"]]
    return pa.Table.from_pandas(
        keys.assign(**point, score=score)[SCORES.schema.names],
        SCORES.schema,
        preserve_index=False,
    )
