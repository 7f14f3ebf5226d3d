"""The LiveCodeBench task: which problems are asked in which words, unpacking without running anything, verdicts."""

import base64
import json
import pickle
import tracemalloc
import zlib
from pathlib import Path

import pytest

from autojudge.errors import InputError
from autojudge.tasks import livecodebench

SHARED = Path(__file__).parents[4] / "shared"


def case(given, wanted, kind="stdin"):
    return {"input": given, "output": wanted, "testtype": kind}


def pack(data):
    return base64.b64encode(zlib.compress(data)).decode()


SCRIPT = {
    "question_content": "Print half of each number.",
    "question_id": "half",
    "contest_date": "2024-05-04T00:00:00",
    "starter_code": "",
    "public_test_cases": json.dumps([case("2\n1 4\n", "0.5\n2\n")]),
    "private_test_cases": pack(pickle.dumps(json.dumps([case("1\n100000000000000001", "50000000000000000.5")]))),
    "metadata": "{}",
}
FUNCTION = SCRIPT | {
    "question_content": "Return the two largest.",
    "question_id": "largest",
    "starter_code": "class Solution:\n    def largest(self, nums: List[int], n: int) -> List[int]:\n        ",
    "public_test_cases": json.dumps([case("[1, 2, 3]\n2", "[3, 2]", "functional")]),
    "private_test_cases": json.dumps([case("[4, 4]\n1", "[4]", "functional"), case("[1]\n0", "[]", "functional")]),
    "metadata": '{"func_name": "largest"}',
}


@pytest.fixture
def load(tmp_path):
    def load(*files, **options):
        paths = [tmp_path / f"test{number}.jsonl" for number, _ in enumerate(files, 1)]
        for path, rows in zip(paths, files, strict=True):
            path.write_text("\n".join(map(json.dumps, rows)))
        test = [str(path) for path in paths] if len(files) > 1 else str(paths[0])
        return list(livecodebench.load_examples({"test": test} | options, {}, 0))

    return load


def test_a_problem_is_asked_in_the_benchmarks_words(load):
    script, function = load([SCRIPT, FUNCTION])
    assert (script.origin, script.gold) == ("test", "pass")
    system, asked = livecodebench.PROMPT.messages(function.question)
    assert system["content"].startswith("You are an expert Python programmer. You will be given a question")
    assert asked["content"] == (
        "### Question:\nReturn the two largest.\n\n### Format: You will use the following starter code to write the "
        f"solution to the problem and enclose your code within delimiters.\n```python\n{FUNCTION['starter_code']}\n```"
        "\n\n### Answer: (use the provided format with backticks)\n\n"
    )
    assert script.question.endswith("writes output to STDOUT.\n```python\n# YOUR CODE HERE\n```")


def test_public_and_private_tests_are_all_of_a_problems(load):
    script, function = load([SCRIPT, FUNCTION])
    assert dict(script.tests) == {
        "function": None,
        "cases": [["2\n1 4\n", "0.5\n2\n"], ["1\n100000000000000001", "50000000000000000.5"]],
    }
    assert (function.tests["function"], len(function.tests["cases"])) == ("largest", 3)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tests_are_unpacked_from_each_kind_of_pickle(load, protocol):
    text = json.dumps([case("é 1", "😀")], ensure_ascii=False)
    packed = pack(pickle.dumps(text, protocol))
    assert load([SCRIPT | {"private_test_cases": packed}])[0].tests["cases"][1:] == [["é 1", "😀"]]


class Runs:
    def __reduce__(self):
        return print, ("run",)


