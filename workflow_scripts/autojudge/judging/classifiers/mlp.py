"""Perceptron with one hidden layer on all features, the paper's; stopped early by held-out problems."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autojudge.judging.mismatches import Part

HYPERPARAMETER = "hidden_units"
NEEDS: set[str] = set()
WHOLE = True
BATCH, EPOCHS, PATIENCE = 256, 60, 5
LAYERS = {"0.weight": "weight_0", "0.bias": "bias_0", "3.weight": "weight_1", "3.bias": "bias_1"}


def fit(
    values: Sequence[float],
    part: Part,
    x: NDArray[np.float32],  # (n, width)
    _columns: Sequence[str],
    seed: int,
) -> Iterator[tuple[float, dict[str, torch.Tensor]]]:
    """Yield each size of the hidden layer with scaling and layers."""
    import numpy as np

    from autojudge.judging.mismatches import fold_of

    stopping = fold_of(part.rows["problem_id"], 10, "stopping") == 1
    if any(part.important[rows].sum() in (0, rows.sum()) for rows in (stopping, ~stopping)):
        raise ValueError("too few problems to stop early by")
    mean, scale = x[~stopping].mean(0), x[~stopping].std(0)
    scale = np.where(scale > 1e-7, scale, 1).astype(np.float32)
    z = torch.from_numpy((x - mean) / scale)
    y = torch.from_numpy(part.important.astype(np.float32))
    weight = torch.from_numpy(part.weight.astype(np.float32))
    for value in values:
        layers = _train(int(value), z, y, weight, torch.from_numpy(stopping), seed)
        yield value, {"mean": torch.from_numpy(mean), "scale": torch.from_numpy(scale), **layers}


def logits(
    tensors: Mapping[str, torch.Tensor],
    x: torch.Tensor,  # (n, width)
) -> torch.Tensor:
    """Return the logit of p(important), (n,)."""
    z = (x - tensors["mean"]) / tensors["scale"]
    hidden = torch.relu(z @ tensors["weight_0"].T + tensors["bias_0"])
    return (hidden @ tensors["weight_1"].T + tensors["bias_1"])[:, 0]


def _train(
    units: int,
    z: torch.Tensor,  # (n, width), standardised
    y: torch.Tensor,  # (n,), 1 where important
    weight: torch.Tensor,  # (n,)
    stopping: torch.Tensor,  # (n,), bool
    seed: int,
) -> dict[str, torch.Tensor]:
    """Return the layers that were best on the held-out problems, the rows that `stopping` marks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            torch.nn.Linear(z.shape[1], units), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(units, 1)
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
        fitted, loss = torch.nonzero(~stopping)[:, 0], torch.nn.functional.binary_cross_entropy_with_logits
        best, kept, waited = math.inf, {}, 0
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
    return {LAYERS[name]: tensor for name, tensor in kept.items()}
