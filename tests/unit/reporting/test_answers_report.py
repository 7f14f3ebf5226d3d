"""The report of how answers were read."""

import pandas as pd
import pytest

from autojudge.reporting.answers_page import build_page
from autojudge.scoring.scorer import Scorer
from autojudge.tasks import load_task

TEXTS = ["The final answer is 18", "So \\boxed{18}", "that is 18", "no answer", "The final answer is 18 or so"]


def decode(tokens):
    return TEXTS[tokens[0]]


def test_the_report_counts_forms_and_cut_off_responses_and_shows_examples():
    responses = pd.DataFrame(
        {
            "problem_id": ["a", "b"],
            "target_tokens": [[0], [1]],
            "draft_tokens": [[3], [2]],
            "mined_tokens": [[4], [1]],
            "cut_off": [False, True],
        }
    )
    sweep = pd.DataFrame(
        {
            "problem_id": ["a", "a", "a", "b"],
            "rule": ["judge", "judge", "judge", "judge"],
            "response": [[0], [0], [3], [2]],
            "cut_off": [False, False, True, False],
        }
    )
    golds = {"a": {"gold": "18"}, "b": {"gold": "20"}}
    text = build_page(Scorer(load_task("gsm8k")), "gsm8k, mine", golds, responses, sweep, decode)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    table = {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}
    target = table["target, mined problems"]
    assert (target["stated"], target["boxed"], target["cut off"]) == ("1 (50.0 %)", "1 (50.0 %)", "1 (50.0 %)")
    assert table["draft alone, mined problems"]["none"] == "1 (50.0 %)"
    judge = table["decoded: judge"]
    assert (judge["number"], judge["stated"], judge["last number"], judge["none"]) == (
        "3", "1 (33.3 %)", "1 (33.3 %)", "1 (33.3 %)",
    )  # fmt: skip
    assert "**boxed**, problem b: read 18, gold 20" in text and "**none**, problem a: read None" in text
    assert "that is 18" in text and text.count("**stated**") == 0


@pytest.mark.parametrize("cut_off, told", [(0, False), (1, False), (2, False), (3, True), (4, True)])
def test_the_report_says_what_to_raise_where_most_responses_are_cut_off(cut_off, told):
    tokens = {name: [[3]] * 4 for name in ("target_tokens", "draft_tokens", "mined_tokens")}
    flags = [i < cut_off for i in range(4)]
    responses = pd.DataFrame({"problem_id": list("abcd"), **tokens, "cut_off": flags})
    sweep = pd.DataFrame({"problem_id": ["a"], "rule": ["kl"], "response": [[0]], "cut_off": [False]})
    golds = dict.fromkeys("abcd", {"gold": "1"})
    text = build_page(Scorer(load_task("gsm8k")), "gsm8k, mine", golds, responses, sweep, decode)
    said = f"cut off: target, mined problems ({cut_off} of 4).** Raise the config key `datasets.*.max_new_tokens`"
    assert (said in text) == told and ("Most responses" in text) == told


def test_a_task_that_does_not_tell_forms_is_reported_too():
    arith = Scorer(load_task("arith"))
    assert arith.form("The final answer is 7", {}) == ("found", "7")
    assert arith.form("seven", {}) == ("none", None)
