"""Acceptance rules. A rule is one module here: what it needs and how it scores a mismatch.

- ``NEEDS``: a set of what the decoder must provide beside the draft's token, names from `SIGNALS`
- ``score(signals)`` returns a Tensor of shape (n,); a mismatch is kept when its score lies below the threshold, and
  correct tokens are always kept, so a threshold that no score lies below is lossless

Then the rule's entry in the config, under `rules`, gives its thresholds, and `decoding.rules` names it.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autojudge.errors import InputError
from autojudge.registry import Registry

if TYPE_CHECKING:
    import torch

    from autojudge.judging.signals import Signals

SIGNALS = {"target_logits", "draft_logits", "judge", "following", "uniform", "labels"}
RULES = Registry(
    "rules", "acceptance rule", functions={"score": 1}, constants={"NEEDS": set}, choices={"NEEDS": SIGNALS}
)
READ_AS = {  # what Signals computes from others, or calls otherwise
    "target_probability": {"target_logits"},
    "target_entropy": {"target_logits"},
    "draft_probability": {"draft_logits"},
    "draft_entropy": {"draft_logits"},
    "window": {"following"},
    "important": {"labels"},
    "hidden": {"judge"},
}
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
    needs = frozenset(RULES.check(name)["NEEDS"])
    if unnamed := sorted(_read_signals(RULES.path(name)) - needs):
        raise InputError(
            f"{RULES.path(name)}: reads {', '.join(unnamed)} of its signals, which NEEDS does not name; name it there"
        )
    return needs


def _read_signals(path: Path) -> set[str]:
    """Return what a rule's functions read of their argument `signals`, as names of SIGNALS."""
    reads = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)]
    names = {node.attr for node in reads if isinstance(node.value, ast.Name) and node.value.id == "signals"}
    return set().union(*(READ_AS.get(name, {name} & SIGNALS) for name in names))


def rule_kind(name: str) -> str:
    """Return "reference" for the target, lossless decoding and the draft alone, else what a rule's scores come from."""
    if name in REFERENCES:
        return "reference"
    needs = rule_needs(name)
    return "oracle" if "labels" in needs else "judge" if "judge" in needs else "training-free"
