"""Keep a draft token by chance, with probability min(1, p(x) / (l q(x))); the threshold is 1 / l.

The lenience l of speculative sampling (arXiv 2211.17192, appendix A.5): 1 is speculative sampling's own test, below it
more is kept. 0 is lossless. The random numbers are fixed by the problem and the position.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "draft_logits", "uniform"}


def score(signals: Signals) -> torch.Tensor:
    """Return u q(x) / p(x) for each mismatch, u being its random number."""
    assert signals.uniform is not None, "the rule must name uniform in NEEDS"
    drafted = signals.uniform.float() * signals.chosen(signals.draft_probability)
    return drafted / signals.chosen(signals.target_probability)
