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
FOLLOWING = [5, 8, 7, 6, 0]
WINDOW = 16
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


def kept_by_cactus(u, p, q, t):
    most = p + sqrt(2 * t * p * (1 - p))
    return u < min(1, most / q)


OTHERS = {  # rules that read more of a mismatch than p, q and x, whose number is i
    "fly": (lambda i, p, x, t: entropy(p) / log(4) > t and FOLLOWING[i] >= 6, lambda t: 1 - t),
    "fly_vllm": (lambda i, p, x, t: entropy(sorted(p)[-3:]) > t and FOLLOWING[i] >= 6, lambda t: log(3) - t),
    "lenience": (lambda i, p, x, t: UNIFORM[i] < min(1, p[x] / (t * DRAFTS[i][x])), lambda t: 1 / t),
    "cactus": (lambda i, p, x, t: kept_by_cactus(UNIFORM[i], p[x], DRAFTS[i][x], t), lambda t: t),
    "scaled_probability": (lambda i, p, x, t: UNIFORM[i] < min(1, p[x] / t), lambda t: 1 / t),
    "oracle": (lambda i, p, x, t: not IMPORTANT[i], lambda t: t),
    "logit_ratio": (
        lambda i, p, x, t: (log(p[x]) + 3) / (log(max(p)) + 3) > 1 - t and p[x] == sorted(p)[-2],
        lambda t: t,
    ),
}
FORMULAS = {  # whether a rule keeps token x at knob t, and the threshold that stands for t
    "probability": (lambda p, q, x, t: p[x] > t, lambda t: 1 - t),
    "probability_ratio": (lambda p, q, x, t: p[x] > t * max(p), lambda t: 1 - t),
    "probability_gap": (lambda p, q, x, t: max(p) - p[x] < t, lambda t: t),
    "regret_budget": (lambda p, q, x, t: log(max(p) / p[x]) < t, lambda t: t),  # of a response's first mismatch
    "both_unsure": (lambda p, q, x, t: not (entropy(p) > t and entropy(q) > t), lambda t: t),
    "typical": (lambda p, q, x, t: p[x] > min(t, sqrt(t) * exp(-entropy(p))), lambda t: 1 - t),
    "kl_divergence": (lambda p, q, x, t: kl(p, q) < t, lambda t: t),
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
    if "following" in needs:
        signals.following, signals.window = torch.tensor(FOLLOWING), WINDOW
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


def test_every_rule_keeps_some_mismatch_at_some_knob_and_refuses_another():
    """So that the formulas above are told apart."""
    for name in {*RULES} - {"always", "lossless", "oracle"}:
        rule, (_, threshold) = load_rule(name), (FORMULAS | OTHERS)[name]
        scores = rule.score(hand_made(rule.needs))
        kept = [bool(score < threshold(t)) for score in scores for t in KNOBS]
        assert any(kept) and not all(kept), name


@pytest.mark.parametrize("before, kept", [(0, True), (8, True), (9, True), (10, False), (11, False)])
def test_the_probability_gap_refuses_what_is_not_among_the_ten_best(before, kept):
    p = torch.tensor([0.07] * before + [0.06] + [0.01] * 5)
    score = load_rule("probability_gap").score(Signals(torch.tensor([before]), target_logits=(p / p.sum()).log()[None]))
    assert bool(score < 0.5) == kept


@pytest.mark.parametrize("window, following", [(1, None), (2, 1), (4, 3), (6, 5), (7, 6), (8, 6), (32, 6)])
def test_fly_of_vllm_asks_for_as_many_matches_as_its_window_leaves(window, following):
    logits = torch.zeros(window, 4)
    signals = Signals(torch.ones(window, dtype=torch.long), target_logits=logits, following=torch.arange(window))
    signals.window = window
    kept = (load_rule("fly_vllm").score(signals) < 1).tolist()
    assert kept == [following is not None and n >= following for n in range(window)]


def test_fly_divides_by_the_whole_vocabulary_and_its_copy_in_vllm_counts_three_tokens_alone():
    p = torch.tensor([[0.3, 0.3, *[0.4 / 98] * 98]])
    signals = Signals(torch.tensor([1]), target_logits=p.log(), following=torch.tensor([6]), window=8)
    flat = [float(a) for a in p[0]]
    assert float(load_rule("fly").score(signals)) == pytest.approx(1 - entropy(flat) / log(100), abs=1e-5)
    three = entropy(sorted(flat)[-3:])
    assert float(load_rule("fly_vllm").score(signals)) == pytest.approx(log(3) - three, abs=1e-5)


def test_cactus_keeps_whatever_speculative_sampling_keeps_at_every_threshold_above_0():
    p, q = [0.5, 0.4, 0.1], [0.1, 0.8, 0.1]
    for u in (0.1, 0.49, 0.51, 0.9):
        signals = Signals(torch.tensor([1]), uniform=torch.tensor([u], dtype=torch.float64))
        signals.target_logits, signals.draft_logits = torch.tensor([p]).log(), torch.tensor([q]).log()
        score = float(load_rule("cactus").score(signals))
        assert (score == 0) == (u < p[1] / q[1])


def test_a_rule_may_name_only_signals_that_there_are():
    for name in REGISTRY.names():
        assert load_rule(name).needs <= SIGNALS


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_a_lossless_threshold_and_another(pair, problems, name):
    prompts = [list(p["prompt_tokens"]) for p in problems if p["split"] == "test"][:8]
    rule = load_rule(name)
    unimportant = dict.fromkeys(range(160), False)

    def decode(rule, threshold):
        jobs = [Job(prompt, {rule: Points((threshold,))}, labels=unimportant) for prompt in prompts]
        return {i: decoded[0].tokens for i, decoded in Decoder(pair, None, 8, 160, 32).decode(jobs)}

    target = decode(load_rule("lossless"), 0)
    assert decode(rule, LOSSLESS.get(name, 0)) == target
    assert (decode(rule, 1000) != target) == (name != "lossless")
