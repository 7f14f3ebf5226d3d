"""Keep a draft token where target and draft hardly differ: KL(p || q) < t, in nats; 0 is lossless.

The training-free rule of arXiv 2601.04766, whose switch where the target is confident is the modifier `confident: 0.9`.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "draft_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return KL(p || q) for each mismatch."""
    return signals.scalars["kl_divergence"].clamp_min(0)
