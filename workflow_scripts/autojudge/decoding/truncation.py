"""Targets that are truncated by acceptance rules: by which, and their names in tables."""

from autojudge.rules import RULES, Settings, module_of, rule_needs

PREFIX = "target_"  # of their names; no rule bears such a name


def truncates(name: str, settings: Settings | None = None) -> bool:
    """Tell whether what the rule of an entry keeps depends on the target's distribution and the threshold alone.

    Such a rule is taken to keep, with a token, all that are more probable. Raises InputError like `rule_needs`.
    """
    summed = RULES.check(module_of(name, settings)).get("SUMMED", False)
    return rule_needs(name, settings) == {"target_logits"} and not summed


def name_truncated(rule: str) -> str:
    """Return what tables call the target that is truncated by a rule."""
    return PREFIX + rule


def truncated_by(name: str) -> str | None:
    """Return the rule by which a target of that name is truncated; None for other names."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None
