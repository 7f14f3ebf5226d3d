"""Shards hold every item once."""

from autojudge.jobs.shards import take_shard


def test_shards_hold_every_item_once_and_differ_by_one_in_size():
    items = list(range(11))
    shards = [take_shard(items, f"{i}-of-3") for i in (1, 2, 3)]
    assert sorted(sum(shards, [])) == items
    assert sorted(map(len, shards)) == [3, 4, 4]
