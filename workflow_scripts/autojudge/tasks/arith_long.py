"""The longer of the generated problems, of seven steps or more: another distribution for the embedded pair's judge."""

from collections.abc import Iterator, Mapping
from typing import Any

from autojudge.tasks import Example
from autojudge.tasks.arith import extract_answer, same_answer
from autojudge.testbed.problems import generate_problems, is_test_problem

__all__ = ["extract_answer", "same_answer"]
VERSION = 1
LEAST_STEPS = 7


def load_examples(_source: Any, _counts: Mapping[str, int], seed: int) -> Iterator[Example]:
    """Yield distinct problems without end; about every second one is a test problem."""
    for problem in generate_problems(seed, experiment=True):
        if len(problem.events) >= LEAST_STEPS:
            origin = "test" if is_test_problem(problem.question) else "train"
            yield Example(problem.question, str(problem.answer), origin)
