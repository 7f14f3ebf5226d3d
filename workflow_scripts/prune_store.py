"""Rule prune_store: drop from the store of the config's runs what the config does not use."""

import logging
from collections.abc import Mapping
from pathlib import Path

from autojudge.jobs.store import describe_bytes
from autojudge.workflow.stock import find_stocks

logger = logging.getLogger("autojudge")


def prune_store(config: Mapping, models: Mapping, results: Path) -> None:
    """Drop unused pieces; a store of no run of the config, or whose use cannot be told, is left as it is."""
    for stock in find_stocks(config, models, results):
        if stock.used is None:
            logger.info("%s: left as it is (%s)", stock.folder, stock.note)
            continue
        unused = stock.unused
        size = stock.bytes(unused)
        if unused:
            stock.store.keep(stock.used)
        logger.info("%s: %d pieces dropped, %s", stock.folder, len(unused), describe_bytes(size))


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        prune_store(config=snakemake.config, models=snakemake.params.models, results=Path("results"))
