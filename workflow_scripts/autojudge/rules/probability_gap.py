"""Keep a draft token that is among the target's ten best and little less probable than the best: max p - p(x) < t.

0 is lossless. TensorRT-LLM's relaxed acceptance: `relaxed_delta` is t, and `relaxed_topk` the ten.
"""

import torch

from autojudge.judging.signals import Signals
from autojudge.rules import top_k

NEEDS = {"target_logits"}
BEST = 10


def score(signals: Signals) -> torch.Tensor:
    """Return max p - p(x) for each mismatch, infinity where ten tokens or more are before it."""
    p = signals.target_probability
    return (p.amax(-1) - signals.chosen(p)).masked_fill(top_k.score(signals) >= BEST, torch.inf)
