"""Keep a draft token that the judge deems unimportant: p(important) < threshold (arXiv 2504.20039, section 3)."""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"judge"}


def score(signals: Signals) -> torch.Tensor:
    """Return the judge's probability that each mismatch is important."""
    assert signals.judge is not None, "the rule must be decoded with a judge"
    return signals.judge.probability(signals.hidden | signals.scalars_read)
