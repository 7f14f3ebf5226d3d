"""Keep a draft token where target and draft hardly differ: TV(p, q) < t, at most 1; 0 is lossless."""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "draft_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return the total variation distance of target and draft for each mismatch."""
    return (signals.target_probability - signals.draft_probability).abs().sum(-1) / 2
