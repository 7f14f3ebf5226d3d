"""Datasets. A task is one module here with these four functions and a version, bumped when its scoring changes.

- ``load_examples(source, counts, seed)`` yields `Example`, of each origin as many as there are
- ``build_messages(question)`` returns the chat that asks the question
- ``extract_answer(text)`` returns the final answer of a response, None where none is found
- ``same_answer(a, b)`` tells whether two answers are equal

A module that sets ``STOP = ("text", ...)`` has responses end with the first of these texts, as at an end token.
A module whose ``extract_answer`` takes long sets ``SLOW_CHECKS = True``: mining then calls it in threads of its own.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from autojudge.errors import InputError


@dataclass(frozen=True)
class Example:
    """A problem as its dataset gives it.

    Attributes
    ----------
    origin : str
        "train": may become a training or validation problem; "test": may become a test problem.
    """

    question: str
    gold: str
    origin: str


class Task(Protocol):
    """The interface of a task module."""

    VERSION: int

    def load_examples(self, source: Any, counts: Mapping[str, int], seed: int) -> Iterator[Example]:
        """Yield examples."""

    def build_messages(self, question: str) -> list[dict[str, str]]:
        """Return the chat messages that ask a question."""

    def extract_answer(self, text: str) -> str | None:
        """Return the final answer of a response."""

    def same_answer(self, a: str, b: str) -> bool:
        """Tell whether two answers are equal."""


def task_names() -> list[str]:
    """Return the names of all tasks."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_task(name: str) -> Task:
    """Import the task of that name. Raises InputError for a name that no module has."""
    if name not in task_names():
        raise InputError(f"task `{name}` is unknown; known are {', '.join(task_names())}")
    return cast(Task, importlib.import_module(f"autojudge.tasks.{name}"))
