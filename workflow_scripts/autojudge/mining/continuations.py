"""How a text seems to go on, from a problem's other texts: what the target verifies several tokens per pass."""

from collections.abc import Sequence

import numpy as np

from autojudge.engine.ngrams import find_ngram

NO_TOKEN = -1  # end of a text among others
LONGEST_NGRAM = 6  # most tokens that are compared in search of a continuation
LONGEST_MATCH = 24  # matches longer than this are as good as it
LONGEST_PROPOSAL = 15  # tokens; with the known one, the longest takes two narrow requests


class Continuations:
    """Texts of one problem, and where among them a text that resembles them seems to go on.

    Parameters
    ----------
    texts : sequence of sequences of int
        The text to follow first, then others.
    text : sequence of int
        The text to continue, not empty.
    place : int
        Place of the first text where it goes on if it stays aligned with it.

    Attributes
    ----------
    place : int
        Where the text seems to go on.
    matched : int
        How many tokens before it agree with the text's last ones, found by search up to `LONGEST_NGRAM`.
    """

    def __init__(self, texts: Sequence[Sequence[int]], text: Sequence[int], place: int) -> None:
        self._tokens = np.concatenate([np.array([*other, NO_TOKEN]) for other in texts])
        self.place, self.matched = place, 0
        self._search(text)

    def tokens(self, count: int) -> list[int]:
        """Return up to `count` tokens from the place on, to the end of its text."""
        found: list[int] = self._tokens[self.place : self.place + count].tolist()
        return found[: found.index(NO_TOKEN)] if NO_TOKEN in found else found

    def advance(self, text: Sequence[int], added: int) -> list[bool]:
        """Go on after the last `added` tokens of `text`; return if each was foreseen, up to the first that was not."""
        foreseen = self._tokens[self.place : self.place + added].tolist()
        right = [token == other for token, other in zip(text[len(text) - added :], foreseen, strict=False)]
        self.place += added
        self.matched += added
        if not all(right) or len(right) < added:
            self._search(text)
        return right[: right.index(False) + 1] if False in right else right

    def _search(self, text: Sequence[int]) -> None:
        """Find the place after the longest n-gram that ends the text, of several the nearest to the present place."""
        places, self.matched = find_ngram(self._tokens, text, LONGEST_NGRAM)
        if self.matched:
            self.place = int(places[np.abs(places - self.place).argmin()])


class Foresight:
    """How often a continuation's next token is right, counted by how many tokens before it matched."""

    def __init__(self) -> None:
        self._right, self._seen = np.ones(LONGEST_MATCH + 1), np.full(LONGEST_MATCH + 1, 2.0)

    def length(self, matched: int, least: float) -> int:
        """Return how many tokens after a match are all right with a probability of at least `least`."""
        lengths = np.minimum(matched + np.arange(LONGEST_PROPOSAL), LONGEST_MATCH)
        return int((np.cumprod(self._right[lengths] / self._seen[lengths]) >= least).sum())

    def learn(self, matched: int, right: Sequence[bool]) -> None:
        """Count the tokens after a match, of which all but perhaps the last were right."""
        for length, hit in enumerate(right, matched):
            self._right[min(length, LONGEST_MATCH)] += hit
            self._seen[min(length, LONGEST_MATCH)] += 1
