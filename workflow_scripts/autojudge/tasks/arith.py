"""Generated grade-school word problems, those that the embedded models were not trained on."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from autojudge.tasks import Example
from autojudge.testbed.problems import generate_problems, is_test_problem

VERSION = 1
FINAL = re.compile(r"The final answer is (-?\d+)")


def load_examples(_source: Any, _counts: Mapping[str, int], seed: int) -> Iterator[Example]:
    """Yield distinct problems without end; about every second one is a test problem."""
    for problem in generate_problems(seed, experiment=True):
        yield Example(problem.question, str(problem.answer), "test" if is_test_problem(problem.question) else "train")


def extract_answer(text: str) -> str | None:
    """Return the last stated final answer."""
    found = FINAL.findall(text)
    return str(int(found[-1])) if found else None


def same_answer(a: str, b: str) -> bool:
    """Compare as text; answers are whole numbers without leading zeros."""
    return a == b
