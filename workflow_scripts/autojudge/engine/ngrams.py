"""Search of a text's last tokens in other text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def find_ngram(
    tokens: NDArray[np.int64],  # (n,)
    text: Sequence[int] | NDArray[np.int64],  # (length,)
    longest: int,
) -> tuple[NDArray[np.int64], int]:
    """Find the longest n-gram that ends a text in `tokens`.

    Parameters
    ----------
    tokens : ndarray of shape (n,)
        Where to search.
    text : sequence of int
        Not empty.
    longest : int
        Most tokens that are compared.

    Returns
    -------
    places : ndarray of shape (found,)
        Where `tokens` goes on after each occurrence, ascending.
    length : int
        Tokens of the n-gram; 0 if not even the text's last token occurs.
    """
    ends = np.flatnonzero(tokens == text[-1])
    found, length = ends, min(len(ends), 1)
    for n in range(1, min(longest, len(text))):
        ends = ends[ends >= n]
        ends = ends[tokens[ends - n] == text[-1 - n]]
        if not len(ends):
            break
        found, length = ends, n + 1
    return found + 1, length
