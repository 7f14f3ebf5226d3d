"""Keep a draft token that is the choice of a mixture of both models: x = argmax of (1 - t) p + t q; 0 is lossless."""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "draft_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return, for each mismatch, the draft's share t from which on the mixture chooses its token, at most 1."""
    p, q = signals.target_probability, signals.draft_probability
    behind = p - signals.chosen(p)[:, None]  # by how much the target puts another token first
    ahead = signals.chosen(q)[:, None] - q
    return torch.where(behind > 0, behind / (behind + ahead), 0).amax(-1)
