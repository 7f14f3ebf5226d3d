"""Keep a draft token that the target finds probable: p(x) > t. The threshold is 1 - t, and 0 is lossless.

The acceptance threshold that inference engines offer for lossy speculative decoding.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return 1 - p(x) for each mismatch."""
    return 1 - signals.chosen(signals.target_probability)
