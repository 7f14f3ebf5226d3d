"""What figures and tables call a rule, and which rules they have in front."""

import pandas as pd

from autojudge.decoding.truncation import truncated_by

LABELS = {
    "target": "target alone",
    "always": "draft alone",
    "kl_divergence": "KL divergence",
    "js_divergence": "JS divergence",
    "tv_distance": "TV distance",
    "fly": "FLy",
    "fly_vllm": "FLy (vLLM)",
    "probability_gap": "probability gap, top 10",
    "cactus": "Cactus",
    "top_k": "top-K",
    "chow": "Chow",
    "confidence_tv": "confidence TV",
}


def name_rule(rule: str) -> str:
    """Return a rule's name for readers."""
    if rule_of_target := truncated_by(rule):
        return f"target, {name_rule(rule_of_target)}"
    return LABELS.get(rule) or rule.replace("_", " ")


def front_rules(summary: pd.DataFrame) -> dict[str, str]:
    """Return the rules of a pair's `summary` that are compared in front.

    Returns
    -------
    dict of str to str
        The rule that is `lossless`, `judge`, `best` (training-free on validation) and `oracle`, as far as there is one;
        of several judges or oracles the one of that name, else the first.
    """
    found = {"lossless": summary["rule"] == "lossless", "judge": summary["kind"] == "judge"}
    found |= {"best": summary["best"].astype(bool), "oracle": summary["kind"] == "oracle"}
    rules = {place: list(summary.loc[rows, "rule"]) for place, rows in found.items()}
    return {place: place if place in names else names[0] for place, names in rules.items() if names}
