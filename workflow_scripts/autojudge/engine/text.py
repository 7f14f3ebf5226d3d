"""Texts in the cache: a prompt and its response as one model has read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from autojudge.engine.attention import Slots
from autojudge.engine.cache import NO_SLOTS, CachedModel, Pass, Request, Saved

NO_ROW = -1


@dataclass(eq=False)
class CachedText:
    """A text as one model has read it; branches in the same row share the slots of their common prefix.

    Attributes
    ----------
    prompt : list of int
        Its tokens.
    tokens : list of int
        The response, read or not. Several readings of a text may share the list.
    row : int
        Of the model's cache; NO_ROW while it has none.
    slots : Slots
        Cache slots of the tokens read, the prompt's first.
    saved : Saved or None
        What was read of a text that waits for a row.
    """

    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    row: int = NO_ROW
    slots: Slots = field(default_factory=lambda: NO_SLOTS)
    saved: Saved | None = None

    @property
    def n_read(self) -> int:
        """Number of response tokens read."""
        return len(self.slots) - len(self.prompt)

    def unread(self, more: Sequence[int] = ()) -> list[int]:
        """Return the tokens of prompt, response and what may follow it (`more`) that the model has yet to read."""
        unread: list[int] = []
        read = len(self.slots)
        for part in (self.prompt, self.tokens, more):
            unread += part[read:]
            read = max(0, read - len(part))
        return unread

    def request(self, tokens: Sequence[int]) -> Request:
        """Return the request to read tokens next; after a prompt's first tokens no choices are wanted but the last."""
        return Request(self.row, self.slots, tokens, last_only=not len(self.slots))

    def slot(self, position: int) -> int:
        """Return the slot of the response token at a position; that of the prompt's end for -1."""
        return int(self.slots[len(self.prompt) + position])

    def slots_before(self, start: int) -> Slots:
        """Return the slots after which the model chose the response tokens from `start` on, as far as it has read."""
        return self.slots[len(self.prompt) + start - 1 : len(self.prompt) + len(self.tokens) - 1]

    def keep(self, model: CachedModel, count: int) -> None:
        """Forget what was read after the first `count` response tokens, and free its slots."""
        end = len(self.prompt) + count
        model.release(self.row, self.slots[end:])
        self.slots = self.slots[:end]

    def branch(self, count: int, tokens: list[int]) -> "CachedText":
        """Return a text in the same row that shares what was read of the first `count` tokens, with this response."""
        return CachedText(self.prompt, tokens, self.row, self.slots[: len(self.prompt) + count])

    def save(self, model: CachedModel, count: int, tokens: list[int]) -> "CachedText":
        """Return a text without a row that holds a copy of what `branch` would share."""
        saved = model.save(self.row, self.slots[: len(self.prompt) + count])
        return CachedText(self.prompt, tokens, saved=saved)

    def load(self, model: CachedModel, row: int) -> None:
        """Put what was saved into a row. Raises RuntimeError for a row without room."""
        assert self.saved is not None, "nothing was saved"
        self.row, self.slots, self.saved = row, model.load(row, self.saved), None


def read_texts(model: CachedModel, work: Sequence[tuple[CachedText, Sequence[int]]], keep_logits: bool = False) -> Pass:
    """Let a model read on in some texts, each with the tokens to read next, in one pass; return what it gave."""
    result = model.forward([text.request(tokens) for text, tokens in work], keep_logits)
    for (text, _), slots in zip(work, result.slots, strict=True):
        text.slots = np.concatenate([text.slots, slots])
    return result
