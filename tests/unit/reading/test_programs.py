"""Programs are read right from responses as models write them."""

import time
from pathlib import Path

import pytest
import yaml

from autojudge.errors import InputError
from autojudge.reading.programs import in_block, parse_source, put_before, read_program

CASES = yaml.safe_load((Path(__file__).parent / "programs.yaml").read_text())
ALL = [(kind, number, case) for kind, cases in CASES.items() for number, case in enumerate(cases)]
STUB = 'from typing import List\n\n\ndef f(x):\n    """ One more.\n    >>> f(1)\n    2\n    """\n'
GOOD, OTHER = "```python\ndef f(x):\n    return x + 1\n```\n", "```python\ndef f(x):\n    return 0\n```\n"


def trimmed(code):
    return code if code is None else "\n".join(line.rstrip(" \t") for line in code.split("\n")).strip("\n")


@pytest.mark.parametrize("kind, number, case", ALL, ids=[f"{kind} {number}" for kind, number, _ in ALL])
def test_the_program_of_a_response_is_read_right(kind, number, case):
    program = read_program(case["response"], ["f"], STUB)
    code = program.code.removeprefix(STUB.rstrip() + "\n") if program.form == "body" else program.code
    assert (trimmed(code), program.form) == (trimmed(case["code"]), case["form"])


def test_there_are_several_cases_of_each_kind():
    assert len(ALL) >= 80
    assert min(map(len, CASES.values())) >= 2


SCRIPT = "n = int(input())\nprint(n)"


@pytest.mark.parametrize(
    "response, code",
    [
        (f"```python\n{SCRIPT}\n```\nSample output:\n```\n6\n```\nand\n```\n[1, 2]\n```", SCRIPT),
        (f"```python\n{SCRIPT}\n```\n```\nx = 5\n```", SCRIPT),
        (f"```python\nprint(0)\n```\nBetter:\n```python\n{SCRIPT}\n```", SCRIPT),
        (f"```python\n{SCRIPT}\n```\nOr\n```python\nimport sys\nprint(sys.stdin.re", SCRIPT),
        (f"```\n{SCRIPT}\n```\n```bash\npython a.py\n```", SCRIPT),
        (f"Here:\n\n{SCRIPT}\n\nThat's all.", SCRIPT),
        ("```cpp\nint main() { }\n```", "int main() { }"),
        ("```python\nprint(1\n```", "print(1"),
        (f"```python\n{SCRIPT}\n```\nFor example:\n```python\nprint(solve(3))\n```", SCRIPT),
        ("```python\n1()\n```\n```\nprint(open(0))\n```\n```python\nprint(2)\n```", "print(open(0))"),
        ("```python\nprint(1)\n```\n```python\nprint(2)\n```", "print(2)"),
        (f"<details>\n```python\n{SCRIPT}\n```\n</details>", SCRIPT),
        ("The answer is 6.", None),
    ],
)
def test_a_script_is_the_last_code_that_does_anything(response, code):
    assert read_program(response).code == code


@pytest.mark.parametrize(
    "code, name",
    [
        ("class Solution:\n    def f(self, x):\n        return x", "Solution.f"),
        ("def f(x):\n    return x", "f"),
        ("class Solution:\n    def g(self, x):\n        return x\n\nf = Solution().g", "f"),
        ("try:\n    from math import f\nexcept ImportError:\n    def f(x):\n        return x", "f"),
        ("class Other:\n    def f(self, x):\n        return x", None),
        ("def g():\n    def f(x):\n        return x", None),
    ],
)
def test_the_name_tells_whether_it_is_a_method_or_a_function(code, name):
    assert read_program(in_block(code), ["Solution.f", "f"]).name == name


def test_the_block_with_the_method_counts_and_not_one_that_uses_it():
    method = "class Solution:\n    def f(self, x):\n        return x\n"
    program = read_program(in_block(method) + in_block("print(Solution().f(1))"), ["Solution.f", "f"])
    assert program.code == method.rstrip()


def test_the_head_of_a_class_may_be_restated_before():
    stub = in_block("class Solution:\n    def f(self, x):\n        pass")
    assert (
        "return 1"
        in read_program(in_block("class Solution:\n    def f(self, x):\n        return 1") + stub, ["Solution.f"]).code
    )


@pytest.mark.parametrize("whole", [True, False])
def test_a_last_definition_counts_also_where_it_is_worse(whole):
    program = read_program(GOOD + "Shorter:\n" + (OTHER if whole else OTHER[:-5]), ["f"])
    assert program.code.endswith("return 0") and program.form == ("code block" if whole else "unfinished block")


@pytest.mark.parametrize(
    "code, whole",
    [
        ("def f(): pass", "import os\n\n\ndef f(): pass"),
        ("from __future__ import annotations\nx = 1", "from __future__ import annotations\nimport os\n\nx = 1"),
        ("from __future__ import annotations; x = 1", "from __future__ import annotations\nimport os\nx = 1"),
        (
            '"""é"""\nfrom __future__ import (\n    annotations,\n)\n\nx = 1',
            '"""é"""\nfrom __future__ import (\n    annotations,\n)\nimport os\n\n\nx = 1',
        ),
        ("def f(:", "import os\n\n\ndef f(:"),
    ],
)
def test_what_is_put_before_a_program_comes_after_its_future_imports(code, whole):
    assert put_before("import os\n", code) == whole
    assert put_before(" \n", code) == code


def test_code_in_a_block_is_read_again_also_where_it_holds_fences():
    for code in ("x = 1", 'def f():\n    """\n````\na\n````\n"""\n    return 1', "# ```\ndef f():\n    return 1"):
        assert read_program(in_block(code), ["f"]).code == code


def test_code_that_is_no_python_is_named():
    with pytest.raises(InputError, match=r"rows: row 1: its `code` is not Python .*; fix or drop that row"):
        parse_source("def f(", "rows: row 1: its `code`")


NEEDY = "def f(x):\n    return a"
REPEATED = (
    *("`", "```", "```\n", "```python\n", '"""', "'", "<think>", "<|im_end|>", "\nuser:", "(", "[", "def f(x):\n"),
    *("x = (\n", ">>> f(1)\n", "@x\n", "if x:\n", "> ", "1. ", "class A:\n  def f(self): pass\n", GOOD, "x = 1 ```\n"),
    *("a = b\n", "b = a; a = b\n", "def a(): return b\n"),
)


@pytest.mark.parametrize("unit", REPEATED)
def test_a_response_that_repeats_itself_is_read_in_time(unit):
    start = time.process_time()
    for before in ("", "```python\n", "def f(x):\n    return (\n", f"{in_block(NEEDY)}```python\n"):
        read_program(before + unit * (6000 // len(unit)), ["f"], STUB)
    assert time.process_time() - start < 6
