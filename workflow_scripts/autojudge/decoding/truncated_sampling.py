"""The target alone, sampling from those tokens only that a rule would keep: what rules are compared with."""

import copy
from dataclasses import dataclass

import torch

from autojudge.decoding.decoder import Decoder
from autojudge.engine.sampling import Sampling
from autojudge.judging.signals import Signals
from autojudge.rules import Rule


@dataclass(frozen=True, kw_only=True)
class Truncation(Sampling):
    """How tokens are drawn: of those alone that a rule keeps at a threshold, and the target's most probable one.

    Attributes
    ----------
    rule : Rule
        One that `truncates`.
    threshold : float
        Tokens whose score lies below it are kept.
    """

    rule: Rule
    threshold: float

    def distribution(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the target's probabilities (n, vocabulary), those of tokens that are not kept being 0.

        A rule that keeps a token keeps all that are more probable, so that the end of those kept is found by halving.
        """
        p = super().distribution(logits)
        scaled = logits / self.temperature
        order = scaled.argsort(-1, descending=True)
        last, end = torch.zeros_like(order[:, :1]), torch.full_like(order[:, :1], order.shape[-1])
        signals = Signals(order[:, 0], target_logits=scaled)
        for _ in range(order.shape[-1].bit_length()):
            middle = (last + end) // 2
            signals.draft_token = order.gather(1, middle)[:, 0]
            kept = (self.rule.score(signals) < self.threshold).to(order.device)[:, None]
            last, end = torch.where(kept, middle, last), torch.where(kept, end, middle)
        dropped = torch.arange(order.shape[-1], device=order.device) >= end.clamp_min(1)
        p = p.masked_fill(torch.zeros_like(dropped).scatter(1, order, dropped), 0)
        return p / p.sum(-1, keepdim=True)


def truncate(decoder: Decoder, rule: Rule, threshold: float) -> Decoder:
    """Return a decoder whose target samples from what a rule keeps at a threshold; see `Truncation`."""
    assert decoder.sampling is not None, "a greedy target takes the most probable token, which stays"
    other, plain = copy.copy(decoder), decoder.sampling
    other.sampling = Truncation(plain.temperature, plain.top_p, rule=rule, threshold=threshold)
    return other
