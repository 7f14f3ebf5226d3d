"""Rule report_mining: how labels were mined, how many alternatives were stopped, and how many of these wrongly."""

from pathlib import Path
from typing import Any

from autojudge.reporting.mining_page import build_page, count_stops
from autojudge.tables.files import read_table
from autojudge.tables.mining import LABELS, RESPONSES

OF_LABELS = ["problem_id", "position", "important", "alternative_tokens", "stopped", "audited"]
OF_RESPONSES = ["problem_id", "target_tokens", "mined_tokens", "mined_again", "target_evaluated"]


def report_mining(labels: str, responses: str, title: str, agreement: bool, output: str, **sources: Any) -> None:
    """Write the page of a dataset and pair; `sources`: likelihood and samples, as `build_page` takes them."""
    stops = count_stops(read_table(LABELS, labels, OF_LABELS), read_table(RESPONSES, responses, OF_RESPONSES))
    Path(output).write_text(build_page(stops, title, agreement, **sources), encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        report_mining(
            labels=snakemake.input.labels,
            responses=snakemake.input.responses,
            title=snakemake.params.title,
            agreement=snakemake.params.agreement,
            likelihood=snakemake.params.likelihood,
            samples=snakemake.params.samples,
            output=snakemake.output[0],
        )
