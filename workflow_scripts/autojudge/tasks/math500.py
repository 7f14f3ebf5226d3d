"""MATH-500 (Lightman et al. 2023), mined on MATH's training split (Hendrycks et al. 2021): competition mathematics.

Rows hold `problem` and `solution`, and may hold `answer`; without it the solution's last boxed expression is the
answer.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from autojudge.errors import InputError
from autojudge.reading.answers import Reading, boxed, read_expression
from autojudge.reading.math_equality import shared_equality
from autojudge.reading.prompts import Prompt
from autojudge.reading.rows import load_rows
from autojudge.tasks import Example

VERSION = 2
PROMPT = Prompt.load(__file__)
SLOW_CHECKS = True


def load_examples(source: Any, _counts: Mapping[str, int], _seed: int) -> Iterator[Example]:
    """Yield the rows of the train and test files or hub splits."""
    for origin, place, row in load_rows(source, {"problem": str, "solution": str}):
        yield Example(row["problem"], _read_gold(row, place), origin)


def read_answer(text: str) -> Reading | None:
    """Return the last stated final answer, else the last boxed expression, else the last number."""
    return read_expression(PROMPT.cut(text))


def extract_answer(text: str) -> str | None:
    """Return the answer of `read_answer`, as LaTeX."""
    reading = read_answer(text)
    return reading.answer if reading else None


def same_answer(a: str, b: str) -> bool:
    """Tell whether two answers mean the same, by math-verify."""
    return shared_equality().same(a, b)


def _read_gold(row: Mapping[str, Any], place: str) -> str:
    answer = row.get("answer")
    found = [answer] if isinstance(answer, str) else boxed(row["solution"])
    if found and found[-1].strip():
        return found[-1]
    raise InputError(
        f"{place}: neither an `answer` nor one boxed in its solution {row['solution'][-60:]!r}; fix or drop that row"
    )
