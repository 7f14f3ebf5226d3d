"""Each acceptance rule against its published formula, written out token by token, on hand-made distributions."""

from math import exp, log, sqrt

import pytest
import torch

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import Points
from autojudge.judging.signals import Signals
from autojudge.rules import RULES as REGISTRY
from autojudge.rules import SIGNALS, load_rule

TARGETS = [
    [0.5, 0.3, 0.1, 0.1],
    [0.95, 0.03, 0.01, 0.01],
    [0.3, 0.28, 0.22, 0.2],
    [0.6, 0.05, 0.34, 0.01],
    [0.91, 0.07, 0.01, 0.01],
]
DRAFTS = [
    [0.2, 0.7, 0.05, 0.05],
    [0.1, 0.8, 0.05, 0.05],
    [0.25, 0.35, 0.2, 0.2],
    [0.45, 0.02, 0.5, 0.03],
    [0.44, 0.46, 0.05, 0.05],
]
TOKENS = [1, 1, 1, 2, 1]  # the draft's choices
KNOBS = [0.023, 0.09, 0.21, 0.31, 0.52, 0.73, 0.88, 0.999]  # none at a tie
FOLLOWING = [5, 8, 4, 6, 0]
UNIFORM = [0.5, 0.01, 0.3, 0.9, 0.06]
IMPORTANT = [True, False, False, True, False]
LOSSLESS = {"top_k": 1, "confidence_difference": -1, "confidence_tv": -1}  # 0 elsewhere


def entropy(p):
    return -sum(a * log(a) for a in p)


def kl(p, q):
    return sum(a * log(a / b) for a, b in zip(p, q, strict=True))


def tv(p, q):
    return sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2


def js(p, q):
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (kl(p, middle) + kl(q, middle)) / 2


def mixture_chooses(p, q, x, t):
    mixture = [(1 - t) * a + t * b for a, b in zip(p, q, strict=True)]
    return mixture.index(max(mixture)) == x


def top_3_entropy(p):
    best = sorted(p)[-3:]
    return entropy([a / sum(best) for a in best])


OTHERS = {  # rules that read more of a mismatch than p, q and x, whose number is i
    "fly": (lambda i, p, x, t: top_3_entropy(p) > log(3) - t and FOLLOWING[i] >= 5, lambda t: t),
    "scaled_probability": (lambda i, p, x, t: UNIFORM[i] < min(1, p[x] / t), lambda t: 1 / t),
    "oracle": (lambda i, p, x, t: not IMPORTANT[i], lambda t: t),
    "logit_ratio": (
        lambda i, p, x, t: (log(p[x]) + 3) / (log(max(p)) + 3) > 1 - t and p[x] == sorted(p)[-2],
        lambda t: t,
    ),
}
FORMULAS = {  # whether a rule keeps token x at knob t, and the threshold that stands for t
    "probability": (lambda p, q, x, t: p[x] > t, lambda t: 1 - t),
    "typical": (lambda p, q, x, t: p[x] > min(t, sqrt(t) * exp(-entropy(p))), lambda t: 1 - t),
    "kl_divergence": (lambda p, q, x, t: max(p) <= 0.9 and kl(p, q) < t, lambda t: t),
    "js_divergence": (lambda p, q, x, t: js(p, q) < t, lambda t: t),
    "tv_distance": (lambda p, q, x, t: tv(p, q) < t, lambda t: t),
    "entropy": (lambda p, q, x, t: entropy(p) > t, lambda t: exp(-t)),
    "always": (lambda p, q, x, t: True, lambda t: t),
    "chow": (lambda p, q, x, t: max(q) > 1 - t, lambda t: t),
    "confidence_difference": (lambda p, q, x, t: max(q) > max(p) - t, lambda t: t),
    "confidence_tv": (lambda p, q, x, t: max(q) > max(p) - t * tv(p, q), lambda t: t),
    "ensemble": (mixture_chooses, lambda t: t),
    "top_k": (lambda p, q, x, t: sorted(p, reverse=True).index(p[x]) < round(4 * t), lambda t: round(4 * t)),
    "lossless": (lambda p, q, x, t: False, lambda t: t),
}
RULES = [*FORMULAS, *OTHERS]


def hand_made(needs):
    """The signals that a rule names, and no others. Logits of two models need not be normalised."""
    signals = Signals(torch.tensor(TOKENS))
    signals.target_logits = torch.tensor(TARGETS).log() + 3 if "target_logits" in needs else None
    signals.draft_logits = torch.tensor(DRAFTS).log() - 1 if "draft_logits" in needs else None
    signals.following = torch.tensor(FOLLOWING) if "following" in needs else None
    signals.uniform = torch.tensor(UNIFORM, dtype=torch.float64) if "uniform" in needs else None
    signals.important = torch.tensor(IMPORTANT) if "labels" in needs else None
    return signals


def test_every_rule_without_training_has_its_formula_here():
    assert {*RULES, "judge"} <= set(REGISTRY.names())


@pytest.mark.parametrize("name", RULES)
def test_a_rule_keeps_what_its_formula_keeps_and_names_all_it_reads(name):
    rule = load_rule(name)
    scores = rule.score(hand_made(rule.needs))
    assert scores.shape == (5,)
    formula, threshold = (FORMULAS | OTHERS)[name]
    for t in KNOBS:
        kept = [bool(score < threshold(t)) for score in scores]
        if name in OTHERS:
            assert kept == [formula(i, p, x, t) for i, (p, x) in enumerate(zip(TARGETS, TOKENS, strict=True))], t
        else:
            assert kept == [formula(p, q, x, t) for p, q, x in zip(TARGETS, DRAFTS, TOKENS, strict=True)], t


def test_a_rule_may_name_only_signals_that_there_are():
    for name in REGISTRY.names():
        assert load_rule(name).needs <= SIGNALS


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_a_lossless_threshold_and_another(pair, problems, name):
    prompts = [list(p["prompt_tokens"]) for p in problems if p["split"] == "test"][:12]
    rule = load_rule(name)
    unimportant = dict.fromkeys(range(160), False)

    def decode(rule, threshold):
        jobs = [Job(prompt, {rule: Points((threshold,))}, labels=unimportant) for prompt in prompts]
        return {i: decoded[0].tokens for i, decoded in Decoder(pair, None, 8, 160, 32).decode(jobs)}

    target = decode(load_rule("lossless"), 0)
    assert decode(rule, LOSSLESS.get(name, 0)) == target
    assert (decode(rule, 1000) != target) == (name != "lossless")
