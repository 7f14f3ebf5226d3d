"""Keep a draft token by chance, with probability min(1, p(x) / t), as inference engines do. The threshold is 1 / t.

0 is lossless, 1 keeps with probability p(x). The random numbers are fixed by the problem and the position.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "uniform"}


def score(signals: Signals) -> torch.Tensor:
    """Return u / p(x) for each mismatch, u being its random number."""
    assert signals.uniform is not None, "the rule must name uniform in NEEDS"
    return signals.uniform.float() / signals.chosen(signals.target_probability)
