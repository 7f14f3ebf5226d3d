"""Keep a draft token where the target is unsure and agrees again right after it, as vLLM 0.33 has FLy.

A mismatch is kept when -sum p ln p over the target's three best tokens, whose p are left as they are, is above t and
the next six tokens of the window match; in windows of fewer than seven tokens, all but one of the window's tokens. The
threshold is ln 3 - t: 0.799 is vLLM's 0.3, and 0 is lossless.
"""

from math import log

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "following"}
BEST, FOLLOWING = 3, 6


def score(signals: Signals) -> torch.Tensor:
    """Return ln 3 minus the entropy of the three best for each mismatch, in nats; infinity where too few follow."""
    assert signals.following is not None and signals.window is not None, "the rule must name following in NEEDS"
    entropy = torch.special.entr(signals.target_probability.topk(BEST).values).sum(-1)
    distance: torch.Tensor = (log(BEST) - entropy).clamp_min(0)
    return distance.masked_fill(signals.following < max(1, min(FOLLOWING, signals.window - 1)), torch.inf)
