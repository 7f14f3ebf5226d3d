"""Keep what mining found unimportant: the mined labels of one path, no bound for other rules. 0 is lossless.

Only problems that were mined have labels; a mismatch without one is refused.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"labels"}


def score(signals: Signals) -> torch.Tensor:
    """Return 0 for each unimportant mismatch and infinity for each important one."""
    assert signals.important is not None, "the rule must name labels in NEEDS"
    return torch.zeros(signals.important.shape).masked_fill(signals.important.cpu(), torch.inf)
