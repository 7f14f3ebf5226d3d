"""Cut a job's items into shards."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def take_shard(items: Sequence[Item], shard: str) -> list[Item]:
    """Return the items of a shard: every n-th one, for a shard named "i-of-n" with i from 1."""
    index, count = (int(number) for number in shard.split("-of-"))
    return list(items[index - 1 :: count])
