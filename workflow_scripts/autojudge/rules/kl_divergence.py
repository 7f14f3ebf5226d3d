"""Keep a draft token where target and draft hardly differ: KL(p || q) < t, in nats; 0 is lossless.

Where the target is confident, max p > 0.9, nothing is kept. The training-free rule of arXiv 2601.04766.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "draft_logits"}
CONFIDENT = 0.9


def score(signals: Signals) -> torch.Tensor:
    """Return KL(p || q) for each mismatch, infinity where the target is confident."""
    confident = signals.scalars["target_top_probability"] > CONFIDENT
    return signals.scalars["kl_divergence"].clamp_min(0).masked_fill(confident, torch.inf)
