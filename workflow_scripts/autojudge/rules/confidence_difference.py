"""Keep a draft token unless the target is the surer by a margin: max p - max q < t; -1 is lossless.

The deferral rule "Diff" of speculative cascades, arXiv 2405.19261.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "draft_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return max p - max q for each mismatch."""
    return signals.target_probability.amax(-1) - signals.draft_probability.amax(-1)
