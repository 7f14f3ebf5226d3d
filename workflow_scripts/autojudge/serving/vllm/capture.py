"""Hidden states and logits, noted where vLLM's models compute logits."""

from collections.abc import Callable
from typing import Any

import torch


def tap_logits(model: Any, note: Callable[[torch.Tensor, torch.Tensor], None]) -> None:
    """Let `note` see each call of a model's `compute_logits`: the hidden states and the logits that it made of them."""
    inner = model.compute_logits

    def compute_logits(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        logits = inner(hidden_states, *args, **kwargs)
        note(hidden_states, logits)
        return logits

    model.compute_logits = compute_logits


class LastStates:
    """The states that a model's latest logits were computed from."""

    def __init__(self, model: Any) -> None:
        self._states: torch.Tensor | None = None
        self._is_new = False
        tap_logits(model, self._note)

    def _note(self, states: torch.Tensor, _logits: torch.Tensor) -> None:
        self._states, self._is_new = states, True

    def is_new(self) -> bool:
        """Tell whether logits were computed since this was asked last."""
        was, self._is_new = self._is_new, False
        return was

    def part(self, start: int, end: int) -> torch.Tensor | None:
        """Return some of the latest states, (end - start, hidden); None where there are not as many."""
        states = self._states
        return states[start:end] if states is not None and end <= len(states) else None

    def take(self, count: int) -> torch.Tensor | None:
        """Return the latest states, (count, hidden); None where there are not as many or more."""
        states = self._states
        return states if states is not None and len(states) == count else None
