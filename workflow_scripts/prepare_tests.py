"""Rule prepare_tests: the tests of a dataset's problems, each tried on the dataset's own solution where it has one."""

from collections.abc import Iterator
from typing import Any

from autojudge.jobs.progress import Progress
from autojudge.mining.references import check_problems
from autojudge.sandbox import Sandbox
from autojudge.tables.tests import write_tests
from autojudge.tasks import load_program_task


def prepare_tests(dataset: dict[str, Any], seed: int, workers: int, output: str) -> None:
    """Write the tests of each problem, once its reference has passed them."""
    task, total = load_program_task(dataset["task"]), sum(filter(None, dataset["problems"].values()))
    progress = Progress(total, "problem")
    with Sandbox(workers) as sandbox:

        def checked() -> Iterator[tuple[str, dict[str, Any]]]:
            for problem in check_problems(task, dataset, seed, sandbox):
                yield problem.problem_id, problem.tests
                progress.advance(1)

        write_tests(checked(), output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        prepare_tests(
            dataset=snakemake.config["datasets"][snakemake.wildcards.dataset],
            seed=snakemake.params.seed,
            workers=snakemake.threads,
            output=snakemake.output[0],
        )
