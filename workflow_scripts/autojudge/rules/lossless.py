"""Keep no mismatch: speculative decoding that leaves the target's greedy response as it is (Leviathan et al. 2023)."""

import torch

from autojudge.judging.signals import Signals

NEEDS: set[str] = set()


def score(signals: Signals) -> torch.Tensor:
    """Return infinity for each mismatch."""
    return torch.full(signals.draft_token.shape, float("inf"))
