"""MBPP, mostly basic Python problems (Austin et al. 2021): rows with a problem's `text`, tests and solution.

As in its paper, problems 11 to 510 test; 511 to 974 train, which are the hub's splits train and validation; the first
ten are examples for prompts.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from autojudge.errors import InputError
from autojudge.reading.programs import NONE, UNFINISHED, in_block, parse_source, read_program
from autojudge.reading.prompts import Prompt
from autojudge.reading.rows import load_rows
from autojudge.sandbox import Verdict
from autojudge.tasks import Example

if TYPE_CHECKING:
    from autojudge.sandbox import Sandbox

VERSION = 1
PROMPT = Prompt.load(__file__)
IDS = {"train": range(511, 975), "test": range(11, 511)}
SPLITS = {"train": "train+validation", "test": "test"}
COLUMNS = {"text": str, "code": str, "task_id": int, "test_list": list}
# Their tests hand over classes and their instances, which stay in the process that runs a program.
LEFT_OUT = {367, 533, 601, 927}


def load_examples(source: Any, _counts: Mapping[str, int], _seed: int) -> Iterator[Example]:
    """Yield the problems of the train and test files or hub splits, of one file for both those of each, by number."""
    rows = load_rows(source, COLUMNS, hub_config="full", optional=("test_setup_code",), splits=SPLITS)
    chosen = [
        (row["task_id"], origin, place, row)
        for origin, place, row in rows
        if row["task_id"] in IDS[origin] and row["task_id"] not in LEFT_OUT
    ]
    for origin in IDS:
        if not any(origin == other for _, other, _, _ in chosen):
            ids = IDS[origin]
            raise InputError(
                f"config key `source.{origin}`: holds none of the problems {ids[0]} to {ids[-1]} (column `task_id`); "
                "name the file that does"
            )
    for _, origin, place, row in sorted(chosen, key=lambda entry: entry[0]):
        yield _read_row(row, origin, place)


def check_response(response: str, tests: Mapping[str, Any], sandbox: "Sandbox") -> Verdict:
    """Tell whether a response's program passes the problem's asserts."""
    program = read_program(PROMPT.cut(response), tests["names"])
    if program.code is None:
        return Verdict(False, NONE)
    verdict = sandbox.check(program.code, tests["test"], names=tests["names"])
    return verdict if verdict.passed or program.form != UNFINISHED else Verdict(False, UNFINISHED)


def _read_row(row: Mapping[str, Any], origin: str, place: str) -> Example:
    named, setup = f"{place}: problem {row['task_id']}", row.get("test_setup_code")
    if not isinstance(setup, str | None):
        raise InputError(f"{named}: its `test_setup_code` is not text (it may be empty); fix or drop that row")
    asserts = [_newlines(text).strip() for text in row["test_list"]]
    setup, code = _newlines(setup or ""), _newlines(row["code"])
    solution = parse_source(code, f"{named}: its `code`")
    test = parse_source("\n".join([setup, *asserts]), f"{named}: its `test_list`")
    called = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    names = [n.name for n in solution.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name in called]
    if not names:
        raise InputError(
            f"{named}: its `test_list` calls no function that its `code` defines, so that nothing would be tested; fix "
            "or drop that row"
        )
    imports = [
        ast.unparse(node)
        for node in solution.body
        if isinstance(node, ast.Import | ast.ImportFrom) and called & {name.asname or name.name for name in node.names}
    ]
    return Example(
        question="\n".join([row["text"].strip(), "", *asserts]),
        gold="pass",
        origin=origin,
        tests={"names": list(dict.fromkeys(names)), "test": "\n".join([*imports, setup, *asserts])},
        reference=in_block(code),
        place=place,
    )


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
