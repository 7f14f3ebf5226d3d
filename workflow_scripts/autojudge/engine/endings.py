"""Where a response ends: at an end token, at a stop string, or at the token limit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ending:
    """What ends a response.

    Attributes
    ----------
    limit : int
        Longest response in tokens.
    end_tokens : frozenset of int
        Tokens that end it.
    stop : tuple of str
        Texts that end it, with the token that completes one.
    decode : callable
        Turns tokens into text.
    """

    limit: int
    end_tokens: frozenset[int]
    stop: tuple[str, ...]
    decode: Callable[[list[int]], str]

    def reached(self, tokens: Sequence[int]) -> bool:
        """Tell whether a response ends with its last token, if it did not end before."""
        if len(tokens) >= self.limit or (len(tokens) > 0 and tokens[-1] in self.end_tokens):
            return True
        return self._stops(tokens)

    def cut_off(self, tokens: Sequence[int]) -> bool:
        """Tell whether a response ends only because of the token limit."""
        return len(tokens) >= self.limit and tokens[-1] not in self.end_tokens and not self._stops(tokens)

    def extend(self, tokens: list[int], more: Sequence[int]) -> None:
        """Add tokens to a response that has not ended, up to its end."""
        for token in more:
            tokens.append(token)
            if self.reached(tokens):
                return

    def _stops(self, tokens: Sequence[int]) -> bool:
        if not self.stop:
            return False
        longest = max(len(text.encode()) for text in self.stop)  # a token is a byte of text or more
        ending = self.decode(list(tokens[-longest:]))
        return any(text in ending for text in self.stop)