BAD_PACKS = {
    "a pickle with code": (pack(pickle.dumps(Runs())), "is a pickle of something other than one text"),
    "a text after code": (pack(pickle.dumps([Runs(), "[]"])), "is a pickle of something other than one text"),
    "two texts": (pack(b"\x80\x04\x8c\x02[]\x8c\x02[]."), "is a pickle of something other than one text"),
    "a list": (pack(pickle.dumps(["[]"])), "is a pickle of something other than one text"),
    "bytes": (pack(pickle.dumps(b"[]")), "is a pickle of something other than one text"),
    "a memo bomb": (pack(b"\x80\x04r\xff\xff\xff\x7f."), "is a pickle of something other|is not a pickle"),
    "nothing in it": (pack(b"\x80\x04."), "is a pickle"),
    "no pickle": (pack(b"hello"), "is not a pickle|is a pickle of something other"),
    "a pickle cut off": (pack(pickle.dumps("[]")[:-4]), "is not a pickle"),
    "cut off": (pack(pickle.dumps(str(list(range(400)))))[:400], "is cut off"),
    "no zlib": (base64.b64encode(b"hello").decode(), "is neither JSON nor packed by base64 and zlib"),
    "no base64": ("*", "is neither JSON nor packed by base64 and zlib"),
    "no ASCII": ("é", "is neither JSON nor packed by base64 and zlib"),
    "no JSON": (pack(pickle.dumps("[oops")), "is not a JSON list of tests"),
    "too deep": (pack(pickle.dumps("[" * 100_000)), "is not a JSON list of tests"),
    "no list": ('{"input": "1"}', "is not a JSON list of tests"),
    "no output": ('[{"input": "1"}]', "is not a JSON list of tests"),
    "numbers": ('[{"input": 1, "output": "2"}]', "test 1 has an input or output that is not text"),
}


@pytest.mark.parametrize("kind", BAD_PACKS)
def test_private_tests_that_are_not_what_they_should_be_are_named_and_nothing_runs(load, capsys, kind):
    packed, told = BAD_PACKS[kind]
    (example,) = load([SCRIPT | {"private_test_cases": packed}])
    with pytest.raises(InputError, match=rf"test1\.jsonl: row 1: problem half: its `private_test_cases`:? ?{told}"):
        dict(example.tests)
    assert capsys.readouterr().out == ""


def test_a_bomb_is_not_unpacked(load, monkeypatch):
    monkeypatch.setattr(livecodebench, "LARGEST", 10_000)
    (bomb,) = load([SCRIPT | {"private_test_cases": pack(b"0" * 5_000_000)}])
    tracemalloc.start()
    with pytest.raises(InputError, match="problem half: its `private_test_cases` unpacks to more than 10000 bytes"):
        dict(bomb.tests)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    (large,) = load([SCRIPT | {"private_test_cases": "0" * 10_001}])
    with pytest.raises(InputError, match="problem half: its `private_test_cases` has 10001 characters, more than"):
        dict(large.tests)


def test_a_problem_without_tests_is_named(load):
    (example,) = load([SCRIPT | {"public_test_cases": "[]", "private_test_cases": "[]"}])
    with pytest.raises(InputError, match=r"test1\.jsonl: row 1: problem half: has no tests"):
        dict(example.tests)


@pytest.mark.parametrize(
    "row, told",
    [
        ({key: value for key, value in SCRIPT.items() if key != "metadata"}, "row 1 has no text in column `metadata`"),
        (SCRIPT | {"starter_code": None}, "row 1: problem half: has no text in column `starter_code`"),
        (SCRIPT | {"contest_date": "May"}, "row 1: problem half: its `contest_date` is not an ISO date"),
        (SCRIPT | {"metadata": "[]"}, "row 1: problem half: its `metadata` is not a JSON object"),
        (FUNCTION | {"starter_code": "def larger(nums):\n"}, "row 1: problem largest: .* func_name 'largest', which"),
        (
            FUNCTION | {"starter_code": ""},
            "row 1: problem largest: .* func_name 'largest', which its `starter_code` lack",
        ),
    ],
)
def test_a_bad_row_is_named(load, row, told):
    with pytest.raises(InputError, match=rf"test1\.jsonl: {told}"):
        load([row])


@pytest.mark.parametrize(
    "row, told",
    [
        (SCRIPT | {"public_test_cases": json.dumps([case("\ud800", "3")])}, "test 1 has half a character"),
        (FUNCTION | {"public_test_cases": json.dumps([case("[1]", r'"\ud800"')])}, "test 1 has half a character"),
        (FUNCTION | {"metadata": "{}"}, "test 1 calls a function, but `metadata` has no `func_name`"),
        (FUNCTION | {"public_test_cases": json.dumps([case("1, 2", "3")])}, "test 1 of a function is not JSON"),
        (FUNCTION | {"public_test_cases": json.dumps([case("[1]\n", "3")])}, "test 1 of a function is not JSON"),
    ],
)
def test_tests_of_functions_that_cannot_be_used_are_named(load, row, told):
    with pytest.raises(InputError, match=rf"problem (largest|half): its `public_test_cases`: {told}"):
        dict(load([row])[0].tests)


def dated(day):
    return SCRIPT | {"question_id": day, "question_content": day, "contest_date": f"{day}T10:00:00"}


