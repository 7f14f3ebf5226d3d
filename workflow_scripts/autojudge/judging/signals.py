"""What is known of mismatches when the target has verified a window: what judges and acceptance rules read."""

from dataclasses import dataclass, field
from functools import cached_property

import torch

from autojudge.engine.features import compare_distributions
from autojudge.engine.target_features import describe_distribution
from autojudge.judging.artifact import Judge


@dataclass
class Signals:
    """What is known of n mismatches when the target has verified a window; only what some rule needs is there.

    Attributes
    ----------
    draft_token : Tensor of shape (n,)
        The token in question; always there.
    judge : Judge or None
        For rules that need it.
    target_logits, draft_logits : Tensor of shape (n, vocabulary)
        Scores of the next token, divided by the temperature where tokens are sampled.
    hidden : dict of str to Tensor of shape (n, hidden)
        The feature blocks that the judge reads (`judge`).
    following : Tensor of shape (n,)
        On how many tokens in a row after this one, in its window, the target agrees.
    window : int
        Tokens that are proposed per cycle (`following`).
    uniform : Tensor of shape (n,)
        Random numbers between 0 and 1, fixed by the problem and the position; where tokens are sampled those by which
        rejection sampling has refused them.
    position : Tensor of shape (n,)
        The mismatch's place in the response, from 0.
    important : Tensor of shape (n,), bool
        The mined label (`labels`); true where none was mined.
    """

    draft_token: torch.Tensor
    judge: Judge | None = None
    target_logits: torch.Tensor | None = None
    draft_logits: torch.Tensor | None = None
    hidden: dict[str, torch.Tensor] = field(default_factory=dict)
    following: torch.Tensor | None = None
    window: int | None = None
    uniform: torch.Tensor | None = None
    position: torch.Tensor | None = None
    important: torch.Tensor | None = None

    @cached_property
    def target_probability(self) -> torch.Tensor:
        """The target's distribution p, (n, vocabulary), float32; needs `target_logits`."""
        assert self.target_logits is not None, "the rule must name target_logits in NEEDS"
        return self.target_logits.float().softmax(-1)

    @cached_property
    def draft_probability(self) -> torch.Tensor:
        """The draft's distribution q, (n, vocabulary), float32; needs `draft_logits`."""
        assert self.draft_logits is not None, "the rule must name draft_logits in NEEDS"
        return self.draft_logits.float().softmax(-1)

    @cached_property
    def target_entropy(self) -> torch.Tensor:
        """The entropy H(p) of the target, (n,), in nats; needs `target_logits`."""
        return _entropy(self.target_probability)

    @cached_property
    def draft_entropy(self) -> torch.Tensor:
        """The entropy H(q) of the draft, (n,), in nats; needs `draft_logits`."""
        return _entropy(self.draft_probability)

    def chosen(self, values: torch.Tensor) -> torch.Tensor:
        """Return the entry (n,) of each mismatch's draft token in values (n, vocabulary)."""
        return values.gather(1, self.draft_token[:, None])[:, 0]

    @cached_property
    def scalars(self) -> dict[str, torch.Tensor]:
        """The scalar features, each of shape (n,); needs the logits of both."""
        assert self.target_logits is not None and self.draft_logits is not None, "NEEDS must name both models' logits"
        return compare_distributions(self.target_logits, self.draft_logits, self.draft_token)

    @property
    def scalars_read(self) -> dict[str, torch.Tensor]:
        """The scalar features that the judge may read, each of shape (n,); needs the logits that it needs alone."""
        assert self.judge is not None, "the rule must name judge in NEEDS"
        if "draft_logits" in self.judge.needs:
            return self.scalars
        if "target_logits" not in self.judge.needs:
            return {}
        assert self.target_logits is not None, "the judge needs the target's logits"
        return describe_distribution(self.target_logits, self.draft_token)


def _entropy(distribution: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = torch.special.entr(distribution).sum(-1)
    return found
