"""Datasets. A task is one module with three functions and a VERSION, bumped when its scoring changes.

It lies here, or anywhere: the config then names its path, which ends with .py.

- ``load_examples(source, counts, seed)`` yields `Example`, of each origin as many as there are
- ``extract_answer(text)`` returns the final answer of a response, None where none is found
- ``same_answer(a, b)`` tells whether two answers are equal

or, where responses are programs, with ``load_examples`` and in place of the other two

- ``check_response(response, tests, sandbox)`` runs a response's program in the sandbox, and returns its `Verdict`

A module that sets ``PROMPT = Prompt.load(__file__)`` words the question and names stop strings in a YAML file beside
it; without it the bare question is asked. A module with ``read_answer(text)`` returns a `Reading` or None, so that the
report can tell in which form answers came. A module whose ``extract_answer`` takes long sets ``SLOW_CHECKS = True``:
mining then calls it in threads of its own. A module of questions alone sets ``ANSWERS = False``, and its examples have
no `gold`: labels by likelihood need none, all else does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from autojudge.errors import InputError
from autojudge.reading.prompts import Prompt
from autojudge.registry import Registry

if TYPE_CHECKING:
    from autojudge.sandbox import Sandbox, Verdict

TASKS = Registry(
    "tasks",
    "task",
    functions={
        "load_examples": 3,
        "extract_answer": 1,
        "same_answer": 2,
        "read_answer": 1,
        "check_response": 3,
    },  # fmt: skip
    constants={"VERSION": int, "SLOW_CHECKS": bool},
    optional={"read_answer", "SLOW_CHECKS", "check_response"},
    instead={"check_response": {"extract_answer", "same_answer"}},
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
    gold: str | None
    origin: str
    tests: Mapping[str, Any] | None = None
    reference: str | None = None
    place: str = ""


class Task(Protocol):
    """The interface of a task module whose responses are read."""

    VERSION: int

    def load_examples(self, source: Any, counts: Mapping[str, int], seed: int) -> Iterator[Example]:
        """Yield examples."""

    def extract_answer(self, text: str) -> str | None:
        """Return the final answer of a response."""

    def same_answer(self, a: str, b: str) -> bool:
        """Tell whether two answers are equal."""


def prompt_of(task: "Task | ProgramTask") -> Prompt:
    """Return how a task asks."""
    return getattr(task, "PROMPT", Prompt())


def describe_task(name: str) -> str:
    """Return a task's name, or its file's, with the version of its scoring, as results name it."""
    return f"{Path(name).name}, scoring version {TASKS.check(name)['VERSION']}"


def runs_programs(name: str) -> bool:
    """Tell whether a task's responses are programs. Raises InputError like `check_task`."""
    return TASKS.defines(name, "check_response")


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


class ProgramTask(Protocol):
    """The interface of a task module whose responses are programs."""

    VERSION: int

    def load_examples(self, source: Any, counts: Mapping[str, int], seed: int) -> Iterator[Example]:
        """Yield examples with `tests`."""

    def check_response(self, response: str, tests: Mapping[str, Any], sandbox: "Sandbox") -> "Verdict":
        """Tell whether the program of a response passes the tests."""


def load_task(name: str) -> Task:
    """Import the task of that name, or of that file. Raises InputError where there is none."""
    return cast(Task, TASKS.load(name))


def load_program_task(name: str) -> ProgramTask:
    """Import a task of which `runs_programs` holds. Raises InputError like `load_task`."""
    return cast(ProgramTask, TASKS.load(name))