def test_a_release_is_made_of_the_first_files_and_days_are_chosen_inclusively(load):
    files = [[dated(f"2024-0{number}-01"), dated(f"2024-0{number}-20")] for number in (1, 2, 3)]
    assert [e.question[:10] for e in load(*files, release="release_v2")] == [
        *("2024-01-01", "2024-01-20", "2024-02-01", "2024-02-20")
    ]
    chosen = load(*files, **{"from": "2024-01-20", "until": "2024-03-01"})
    assert [e.question[:10] for e in chosen] == ["2024-01-20", "2024-02-01", "2024-02-20", "2024-03-01"]
    with pytest.raises(InputError, match="`source.release` .*: release_v4 is made of 4 files, and `test` lists 3"):
        load(*files, release="release_v4")
    with pytest.raises(InputError, match="`source.release` .*: release_v2 is made of 2 files, and `test` lists 1"):
        load(files[0], release="release_v2")
    for chosen in ({"from": "2024-03-01", "until": "2024-01-20"}, {"from": "2024-03-21"}):
        with pytest.raises(
            InputError, match="`source.until` .*: no problem is from .* from 2024-01-01 until 2024-03-20"
        ):
            load(*files, **chosen)
    with pytest.raises(InputError, match='`source.from` .*write a day like "2024-08-01"'):
        load(*files, **{"from": "2024-13-01"})


@pytest.mark.parametrize(
    "source, config", [("a/b", "release_v5"), ({"test": {"hub": "a/b"}, "release": "release_v2"}, "release_v2")]
)
def test_the_hub_is_asked_for_the_release(monkeypatch, source, config):
    asked = []
    monkeypatch.setattr(
        livecodebench, "load_rows", lambda source, _columns, config, *_: asked.append(config) or iter([])
    )
    assert list(livecodebench.load_examples(source, {}, 0)) == []
    assert asked == [config]


@pytest.mark.parametrize(
    "written, wanted, same",
    [
        ("1 2\n3\n", "1 2\n3", True),
        ("  1 2  \n3  \n\n\n", "1 2\n3", True),
        ("1 2 3", "1 2\n3", False),
        ("1\n\n2", "1\n2", False),
        ("0.50 2", "0.5 2.0", True),
        ("1e2", "100", True),
        ("YES", "Yes", False),
        ("50000000000000000", "50000000000000001", False),
        ("0.30000000000000004", "0.3", False),
        ("1 2", "1", False),
        ("a 1.0", "a 1", False),
        ("nan", "nan", True),
        ("nan 1", "nan 1.0", False),
        ("snan 1", "snan 1.0", False),
        ("", "\n", True),
        ("", "0", False),
    ],
)
def test_outputs_are_compared_line_by_line_as_text_or_as_exact_numbers(written, wanted, same):
    assert livecodebench.same_output(written, wanted) is same


HALF = "n = int(input())\nfor x in input().split():\n    "
BYTES = """import sys
n, *xs = sys.stdin.buffer.read().split()
for x in xs:
    print(int(x) // 2, '.5' * (int(x) % 2), sep='')"""
GUARDED = """from decimal import Decimal
def main():
    n, x = open(0).read().split('\\n')[:2]
    print(*(Decimal(y) / 2 for y in x.split()), sep='\\n')

if __name__ == '__main__':
    main()"""
SCRIPTS = [
    (f"{HALF}print(Decimal(x) / 2)", "error"),  # decimal is no module of the prelude
    (f"from decimal import Decimal\n{HALF}print(Decimal(x) / 2)", "passed"),
    (f"from __future__ import annotations\nfrom decimal import *\n{HALF}print(Decimal(x) / 2, end='  \\n')", "passed"),
    (f"{HALF}print(int(x) / 2)", "wrong value"),
    (BYTES, "passed"),
    (GUARDED, "passed"),
    (BYTES + "\nsys.exit(0)", "passed"),
    (BYTES + "\nsys.exit(1)", "passed"),
    (BYTES + "\nquit('done')", "passed"),
    (BYTES + "\nraise ValueError", "error"),
    (f"{HALF}print(0)", "wrong value"),
    ("print(input(", "error"),
    ("raise SystemExit(1)", "wrong value"),
    ("pass", "wrong value"),
]


