"""Rule report_answers: in which form responses gave their answers, and how many were cut off."""

from pathlib import Path
from typing import Any

from autojudge.engine.models import load_tokenizer
from autojudge.jobs.scoring import open_scorer
from autojudge.reporting import answers_page
from autojudge.scoring.scorer import Scorer
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, records
from autojudge.tables.mining import PROBLEMS, RESPONSES
from autojudge.tasks import describe_task


def report_answers(
    problems: str, responses: str | None, sweep: str, scorer: Scorer, pair: dict[str, Any], title: str, output: str
) -> None:
    """Write the report of a dataset and pair; `responses` is None where nothing was mined."""
    rows, tokenizer = records(read_table(PROBLEMS, problems)), load_tokenizer(pair)
    page = answers_page.build_page(
        scorer=scorer,
        title=title,
        problems={row["problem_id"]: row for row in rows},
        responses=read_table(RESPONSES, responses) if responses else None,
        sweep=read_table(SWEEP, sweep, ["problem_id", "rule", "response", "cut_off"]),
        decode=lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True),
    )
    Path(output).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    inputs, params = snakemake.input, snakemake.params
    with job_log(snakemake.log[0]), open_scorer(params.task, inputs.tests, snakemake.threads) as scorer:
        report_answers(
            problems=inputs.problems,
            responses=inputs.responses[0] if inputs.get("responses") else None,
            sweep=inputs.sweep,
            scorer=scorer,
            pair=snakemake.config["pairs"][snakemake.wildcards.pair],
            title=f"{params.title}, {describe_task(params.task)}",
            output=snakemake.output[0],
        )
