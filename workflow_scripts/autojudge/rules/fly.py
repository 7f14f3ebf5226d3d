"""Keep a draft token where the target is unsure and agrees again right after it (FLy, arXiv 2511.22972).

A mismatch is kept when the entropy of the target's three best tokens (their probabilities divided by their sum) is
above ln 3 - t and the next five tokens of the window match; so none of a window's last five tokens is kept. An entropy
of 0.3 is the threshold 0.799; 0 is lossless.
"""

from math import log

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "following"}
BEST, FOLLOWING = 3, 5


def score(signals: Signals) -> torch.Tensor:
    """Return ln 3 minus the entropy of the three best for each mismatch, in nats; infinity where no five follow."""
    assert signals.following is not None, "the rule must name following in NEEDS"
    best = signals.target_probability.topk(BEST).values
    entropy = torch.special.entr(best / best.sum(-1, keepdim=True)).sum(-1)
    distance: torch.Tensor = (log(BEST) - entropy).clamp_min(0)
    return distance.masked_fill(signals.following < FOLLOWING, torch.inf)
