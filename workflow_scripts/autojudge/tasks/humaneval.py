"""HumanEval (Chen et al. 2021), and HumanEval+ (Liu et al. 2023): functions to complete, with tests; no training split.

Rows hold `task_id`, `prompt`, `entry_point`, `canonical_solution` and `test`; of HumanEval+ `task_id`, `test` and
`canonical_solution`, which mends some of HumanEval's, are read.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from autojudge.errors import InputError
from autojudge.reading.programs import NONE, UNFINISHED, in_block, parse_source, put_before, read_program
from autojudge.reading.prompts import Prompt
from autojudge.reading.rows import load_rows, read_part
from autojudge.sandbox import Verdict
from autojudge.tasks import Example

if TYPE_CHECKING:
    from autojudge.sandbox import Sandbox

VERSION = 1
PROMPT = Prompt.load(__file__)
OF_PLUS = {"task_id": str, "test": str, "canonical_solution": str}
COLUMNS = {**OF_PLUS, "prompt": str, "entry_point": str}
PLUS = {"hub": "evalplus/humanevalplus"}
PLUS_CPU_S = 30  # for up to a thousand inputs a test
BROKEN = {"HumanEval/32"}  # of HumanEval+, whose test there raises a TypeError for every number
ONLY_BASE = "fails HumanEval+ alone"  # the reason of programs that pass HumanEval's own tests


def load_examples(source: Any, _counts: Mapping[str, int], _seed: int) -> Iterator[Example]:
    """Yield the rows of the test file or hub split, with HumanEval+'s tests where `plus` is true or a place."""
    plus = source.get("plus") if isinstance(source, Mapping) else None
    more = _read_plus(PLUS if plus is True else plus) if plus else None
    rows = load_rows(source, COLUMNS, hub_config="openai_humaneval", splits={"test": "test"}, settings=("plus",))
    for origin, place, row in rows:
        named = f"{place}: problem {row['task_id']}"
        tests, solution = _read_tests(row, named), row["canonical_solution"]
        if more is not None:
            if row["task_id"] not in more:
                raise InputError(f"{named}: HumanEval+ (config key `source.plus`) has no such `task_id`; drop that row")
            test, solution = more[row["task_id"]]
            tests |= {"plus": test} if row["task_id"] not in BROKEN else {}
        yield Example(row["prompt"].strip(), "pass", origin, tests, in_block(row["prompt"] + solution), place)


def check_response(response: str, tests: Mapping[str, Any], sandbox: "Sandbox") -> Verdict:
    """Tell whether a response's function, after the imports and helpers of its prompt, passes the problem's tests."""
    name = tests["name"]
    program = read_program(PROMPT.cut(response), [name], stub=tests["prompt"])
    if program.code is None:
        return Verdict(False, NONE)
    code = put_before(tests["before"], program.code)
    verdict = sandbox.check(code, _test(tests, "test"), names=[name])
    if not verdict.passed:
        return verdict if program.form != UNFINISHED else Verdict(False, UNFINISHED)
    if "plus" in tests:
        plus = sandbox.check(code, _test(tests, "plus"), names=[name], cpu_s=PLUS_CPU_S)
        return plus if plus.passed else Verdict(False, ONLY_BASE)
    return verdict


def _test(tests: Mapping[str, Any], kind: str) -> str:
    """Return a test with its prompt's helpers, as a program's own would have a part in its verdict."""
    return f"{tests['before']}\n\n{tests[kind]}\n\ncheck({tests['name']})\n"


def _read_plus(part: Any) -> dict[str, tuple[str, str]]:
    """Return the test and solution of each problem of HumanEval+."""
    found = {}
    for place, row in read_part(part, OF_PLUS, split="test"):
        _check_test(row["test"], f"{place}: problem {row['task_id']} of HumanEval+")
        found[row["task_id"]] = row["test"], row["canonical_solution"]
    return found


def _check_test(test: str, named: str) -> None:
    nodes = parse_source(test, f"{named}: its `test`").body
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in nodes):
        raise InputError(
            f"{named}: its `test` defines no function `check`, so that nothing would be tested; drop that row"
        )


def _read_tests(row: Mapping[str, Any], named: str) -> dict[str, Any]:
    """Return the function's name, what its prompt has before it, the prompt, and the test.

    Raises
    ------
    InputError
        The prompt does not define the function, or the test no `check`.
    """
    prompt = parse_source(row["prompt"], f"{named}: its `prompt`")
    functions = {node.name: node for node in prompt.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    asked = functions.get(row["entry_point"])
    if asked is None:
        raise InputError(
            f"{named}: its `prompt` has no function {row['entry_point']!r}, its `entry_point`; drop that row"
        )
    if isinstance(asked, ast.AsyncFunctionDef):
        raise InputError(
            f"{named}: its `prompt` asks for {row['entry_point']!r} as an `async def`, which no test awaits; drop that "
            "row"
        )
    _check_test(row["test"], named)
    first = min([asked.lineno, *(node.lineno for node in asked.decorator_list)])
    return {
        "name": row["entry_point"],
        "before": "\n".join(row["prompt"].split("\n")[: first - 1]),
        "prompt": row["prompt"],
        "test": row["test"],
    }
