"""HumanEval (Chen et al. 2021), and HumanEval+ (Liu et al. 2023): functions to complete, with tests; no training split.

Rows hold `task_id`, `prompt`, `entry_point`, `canonical_solution` and `test`; of HumanEval+ `task_id` and `test` are
read.
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
COLUMNS = {"task_id": str, "prompt": str, "entry_point": str, "canonical_solution": str, "test": str}
PLUS = {"hub": "evalplus/humanevalplus"}
ONLY_BASE = "fails HumanEval+ alone"  # the reason of programs that pass HumanEval's own tests


def load_examples(source: Any, _counts: Mapping[str, int], _seed: int) -> Iterator[Example]:
    """Yield the rows of the test file or hub split, with HumanEval+'s tests where `plus` is true or a place."""
    plus = source.get("plus") if isinstance(source, Mapping) else None
    more = _read_plus(PLUS if plus is True else plus) if plus else None
    rows = load_rows(source, COLUMNS, hub_config="openai_humaneval", splits={"test": "test"}, settings=("plus",))
    for origin, place, row in rows:
        named = f"{place}: problem {row['task_id']}"
        tests = _read_tests(row, named)
        if more is not None:
            if row["task_id"] not in more:
                raise InputError(f"{named}: HumanEval+ (config key `source.plus`) has no such `task_id`; drop that row")
            tests["plus"] = more[row["task_id"]]
        reference = in_block(row["prompt"] + row["canonical_solution"])
        yield Example(row["prompt"].strip(), "pass", origin, tests, reference, place)


def check_response(response: str, tests: Mapping[str, Any], sandbox: "Sandbox") -> Verdict:
    """Tell whether a response's function, after the imports and helpers of its prompt, passes the problem's tests."""
    names = tests["names"]
    program = read_program(PROMPT.cut(response), names[:1], stub=tests["prompt"])
    if program.code is None:
        return Verdict(False, NONE)
    code = put_before(tests["before"], program.code)
    verdict = sandbox.check(code, _call(tests["test"], names[0]), names=names)
    if not verdict.passed:
        return verdict if program.form != UNFINISHED else Verdict(False, UNFINISHED)
    if "plus" in tests and not sandbox.check(code, _call(tests["plus"], names[0]), names=names).passed:
        return Verdict(False, ONLY_BASE)
    return verdict


def _call(test: str, name: str) -> str:
    return f"{test}\n\ncheck({name})\n"


def _read_plus(part: Any) -> dict[str, str]:
    return {row["task_id"]: row["test"] for _, row in read_part(part, {"task_id": str, "test": str}, split="test")}


def _read_tests(row: Mapping[str, Any], named: str) -> dict[str, Any]:
    """Return the tests of a row; their names begin with the function's, its prompt's helpers that are tested by follow.

    Raises
    ------
    InputError
        The prompt does not define the function, or the test no `check`.
    """
    prompt, test = (parse_source(row[column], f"{named}: its `{column}`") for column in ("prompt", "test"))
    functions = {node.name: node for node in prompt.body if isinstance(node, ast.FunctionDef)}
    asked = functions.pop(row["entry_point"], None)
    if asked is None:
        raise InputError(
            f"{named}: its `prompt` has no function {row['entry_point']!r}; fix `entry_point`, or drop that row"
        )
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in test.body):
        raise InputError(
            f"{named}: its `test` defines no function `check`, so that nothing would be tested; drop that row"
        )
    called = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    first = min([asked.lineno, *(node.lineno for node in asked.decorator_list)])
    return {
        "names": [row["entry_point"], *(name for name in functions if name in called)],
        "before": "\n".join(row["prompt"].split("\n")[: first - 1]),
        "prompt": row["prompt"],
        "test": row["test"],
    }
