"""Cut a job's items into shards, and tidy up once these are gathered."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
logger = logging.getLogger("autojudge")


def take_shard(items: Sequence[Item], shard: str) -> list[Item]:
    """Return the items of a shard: every n-th one, for a shard named "i-of-n" with i from 1."""
    index, count = (int(number) for number in shard.split("-of-"))
    return list(items[index - 1 :: count])


def remove_journals(folder: str) -> None:
    """Delete the journals of gathered shards."""
    shutil.rmtree(folder, ignore_errors=True)
    if Path(folder).exists():
        logger.warning("%s cannot be deleted; do it by hand, as a run with another config will refuse it", folder)
