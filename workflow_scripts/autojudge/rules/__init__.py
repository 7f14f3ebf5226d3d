"""Acceptance rules. A rule is one module here: what it needs and how it scores a mismatch.

- ``NEEDS``: what the decoder must provide beside the draft's token: names from `SIGNALS`
- ``score(signals)`` returns a Tensor of shape (n,); a mismatch is kept when its score lies below the threshold, and
  correct tokens are always kept, so a threshold that no score lies below is lossless
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch

from autojudge.errors import InputError
from autojudge.features import compare_distributions
from autojudge.judge import Judge

SIGNALS = {"target_logits", "draft_logits", "judge", "following", "uniform", "labels"}


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
    uniform : Tensor of shape (n,)
        Random numbers between 0 and 1, fixed by the problem and the position.
    important : Tensor of shape (n,), bool
        The mined label (`labels`); true where none was mined.
    """

    draft_token: torch.Tensor
    judge: Judge | None = None
    target_logits: torch.Tensor | None = None
    draft_logits: torch.Tensor | None = None
    hidden: dict[str, torch.Tensor] = field(default_factory=dict)
    following: torch.Tensor | None = None
    uniform: torch.Tensor | None = None
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
        return torch.special.entr(self.target_probability).sum(-1)

    def chosen(self, values: torch.Tensor) -> torch.Tensor:
        """Return the entry (n,) of each mismatch's draft token in values (n, vocabulary)."""
        return values.gather(1, self.draft_token[:, None])[:, 0]

    @cached_property
    def scalars(self) -> dict[str, torch.Tensor]:
        """The scalar features, each of shape (n,); needs the logits of both."""
        assert self.target_logits is not None and self.draft_logits is not None, "NEEDS must name both models' logits"
        return compare_distributions(self.target_logits, self.draft_logits, self.draft_token)


@dataclass(frozen=True)
class Rule:
    """A rule by its name: what it needs and its score."""

    name: str
    needs: frozenset[str]
    score: Callable[[Signals], torch.Tensor]


def rule_names() -> list[str]:
    """Return the names of all rules."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_rule(name: str) -> Rule:
    """Import the rule of that name. Raises InputError for a name that no module has."""
    if name not in rule_names():
        raise InputError(f"rule `{name}` is unknown; known are {', '.join(rule_names())}")
    module = importlib.import_module(f"autojudge.rules.{name}")
    return Rule(name, frozenset(module.NEEDS), module.score)
