"""How a job asks a task for the answer of a response to a problem."""

from collections.abc import Mapping
from typing import Any

from autojudge.reading.answers import FORMS as READ_FORMS
from autojudge.reading.prompts import Prompt
from autojudge.tasks import Task, prompt_of

FOUND, NONE = "found", "none"  # the form where a task does not tell, and where there is no answer
FORMS = (*READ_FORMS, FOUND, NONE)
CHECKS = 4  # responses scored at a time, for tasks whose scoring is slow


class Scorer:
    """Scores responses by a task that reads their answers.

    Parameters
    ----------
    task : Task
        The module.

    Attributes
    ----------
    threads : int
        How many responses may be scored at a time, beside other work; 0: scoring takes no time worth a thread.
    memory_mb : int
        What scoring may take beside the process itself.
    checked_by : str or None
        What ran the responses' programs, None where there are none.
    """

    checked_by: str | None = None
    memory_mb = 0

    def __init__(self, task: Task) -> None:
        self.task = task
        self.threads = CHECKS if getattr(task, "SLOW_CHECKS", False) else 0

    @property
    def prompt(self) -> Prompt:
        """How the task asks."""
        return prompt_of(self.task)

    def answer(self, response: str, problem: Mapping[str, Any]) -> str | None:  # noqa: ARG002  # for programs
        """Return the final answer of a response to a problem, a row of problems.parquet; None where none is found."""
        return self.task.extract_answer(response)

    def same(self, a: str | None, b: str | None) -> bool:
        """Tell whether there are two answers and they are equal."""
        return a is not None and b is not None and self.task.same_answer(a, b)

    def form(self, response: str, problem: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return in which form, one of FORMS, a response gave its answer, and the answer."""
        if read := getattr(self.task, "read_answer", None):
            reading = read(response)
            return (reading.form, reading.answer) if reading else (NONE, None)
        answer = self.answer(response, problem)
        return (NONE if answer is None else FOUND), answer
