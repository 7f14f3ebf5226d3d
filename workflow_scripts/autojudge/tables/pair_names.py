"""Names of pairs in paths: a pair's own, and `PAIR+NAME` where its labels come from another source, NAME.

Neither part may hold a plus, so that a name is read in one way (config: label_sources).
"""


def join_source(pair: str, source: str) -> str:
    """Return the name of a pair whose labels come from a source."""
    return f"{pair}+{source}"


def split_source(name: str) -> tuple[str, str | None]:
    """Return the pair that a name is of, and the source of its labels; None: those that `mining` says."""
    pair, _, source = name.partition("+")
    return pair, source or None
