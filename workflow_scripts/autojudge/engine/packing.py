"""Linear layers on a CPU with their weights laid out once for oneDNN, instead of anew in every pass."""

from typing import Any

import torch
from transformers import PreTrainedModel

DTYPES = (torch.float32, torch.bfloat16)
SMALLEST = 2**18  # weights of a layer; below that the call costs more than the layout saves


def pack_linears(model: PreTrainedModel) -> None:
    """Exchange a model's large linear layers for packed ones, in place; other devices and dtypes stay as they are.

    Two to five times faster than `torch.nn.functional.linear` for some 4 to 64 rows (`benchmarks/packing.py`), and a
    row's result is the same, bit for bit, among any number of rows from two on. A weight that is shared, such as that
    of a head tied to the embeddings, is kept beside its packed copy.

    Parameters
    ----------
    model : PreTrainedModel
        Loaded, for inference.
    """
    if not torch.backends.mkldnn.is_available():
        return
    uses: dict[int, int] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if _packable(module):
                setattr(parent, name, PackedLinear(module, shared=uses[id(module.weight)] > 1))


def _packable(module: torch.nn.Module) -> bool:
    if type(module) is not torch.nn.Linear:  # not one of its subclasses: they compute otherwise
        return False
    weight = module.weight
    return weight.device.type == "cpu" and weight.dtype in DTYPES and weight.numel() >= SMALLEST


class PackedLinear(torch.nn.Module):
    """A linear layer for inference; its `weight` has shape, dtype and device, but NaN for values unless it is shared.

    Parameters
    ----------
    linear : Linear
        Loses its weight unless that is shared.
    shared : bool
        Whether another layer has the same weight.
    """

    def __init__(self, linear: torch.nn.Linear, shared: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.packed: Any = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = linear.bias
        if not shared:
            empty = torch.full((1, 1), torch.nan, dtype=linear.weight.dtype).expand(linear.weight.shape)
            linear.weight = torch.nn.Parameter(empty, requires_grad=False)
        self.weight = linear.weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return inputs (..., in_features) times the weight, with the bias."""
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.packed, self.bias, "none", [], "")
        return outputs
