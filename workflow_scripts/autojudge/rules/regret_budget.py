"""Keep draft tokens until their regrets, max z - z(x) in the target's logits, sum up to a budget; 0 is lossless.

The request's budget of approximate speculative decoding (arXiv 2608.03447); its two other limits, on a single regret
for the tokens left in the window and on the mismatches kept in a window, are left out.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits"}
SUMMED = True


def score(signals: Signals) -> torch.Tensor:
    """Return max z - z(x) for each mismatch."""
    assert signals.target_logits is not None, "the rule must name target_logits in NEEDS"
    logits = signals.target_logits.float()
    return logits.amax(-1) - signals.chosen(logits)
