"""Keep a draft token where the draft is sure, else defer to the target: 1 - max q < t; 0 is lossless.

Chow's deferral rule for cascades, as in arXiv 2405.19261.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"draft_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return 1 - max q for each mismatch."""
    return 1 - signals.draft_probability.amax(-1)
