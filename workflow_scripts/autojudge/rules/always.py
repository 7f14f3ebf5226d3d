"""Keep every draft token, so that the draft alone writes the response; a threshold above 0 keeps, 0 is lossless."""

import torch

from autojudge.judging.signals import Signals

NEEDS: set[str] = set()


def score(signals: Signals) -> torch.Tensor:
    """Return 0 for each mismatch."""
    return torch.zeros(signals.draft_token.shape)
