"""The miner of each source of labels."""

from collections.abc import Mapping
from typing import Any

from autojudge.mining.agreement import Agreement, load_miner
from autojudge.mining.likelihood import LikelihoodMiner
from autojudge.mining.miner import Miner


def open_miner(agreement: Mapping[str, Any] | None, likelihood: Mapping[str, Any] | None, *arguments: Any) -> Miner:
    """Return a miner loaded like `Miner.load`, of labels by answers or by likelihood. Raises InputError like it.

    Parameters
    ----------
    agreement : mapping or None
        `Agreement` by its attributes.
    likelihood : mapping or None
        With `tokens`.
    """
    if likelihood is None:
        return load_miner(Agreement(**agreement) if agreement else None, *arguments)
    miner = LikelihoodMiner.load(*arguments)
    assert isinstance(miner, LikelihoodMiner)
    miner.tokens = likelihood["tokens"]
    return miner
