"""Choose a judge from the grid by the validation split, calibrate it, and choose a threshold by recall."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from autojudge.judging.artifact import Judge
from autojudge.judging.classifiers import features_read, fit_grid, predict
from autojudge.judging.label_sources import soften
from autojudge.judging.logistic import LogisticPath
from autojudge.judging.metrics import compare, draw_weights, estimate
from autojudge.judging.mismatches import VALIDATION, Mismatches, Part
from autojudge.judging.needs import servable_sets
from autojudge.judging.record import Record, Validation
from autojudge.tables.feature_names import expand_blocks

POINT = ["feature_set", "classifier", "value"]


def best_values(grid: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the row of the best value, on validation, of each feature set and classifier, the best first."""
    rows = grid[grid["fold"] == VALIDATION].sort_values([metric, "auc"], ascending=False, kind="stable")
    return rows.drop_duplicates(["feature_set", "classifier"]).reset_index(drop=True)


def at_point(scores: pd.DataFrame, point: Mapping[str, Any] | pd.Series) -> pd.Series:
    """Tell which rows are of a grid point, of any fold."""
    return (scores[POINT] == pd.Series({name: point[name] for name in POINT})).all(axis=1)


def scores_of(scores: pd.DataFrame, point: Mapping[str, Any] | pd.Series, split: str = VALIDATION) -> pd.DataFrame:
    """Return the scores that the fit of the fold `validation` of a grid point gives a split."""
    return scores[(scores["fold"] == VALIDATION) & (scores["split"] == split) & at_point(scores, point)]


def choose_point(
    grid: pd.DataFrame,
    scores: pd.DataFrame,
    feature_sets: Mapping[str, list[str]],
    select: Mapping[str, Any],
    seed: int,
) -> pd.Series:
    """Return the row of the grid that `select` takes, of those that what it `serves` can ask.

    The one with the largest acceptance on validation at the configured recall; of those that are within one standard
    error of it (of the difference, problems being resampled) the one that reads the fewest features. They must be so in
    AUC too: acceptance at one recall hangs on the few important mismatches near it, and so has large errors.

    Parameters
    ----------
    feature_sets, select : mapping
        Those entries of `judge` in the config.

    Raises
    ------
    InputError
        What it serves can ask none of the judges.
    """
    metric = f"accepted_at_{round(100 * select['recall'])}"
    names = servable_sets(select["feature_sets"], feature_sets, select["serves"])
    allowed = grid["feature_set"].isin(names) & grid["classifier"].isin(select["classifiers"])
    candidates = best_values(grid[allowed], metric)
    best = scores_of(scores, candidates.iloc[0])
    weights, important = draw_weights(best["problem_id"].to_numpy(), seed), best["important"].to_numpy(dtype=bool)
    level = []
    for _, point in candidates.iterrows():
        other = scores_of(scores, point)["score"].to_numpy()
        gaps = compare(best["score"].to_numpy(), other, important, weights)
        level.append(all(gaps[name].value <= gaps[name].error for name in (metric, "auc")))
    return candidates[level].sort_values("features_read", kind="stable").iloc[0]


