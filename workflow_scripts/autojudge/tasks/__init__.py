"""Datasets. A task is one module with these three functions and a VERSION, bumped when its scoring changes.

It lies here, or anywhere: the config then names its path, which ends with .py.

- ``load_examples(source, counts, seed)`` yields `Example`, of each origin as many as there are
- ``extract_answer(text)`` returns the final answer of a response, None where none is found
- ``same_answer(a, b)`` tells whether two answers are equal

A module that sets ``PROMPT = Prompt.load(__file__)`` words the question and names stop strings in a YAML file beside
it; without it the bare question is asked. A module with ``read_answer(text)`` returns a `Reading` or None, so that the
report can tell in which form answers came. A module whose ``extract_answer`` takes long sets ``SLOW_CHECKS = True``:
mining then calls it in threads of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from autojudge.errors import InputError
from autojudge.reading.prompts import Prompt
from autojudge.registry import Registry

TASKS = Registry(
    "tasks",
    "task",
    functions={"load_examples": 3, "extract_answer": 1, "same_answer": 2, "read_answer": 1},
    constants={"VERSION": int, "SLOW_CHECKS": bool},
    optional={"read_answer", "SLOW_CHECKS"},
)


@dataclass(frozen=True)
class Example:
    """A problem as its dataset gives it.

    Attributes
    ----------
    origin : str
        "train": may become a training or validation problem; "test": may become a test problem.
    tests : mapping, optional
        Of a task whose responses are programs: what its `check_response` tests them by, as JSON-like values.
    reference : str, optional
        A response that passes the tests, for a check of these.
    place : str
        File and row that the problem is from, for messages.
    """

    question: str
    gold: str
    origin: str
    tests: Mapping[str, Any] | None = None
    reference: str | None = None
    place: str = ""


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
    """Return a task's name, or its file's, with the version of its scoring, as results name it."""
    return f"{Path(name).name}, scoring version {TASKS.check(name)['VERSION']}"


def check_task(name: str) -> None:
    """Check a task without importing it.

    Raises
    ------
    InputError
        The module, or the YAML file beside it, is not what a task needs, or the one does not read the other.
    """
    TASKS.check(name)
    path, wording = TASKS.path(name), TASKS.expression(name, "PROMPT") or ""
    if wording.endswith("Prompt.load(__file__)"):
        Prompt.load(path)
    elif name in TASKS.names() and path.with_suffix(".yaml").exists():
        raise InputError(
            f"{path}: does not read the file {path.stem}.yaml beside it; set `PROMPT = Prompt.load(__file__)`, or "
            "delete that file"
        )


def load_task(name: str) -> Task:
    """Import the task of that name, or of that file. Raises InputError where there is none."""
    return cast(Task, TASKS.load(name))
