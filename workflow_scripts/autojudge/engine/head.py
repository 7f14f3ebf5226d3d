"""The head of a model: its scores of the next token as a function of its last hidden states."""

import copy
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast


def shallow_copy(module: Any) -> Any:
    """Return a copy of a module whose parts are the same ones, but can be exchanged."""
    copied = copy.copy(module)
    copied.__dict__["_modules"] = dict(module._modules)
    return copied


class Head:
    """All that a model's `forward` does after its last hidden states, be it scaled, capped or plain.

    Parameters
    ----------
    model : PreTrainedModel
        A causal language model.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = shallow_copy(model)
        self._model._modules[model.base_model_prefix] = _Given()
        self._forward = type(model).forward  # the class's: an instance may have one that moves its inputs elsewhere

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the scores (..., vocabulary) after hidden states (..., hidden)."""
        states = hidden.reshape(1, -1, hidden.shape[-1])
        logits: torch.Tensor = self._forward(self._model, inputs_embeds=states, use_cache=False).logits
        return logits.reshape(*hidden.shape[:-1], logits.shape[-1])


class _Output(BaseModelOutputWithPast):  # type: ignore[misc]
    """What a base model returns; what an architecture adds to that is None."""

    def __getattr__(self, name: str) -> None:
        return None


class _Given(torch.nn.Module):
    """A base model, and its decoder, whose last hidden states are the embeddings that it is given."""

    @property
    def decoder(self) -> "_Given":
        return self

    def forward(self, *_: Any, inputs_embeds: torch.Tensor, **__: Any) -> _Output:
        return _Output(last_hidden_state=inputs_embeds)
