"""Linear scores as tensors of a judge's artifact; needs torch alone."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def line_tensors(
    weight: "NDArray[np.float32]",  # (width,)
    bias: float,
) -> dict[str, torch.Tensor]:
    """Return `weight`, float32 of shape (width,), and `bias`, float32 without a dimension."""
    return {"weight": torch.from_numpy(weight).clone(), "bias": torch.tensor(bias)}


def line_logits(
    tensors: Mapping[str, torch.Tensor],
    x: torch.Tensor,  # (n, width)
) -> torch.Tensor:
    """Return x @ weight + bias, (n,)."""
    return x @ tensors["weight"] + tensors["bias"]
