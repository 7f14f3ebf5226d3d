"""Acceptance rules. A rule is one module here: what it needs and how it scores a mismatch.

- ``NEEDS``: what the decoder must provide beside the target's logits, from ``draft_logits`` and ``judge``
- ``score(signals)`` returns a Tensor of shape (n,); a mismatch is kept when its score lies below the threshold, and
  correct tokens are always kept, so a threshold that no score lies below is lossless
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from autojudge.errors import InputError
from autojudge.features import compare_distributions
from autojudge.judge import Judge


@dataclass(frozen=True)
class Signals:
    """What is known of n mismatches when the target has verified a window.

    Attributes
    ----------
    draft_token : Tensor of shape (n,)
    target_logits : Tensor of shape (n, vocabulary)
    draft_logits : Tensor of shape (n, vocabulary), or None
        None unless the rule needs them.
    hidden : dict of str to Tensor of shape (n, hidden)
        The feature blocks that the judge reads.
    judge : Judge or None
        Given to rules that need it.
    """

    draft_token: torch.Tensor
    target_logits: torch.Tensor
    draft_logits: torch.Tensor | None = None
    hidden: dict[str, torch.Tensor] | None = None
    judge: Judge | None = None

    @cached_property
    def target_probability(self) -> torch.Tensor:
        """The target's distribution p, (n, vocabulary), float32."""
        return self.target_logits.float().softmax(-1)

    @cached_property
    def draft_probability(self) -> torch.Tensor:
        """The draft's distribution q, (n, vocabulary), float32; needs `draft_logits`."""
        assert self.draft_logits is not None, "the rule must name draft_logits in NEEDS"
        return self.draft_logits.float().softmax(-1)

    @cached_property
    def target_entropy(self) -> torch.Tensor:
        """The entropy H(p) of the target, (n,), in nats."""
        return torch.special.entr(self.target_probability).sum(-1)

    def chosen(self, values: torch.Tensor) -> torch.Tensor:
        """Return the entry (n,) of each mismatch's draft token in values (n, vocabulary)."""
        return values.gather(1, self.draft_token[:, None])[:, 0]

    @cached_property
    def scalars(self) -> dict[str, torch.Tensor]:
        """The scalar features, each of shape (n,); needs `draft_logits`."""
        assert self.draft_logits is not None, "the rule must name draft_logits in NEEDS"
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
