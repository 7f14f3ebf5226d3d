"""Keep a draft token by chance, with probability min(1, h / q(x)), where h = p(x) + sqrt(2 t p(x) (1 - p(x))).

Cactus (arXiv 2604.04987): h is the most that the token's probability may become while the divergence from p stays
within t, to second order. 0 is lossless. The random numbers are fixed by the problem and the position.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "draft_logits", "uniform"}


def score(signals: Signals) -> torch.Tensor:
    """Return the least t at which h reaches u q(x) for each mismatch, u being its random number."""
    assert signals.uniform is not None, "the rule must name uniform in NEEDS"
    p, q = signals.chosen(signals.target_probability), signals.chosen(signals.draft_probability)
    missing = signals.uniform.float() * q - p
    return torch.where(missing > 0, missing**2 / (2 * p * (1 - p)), 0)
