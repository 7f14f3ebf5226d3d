"""Proposers of a window's tokens: a draft model, or the text itself (prompt lookup)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from autojudge.decoding.window import Window
from autojudge.engine.cache import CachedModel
from autojudge.engine.ngrams import find_ngram
from autojudge.engine.sampling import Sampling, draw
from autojudge.engine.text import read_texts

LOOKUP_NGRAM = 3  # most tokens that prompt lookup compares


class Proposer:
    """Proposes how texts go on."""

    def propose(self, windows: Sequence[Window]) -> None:
        """Fill each window's `proposals`, and what its rules need of the draft: `logits` and `hidden`."""
        raise NotImplementedError


class DraftModel(Proposer):
    """A draft model, its cache kept across windows.

    Parameters
    ----------
    model : CachedModel
        The draft.
    sampling : Sampling or None
        None: greedy.
    """

    def __init__(self, model: CachedModel, sampling: Sampling | None) -> None:
        self.model, self.sampling = model, sampling

    def propose(self, windows: Sequence[Window]) -> None:
        """Let the draft write each window; it ends early at an end token or at the limit."""
        keep_logits = self.sampling is not None or any("draft_logits" in window.needs for window in windows)
        active = [window for window in windows if window.is_open]
        while active:
            result = read_texts(self.model, [(w.text, w.text.unread(w.proposals)) for w in active], keep_logits)
            last = [int(slots[-1]) for slots in result.slots]
            self._note_states(active, last)
            logits = torch.stack([rows[-1] for rows in result.logits]) if keep_logits else None
            choices = self._choose(active, last, logits)
            for i, window in enumerate(active):
                if not window.is_open:  # it read its last proposal, for the judge
                    window.last_reads += 1
                    continue
                window.draft_calls += 1
                window.proposals.append(choices[i])
                if logits is not None:
                    window.logits.append(logits[i])
            active = [window for window in active if window.is_open or window.lacks_last_state]

    def _note_states(self, windows: list[Window], last: list[int]) -> None:
        """Give the draft's state at the last token read, of each window at that slot, to those whose judge wants it."""
        judged = [(window, slot) for window, slot in zip(windows, last, strict=True) if "judge" in window.needs]
        if judged:
            states = self.model.hidden([window.text.row for window, _ in judged], [slot for _, slot in judged])
            for (window, _), state in zip(judged, states, strict=True):
                window.hidden.append(state)

    def _choose(
        self,
        windows: list[Window],
        last: list[int],
        logits: torch.Tensor | None,  # (windows, vocabulary)
    ) -> list[int]:
        """Return the next token of each window, whose last token lies at that slot."""
        if self.sampling is None or logits is None:
            return [self.model.choices(w.text.row, np.array([at]))[0] for w, at in zip(windows, last, strict=True)]
        # A window that is full only reads: drawing for it would move the numbers of rules that do not want that.
        uniform = [window.random.random() if window.is_open else 0.0 for window in windows]
        tokens: list[int] = draw(
            self.sampling.distribution(logits), torch.tensor(uniform, dtype=torch.float64)
        ).tolist()
        return tokens


class PromptLookup(Proposer):
    """Proposes what followed the text's last tokens where they occurred before, the latest such place (n-gram lookup).

    No draft model: it has no probabilities and no hidden states.
    """

    def propose(self, windows: Sequence[Window]) -> None:
        """Look the end of each text up in it."""
        for window in windows:
            text = np.array([*window.text.prompt, *window.text.tokens])
            window.proposals = look_up(text, window.room)


def look_up(
    text: NDArray[np.int64],  # (length,)
    count: int,
) -> list[int]:
    """Return up to `count` tokens that followed the longest n-gram that ends a text, where it occurred last before."""
    places, length = find_ngram(text[:-1], text, LOOKUP_NGRAM)
    tokens: list[int] = text[places[-1] :][:count].tolist() if length else []
    return tokens
