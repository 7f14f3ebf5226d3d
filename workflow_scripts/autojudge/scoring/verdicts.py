"""Verdicts on programs: how a job asks a task whether the program of a response passes a problem's tests."""

from collections.abc import Mapping
from threading import Lock
from typing import Any

from autojudge.reading.prompts import Prompt
from autojudge.sandbox import Sandbox, Verdict
from autojudge.scoring.scorer import Scorer
from autojudge.tables.tests import ProblemTests
from autojudge.tasks import ProgramTask, prompt_of

PASS, FAIL = "pass", "fail"


class VerdictScorer(Scorer):
    """Scores responses by running their programs; a response is run once for a problem, as many texts come again.

    Parameters
    ----------
    task : ProgramTask
        The module.
    tests : ProblemTests
        Of the dataset.
    sandbox : Sandbox
        Open; as many responses are scored at a time as it has workers.
    """

    def __init__(self, task: ProgramTask, tests: ProblemTests, sandbox: Sandbox) -> None:
        self._task, self._tests, self._sandbox = task, tests, sandbox
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._lock = Lock()
        self.threads, self.memory_mb, self.checked_by = sandbox.workers, sandbox.memory_mb, sandbox.description

    @property
    def prompt(self) -> Prompt:
        """How the task asks."""
        return prompt_of(self._task)

    def verdict(self, response: str, problem: Mapping[str, Any]) -> Verdict:
        """Return the verdict on a response to a problem, a row of problems.parquet.

        Raises
        ------
        InputError
            The tests are not there.
        SandboxError
            The sandbox cannot tell, through no fault of the program.
        """
        key = (problem["tests"], response)
        with self._lock:
            known = self._verdicts.get(key)
        if known is None:
            known = self._task.check_response(response, self._tests.of(problem), self._sandbox)
            with self._lock:
                self._verdicts[key] = known
        return known

    def answer(self, response: str, problem: Mapping[str, Any]) -> str:
        """Return PASS or FAIL."""
        return PASS if self.verdict(response, problem).passed else FAIL

    def same(self, a: str | None, b: str | None) -> bool:
        """Tell whether two verdicts are equal."""
        return a == b

    def form(self, response: str, problem: Mapping[str, Any]) -> tuple[str, str]:
        """Return the verdict's reason, and PASS or FAIL."""
        return self.verdict(response, problem).reason, self.answer(response, problem)