@pytest.mark.parametrize("script, reason", SCRIPTS)
def test_a_script_has_its_verdict(load, sandbox, script, reason):
    (example,) = load([SCRIPT])
    verdict = livecodebench.check_response(f"```python\n{script}\n```", example.tests, sandbox)
    assert (verdict.passed, verdict.reason) == (reason == "passed", reason)


METHOD = "class Solution:\n    def largest(self, nums: List[int], n: int) -> List[int]:\n        "
FUNCTIONS = [
    (METHOD + "return sorted(nums)[::-1][:n]", "passed"),
    (METHOD + "return tuple(nlargest(n, nums))", "passed"),
    ("def largest(nums, n):\n    return heapq.nlargest(n, nums)", "passed"),
    ("from __future__ import annotations\ndef largest(nums: Any, n):\n    return nlargest(n, nums)", "passed"),
    (METHOD + "return sorted(nums)[-n:]", "wrong value"),
    (METHOD + "return set(nlargest(n, nums))", "wrong value"),
    (METHOD + "return nums.largest(n)", "error"),
    (METHOD + "pass", "wrong value"),
    ("class Solution:\n    def other(self):\n        return []", "error"),
    ("print(input())", "error"),
]


@pytest.mark.parametrize("program, reason", FUNCTIONS)
def test_a_function_has_its_verdict(load, sandbox, program, reason):
    (example,) = load([FUNCTION])
    verdict = livecodebench.check_response(f"```python\n{program}\n```", example.tests, sandbox)
    assert (verdict.passed, verdict.reason) == (reason == "passed", reason)


def test_each_test_has_its_own_time(load, sandbox, monkeypatch):
    monkeypatch.setattr(livecodebench, "CPU_S", 0.5)
    slow = METHOD + "t = time.process_time()\n        while time.process_time() < t + 0.25: pass\n        return {}"
    (example,) = load([FUNCTION])
    right, wrong, endless = (
        livecodebench.check_response(f"```python\nimport time\n{program}\n```", example.tests, sandbox)
        for program in (slow.format("nlargest(n, nums)"), slow.format("nums[:n]"), METHOD + "while True: pass")
    )
    assert (right.reason, wrong.reason, endless.reason) == ("passed", "wrong value", "time")


def test_what_is_no_program_or_not_all_of_one_is_told(load, sandbox):
    (example,) = load([SCRIPT])
    found = [
        livecodebench.check_response(response, example.tests, sandbox).reason
        for response in ("I read the numbers.", f"```python\n{HALF}print(int(x", f"```python\n{HALF}print(0)\n")
    ]
    assert found == ["no code block", "unfinished block", "unfinished block"]


def test_recursion_may_be_deep(load, sandbox):
    (example,) = load(
        [SCRIPT | {"public_test_cases": json.dumps([case("20000", "20000")]), "private_test_cases": "[]"}]
    )
    program = "def depth(n):\n    return 0 if n == 0 else 1 + depth(n - 1)\nprint(depth(int(input())))"
    assert livecodebench.check_response(f"```python\n{program}\n```", example.tests, sandbox).passed


RIGHT = {
    "1873_A": "for _ in range(int(input())):\n    print('NO' if input() in ('bca', 'cab') else 'YES')",
    "own_1": "class Solution:\n    def twoLargest(self, nums: List[int]):\n        return sum(nlargest(2, nums))",
    "own_3": f"from decimal import Decimal\n{HALF}print(Decimal(x) / 2)",
    "own_5": "def f(n):\n    return n and 1 + f(n - 1)\nprint(f(int(input())))",
}
WRONG = {
    "1873_A": "for _ in range(int(input())):\n    print('YES')",
    "own_1": "class Solution:\n    def twoLargest(self, nums):\n        return sum(sorted(set(nums))[-2:])",
    "own_3": f"{HALF}print(int(x) / 2)",
    "own_5": "print(min(int(input()), 1000))",
}


@pytest.mark.skipif(not (SHARED / "data/livecodebench").exists(), reason="no shared/data/livecodebench to read")
def test_the_shared_rows_tell_right_programs_from_wrong_ones(sandbox):
    path = SHARED / "data/livecodebench/rows.jsonl"
    ids = [json.loads(line)["question_id"] for line in path.read_text().splitlines()]
    for name, example in zip(ids, livecodebench.load_examples({"test": str(path)}, {}, 0), strict=True):
        for programs, passes in ((RIGHT, True), (WRONG, False)):
            response = f"```python\n{programs[name]}\n```"
            assert livecodebench.check_response(response, example.tests, sandbox).passed is passes, name
