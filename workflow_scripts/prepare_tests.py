"""Rule prepare_tests: the tests of a dataset's problems, each tried on the dataset's own solution where it has one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from autojudge.errors import InputError
from autojudge.jobs.progress import Progress
from autojudge.mining.problems import draw_problems
from autojudge.sandbox import Sandbox
from autojudge.tables.tests import write_tests
from autojudge.tasks import Example, ProgramTask, load_program_task

Tested = tuple[str, dict[str, Any]]


def prepare_tests(dataset: dict[str, Any], seed: int, workers: int, output: str) -> None:
    """Write the tests of each problem, once its reference has passed them."""
    task, total = load_program_task(dataset["task"]), sum(filter(None, dataset["problems"].values()))
    progress = Progress(total, "problem")
    with Sandbox(workers) as sandbox, ThreadPoolExecutor(workers) as threads:

        def check(drawn: tuple[str, str, Example]) -> Tested:
            return check_example(task, drawn[2], drawn[0], sandbox)

        def checked() -> Iterator[Tested]:
            problems = draw_problems(task, dataset, seed)
            while part := list(islice(problems, workers)):  # tests of a dataset may not fit into memory
                yield from threads.map(check, part)
                progress.advance(len(part))

        write_tests(checked(), output)


def check_example(task: ProgramTask, example: Example, problem_id: str, sandbox: Sandbox) -> Tested:
    """Return a problem with its tests. Raises InputError where it has none, or its reference fails them."""
    named = f"{example.place or 'dataset'}: problem {problem_id} ({example.question[:60]!r}...)"
    if not example.tests:
        raise InputError(f"{named} has no tests, and no program can pass; drop that row")
    if example.reference is not None:
        verdict = task.check_response(example.reference, example.tests, sandbox)
        if not verdict.passed:
            raise InputError(
                f"{named}: its own solution fails its tests ({verdict.reason}), so no verdict on others could be "
                "trusted; mend or drop that row"
            )
    return problem_id, dict(example.tests)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        prepare_tests(
            dataset=snakemake.config["datasets"][snakemake.wildcards.dataset],
            seed=snakemake.params.seed,
            workers=snakemake.threads,
            output=snakemake.output[0],
        )