def fit_judge(
    mismatches: Mismatches,
    point: Mapping[str, Any],
    feature_sets: Mapping[str, list[str]],
    select: Mapping[str, Any],
    origin: Mapping[str, Any],
    seed: int,
) -> Judge:
    """Fit a grid point on train, calibrate it and choose its thresholds on validation.

    Parameters
    ----------
    point : mapping
        `feature_set`, `classifier`, `hyperparameter` and `value`.
    feature_sets, select : mapping
        Those entries of `judge` in the config.
    origin : mapping
        `dataset`, `task`, `models` and `provenance` of the record.
    """
    columns = expand_blocks(feature_sets[point["feature_set"]])
    train, validation = mismatches.of_split("train"), mismatches.of_split(VALIDATION)
    classifier, x = point["classifier"], train.features(columns)
    ((_, tensors),) = fit_grid(classifier, [point["value"]], *soften(mismatches, train, x), columns, seed)
    x_validation = torch.from_numpy(validation.features(columns))
    tensors["calibration"] = calibrate(predict(classifier, tensors, x_validation).numpy(), validation.important)
    probability = predict(classifier, tensors, x_validation).numpy()
    important, unimportant = probability[validation.important], probability[~validation.important]
    threshold = recall_threshold(probability, validation.important, select["recall"])
    thresholds = candidate_thresholds(probability, select["thresholds"], threshold)
    record = Record(
        columns=columns,
        sizes=[validation.width(column) for column in columns],
        features_read=features_read(tensors, x.shape[1]),
        feature_set=point["feature_set"],
        classifier=classifier,
        hyperparameter=point["hyperparameter"],
        value=float(point["value"]),
        recall_threshold=threshold,
        threshold=None,
        operating_point=None,
        thresholds=thresholds,
        recall_at_thresholds=[float((important >= t).mean()) for t in thresholds],
        accepted_at_thresholds=[float((unimportant < t).mean()) for t in thresholds],
        validation=_validate(probability, validation, threshold, select["recall"], seed),
        **origin,
    )
    return Judge(tensors, record)


def _validate(
    probability: NDArray[np.float32],  # (n,)
    part: Part,
    threshold: float,
    recall_wanted: float,
    seed: int,
) -> Validation:
    metrics = estimate(probability, part.important, draw_weights(part.problem_id, seed))
    return Validation(
        recall_wanted=recall_wanted,
        recall=float((probability[part.important] >= threshold).mean()),
        unimportant_accepted=float((probability[~part.important] < threshold).mean()),
        mismatches=len(part),
        problems=len(set(part.problem_id)),
        **metrics,
    )


def calibrate(
    probability: NDArray[np.float32],  # (n,)
    important: NDArray[np.bool_],  # (n,)
) -> torch.Tensor:
    """Return slope and shift of Platt's scaling of the logit (Platt 1999), so that a probability is a frequency.

    A slope that is not positive would turn the ranking round: then the logit stays as it is.
    """
    logit = np.log(np.clip(probability, 1e-7, 1 - 1e-7)) - np.log1p(-np.clip(probability, 1e-7, 1 - 1e-7))
    ((slope, shift),) = [
        (float(line.weight[0]), line.bias)
        for line in LogisticPath(np.ascontiguousarray(logit[:, None], dtype=np.float32), important).fit([1e3])
    ]
    return torch.tensor([slope, shift] if slope > 0 else [1.0, 0.0])


def recall_threshold(probability: NDArray[np.float32], important: NDArray[np.bool_], recall: float) -> float:
    """Return the largest threshold that refuses at least `recall` of the important mismatches.

    Parameters
    ----------
    probability : array of shape (n,)
        p(important) of validation mismatches.
    important : array of shape (n,)
        Their labels.
    recall : float
        Share of important mismatches with probability >= threshold, 0 to 1.
    """
    ranked = np.sort(probability[important])[::-1]
    return float(ranked[int(np.ceil(recall * len(ranked))) - 1])


def candidate_thresholds(
    probability: NDArray[np.float32],  # (n,)
    count: int,
    by_recall: float,
) -> list[float]:
    """Return `count` thresholds from lossless on: validation quantiles, the nearest replaced by that of the recall."""
    levels = np.quantile(probability, np.linspace(0, 1, count))
    levels[0], levels[-1] = 0.0, 1.0 + 1e-6
    levels[1 + np.abs(levels[1:-1] - by_recall).argmin()] = by_recall
    return [float(level) for level in levels]


def judge_scores(judge: Judge, part: Part) -> NDArray[np.float32]:
    """Return the judge's p(important) of each mismatch, (n,)."""
    return judge.predict(torch.from_numpy(part.features(judge.columns))).numpy()
