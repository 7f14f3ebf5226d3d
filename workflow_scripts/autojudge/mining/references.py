"""The tests of a dataset's problems, each tried on the dataset's own solution where it has one."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from autojudge.errors import InputError
from autojudge.mining.problems import draw_problems
from autojudge.sandbox import Sandbox
from autojudge.tasks import Example, ProgramTask


class Tested(NamedTuple):
    """A problem with its tests, as JSON-like values by name."""

    problem_id: str
    split: str
    tests: dict[str, Any]


def check_problems(
    task: ProgramTask, dataset: Mapping[str, Any], seed: int, sandbox: Sandbox | None
) -> Iterator[Tested]:
    """Yield the drawn problems of a dataset, their tests unpacked and, with a sandbox, passed by their references.

    Raises
    ------
    InputError
        Like `draw_problems`; or a problem has no tests, they cannot be unpacked, or its reference fails them.
    """
    problems, workers = draw_problems(task, dataset, seed), sandbox.workers if sandbox else 1
    with ThreadPoolExecutor(workers) as threads:
        while part := list(islice(problems, workers)):  # tests of a dataset may not fit into memory
            yield from threads.map(lambda drawn: _check(task, drawn, sandbox), part)


def _check(task: ProgramTask, drawn: tuple[str, str, Example], sandbox: Sandbox | None) -> Tested:
    problem_id, split, example = drawn
    named = f"{example.place or 'dataset'}: problem {problem_id} ({example.question[:60]!r}...)"
    if not example.tests:
        raise InputError(f"{named} has no tests, and no program can pass; drop that row")
    if example.reference is not None and sandbox is not None:
        verdict = task.check_response(example.reference, example.tests, sandbox)
        if not verdict.passed:
            raise InputError(
                f"{named}: its own solution fails its tests ({verdict.reason}), so no verdict on others could be "
                "trusted; fix or drop that row"
            )
    return Tested(problem_id, split, dict(example.tests))
