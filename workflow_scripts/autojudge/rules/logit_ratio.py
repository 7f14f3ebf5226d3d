"""Keep the target's second choice where its logit comes near the best one's: z(x) / max z > 1 - t; 0 is lossless.

The usual ratio 0.9 is the threshold 0.1. A ratio means something only where the best logit is above 0; elsewhere, and
for tokens beyond the second, nothing is kept.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return 1 - z(x) / max z for each mismatch; infinity where the rule does not apply."""
    assert signals.target_logits is not None, "the rule must name target_logits in NEEDS"
    best, second = signals.target_logits.float().topk(2).values.unbind(-1)
    own = signals.chosen(signals.target_logits.float())
    return (1 - own / best).masked_fill((own < second) | (best <= 0), torch.inf)
