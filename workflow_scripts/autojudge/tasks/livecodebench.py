"""LiveCodeBench's code generation (Jain et al. 2024): contest problems of known dates, with public and private tests.

Programs read standard input, or define a function. Which of them pass is decided as by LiveCodeBench's checker, but
for time, which is the processor's. There is no training split.
"""

import base64
import binascii
import json
import pickletools
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import TYPE_CHECKING, Any

from autojudge.errors import InputError
from autojudge.reading.programs import NONE, UNFINISHED, put_before, read_program
from autojudge.reading.prompts import Prompt
from autojudge.reading.rows import load_rows
from autojudge.sandbox import Verdict
from autojudge.tasks import Example

if TYPE_CHECKING:
    from autojudge.sandbox import Sandbox

VERSION = 1
PROMPT = Prompt.load(__file__)
COLUMNS = {
    **{"question_content": str, "question_id": str, "metadata": str},
    **{"public_test_cases": str, "private_test_cases": str},
}
OTHERS = ("starter_code", "contest_date")  # the one may be empty, the other a date in parquet files
PAPER = "release_v5"  # the release of the AutoJudge paper, read from the hub where none is named
CPU_S = 6  # a test
LARGEST = 2**29  # bytes of a problem's private tests, packed and unpacked
OUTPUT = 2**20  # bytes that a program may write at least; also twice what it is to write
TEXTS = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
AROUND = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}  # what is round a lone text in a pickle

# What the checker puts before a program: names of these modules, later ones over earlier, and the modules themselves.
MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json"),
)
PRELUDE = "\n".join(
    [
        *(f"from {module} import *" for module in (*MODULES, "builtins", "typing")),
        *(f"import {module}" for module in MODULES),
        "sys.setrecursionlimit(50000)",
    ]
)
TEST = """
import json

for lines, output in json.loads({cases!r}):
    found = {name}(*map(json.loads, lines.split("\\n")))
    assert (list(found) if isinstance(found, tuple) else found) == json.loads(output)
"""


def load_examples(source: Any, _counts: Mapping[str, int], _seed: int) -> Iterator[Example]:
    """Yield the problems of a release from the test files or the hub, those of the days that the source names."""
    options = source if isinstance(source, Mapping) else {}
    release, first, last = options.get("release"), _read_day(options, "from"), _read_day(options, "until")
    if isinstance(source, Mapping) and release and isinstance(test := source.get("test"), str | list):
        source = {**source, "test": _files_of(release, test if isinstance(test, list) else [test])}
    settings = ("release", "from", "until")
    rows = load_rows(source, COLUMNS, release or PAPER, OTHERS, {"test": "test"}, settings)
    for origin, place, row in _choose(rows, first, last):
        named = f"{place}: problem {row['question_id']}"
        question = _word(row, named)
        tests = Tests(row, _function_of(row, named), named)
        yield Example(question, "pass", origin, tests, place=place)


def check_response(response: str, tests: Mapping[str, Any], sandbox: "Sandbox") -> Verdict:
    """Tell whether a response's program passes all tests."""
    function, cases = tests["function"], tests["cases"]
    names = [f"Solution.{function}", function] if function else []
    program = read_program(PROMPT.cut(response), names)
    if program.code is None:
        return Verdict(False, NONE)
    code = put_before(PRELUDE, program.code)
    if function:
        verdict = _check_function(code, program.name or names[0], cases, sandbox)
    else:
        verdict = _check_script(code, cases, sandbox)
    return verdict if verdict.passed or program.form != UNFINISHED else Verdict(False, UNFINISHED)


def _check_function(code: str, name: str, cases: Sequence[Sequence[str]], sandbox: "Sandbox") -> Verdict:
    def check(some: Sequence[Sequence[str]]) -> Verdict:
        test = TEST.format(name=name, cases=json.dumps(some))
        return sandbox.check(code, test, names=[name], cpu_s=CPU_S)

    verdict = check(cases)
    if verdict.reason != "time" or len(cases) == 1:
        return verdict
    return next((one for case in cases if not (one := check([case])).passed), Verdict(True, "passed"))


