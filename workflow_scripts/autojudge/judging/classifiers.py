"""Classifiers of mismatches: each fits a grid of one hyperparameter and gives the tensors of a judge artifact.

They see features as they are. What each is for:

- `logistic_regression` (C): the paper's; all features, one multiplication each
- `sparse_regression` (features): logistic regression on the features with the largest standardised weights; cheap to
  serve
- `boosting` (n_estimators): gradient-boosted trees on the scalars and on the linear score of all features, stacked
- `mlp` (hidden_units): one hidden layer, stopped early by held-out problems
- `random_forest` (n_estimators)
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import roc_auc_score

from autojudge.errors import InputError
from autojudge.judging.logistic import Line, LogisticPath
from autojudge.judging.mismatches import Part, fold_of
from autojudge.tables.feature_names import SCALARS

HYPERPARAMETERS = {
    "logistic_regression": "C",
    "sparse_regression": "features",
    "boosting": "n_estimators",
    "mlp": "hidden_units",
    "random_forest": "n_estimators",
}
INNER_STRENGTHS = (1e-4, 1e-3, 1e-2)  # C of linear scores inside other classifiers, the best by inner folds
INNER_FOLDS = 5
BATCH, EPOCHS, PATIENCE = 256, 60, 5  # of the perceptron
logger = logging.getLogger("autojudge")

Tensors = dict[str, torch.Tensor]


def fit_grid(
    classifier: str, values: Sequence[float], part: Part, x: NDArray[np.float32], columns: list[str], seed: int
) -> Iterator[tuple[float, Tensors]]:
    """Yield each value with the tensors of its fit.

    Parameters
    ----------
    classifier : str
        A key of HYPERPARAMETERS.
    part : Part
        Labels, problems and weights of the fit.
    x : array of shape (n, width)
        Its features.
    columns : list of str
        What the features are, in order.
    seed : int
        Of classifiers that draw.

    Raises
    ------
    InputError
        The classifier cannot be fitted on so few mismatches, or needs scalars that are not there.
    """
    used = part.weight > 0
    if not used.all():
        part, x = part.thin(used), x[used]
    part.check()
    try:
        yield from _FITS[classifier](values, part, x, columns, seed)
    except ValueError as fault:
        raise InputError(
            f"{classifier} cannot be fitted on {len(part)} mismatches, {int(part.important.sum())} of them important "
            f"({fault}); mine more problems (config key `problems.train`) or leave the classifier out (config key "
            "`judge.classifiers`)"
        ) from fault


def features_read(classifier: str, tensors: Tensors, width: int) -> int:
    """Return how many numbers of a mismatch a judge reads."""
    if classifier == "sparse_regression":
        return int((tensors["weight"] != 0).sum())
    return width


def _fit_logistic(values: Sequence[float], part: Part, x: Any, columns: list[str], seed: int) -> Any:
    for line in LogisticPath(x, part.important, part.weight).fit(values):
        if not line.converged:
            logger.warning("logistic regression with C = %g has not converged", line.C)
        yield line.C, _line_tensors(line.weight, line.bias)


def _fit_sparse(values: Sequence[float], part: Part, x: Any, columns: list[str], seed: int) -> Any:
    line, path, _ = _best_line(part, x)
    strength = np.abs(line.weight * path.scale.numpy())
    for value in values:
        chosen = np.sort(np.argsort(-strength, kind="stable")[: int(value)])
        (fit,) = LogisticPath(np.ascontiguousarray(x[:, chosen]), part.important, part.weight).fit([1.0])
        weight = np.zeros(x.shape[1], dtype=np.float32)
        weight[chosen] = fit.weight
        yield value, _line_tensors(weight, fit.bias)


def _fit_boosting(values: Sequence[float], part: Part, x: Any, columns: list[str], seed: int) -> Any:
    """Stack trees on the scalars and the linear score, which the trees must see as it is on unseen problems."""
    n_scalars = sum(column in SCALARS for column in columns)
    if not n_scalars or any(column in SCALARS for column in columns[:-n_scalars]):
        raise InputError(f"boosting needs a feature set that ends with `scalars`; this one is {', '.join(columns)}")
    line, _, unseen = _best_line(part, x)
    stacked = np.concatenate([unseen[:, None], x[:, -n_scalars:]], axis=1)
    for value in values:
        model = GradientBoostingClassifier(
            n_estimators=int(value),
            max_depth=3,
            learning_rate=0.1,
            subsample=0.5,
            min_samples_leaf=5,
            random_state=seed,
        ).fit(stacked, part.important, part.weight)
        start = float(np.log(part.weight[part.important].sum() / part.weight[~part.important].sum()))
        trees = [tree.tree_ for tree in model.estimators_[:, 0]]
        leaves = [model.learning_rate * tree.value[:, 0, 0] for tree in trees]
        lines = {f"line_{name}": tensor for name, tensor in _line_tensors(line.weight, line.bias).items()}
        yield (
            value,
            lines | _tree_tensors(trees, leaves) | {"start": torch.tensor(start), "n_scalars": torch.tensor(n_scalars)},
        )


def _fit_forest(values: Sequence[float], part: Part, x: Any, columns: list[str], seed: int) -> Any:
    for value in values:
        forest = RandomForestClassifier(
            int(value), min_samples_leaf=2, random_state=seed, n_jobs=torch.get_num_threads()
        )
        forest.fit(x, part.important, part.weight)
        trees = [tree.tree_ for tree in forest.estimators_]
        yield value, _tree_tensors(trees, [tree.value[:, 0, 1] / tree.value[:, 0].sum(-1) for tree in trees])


def _fit_mlp(values: Sequence[float], part: Part, x: Any, columns: list[str], seed: int) -> Any:
    stopping = fold_of(part.rows["problem_id"], 10, "stopping") == 1
    if part.important[stopping].sum() in (0, stopping.sum()):
        raise ValueError("too few problems to stop early by")
    mean, scale = x[~stopping].mean(0), x[~stopping].std(0)
    scale = np.where(scale > 1e-7, scale, 1).astype(np.float32)
    z = torch.from_numpy((x - mean) / scale)
    y = torch.from_numpy(part.important.astype(np.float32))
    weight = torch.from_numpy(part.weight.astype(np.float32))
    for value in values:
        layers = _train_mlp(int(value), z, y, weight, torch.from_numpy(stopping), seed)
        yield value, {"mean": torch.from_numpy(mean), "scale": torch.from_numpy(scale), **layers}


def _train_mlp(
    units: int, z: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, stopping: torch.Tensor, seed: int
) -> Tensors:
    """Return the layers that were best on the held-out problems."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            torch.nn.Linear(z.shape[1], units), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(units, 1)
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
        fitted, loss = torch.nonzero(~stopping)[:, 0], torch.nn.functional.binary_cross_entropy_with_logits
        best, kept, waited = np.inf, {}, 0
        for _ in range(EPOCHS):
            model.train()
            for rows in fitted[torch.randperm(len(fitted))].split(BATCH):
                optimizer.zero_grad()
                loss(model(z[rows])[:, 0], y[rows], weight[rows]).backward()
                optimizer.step()
            model.eval()
            with torch.inference_mode():
                held_out = float(loss(model(z[stopping])[:, 0], y[stopping], weight[stopping]))
            waited += 1
            if held_out < best:
                best, waited = held_out, 0
                kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            if waited >= PATIENCE:
                break
    names = {"0.weight": "weight_0", "0.bias": "bias_0", "3.weight": "weight_1", "3.bias": "bias_1"}
    return {names[name]: tensor for name, tensor in kept.items()}


