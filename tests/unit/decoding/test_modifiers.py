"""Modifiers of rules: what they refuse, whatever the rule says; and a rule is the same without them."""

import pytest
import torch

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import EVERY, INFINITY, Points
from autojudge.judging.signals import Signals
from autojudge.rules import load_rule, modifiers_of, rule_kind, rule_needs
from reference import speculate_plainly

LIMIT, WINDOW = 160, 8
VARIANTS = {
    "kl_divergence": {"confident": 0.9},
    "judge_confident": {"rule": "judge", "confident": 0.9},
    "later_top_k": {"rule": "top_k", "strict_first": 12},
    "careful": {"rule": "chow", "confident": 0.7, "strict_first": 20},
}


@pytest.fixture(scope="module")
def prompts(problems):
    return [list(p["prompt_tokens"]) for p in problems if p["split"] == "test"][8:12]


@pytest.fixture(scope="module")
def decode(pair, judge, prompts):
    """Decode the prompts for some rules' thresholds; return each prompt's responses."""

    def run(rules, batch=16):
        jobs = [Job(prompt, rules, seed=i) for i, prompt in enumerate(prompts)]
        found = dict(Decoder(pair, judge, WINDOW, LIMIT, batch).decode(jobs))
        return [found[i] for i in range(len(prompts))]

    return run


def tokens(decoded):
    return [response.tokens for (response,) in decoded]


@pytest.mark.parametrize("module", ["always", "top_k", "kl_divergence", "fly", "lenience"])
@pytest.mark.parametrize(
    "settings, refused",
    [
        ({"confident": 0.9}, [False, True, False]),
        ({"confident": 0.3}, [True, True, True]),
        ({"confident": None, "strict_first": 5}, [True, False, False]),
        ({"confident": 0.9, "strict_first": 5}, [True, True, False]),
        ({"thresholds": [1]}, [False, False, False]),
    ],
)
def test_a_modifier_refuses_mismatches_and_leaves_the_others_scores(module, settings, refused):
    signals = Signals(
        torch.tensor([1, 1, 2]),
        target_logits=torch.tensor([[0.6, 0.3, 0.1], [0.95, 0.03, 0.02], [0.5, 0.1, 0.4]]).log() + 2,
        draft_logits=torch.tensor([[0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6]]).log(),
        following=torch.tensor([8, 7, 6]),
        window=16,
        uniform=torch.tensor([0.2, 0.5, 0.8]),
        position=torch.tensor([4, 5, 60]),
    )
    own = load_rule(module).score(signals).tolist()
    assert INFINITY not in own
    scores = load_rule("variant", {"rule": module} | settings).score(signals).tolist()
    assert scores == [INFINITY if no else score for no, score in zip(refused, own, strict=True)]


def test_a_variant_needs_and_is_what_its_rule_and_its_modifiers_are():
    assert load_rule("fast", {"rule": "fly"}).name == "fast"
    assert rule_needs("fast", {"rule": "fly"}) == rule_needs("fly")
    assert rule_needs("careful", VARIANTS["careful"]) == {"draft_logits", "target_logits", "position"}
    assert rule_needs("judge", {"confident": 0.9}) == {"judge", "target_logits"}
    assert load_rule("top_k", {"thresholds": [1], "confident": None}) == load_rule("top_k")
    assert load_rule("top_k", {"confident": 0.5}) != load_rule("top_k")
    assert modifiers_of({"rule": "judge", "thresholds": "judge", "confident": 0.9, "strict_first": None}) == {
        "confident": 0.9
    }
    kinds = {name: rule_kind(name, settings) for name, settings in VARIANTS.items()}
    assert kinds.pop("judge_confident") == "judge" and set(kinds.values()) == {"training-free"}
    assert rule_kind("always") == rule_kind("target") == rule_kind("drafts", {"rule": "always"}) == "reference"
    assert rule_kind("always", {"strict_first": 8}) == "training-free"


