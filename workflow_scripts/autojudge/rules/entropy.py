"""Keep a draft token where the target is unsure: exp(-H(p)) < t, 1 for a certain target; 0 is lossless."""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return exp(-H(p)) for each mismatch, the inverse of the target's perplexity."""
    return (-signals.target_entropy).exp()
