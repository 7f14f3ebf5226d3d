"""Rule report_answers: in which form responses gave their answers, and how many were cut off."""

from pathlib import Path

from autojudge.engine.models import load_tokenizer
from autojudge.reporting.answers_page import report_answers
from autojudge.tables import schemas
from autojudge.tasks import describe_task, load_task


def write_report(
    problems: str, responses: str | None, sweep: str, task: str, pair: dict, title: str, output: str
) -> None:
    """Write the report of a dataset and pair."""
    golds = schemas.read_table("problems", problems, ["problem_id", "gold"]).set_index("problem_id")["gold"].to_dict()
    mined = schemas.read_table("responses", responses) if responses else None
    decoded = schemas.read_table("sweep", sweep, ["problem_id", "rule", "response", "cut_off"])
    tokenizer = load_tokenizer(pair)
    text = report_answers(
        load_task(task),
        f"{title}, {describe_task(task)}",
        golds,
        mined,
        decoded,
        lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True),
    )
    Path(output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        given, params = snakemake.input, snakemake.params
        responses = given.responses[0] if given.get("responses") else None
        tables = (given.problems, responses, given.sweep)
        write_report(*tables, params.task, params.pair, params.title, snakemake.output[0])
