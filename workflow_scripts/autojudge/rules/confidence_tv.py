"""Keep a draft token unless the target is the surer by a share of their distance: max p - max q < t TV(p, q).

The optimal deferral rule of speculative cascades ("OPT", arXiv 2405.19261). Scores lie between -1 (lossless) and 1.
"""

import torch

from autojudge.judging.signals import Signals
from autojudge.rules import confidence_difference, tv_distance

NEEDS = {"target_logits", "draft_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return (max p - max q) / TV(p, q) for each mismatch."""
    return (confidence_difference.score(signals) / tv_distance.score(signals)).clamp(-1, 1)
