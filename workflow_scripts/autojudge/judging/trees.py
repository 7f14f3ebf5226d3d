"""Trees of scikit-learn as tensors of a judge's artifact; needs torch alone."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch


def tree_tensors(
    trees: Sequence[Any],
    leaves: Sequence[Any],  # arrays (nodes of the tree,)
) -> dict[str, torch.Tensor]:
    """Lay all trees' nodes end to end; a leaf is its own child.

    Parameters
    ----------
    trees : sequence of sklearn.tree._tree.Tree
    leaves : sequence of array
        What each node of each tree adds where it is a leaf.

    Returns
    -------
    dict of str to Tensor
        `feature`, `cut`, `left`, `right` and `value` of shape (nodes,), `roots` of shape (trees,), `depth`.
    """
    starts = [0, *accumulate(tree.node_count for tree in trees)][:-1]
    left, right = [], []
    for tree, start in zip(trees, starts, strict=True):
        itself, to_left = torch.arange(tree.node_count), torch.tensor(tree.children_left)
        left.append(torch.where(to_left < 0, itself, to_left) + start)
        right.append(torch.where(to_left < 0, itself, torch.tensor(tree.children_right)) + start)
    return {
        "feature": torch.cat([torch.tensor(tree.feature).clamp(min=0) for tree in trees]),
        "cut": torch.cat([torch.tensor(tree.threshold) for tree in trees]),
        "left": torch.cat(left),
        "right": torch.cat(right),
        "value": torch.cat([torch.tensor(values) for values in leaves]).float(),
        "roots": torch.tensor(starts),
        "depth": torch.tensor(max(tree.max_depth for tree in trees)),
    }


def leaf_values(
    tensors: Mapping[str, torch.Tensor],
    x: torch.Tensor,  # (n, width)
) -> torch.Tensor:
    """Return the value of the leaf that each row reaches in each tree, (n, trees)."""
    node = tensors["roots"].expand(len(x), -1)
    for _ in range(int(tensors["depth"])):
        goes_left = x.gather(1, tensors["feature"][node]) <= tensors["cut"][node]
        node = torch.where(goes_left, tensors["left"][node], tensors["right"][node])
    return tensors["value"][node]