def _best_line(part: Part, x: NDArray[np.float32]) -> tuple[Line, LogisticPath, NDArray[np.float32]]:
    """Return a linear fit, its data, and every row's logit from a fit that has not seen its problem."""
    folds = fold_of(part.rows["problem_id"], INNER_FOLDS, "inner")
    unseen = np.zeros((len(INNER_STRENGTHS), len(x)), dtype=np.float32)
    for fold in range(1, INNER_FOLDS + 1):
        held_out = folds == fold
        if part.important[~held_out].sum() in (0, (~held_out).sum()):
            raise ValueError("too few problems for inner folds")
        path = LogisticPath(x[~held_out], part.important[~held_out], part.weight[~held_out])
        for i, line in enumerate(path.fit(INNER_STRENGTHS)):
            unseen[i, held_out] = line.logit(x[held_out])
    best = int(np.argmax([roc_auc_score(part.important, scores) for scores in unseen]))
    path = LogisticPath(x, part.important, part.weight)
    *_, line = path.fit(INNER_STRENGTHS[: best + 1])
    return line, path, unseen[best]


def _line_tensors(weight: NDArray[np.float32], bias: float) -> Tensors:
    return {"weight": torch.from_numpy(np.array(weight, dtype=np.float32)), "bias": torch.tensor(bias).float()}


def _tree_tensors(trees: Sequence[Any], leaves: Sequence[NDArray[np.float64]]) -> Tensors:
    """Lay all trees' nodes end to end; a leaf is its own child."""
    starts = np.cumsum([0] + [tree.node_count for tree in trees])
    left, right = [], []
    for tree, start in zip(trees, starts, strict=False):
        leaf, itself = tree.children_left < 0, np.arange(tree.node_count)
        left.append(np.where(leaf, itself, tree.children_left) + start)
        right.append(np.where(leaf, itself, tree.children_right) + start)
    return {
        "feature": torch.tensor(np.concatenate([np.maximum(tree.feature, 0) for tree in trees])),
        "cut": torch.tensor(np.concatenate([tree.threshold for tree in trees])),
        "left": torch.tensor(np.concatenate(left)),
        "right": torch.tensor(np.concatenate(right)),
        "value": torch.tensor(np.concatenate(leaves), dtype=torch.float32),
        "roots": torch.tensor(starts[:-1]),
        "depth": torch.tensor(max(tree.max_depth for tree in trees)),
    }


_FITS = {
    "logistic_regression": _fit_logistic,
    "sparse_regression": _fit_sparse,
    "boosting": _fit_boosting,
    "mlp": _fit_mlp,
    "random_forest": _fit_forest,
}
