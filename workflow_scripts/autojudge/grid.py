"""Train the grid of classifiers on mined features, and choose thresholds."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from autojudge.errors import InputError
from autojudge.judge import FORMAT, Judge
from autojudge.schemas import BLOCKS, read_arrow, read_table

CLASSIFIERS = {"logistic_regression": "C", "random_forest": "n_estimators", "mlp": "hidden_units"}


class Mismatches:
    """The mined mismatches of one split: labels and, on demand, features.

    Parameters
    ----------
    labels_path, features_path : str
        labels.parquet and features.parquet; their rows must agree.
    split : str
        "train" or "validation".
    exclude_cut_off : bool
        Leave out labels whose answers rest on a response that ends at the token limit.

    Raises
    ------
    InputError
        The tables do not belong together, the split holds no mismatch, or labels of one class only.
    """

    def __init__(self, labels_path: str, features_path: str, split: str, exclude_cut_off: bool = False) -> None:
        labels = read_table("labels", labels_path, ["problem_id", "position", "split", "important", "cut_off"])
        keys = read_table("features", features_path, ["problem_id", "position"])
        if not keys.equals(labels[["problem_id", "position"]]):
            raise InputError(f"{features_path}: rows are not those of {labels_path}; run gather_labels again")
        wanted = (labels["split"] == split) & ~(labels["cut_off"] & exclude_cut_off)
        self._path, self._rows = features_path, np.flatnonzero(wanted)
        self.important = labels["important"].to_numpy(dtype=bool)[self._rows]
        self.problem_id = labels["problem_id"].to_numpy()[self._rows]
        if len(self.important) == 0:
            raise InputError(
                f"{labels_path}: split {split} holds no mismatch; mine more problems (config key `problems`)"
            )
        if self.important.all() or not self.important.any():
            only = "important" if self.important.all() else "unimportant"
            raise InputError(
                f"{labels_path}: all {len(self.important)} mismatches of split {split} are {only}, and a judge needs "
                f"both classes; mine more problems (config key `problems.{split}`)"
            )

    def features(self, columns: list[str]) -> NDArray[np.float32]:
        """Return columns side by side, (mismatches, width)."""
        return load_features(self._path, columns)[self._rows]


def load_features(path: str | Path, columns: list[str]) -> NDArray[np.float32]:
    """Read columns of features.parquet side by side, (rows, width).

    Raises
    ------
    InputError
        The file is damaged.
    """
    table = read_arrow("features", path, columns)
    parts = []
    for column in columns:
        values = table[column].combine_chunks()
        if column in BLOCKS:
            parts.append(values.flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1).astype(np.float32))
        else:
            parts.append(values.to_numpy(zero_copy_only=False).astype(np.float32)[:, None])
    return np.concatenate(parts, axis=1)


def build_classifier(name: str, value: float, seed: int) -> Pipeline:
    """Build scaler and classifier of one grid point.

    Parameters
    ----------
    name : str
        A key of `judge.classifiers` in the config.
    value : float
        Its hyperparameter: C, number of trees, or hidden units.
    seed : int
        Seed of the classifier.
    """
    classifier: ClassifierMixin
    if name == "logistic_regression":
        classifier = LogisticRegression(C=value, max_iter=2000)
    elif name == "random_forest":
        classifier = RandomForestClassifier(int(value), min_samples_leaf=2, random_state=seed, n_jobs=1)
    else:
        classifier = MLPClassifier((int(value),), early_stopping=True, max_iter=200, random_state=seed)
    return make_pipeline(StandardScaler(), classifier)


def fit_quietly(pipeline: Pipeline, x: NDArray[np.float32], y: NDArray[np.bool_]) -> Pipeline:
    """Fit; a solver that stops at its iteration limit is no fault in a grid.

    Raises
    ------
    InputError
        The classifier cannot be fitted on so few mismatches.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            return pipeline.fit(x, y)
        except ValueError as fault:
            raise InputError(
                f"{pipeline.steps[-1][0]} cannot be fitted on {len(y)} training mismatches, {int(y.sum())} of them "
                f"important ({fault}); mine more problems (config key `problems.train`) or leave the classifier out "
                "(config key `judge.classifiers`)"
            ) from fault