def _check_script(code: str, cases: Sequence[Sequence[str]], sandbox: "Sandbox") -> Verdict:
    for given, wanted in cases:
        run = sandbox.run(code, given, cpu_s=CPU_S, output_bytes=max(OUTPUT, 2 * len(wanted.encode())))
        if run.ended != "ok" and not run.exited:  # an exit code is nothing to LiveCodeBench's checker
            return Verdict(False, run.ended)
        if not same_output(run.stdout.decode(errors="replace"), wanted):
            return Verdict(False, "wrong value")
    return Verdict(True, "passed")


def same_output(written: str, wanted: str) -> bool:
    """Tell whether outputs have the same lines, spaces at their ends left out, each as text or as numbers."""
    ours, theirs = ([line.strip() for line in text.strip().split("\n")] for text in (written, wanted))
    return len(ours) == len(theirs) and all(a == b or _same_numbers(a, b) for a, b in zip(ours, theirs, strict=True))


def _same_numbers(a: str, b: str) -> bool:
    try:
        return list(map(Decimal, a.split())) == list(map(Decimal, b.split()))
    except InvalidOperation:  # a word, or NaN
        return False


class Tests(Mapping[str, Any]):
    """The tests of a row, unpacked when first asked for: "function" or None, and "cases", pairs of input and output.

    Raises
    ------
    InputError
        Then, where they cannot be unpacked, or are not what tests must be.
    """

    def __init__(self, row: Mapping[str, Any], function: str | None, named: str) -> None:
        self._row, self._function, self._named = row, function, named

    def __getitem__(self, key: str) -> Any:
        return self._read[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)

    @cached_property
    def _read(self) -> dict[str, Any]:
        cases: list[list[str]] = []
        for column, text in (
            ("public_test_cases", self._row["public_test_cases"]),
            ("private_test_cases", unpack(self._row["private_test_cases"], self._named)),
        ):
            cases += _read_cases(text, self._function, f"{self._named}: its `{column}`")
        if not cases:
            raise InputError(f"{self._named}: has no tests, public or private, and no program can pass; drop that row")
        return {"function": self._function, "cases": cases}


def unpack(packed: str, named: str) -> str:
    """Return private tests as JSON text: themselves, or what is packed by base64, zlib and pickle. No code is run.

    Raises
    ------
    InputError
        They are packed in another way, or larger than `LARGEST`.
    """
    column = f"{named}: its `private_test_cases`"
    if len(packed) > LARGEST:
        raise InputError(f"{column} has {len(packed)} characters, more than {LARGEST}; drop that row")
    if packed.lstrip()[:1] in ("[", "{"):
        return packed
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b64decode(packed, validate=True), LARGEST + 1)
    except (binascii.Error, zlib.error, ValueError) as fault:  # ValueError: not ASCII
        raise InputError(
            f"{column} is neither JSON nor packed by base64 and zlib ({fault}); get that file again, or drop that row"
        ) from fault
    if len(data) > LARGEST:
        raise InputError(f"{column} unpacks to more than {LARGEST} bytes; drop that row")
    if not stream.eof:
        raise InputError(f"{column} is cut off; get that file again, or drop that row")
    return _read_lone_text(data, column)


def _read_lone_text(data: bytes, column: str) -> str:
    """Return the text that is all of a pickle, whose operations are read and not run."""
    texts: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(data):
            if operation.name in TEXTS:
                texts.append(str(argument))
            elif operation.name == "STOP" and len(texts) == 1:
                return texts[0]
            elif operation.name not in AROUND:
                break
    except ValueError as fault:  # also UnicodeDecodeError
        raise InputError(f"{column} is not a pickle ({fault}); get that file again, or drop that row") from fault
    raise InputError(
        f"{column} is a pickle of something other than one text, which might run code and is not loaded; drop that "
        "row, and check where the file is from"
    )


