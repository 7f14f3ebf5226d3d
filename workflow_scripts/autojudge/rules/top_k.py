"""Keep a draft token that is among the target's K most probable ones; the threshold is K, and K = 1 is lossless.

The baseline of the AutoJudge paper (arXiv 2504.20039, section 4).
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return the rank of the draft's token under the target, 0 for the most probable."""
    assert signals.target_logits is not None, "the rule must name target_logits in NEEDS"
    return (signals.target_logits > signals.chosen(signals.target_logits)[:, None]).sum(-1)
