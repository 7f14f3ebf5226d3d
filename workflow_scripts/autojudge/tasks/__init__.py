"""Datasets. A task is one module here with these three functions and a VERSION, bumped when its scoring changes.

- ``load_examples(source, counts, seed)`` yields `Example`, of each origin as many as there are
- ``extract_answer(text)`` returns the final answer of a response, None where none is found
- ``same_answer(a, b)`` tells whether two answers are equal

A module that sets ``PROMPT = Prompt.load(__file__)`` words the question and names stop strings in a YAML file beside
it; without it the bare question is asked. A module with ``read_answer(text)`` returns a `Reading` or None, so that the
report can tell in which form answers came. A module whose ``extract_answer`` takes long sets ``SLOW_CHECKS = True``:
mining then calls it in threads of its own.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from autojudge.errors import InputError
from autojudge.prompts import Prompt


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

    def extract_answer(self, text: str) -> str | None:
        """Return the final answer of a response."""

    def same_answer(self, a: str, b: str) -> bool:
        """Tell whether two answers are equal."""


def prompt_of(task: Task) -> Prompt:
    """Return how a task asks."""
    return getattr(task, "PROMPT", Prompt())


def describe_task(name: str) -> str:
    """Return a task's name with the version of its scoring, as results name it."""
    return f"{name}, scoring version {load_task(name).VERSION}"


def task_names() -> list[str]:
    """Return the names of all tasks."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_task(name: str) -> Task:
    """Import the task of that name. Raises InputError for a name that no module has."""
    if name not in task_names():
        raise InputError(f"task `{name}` is unknown; known are {', '.join(task_names())}")
    return cast(Task, importlib.import_module(f"autojudge.tasks.{name}"))
