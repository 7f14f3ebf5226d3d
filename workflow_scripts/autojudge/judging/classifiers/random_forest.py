"""Random forest on all features, the paper's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from autojudge.judging.trees import leaf_values, tree_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autojudge.judging.mismatches import Part

HYPERPARAMETER = "n_estimators"
NEEDS: set[str] = set()
WHOLE = True


def fit(
    values: Sequence[float],
    part: Part,
    x: NDArray[np.float32],  # (n, width)
    _columns: Sequence[str],
    seed: int,
) -> Iterator[tuple[float, dict[str, torch.Tensor]]]:
    """Yield each number of trees with the trees."""
    from sklearn.ensemble import RandomForestClassifier

    for value in values:
        forest = RandomForestClassifier(
            int(value), min_samples_leaf=2, random_state=seed, n_jobs=torch.get_num_threads()
        )
        forest.fit(x, part.important, part.weight)
        trees = [tree.tree_ for tree in forest.estimators_]
        yield value, tree_tensors(trees, [tree.value[:, 0, 1] / tree.value[:, 0].sum(-1) for tree in trees])


def logits(
    tensors: Mapping[str, torch.Tensor],
    x: torch.Tensor,  # (n, width)
) -> torch.Tensor:
    """Return the logit of p(important), (n,): of the mean share of important mismatches in the leaves."""
    return torch.logit(leaf_values(tensors, x).mean(1), eps=1e-6)
