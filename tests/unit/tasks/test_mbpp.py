"""The MBPP task: which rows are problems, what a problem asks and tests, and verdicts."""

import json
from pathlib import Path

import pytest

from autojudge.errors import InputError
from autojudge.reading.programs import in_block
from autojudge.tasks import mbpp

SHARED = Path(__file__).parents[4] / "shared"

ROW = {
    "text": "Write a function to add two numbers.",
    "code": "def add(a, b):\r\n\treturn a + b\r\n",
    "task_id": 11,
    "test_setup_code": "",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0 "],
    "challenge_test_list": [],
}
BOTH = [ROW, ROW | {"task_id": 511, "text": "Add."}]


@pytest.fixture
def load(tmp_path):
    def load(rows):
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        return list(mbpp.load_examples({"train": str(path), "test": str(path)}, {}, 0))

    return load


def test_one_file_is_split_by_number_and_examples_and_the_impossible_are_left_out(load):
    ids = [974, 1, 10, 11, 510, 511, 600, 601, 367, 533, 927, 12]
    found = load([ROW | {"task_id": number, "text": f"Task {number}."} for number in ids])
    assert [(example.origin, example.question.split()[1]) for example in found] == [
        *(("test", "11."), ("test", "12."), ("test", "510.")),
        *(("train", "511."), ("train", "600."), ("train", "974.")),
    ]


def test_the_hub_gives_the_same_problems_by_its_own_splits(monkeypatch):
    asked = []

    def load_rows(source, *_args, splits, hub_config, **_options):
        asked.append((source, splits, hub_config))
        yield from ((origin, "hub: row", row) for origin, row in zip(["test", "train"], BOTH, strict=True))

    monkeypatch.setattr(mbpp, "load_rows", load_rows)
    found = list(mbpp.load_examples("google-research-datasets/mbpp", {}, 0))
    assert [example.origin for example in found] == ["test", "train"]
    assert asked == [("google-research-datasets/mbpp", {"train": "train+validation", "test": "test"}, "full")]


def test_a_problem_shows_its_tests_and_its_reference_is_a_block_without_carriage_returns(load):
    example = load(BOTH)[0]
    assert example.question == ("Write a function to add two numbers.\n\nassert add(1, 2) == 3\nassert add(0, 0) == 0")
    assert example.reference == "```python\ndef add(a, b):\n\treturn a + b\n```\n"
    assert (example.gold, example.tests["names"], example.place[-5:]) == ("pass", ["add"], "row 1")
    asked = mbpp.PROMPT.messages(example.question)[-1]["content"]
    assert "one Python code block and nothing else" in asked and asked.endswith(example.question)


def test_the_test_has_the_setup_and_those_imports_of_the_solution_that_it_uses(load):
    code = "import sys\nimport math\ndef size(t):\n  return sys.getsizeof(t)"
    row = ROW | {"code": code, "test_setup_code": "t = (1,\r\n2)", "test_list": ["assert size(t) == sys.getsizeof(t)"]}
    test = load([row, BOTH[1]])[0].tests["test"]
    assert test.split("\n") == ["import sys", "t = (1,", "2)", "assert size(t) == sys.getsizeof(t)"]


def test_a_function_may_have_the_name_of_a_builtin(load):
    row = ROW | {"code": "def sum(a, b):\n  return 1", "test_list": ["assert sum(10, 15) == 6"]}
    assert load([row, BOTH[1]])[0].tests["names"] == ["sum"]


@pytest.mark.parametrize(
    "change, told",
    [
        ({"test_list": []}, "row 1 has no list of texts in column `test_list`"),
        ({"test_list": ["assert add(1, 2) == 3", " "]}, "row 1 has no list of texts in column `test_list`"),
        ({"task_id": "11"}, "row 1 has no whole number in column `task_id`"),
        ({"code": "def add(a, b) return"}, r"row 1: problem 11: its `code` is not Python .*; fix or drop that row"),
        ({"test_setup_code": 3}, "row 1: problem 11: its `test_setup_code` is not text .*; fix or drop that row"),
        ({"test_setup_code": []}, "row 1: problem 11: its `test_setup_code` is not text"),
        ({"test_list": ["assert add(1"]}, r"row 1: problem 11: its `test_list` is not Python .*; fix or drop"),
        ({"code": "def plus(a, b): return 3"}, r"row 1: problem 11: its `test_list` calls no function that its `code`"),
    ],
)
def test_a_bad_row_is_named(load, change, told):
    with pytest.raises(InputError, match=rf"rows\.jsonl: {told}"):
        load([ROW | change, BOTH[1]])


def test_a_part_without_its_problems_is_named(load):
    with pytest.raises(InputError, match=r"`source.train`: holds none of the problems 511 to 974"):
        load([ROW])


@pytest.mark.parametrize(
    "response, reason",
    [
        ("```python\ndef add(a, b):\n    return a + b\n```", "passed"),
        ("def add(a, b):\n    return a + b\n\nIt's done.", "passed"),
        ("```python\ndef add(a, b):\n    return a - b\n```", "wrong value"),
        ("```python\ndef plus(a, b):\n    return a + b\n```", "error"),
        ("```python\ndef add(a, b):\n    return", "unfinished block"),
        ("a + b", "no code block"),
        ("```python\ndef add(a, b):\n    return 0\n```\nYou are an expert Python programmer", "wrong value"),
    ],
)
def test_a_response_has_its_verdict(load, sandbox, response, reason):
    verdict = mbpp.check_response(response, load(BOTH)[0].tests, sandbox)
    assert (verdict.passed, verdict.reason) == (reason == "passed", reason)


@pytest.mark.skipif(not (SHARED / "data/mbpp").exists(), reason="no shared/data/mbpp to read")
def test_solutions_of_a_shared_file_pass_and_their_stubs_fail(sandbox):
    path = str(SHARED / "data/mbpp/mbpp.jsonl")
    examples = list(mbpp.load_examples({"train": path, "test": path}, {}, 0))
    assert len(examples) == 860
    for example in examples[::30]:
        stub = in_block(f"def {example.tests['names'][0]}(*_):\n    pass")
        assert mbpp.check_response(example.reference, example.tests, sandbox).passed, example.place
        assert not mbpp.check_response(stub, example.tests, sandbox).passed, example.place
