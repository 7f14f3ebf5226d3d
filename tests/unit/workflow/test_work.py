"""What swept problems depend on: of a rule its code, its modifiers and the judge that it asks, and no more."""

import pytest

from autojudge.errors import InputError
from autojudge.jobs.sweep_work import SweptProblem
from autojudge.rules import RULES
from autojudge.workflow.fingerprints import code_digest
from autojudge.workflow.work import sweep_work

DECODING = {"max_new_tokens": 160, "windows": [8], "branches": 128, "temperature": 0, "top_p": 1}
DECODING |= {"repeats": 1, "truncated": False}


def digests(rules, judge=None):
    return sweep_work("arith", {"target": {}, "draft": {}}, DECODING, rules, judge, {}).rules


@pytest.mark.parametrize("unmodified", [{}, {"confident": None}, {"rule": None, "strict_first": None}])
def test_a_rule_without_modifiers_is_its_code_alone(unmodified):
    names = ("top_k", "kl_divergence", "fly")
    found = digests({name: {"thresholds": [1]} | unmodified for name in names})
    assert found == {name: code_digest(RULES.path(name)) for name in names}


def test_each_modifier_and_each_value_makes_another_work():
    variants = [
        {},
        {"confident": 0.9},
        {"confident": 0.95},
        {"strict_first": 8},
        {"strict_first": 9},
        {"confident": 0.9, "strict_first": 8},
    ]
    for rule in ("top_k", "fly"):
        entries = {f"v{i}": {"rule": rule, "thresholds": [1]} | variant for i, variant in enumerate(variants)}
        found = digests(entries)
        assert len(set(found.values())) == len(variants)
        assert found["v0"] == code_digest(RULES.path(rule)), "the name of an entry is no part of it"
        assert digests({name: entry | {"thresholds": [2, 3]} for name, entry in entries.items()}) == found


def test_a_variant_of_the_judge_depends_on_the_judge(judge):
    entries = {
        "judge": {"thresholds": "judge"},
        "sure": {"rule": "judge", "thresholds": "judge", "confident": 0.9},
        "twice": {"rule": "judge", "thresholds": "judge"},
    }
    found, work = digests(entries, judge), sweep_work("arith", {}, DECODING, entries, judge, {})
    assert found["judge"] == found["twice"] != found["sure"]
    assert work.given["sure"] == work.given["judge"] == sorted(judge.record.thresholds)
    with pytest.raises(InputError, match="rule `judge` wants the judge's thresholds, but there is no judge"):
        digests(entries)


def test_variants_read_the_labels_that_their_rule_reads():
    entries = {
        "oracle": {"thresholds": [1]},
        "mined": {"thresholds": [1], "rule": "oracle"},
        "fly": {"thresholds": [1]},
    }
    work = sweep_work("arith", {}, DECODING, entries, None, {"p": {3: True}})
    assert work.labels == {"oracle": {"p": {3: True}}, "mined": {"p": {3: True}}}


def test_the_first_repeat_has_the_keys_of_a_sweep_without_repeats_and_each_other_ones_of_its_own():
    problem = {"problem_id": "p", "gold": "4", "prompt_tokens": [1, 2], "split": "test"}
    rules = {"lossless": {"thresholds": [0]}, "top_k": {"thresholds": [2, 4]}}
    for decoding in ({"temperature": 1}, {"temperature": 0.5, "windows": [4, 8]}, {"truncated": True}):
        once, thrice = (
            sweep_work("arith", {"target": {}, "draft": {}}, DECODING | decoding | {"repeats": n}, rules, None, {})
            for n in (1, 3)
        )
        keys = [set(swept.all_keys()) for swept in thrice.swept([problem])]
        assert len(keys) == 3, "the store's list counts all repeats as used"
        assert keys[0] == set(SweptProblem(once, problem).all_keys())
        assert len(set().union(*keys)) == 3 * len(keys[0])


def test_a_start_like_vllms_makes_other_pieces_of_rules_and_the_same_of_the_target():
    problem = {"problem_id": "p", "gold": "4", "prompt_tokens": [1, 2], "split": "test"}
    rules = {"lossless": {"thresholds": [0]}}
    keys = [
        list(
            SweptProblem(
                sweep_work("arith", {"target": {}, "draft": {}}, decoding, rules, None, {}), problem
            ).all_keys()
        )
        for decoding in (DECODING, DECODING | {"target_first": False}, DECODING | {"target_first": True})
    ]
    assert keys[0] == keys[1] and set(keys[1]) & set(keys[2]) == {keys[2][0]}


def test_rules_truncate_the_target_where_the_config_says_so_and_they_can():
    rules = {name: {"thresholds": [0.5]} for name in ("lossless", "top_k", "kl_divergence", "typical")}
    rules["later"] = {"thresholds": [2], "rule": "top_k", "strict_first": 4}
    rules["sure"] = {"thresholds": [2], "rule": "top_k", "confident": 0.9}

    def truncated(decoding):
        return sweep_work("arith", {"target": {}, "draft": {}}, DECODING | decoding, rules, None, {}).truncated

    assert truncated({}) == truncated({"temperature": 1}) == {}
    found = truncated({"temperature": 1, "truncated": True})
    assert set(found) == {"top_k", "typical", "sure"} and len(set(found.values())) == 3
