"""Acceptance rules. A rule is one module here: what it needs and how it scores a mismatch.

- ``NEEDS``: a set of what the decoder must provide beside the draft's token, names from `SIGNALS`
- ``score(signals)`` returns a Tensor of shape (n,); a mismatch is kept when its score lies below the threshold, and
  correct tokens are always kept, so a threshold that no score lies below is lossless

Then the rule's entry in the config, under `rules`, gives its thresholds, and `decoding.rules` names it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autojudge.registry import Registry

if TYPE_CHECKING:
    import torch

    from autojudge.judging.signals import Signals

SIGNALS = {"target_logits", "draft_logits", "judge", "following", "uniform", "labels"}
RULES = Registry(
    "rules", "acceptance rule", functions={"score": 1}, constants={"NEEDS": set}, choices={"NEEDS": SIGNALS}
)
REFERENCES = {"target", "lossless", "always"}


@dataclass(frozen=True)
class Rule:
    """A rule by its name: what it needs and its score."""

    name: str
    needs: frozenset[str]
    score: "Callable[[Signals], torch.Tensor]"


def load_rule(name: str) -> Rule:
    """Import the rule of that name. Raises InputError like `rule_needs`."""
    needs = rule_needs(name)
    return Rule(name, needs, RULES.load(name).score)


def rule_needs(name: str) -> frozenset[str]:
    """Return what a rule needs, its module not imported.

    Raises
    ------
    InputError
        There is no such rule, or its module is not one.
    """
    return frozenset(RULES.check(name)["NEEDS"])


def rule_kind(name: str) -> str:
    """Return "reference" for the target, lossless decoding and the draft alone, else what a rule's scores come from."""
    if name in REFERENCES:
        return "reference"
    needs = rule_needs(name)
    return "oracle" if "labels" in needs else "judge" if "judge" in needs else "training-free"
