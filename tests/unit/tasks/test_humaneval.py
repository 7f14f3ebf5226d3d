"""The HumanEval task: what is asked and tested, verdicts, and the responses of a shared file where it is there."""

import json
from pathlib import Path

import pytest

from autojudge.errors import InputError
from autojudge.reading.programs import in_block
from autojudge.tasks import humaneval

SHARED = Path(__file__).parents[4] / "shared"
HELPER = """from typing import List


def is_even(x: int) -> bool:
    return x % 2 == 0
"""
ROW = {
    "task_id": "HumanEval/0",
    "prompt": HELPER + '\n\ndef count(xs: List[int]) -> int:\n    """ Count the even numbers. """\n',
    "entry_point": "count",
    "canonical_solution": "    return sum(map(is_even, xs))\n",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate([1, 2, 4]) == 2\n"
    "    assert candidate([2]) == is_even(2)\n",
}
PLUS = {
    "task_id": "HumanEval/0",
    "canonical_solution": "    return len([x for x in xs if is_even(x)])\n",
    "test": "import numpy as np\n\n\ndef check(candidate):\n    assert np.isclose(candidate([]), 0)\n",
}


@pytest.fixture
def load(tmp_path):
    def load(rows, plus=None, **more):
        source = {"test": rows} | ({"plus": plus} if plus is not None else {})
        for name, found in source.items():
            if isinstance(found, list):
                source[name] = str(tmp_path / f"{name}.jsonl")
                Path(source[name]).write_text("\n".join(map(json.dumps, found)))
        return list(humaneval.load_examples(source | more, {}, 0))

    return load


def test_all_problems_are_for_testing_and_show_their_prompt(load):
    (example,) = load([ROW])
    assert (example.origin, example.gold, example.question) == ("test", "pass", ROW["prompt"].strip())
    asked = humaneval.PROMPT.messages(example.question)[-1]["content"]
    assert f"```python\n{ROW['prompt'].strip()}\n```" in asked and "nothing else" in asked


def test_a_test_has_helpers_of_its_own(load, sandbox):
    """A program that has others in their place judges nothing by them."""
    (example,) = load([ROW])
    assert example.tests["name"] == "count"
    assert example.tests["before"].startswith("from typing") and "def count" not in example.tests["before"]
    forged = "class Any:\n    __eq__ = lambda *_: True\n\ndef is_even(x):\n    return 7\n\ndef count(xs):\n    return 7"
    assert not humaneval.check_response(f"```python\n{forged}\n```", example.tests, sandbox).passed


@pytest.mark.parametrize(
    "response, passed, reason",
    [
        ("```python\ndef count(xs: List[int]):\n    return sum(map(is_even, xs))\n```", True, "passed"),
        ("```python\n    return sum(map(is_even, xs))\n```", True, "passed"),
        ("    return sum(map(is_even, xs))\n\ndef more(\n", True, "passed"),
        (
            "```python\nfrom __future__ import annotations\ndef count(xs: No):\n  return sum(map(is_even, xs))\n```",
            True,
            "passed",
        ),
        ("```python\ndef count(xs):\n    return len(xs)\n```", False, "wrong value"),
        ("```python\ndef count(xs):\n    return xs.len\n```", False, "error"),
        ("```python\ndef number(xs):\n    return 2\n```", False, "error"),
        ("```python\ndef count(xs)\n```", False, "error"),
        ("```python\ndef count(xs):\n    return sum(", False, "unfinished block"),
        ("```python\ndef count(xs):\n    return len(xs)", False, "unfinished block"),
        ("```python\ndef count(xs):\n    return sum(map(is_even, xs))\n\nprint(", True, "passed"),
        ("I count them.", False, "no code block"),
    ],
)
def test_a_response_has_its_verdict(load, sandbox, response, passed, reason):
    (example,) = load([ROW])
    verdict = humaneval.check_response(response, example.tests, sandbox)
    assert (verdict.passed, verdict.reason) == (passed, reason)


def test_humaneval_plus_is_to_be_passed_too(load, sandbox):
    (example,) = load([ROW], [PLUS])
    assert example.reference == in_block(ROW["prompt"] + PLUS["canonical_solution"])
    assert humaneval.check_response(example.reference, example.tests, sandbox).passed
    base = in_block("def count(xs):\n    return sum(map(is_even, xs)) or 1")
    verdict = humaneval.check_response(base, example.tests, sandbox)
    assert (verdict.passed, verdict.reason) == (False, "fails HumanEval+ alone")
    wrong = humaneval.check_response(in_block("def count(xs):\n    return 0"), example.tests, sandbox)
    assert wrong.reason == "wrong value"


