"""Logistic regression on the features with the largest standardised weights, so many: cheap to serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from autojudge.judging.linear import line_logits, line_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autojudge.judging.mismatches import Part

HYPERPARAMETER = "features"
NEEDS: set[str] = set()
WHOLE = True


def fit(
    values: Sequence[float],
    part: Part,
    x: NDArray[np.float32],  # (n, width)
    _columns: Sequence[str],
    _seed: int,
) -> Iterator[tuple[float, dict[str, torch.Tensor]]]:
    """Yield each number of features with their places and their line."""
    import numpy as np

    from autojudge.judging.inner_folds import best_line
    from autojudge.judging.logistic import LogisticPath

    whole, path, _ = best_line(part, x)
    importance = np.abs(whole.weight * path.scale.numpy())
    for value in values:
        chosen = np.sort(np.argsort(-importance, kind="stable")[: int(value)])
        (line,) = LogisticPath(np.ascontiguousarray(x[:, chosen]), part.important, part.weight).fit([1.0])
        weight = np.zeros(x.shape[1], dtype=np.float32)
        weight[chosen] = line.weight
        yield value, {"reads": torch.from_numpy(chosen), **line_tensors(weight, line.bias)}


def logits(
    tensors: Mapping[str, torch.Tensor],
    x: torch.Tensor,  # (n, width)
) -> torch.Tensor:
    """Return the logit of p(important), (n,)."""
    return line_logits(tensors, x)