def to_tensors(pipeline: Pipeline, name: str) -> dict[str, torch.Tensor]:
    """Return a fitted pipeline as the tensors of a judge artifact."""
    scaler, classifier = pipeline[0], pipeline[-1]
    tensors = {"mean": _float(scaler.mean_), "scale": _float(scaler.scale_)}
    if name == "logistic_regression":
        return tensors | {"weight": _float(classifier.coef_), "bias": _float(classifier.intercept_)}
    if name == "mlp":
        for i, (weight, bias) in enumerate(zip(classifier.coefs_, classifier.intercepts_, strict=True)):
            tensors |= {f"weight_{i}": _float(weight.T), f"bias_{i}": _float(bias)}
        return tensors
    return tensors | _forest_tensors(classifier)


def _float(array: NDArray[Any]) -> torch.Tensor:
    return torch.tensor(np.ascontiguousarray(array), dtype=torch.float32)


def _forest_tensors(forest: RandomForestClassifier) -> dict[str, torch.Tensor]:
    """Lay all trees' nodes end to end; a leaf is its own child."""
    trees = [estimator.tree_ for estimator in forest.estimators_]
    starts = np.cumsum([0] + [tree.node_count for tree in trees])
    left, right = [], []
    for tree, start in zip(trees, starts, strict=False):
        leaf, itself = tree.children_left < 0, np.arange(tree.node_count)
        left.append(np.where(leaf, itself, tree.children_left) + start)
        right.append(np.where(leaf, itself, tree.children_right) + start)
    shares = np.concatenate([tree.value[:, 0, 1] / tree.value[:, 0].sum(-1) for tree in trees])
    return {
        "feature": torch.tensor(np.concatenate([np.maximum(tree.feature, 0) for tree in trees])),
        "cut": torch.tensor(np.concatenate([tree.threshold for tree in trees])),
        "left": torch.tensor(np.concatenate(left)),
        "right": torch.tensor(np.concatenate(right)),
        "important": _float(shares),
        "roots": torch.tensor(starts[:-1]),
        "depth": torch.tensor(max(tree.max_depth for tree in trees)),
    }


def recommended_threshold(probability: NDArray[np.float64], important: NDArray[np.bool_], recall: float) -> float:
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


def candidate_thresholds(probability: NDArray[np.float64], count: int, recommended: float) -> list[float]:
    """Return `count` thresholds from lossless on: validation quantiles, the nearest replaced by the recommended one."""
    levels = np.quantile(probability, np.linspace(0, 1, count))
    levels[0], levels[-1] = 0.0, 1.0 + 1e-6
    levels[1 + np.abs(levels[1:-1] - recommended).argmin()] = recommended
    return [float(level) for level in levels]


def fit_judge(
    train: Mismatches,
    validation: Mismatches,
    columns: list[str],
    classifier: str,
    value: float,
    seed: int,
    recall: float,
    n_thresholds: int,
) -> Judge:
    """Fit one grid point on the training split and choose its thresholds on the validation split.

    Parameters
    ----------
    columns : list of str
        Columns of features.parquet.
    classifier, value : str, float
        The grid point.
    recall : float
        Share of important validation mismatches that the recommended threshold refuses.
    n_thresholds : int
        Number of candidate thresholds.
    """
    parts = [train.features([column]) for column in columns]
    x_train = np.concatenate(parts, axis=1)
    pipeline = fit_quietly(build_classifier(classifier, value, seed), x_train, train.important)
    judge = Judge(to_tensors(pipeline, classifier), {"format": FORMAT, "columns": columns, "classifier": classifier})
    probability = judge.predict(torch.from_numpy(validation.features(columns))).numpy()
    threshold = recommended_threshold(probability, validation.important, recall)
    kept = probability < threshold
    judge.info.update(
        sizes=[part.shape[1] for part in parts],
        threshold=threshold,
        thresholds=candidate_thresholds(probability, n_thresholds, threshold),
        validation={
            "auc": float(roc_auc_score(validation.important, probability)),
            "recall_wanted": recall,
            "recall": float((~kept[validation.important]).mean()),
            "unimportant_accepted": float(kept[~validation.important].mean()),
            "mismatches": len(kept),
            "problems": len(set(validation.problem_id)),
        },
    )
    return judge


def judge_table(judge: Judge, features_path: str) -> NDArray[np.float32]:
    """Return the judge's p(important) of every row of features.parquet, (rows,)."""
    return judge.predict(torch.from_numpy(load_features(features_path, judge.columns))).numpy()
