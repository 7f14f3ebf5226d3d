"""Gradient-boosted trees on the scalars and on the linear score of all features: what the linear judge misses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from autojudge.judging.linear import line_logits, line_tensors
from autojudge.judging.trees import leaf_values, tree_tensors
from autojudge.tables.feature_names import SCALARS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autojudge.judging.mismatches import Part

HYPERPARAMETER = "n_estimators"
NEEDS = {"scalars"}
WHOLE = True
LINE = "line_"  # before the names of the linear score's tensors


def fit(
    values: Sequence[float],
    part: Part,
    x: NDArray[np.float32],  # (n, width)
    columns: Sequence[str],
    seed: int,
) -> Iterator[tuple[float, dict[str, torch.Tensor]]]:
    """Yield each number of trees with the linear score and the trees on it, which must see it as on unseen problems."""
    import numpy as np
    from sklearn.ensemble import GradientBoostingClassifier

    from autojudge.judging.inner_folds import best_line

    n_scalars = sum(column in SCALARS for column in columns)
    line, _, unseen = best_line(part, x)
    stacked = np.concatenate([unseen[:, None], x[:, -n_scalars:]], axis=1)
    known = {f"{LINE}{name}": tensor for name, tensor in line_tensors(line.weight, line.bias).items()}
    start = float(np.log(part.weight[part.important].sum() / part.weight[~part.important].sum()))
    known |= {"start": torch.tensor(start), "n_scalars": torch.tensor(n_scalars)}
    for value in values:
        model = GradientBoostingClassifier(
            n_estimators=int(value),
            max_depth=3,
            learning_rate=0.1,
            subsample=0.5,
            min_samples_leaf=5,
            random_state=seed,
        ).fit(stacked, part.important, part.weight)
        trees = [tree.tree_ for tree in model.estimators_[:, 0]]
        yield value, known | tree_tensors(trees, [model.learning_rate * tree.value[:, 0, 0] for tree in trees])


def logits(
    tensors: Mapping[str, torch.Tensor],
    x: torch.Tensor,  # (n, width)
) -> torch.Tensor:
    """Return the logit of p(important), (n,)."""
    line = {name.removeprefix(LINE): tensor for name, tensor in tensors.items() if name.startswith(LINE)}
    scalars = x[:, x.shape[1] - int(tensors["n_scalars"]) :]
    stacked = torch.cat([line_logits(line, x)[:, None], scalars], dim=1)
    return tensors["start"] + leaf_values(tensors, stacked).sum(1)