def kl(p, q):
    return float((p * (p / q).log()).sum())


@pytest.mark.parametrize(
    "name, threshold, keeps",
    [
        ("kl_divergence", 2.0, lambda p, q, x, place: p.max() <= 0.9 and kl(p, q) < 2.0),
        ("later_top_k", 4, lambda p, q, x, place: place >= 12 and int((p > p[x]).sum()) < 4),
        ("careful", 0.6, lambda p, q, x, place: place >= 20 and p.max() <= 0.7 and 1 - q.max() < 0.6),
    ],
)
def test_a_variant_decodes_as_a_plain_loop_does(pair, decode, prompts, name, threshold, keeps):
    found = tokens(decode({load_rule(name, VARIANTS[name]): Points((threshold,))}))
    assert found == [speculate_plainly(pair, prompt, WINDOW, LIMIT, keeps)[0] for prompt in prompts]
    module = load_rule(VARIANTS[name].get("rule", name))
    assert found != tokens(decode({module: Points((threshold,))})), "the modifiers refuse something here"
    assert found != tokens(decode({load_rule("lossless"): Points((0,))})), "and not all"


def test_modifiers_that_refuse_everything_are_lossless_and_those_that_refuse_nothing_change_nothing(decode):
    target = tokens(decode({load_rule("lossless"): Points((0,))}))
    for all_refused in ({"confident": 0}, {"strict_first": LIMIT}):
        assert tokens(decode({load_rule("always", all_refused): Points((1,))})) == target
    for nothing in ({"confident": 1}, {"rule": "top_k"}):
        variant = load_rule("variant", {"rule": "top_k"} | nothing)
        assert tokens(decode({variant: Points((4,))})) == tokens(decode({load_rule("top_k"): Points((4,))}))


@pytest.mark.parametrize("length", [1, 7, 30])
def test_the_first_tokens_of_a_strict_response_are_the_targets(decode, length):
    target = tokens(decode({load_rule("lossless"): Points((0,))}))
    strict = tokens(decode({load_rule("always", {"strict_first": length}): Points((1,))}))
    assert [response[:length] for response in strict] == [response[:length] for response in target]
    assert strict != target


def by_threshold(responses, rule):
    """A rule's responses by rising threshold: tokens and counts."""
    found = [r for r in responses if rule in r.thresholds]
    if len(found) > 1:
        found.sort(key=lambda r: r.thresholds[rule].high)
    return [(r.tokens, r.counts("judge" in rule.needs)) for r in found]


def test_a_variants_batch_result_is_that_of_a_single_row_and_its_curve_that_of_single_thresholds(decode):
    variants = {load_rule(name, VARIANTS[name]): EVERY for name in ("kl_divergence", "judge_confident", "later_top_k")}
    alone, together = decode(variants, batch=1), decode(variants, batch=16)
    for rule in variants:
        assert [by_threshold(r, rule) for r in alone] == [by_threshold(r, rule) for r in together]
        for t in (0.31, 0.77, 3.5):
            single = [by_threshold(responses, rule) for responses in decode({rule: Points((t,))}, batch=1)]
            curve = [[r for r in found if rule in r.thresholds and covers(r.thresholds[rule], t)] for found in together]
            assert [by_threshold(r, rule) for r in curve] == single, (rule.name, t)


def covers(interval, t):
    return interval.low < t <= interval.high


def test_a_rule_and_its_variants_side_by_side_are_those_alone(decode):
    rules = [load_rule("judge"), load_rule("judge_confident", VARIANTS["judge_confident"])]
    rules += [load_rule("judge_later", {"rule": "judge", "strict_first": 30})]
    together = decode(dict.fromkeys(rules, Points((0.5,))))
    for rule in rules:
        of_rule = [next(r.tokens for r in found if rule in r.thresholds) for found in together]
        assert of_rule == tokens(decode({rule: Points((0.5,))}))
