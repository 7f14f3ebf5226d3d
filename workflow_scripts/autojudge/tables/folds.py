"""Folds of a dataset that has no training problems: each problem is tested in one fold, and mined for all others.

In the tables such a dataset's problems are split into train and validation. A fold is another view of these tables, in
which its own problems are the test split; a judge of the fold is trained and chosen by what is left.
"""

import hashlib


def list_folds(count: int | None) -> list[str]:
    """Return the names of so many folds, such as "1-of-5"; none for a dataset without folds."""
    return [f"{number}-of-{count}" for number in range(1, (count or 0) + 1)]


def list_parts(count: int | None) -> list[str]:
    """Return what follows the pair in the paths of each fold's judge; for a dataset without folds of one, nothing."""
    return [f"/folds/{fold}" for fold in list_folds(count)] or [""]


def split_in(fold: str | None, problem_id: str, split: str) -> str:
    """Return the split of a problem in a fold: test for the fold's own, chosen by a hash of the name, else `split`.

    Parameters
    ----------
    fold : str or None
        A name of `list_folds`; None for a dataset without folds.
    problem_id : str
        The problem, of which alone it depends whose own it is.
    split : str
        Its split in the tables.
    """
    if fold is None:
        return split
    number, count = map(int, fold.split("-of-"))
    drawn = int(hashlib.sha256(f"fold {problem_id}".encode()).hexdigest()[:16], 16)
    return "test" if drawn % count == number - 1 else split
