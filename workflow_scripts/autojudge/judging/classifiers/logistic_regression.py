"""L2-regularised logistic regression on all features, the paper's; C is the inverse strength of regularisation."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from autojudge.judging.linear import line_logits, line_tensors

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from autojudge.judging.mismatches import Part

HYPERPARAMETER = "C"
NEEDS: set[str] = set()


def fit(
    values: Sequence[float],
    part: Part,
    x: NDArray[np.float32],  # (n, width)
    _columns: Sequence[str],
    _seed: int,
) -> Iterator[tuple[float, dict[str, torch.Tensor]]]:
    """Yield each C, the smallest first, with its line."""
    from autojudge.judging.logistic import LogisticPath

    for line in LogisticPath(x, part.important, part.weight).fit(values):
        if not line.converged:
            logging.getLogger("autojudge").warning("logistic regression with C = %g has not converged", line.C)
        yield line.C, line_tensors(line.weight, line.bias)


def logits(
    tensors: Mapping[str, torch.Tensor],
    x: torch.Tensor,  # (n, width)
) -> torch.Tensor:
    """Return the logit of p(important), (n,)."""
    return line_logits(tensors, x)
