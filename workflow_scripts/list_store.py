"""Rule list_store: what the store of finished work holds, and how much of it the config does not use."""

from collections.abc import Mapping
from pathlib import Path

from autojudge.workflow.stock import describe_stocks, find_stocks


def list_store(config: Mapping, models: Mapping, results: Path, log: Path) -> None:
    """Write the table of all stores to the log and the screen."""
    text = describe_stocks(find_stocks(config, models, results))
    log.write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        list_store(
            config=snakemake.config,
            models=snakemake.params.models,
            results=Path("results"),
            log=Path(snakemake.log[0]),
        )
