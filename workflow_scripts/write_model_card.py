"""Rule write_model_card: what a judge is, what it was chosen by, how to use it."""

from pathlib import Path

from autojudge.judging.artifact import Judge, load_judge
from autojudge.reporting.model_card import build_card


def write_model_card(judge: Judge, output: str) -> None:
    """Write the model card of a judge."""
    Path(output).write_text(build_card(judge.record), encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        write_model_card(judge=load_judge(Path(snakemake.input.judge[0]).parent), output=snakemake.output[0])
