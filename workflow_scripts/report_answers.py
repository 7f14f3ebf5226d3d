"""Rule report_answers: in which form responses gave their answers, and how many were cut off."""

from pathlib import Path
from typing import Any

from autojudge.engine.models import load_tokenizer
from autojudge.reporting import answers_page
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table
from autojudge.tables.mining import PROBLEMS, RESPONSES
from autojudge.tasks import describe_task, load_task


def report_answers(
    problems: str, responses: str | None, sweep: str, task: str, pair: dict[str, Any], title: str, output: str
) -> None:
    """Write the report of a dataset and pair; `responses` is None where nothing was mined."""
    golds = read_table(PROBLEMS, problems, ["problem_id", "gold"]).set_index("problem_id")["gold"].to_dict()
    tokenizer = load_tokenizer(pair)
    page = answers_page.build_page(
        task=load_task(task),
        title=f"{title}, {describe_task(task)}",
        golds=golds,
        responses=read_table(RESPONSES, responses) if responses else None,
        sweep=read_table(SWEEP, sweep, ["problem_id", "rule", "response", "cut_off"]),
        decode=lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True),
    )
    Path(output).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        report_answers(
            problems=snakemake.input.problems,
            responses=snakemake.input.responses[0] if snakemake.input.get("responses") else None,
            sweep=snakemake.input.sweep,
            task=snakemake.params.task,
            pair=snakemake.config["pairs"][snakemake.wildcards.pair],
            title=snakemake.params.title,
            output=snakemake.output[0],
        )
