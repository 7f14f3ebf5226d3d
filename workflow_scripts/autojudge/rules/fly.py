"""Keep a draft token where the target is unsure and agrees again right after it (FLy, arXiv 2511.22972).

A mismatch is kept when the target's entropy, divided by the logarithm of the vocabulary's size, is above t and the next
six tokens of the window match; so none of a window's last six tokens is kept. The threshold is 1 - t: 0.7 stands for
the paper's 0.3, and 0 is lossless.
"""

from math import log

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "following"}
FOLLOWING = 6


def score(signals: Signals) -> torch.Tensor:
    """Return 1 minus the normalised entropy for each mismatch; infinity where no six matches follow."""
    assert signals.following is not None, "the rule must name following in NEEDS"
    share = signals.target_entropy / log(signals.target_probability.shape[-1])
    return (1 - share).clamp_min(0).masked_fill(signals.following < FOLLOWING, torch.inf)