def _read_cases(text: str, function: str | None, column: str) -> list[list[str]]:
    """Return pairs of input and output."""
    try:
        found = json.loads(text)
        cases = [[case["input"], case["output"]] for case in found]
    except (ValueError, RecursionError, TypeError, KeyError) as fault:
        raise InputError(
            f"{column} is not a JSON list of tests with `input` and `output` ({type(fault).__name__}: {fault}); drop "
            "that row"
        ) from fault
    for number, (case, pair) in enumerate(zip(found, cases, strict=True), 1):
        if not all(isinstance(side, str) for side in pair):
            raise InputError(f"{column}: test {number} has an input or output that is not text; drop that row")
        _check_unicode(pair, f"{column}: test {number}")
        if function is None and case.get("testtype") == "functional":
            raise InputError(
                f"{column}: test {number} calls a function, but `metadata` has no `func_name`; add it, or drop that row"
            )
        if function is not None:
            _check_json(pair, f"{column}: test {number}")
    return cases


def _check_json(pair: Sequence[str], named: str) -> None:
    try:
        values = [json.loads(line) for line in [*pair[0].split("\n"), pair[1]]]
        texts = [json.dumps(value, ensure_ascii=False) for value in values]
    except (ValueError, RecursionError) as fault:
        raise InputError(f"{named} of a function is not JSON, one value per line ({fault}); drop that row") from fault
    _check_unicode(texts, named)


def _check_unicode(texts: Sequence[str], named: str) -> None:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError as fault:
        raise InputError(f"{named} has half a character (a lone surrogate); drop that row") from fault


def _function_of(row: Mapping[str, Any], named: str) -> str | None:
    """Return the function that a problem asks for, None where it asks for a script."""
    try:
        name = json.loads(row["metadata"]).get("func_name")
    except (ValueError, RecursionError, AttributeError) as fault:
        raise InputError(f"{named}: its `metadata` is not a JSON object ({fault}); drop that row") from fault
    if name is not None and not re.search(rf"\bdef\s+{re.escape(str(name))}\s*\(", row["starter_code"]):
        raise InputError(
            f"{named}: its `metadata` has the func_name {name!r}, which its `starter_code` lacks, so that no program "
            "could know it; fix or drop that row"
        )
    return None if name is None else str(name)


def _word(row: Mapping[str, Any], named: str) -> str:
    """Return a problem's text with the format in which it is to be answered."""
    starter = row.get("starter_code")
    if not isinstance(starter, str):
        raise InputError(f"{named}: has no text in column `starter_code` (empty for scripts); fix or drop that row")
    form = PROMPT.parts["starter_code" if starter else "stdin"].replace("{starter_code}", starter)
    return f"{row['question_content']}\n\n{form}"


def _choose(
    rows: Iterator[tuple[str, str, dict[str, Any]]], first: date | None, last: date | None
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the rows of some days. Raises InputError, after the last row, where there are none."""
    days, some = set[date](), False
    for origin, place, row in rows:
        day = _date_of(row, f"{place}: problem {row['question_id']}")
        days.add(day)
        if (first is None or first <= day) and (last is None or day <= last):
            some = True
            yield origin, place, row
    if days and not some:
        raise InputError(
            f"config keys `source.from` and `source.until` of the dataset: no problem is from {first or 'the start'} "
            f"until {last or 'the end'}; the files have problems from {min(days)} until {max(days)}"
        )


def _date_of(row: Mapping[str, Any], named: str) -> date:
    try:
        return datetime.fromisoformat(str(row.get("contest_date"))).date()
    except ValueError as fault:
        raise InputError(f"{named}: its `contest_date` is not an ISO date ({fault}); fix or drop that row") from fault


def _read_day(options: Mapping[str, Any], key: str) -> date | None:
    try:
        return date.fromisoformat(str(options[key])) if options.get(key) else None
    except ValueError as fault:
        raise InputError(f'config key `source.{key}` of the dataset: {fault}; write a day like "2024-08-01"') from fault


def _files_of(release: str, files: Sequence[Any]) -> Sequence[Any]:
    """Return those of test.jsonl, test2.jsonl and so on of which a release is made."""
    count = int(release.removeprefix("release_v"))
    if len(files) < count:
        raise InputError(
            f"config key `source.release` of the dataset: {release} is made of {count} files, and `test` lists "
            f"{len(files)}; list test.jsonl, test2.jsonl and so on, in this order"
        )
    return files[:count]
