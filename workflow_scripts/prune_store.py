"""Rule prune_store: drop from the store of the config's runs what the config does not use."""

from collections.abc import Mapping
from pathlib import Path

from autojudge.jobs.store import describe_bytes
from autojudge.workflow.stock import find_stocks


def prune_store(config: Mapping, models: Mapping, results: Path, log: Path) -> None:
    """Drop unused pieces and tell how many; a store whose use cannot be told is left as it is."""
    lines = []
    for stock in find_stocks(config, models, results):
        if stock.used is None:
            lines.append(f"{stock.folder}: left as it is ({stock.note})")
            continue
        unused = stock.unused
        size = describe_bytes(stock.bytes(unused))
        if unused:
            stock.store.keep(stock.used)
        lines.append(f"{stock.folder}: {len(unused)} pieces dropped, {size}")
    text = "\n".join(lines) or "The store is empty."
    log.write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        prune_store(
            config=snakemake.config,
            models=snakemake.params.models,
            results=Path("results"),
            log=Path(snakemake.log[0]),
        )
