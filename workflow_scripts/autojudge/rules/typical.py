"""Keep a draft token by Medusa's typical acceptance: p(x) > min(eps, sqrt(eps) exp(-H(p))), arXiv 2401.10774.

The threshold is 1 - eps: 0.91 gives the paper's eps 0.09 and alpha = sqrt(eps) = 0.3; 0 is lossless.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return 1 minus the least eps that refuses each mismatch, max(p(x), (p(x) exp(H(p)))^2), cut at 1."""
    chosen = signals.chosen(signals.target_probability)
    return 1 - torch.maximum(chosen, (chosen * signals.target_entropy.exp()) ** 2).clamp_max(1)
