"""What a job scores responses with: the task, and for programs the sandbox, before any model is loaded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from autojudge.sandbox import Sandbox
from autojudge.scoring.scorer import Scorer
from autojudge.scoring.verdicts import VerdictScorer
from autojudge.tables.tests import ProblemTests
from autojudge.tasks import load_program_task, load_task, runs_programs


@contextmanager
def open_scorer(task: str, tests: Sequence[str], workers: int) -> Iterator[Scorer]:
    """Give the scorer of a task, whose programs, if responses are such, are run until the context ends.

    Parameters
    ----------
    task : str
        Name of the task, or its file.
    tests : sequence of str
        Path of table `tests`, where responses are programs, else nothing.
    workers : int
        Programs that may run at a time.

    Raises
    ------
    InputError
        Programs would have to run, and there is no sandbox for them or no tests.
    """
    if not runs_programs(task):
        yield Scorer(load_task(task))
        return
    with Sandbox(workers) as sandbox:
        yield VerdictScorer(load_program_task(task), ProblemTests(tests[0]), sandbox)