def test_plus_may_be_the_hubs_and_a_test_that_is_broken_there_is_left_out(monkeypatch, load):
    asked = []
    monkeypatch.setattr(
        humaneval, "read_part", lambda part, *_args, **_options: asked.append(part) or [("", PLUS | {"task_id": at})]
    )
    at = "HumanEval/0"
    assert "plus" in load([ROW], True)[0].tests
    assert asked == [{"hub": "evalplus/humanevalplus"}]
    at = "HumanEval/32"
    assert "plus" not in load([ROW | {"task_id": at}], True)[0].tests
    assert "plus" not in load([ROW], False)[0].tests


@pytest.mark.parametrize(
    "change, told",
    [
        ({"prompt": None}, "row 1 has no text in column `prompt`"),
        (
            {"entry_point": "other"},
            "row 1: problem HumanEval/0: its `prompt` has no function 'other', its `entry_point`",
        ),
        ({"prompt": "def count(xs:"}, "row 1: problem HumanEval/0: its `prompt` is not Python"),
        ({"test": "assert count([]) == 0"}, "row 1: problem HumanEval/0: its `test` defines no function `check`"),
        (
            {"prompt": 'async def count(xs):\n    """ Count. """\n'},
            "row 1: problem HumanEval/0: its `prompt` asks for 'count' as an `async def`, which no test awaits; drop",
        ),
    ],
)
def test_a_bad_row_is_named(load, change, told):
    with pytest.raises(InputError, match=rf"test\.jsonl: {told}"):
        load([ROW | change])


@pytest.mark.parametrize(
    "test, told", [("def check(", "is not Python"), ("check = 1", "defines no function `check`, so that nothing would")]
)
def test_a_bad_test_of_humaneval_plus_is_named(load, test, told):
    with pytest.raises(InputError, match=rf"plus\.jsonl: row 1: problem HumanEval/0 of HumanEval\+: its `test` {told}"):
        load([ROW], [PLUS | {"test": test}])


def test_a_source_that_does_not_fit_is_named(load, tmp_path):
    with pytest.raises(InputError, match=r"row 1: problem HumanEval/0: HumanEval\+ .*has no such `task_id`"):
        load([ROW], [PLUS | {"task_id": "HumanEval/1"}])
    with pytest.raises(
        InputError, match=r"config key `source.train` .* is not read: its task has test, plus; leave it out"
    ):
        load([ROW], train=str(tmp_path / "rows.jsonl"))


@pytest.mark.skipif(not (SHARED / "cases/program_extraction.json").exists(), reason="no shared/cases to read")
def test_the_shared_responses_have_their_code_and_verdict(sandbox, load):
    cases = json.loads((SHARED / "cases/program_extraction.json").read_text())
    problems = {
        name: load([ROW | {"canonical_solution": "    pass\n", "task_id": name} | problem])[0]
        for name, problem in cases["problems"].items()
    }
    wrong = []
    for case in cases["cases"]:
        tests = problems[case["problem"]].tests
        program = humaneval.read_program(case["response"], [tests["name"]], tests["prompt"])
        code, whole = case["expected_code"], case["expected_program"]
        wanted = {trimmed(code)} if code else {None, trimmed(whole)}
        verdict = humaneval.check_response(case["response"], tests, sandbox)
        if trimmed(program.code) not in wanted or verdict.passed != (case["expected_verdict"] == "pass"):
            wrong.append((case["id"], program, verdict))
    assert wrong == []


def trimmed(code):
    return code if code is None else "\n".join(line.rstrip() for line in code.split("\n")).strip("\n")


@pytest.mark.skipif(not (SHARED / "data/humaneval").exists(), reason="no shared/data/humaneval to read")
def test_each_solution_of_a_shared_file_passes_and_its_stub_fails(sandbox):
    source = {"test": str(SHARED / "data/humaneval/problems.jsonl")}
    for example in humaneval.load_examples(source, {}, 0):
        stub = in_block(example.tests["prompt"] + "    pass")
        assert humaneval.check_response(example.reference, example.tests, sandbox).passed, example.place
        assert not humaneval.check_response(stub, example.tests, sandbox).passed, example.place
