"""Acceptance rules. A rule is one module here: what it needs and how it scores a mismatch.

- ``NEEDS``: a set of what the decoder must provide beside the draft's token, names from `SIGNALS`
- ``score(signals)`` returns a Tensor of shape (n,); a mismatch is kept when its score lies below the threshold, and
  correct tokens are always kept, so a threshold that no score lies below is lossless
- ``SUMMED``, which most do without: True where a mismatch counts with the sum of its score and the scores, none below
  0, of those that the response has kept so far

Then the rule's entry in the config, under `rules`, gives its thresholds, and `decoding.rules` names it. An entry may
modify its rule (`MODIFIERS`), and one of another name be a variant of a rule (`rule`).
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autojudge.errors import InputError
from autojudge.registry import Registry

if TYPE_CHECKING:
    import torch

    from autojudge.judging.signals import Signals

SIGNALS = {"target_logits", "draft_logits", "judge", "following", "uniform", "labels", "position"}
RULES = Registry(
    "rules",
    "acceptance rule",
    functions={"score": 1},
    constants={"NEEDS": set, "SUMMED": bool},
    choices={"NEEDS": SIGNALS},
    optional={"SUMMED"},
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
MODIFIERS = {"confident": {"target_logits"}, "strict_first": {"position"}}  # and what each needs


@dataclass(frozen=True)
class Rule:
    """A rule by the name of its entry: what it needs, its score, and what modifies it.

    Attributes
    ----------
    own_score : callable
        The score without modifiers.
    summed : bool
        A mismatch counts with the scores of those that the response has kept before it.
    confident : float or None
        Where the target's highest probability is above it, a mismatch is refused.
    strict_first : int or None
        So many tokens at the start of a response are decoded losslessly.
    """

    name: str
    needs: frozenset[str]
    own_score: "Callable[[Signals], torch.Tensor]"
    summed: bool = False
    confident: float | None = None
    strict_first: int | None = None

    def score(self, signals: "Signals") -> "torch.Tensor":
        """Return the score (n,) of each mismatch, infinity where a modifier refuses it."""
        scores = self.own_score(signals)
        for refused in self._refusals(signals):
            scores = scores.double().masked_fill(refused.to(scores.device), float("inf"))
        return scores

    def _refusals(self, signals: "Signals") -> "Iterator[torch.Tensor]":
        if self.confident is not None:
            yield signals.target_probability.amax(-1) > self.confident
        if self.strict_first is not None:
            assert signals.position is not None, "the rule must name position in NEEDS"
            yield signals.position < self.strict_first


Settings = Mapping[str, Any]  # an entry of the config's `rules`


def module_of(name: str, settings: Settings | None = None) -> str:
    """Return the name of the module that scores for an entry."""
    return str((settings or {}).get("rule") or name)


def modifiers_of(settings: Settings | None) -> dict[str, Any]:
    """Return what modifies the rule of an entry, by the modifier's name."""
    return {key: value for key, value in (settings or {}).items() if key in MODIFIERS and value is not None}


def load_rule(name: str, settings: Settings | None = None) -> Rule:
    """Import the rule of an entry; without settings, the rule of that name as it is. Raises like `rule_needs`."""
    needs, module = rule_needs(name, settings), module_of(name, settings)
    summed = RULES.check(module).get("SUMMED", False)
    return Rule(name, needs, RULES.load(module).score, summed, **modifiers_of(settings))


def rule_needs(name: str, settings: Settings | None = None) -> frozenset[str]:
    """Return what the rule of an entry needs, its module not imported.

    Raises
    ------
    InputError
        There is no such rule, or its module is not one.
    """
    module = module_of(name, settings)
    needs = frozenset(RULES.check(module)["NEEDS"])
    if unnamed := sorted(_read_signals(RULES.path(module)) - needs):
        raise InputError(
            f"{RULES.path(module)}: reads {', '.join(unnamed)} of its signals, which NEEDS does not name; name it there"
        )
    return needs.union(*(MODIFIERS[modifier] for modifier in modifiers_of(settings)))


def _read_signals(path: Path) -> set[str]:
    """Return what a rule's functions read of their argument `signals`, as names of SIGNALS."""
    reads = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)]
    names = {node.attr for node in reads if isinstance(node.value, ast.Name) and node.value.id == "signals"}
    return set().union(*(READ_AS.get(name, {name} & SIGNALS) for name in names))


def rule_kind(name: str, settings: Settings | None = None) -> str:
    """Return "reference" for the target, lossless decoding and the draft alone, else what a rule's scores come from."""
    if module_of(name, settings) in REFERENCES and not modifiers_of(settings):
        return "reference"
    needs = rule_needs(name, settings)
    return "oracle" if "labels" in needs else "judge" if "judge" in needs else "training-free"
