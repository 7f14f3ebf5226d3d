"""MATH-500 (Lightman et al. 2023), mined on MATH's training split (Hendrycks et al. 2021): competition mathematics.

Rows hold `problem` and `solution`, and may hold `answer`, a text or a number; without it the solution's last boxed
answer counts.
"""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from autojudge.errors import InputError
from autojudge.reading.answers import Reading, boxed_answers, read_expression
from autojudge.reading.math_equality import shared_equality
from autojudge.reading.numbers import write_number
from autojudge.reading.prompts import Prompt
from autojudge.reading.rows import load_rows
from autojudge.tasks import Example

VERSION = 3
PROMPT = Prompt.load(__file__)
SLOW_CHECKS = True


def load_examples(source: Any, _counts: Mapping[str, int], _seed: int) -> Iterator[Example]:
    """Yield the rows of the train and test files or hub splits."""
    for origin, place, row in load_rows(source, {"problem": str, "solution": str}, optional=("answer",)):
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
    found = boxed_answers(row["solution"])[-1:] if answer is None else [_write(answer, place)]
    if found and found[-1].strip():
        return found[-1]
    raise InputError(
        f"{place}: neither an `answer` nor one boxed in its solution {row['solution'][-60:]!r}; fix or drop that row"
    )


def _write(answer: Any, place: str) -> str:
    if isinstance(answer, str):
        return answer
    if type(answer) in (int, float, Decimal) and math.isfinite(answer):  # not isinstance: a bool is an int
        return write_number(Fraction(str(answer)))
    raise InputError(f"{place}: its `answer` {answer!r:.60} is neither text nor a number; fix or drop that row")
