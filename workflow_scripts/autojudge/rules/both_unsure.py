"""Keep a draft token unless both models are unsure: min(H(p), H(q)) < t, in nats; 0 is lossless.

The entropy condition of EASD (arXiv 2512.23765), the opposite of `entropy`. EASD itself refuses by it tokens that
speculative sampling has accepted, where the models' best tokens overlap as well, and samples others in their place.
"""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits", "draft_logits"}


def score(signals: Signals) -> torch.Tensor:
    """Return the smaller of the two entropies for each mismatch."""
    return torch.minimum(signals.target_entropy, signals.draft_entropy)
