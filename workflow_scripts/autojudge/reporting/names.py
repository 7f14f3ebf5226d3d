"""What figures and tables call a rule."""

LABELS = {
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
    return LABELS.get(rule) or rule.replace("_", " ")
