"""The MATH task: golds are the rows' answers, whatever they are written as, else what the solution boxes."""

import json

import pytest

from autojudge.errors import InputError
from autojudge.tasks import math500


def golds(tmp_path, row):
    path = tmp_path / "math.jsonl"
    path.write_text(json.dumps({"problem": "?", "solution": r"$\boxed{1}$"} | row))
    return [example.gold for example in math500.load_examples({"train": str(path), "test": str(path)}, {}, 0)][0]


@pytest.mark.parametrize(
    "answer, gold",
    [
        (12, "12"),
        (-0.25, "-0.25"),
        (4.0, "4"),
        (1e21, "1" + 21 * "0"),
        (10**40, "1" + 40 * "0"),
        (r"\pi", r"\pi"),
        (None, "1"),
    ],
)
def test_an_answer_may_be_a_number(tmp_path, answer, gold):
    assert golds(tmp_path, {"answer": answer}) == gold


@pytest.mark.parametrize("answer", [True, [1], {"value": 1}, float("nan"), float("inf"), " "])
def test_an_answer_that_is_no_answer_is_refused(tmp_path, answer):
    with pytest.raises(InputError, match=r"math\.jsonl: row 1: .*`answer`.*; fix or drop that row"):
        golds(tmp_path, {"answer": answer})


def test_a_solution_may_box_its_answer_in_parts(tmp_path):
    assert golds(tmp_path, {"solution": r"So $\boxed{3}$, then $x=\boxed{4}$ or $x=\boxed{5}$."}) == "4, 5"
