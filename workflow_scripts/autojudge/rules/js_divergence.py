"""Keep a draft token where target and draft hardly differ: JS(p, q) < t, in nats (at most ln 2); 0 is lossless."""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "draft_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return the Jensen-Shannon divergence of target and draft for each mismatch."""
    return signals.scalars["js_divergence"].clamp_min(0)
