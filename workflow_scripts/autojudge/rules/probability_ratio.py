"""Keep a draft token that is nearly as probable as the target's best: p(x) > t max p. The threshold is 1 - t.

0 is lossless. Speculative cascades' rule "Token-V3" (arXiv 2405.19261), with t = 1 - alpha; the form of min-p sampling.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return 1 - p(x) / max p for each mismatch."""
    p = signals.target_probability
    return 1 - signals.chosen(p) / p.amax(-1)
