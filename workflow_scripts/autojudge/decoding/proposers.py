"""Proposers of a window's tokens: a draft model, or the text itself (prompt lookup)."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from autojudge.engine.cache import CachedModel, Request
from autojudge.engine.sampling import Sampling, draw

if TYPE_CHECKING:
    from autojudge.decoding.decoder import Branch

LONGEST_NGRAM = 3  # tokens that prompt lookup compares


class Proposer:
    """Proposes how texts go on; one that reads nothing has nothing to keep."""

    def propose(self, branches: list["Branch"]) -> None:
        """Fill each branch's `proposals`, and what its rules need of the draft: `logits` and `hidden`."""
        raise NotImplementedError

    def start(self, branches: list["Branch"]) -> None:
        """Read the prompts, but for their last tokens."""

    def keep(self, branch: "Branch", kept: int, added: list[int]) -> None:
        """Forget what was read of a window's tokens after the `kept` first; the text went on with `added`."""

    def save(self, branch: "Branch", kept: int, added: list[int], other: "Branch") -> None:
        """Keep a copy in another branch, which went on so, of what was read of this one."""

    def load(self, branch: "Branch") -> None:
        """Take up a saved branch in its new row."""

    def clear(self, row: int) -> None:
        """Forget a row."""


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

    def start(self, branches: list["Branch"]) -> None:
        """Let the draft read the prompts."""
        prompts = [list(branch.job.prompt[:-1]) for branch in branches]
        requests = [Request(b.row, b.draft_slots, prompt, True) for b, prompt in zip(branches, prompts, strict=True)]
        for branch, slots in zip(branches, self.model.forward(requests).slots, strict=True):
            branch.draft_slots, branch.draft_unread = slots, [branch.job.prompt[-1]]
            branch.result.draft_calls += 1

    def propose(self, branches: list["Branch"]) -> None:
        """Let the draft write each window; it ends early at an end token or at the limit."""
        keep_logits = self.sampling is not None or any("draft_logits" in branch.needs for branch in branches)
        active = [branch for branch in branches if branch.window_open]
        while active:
            requests = [Request(b.row, b.draft_slots, b.draft_unread) for b in active]
            result = self.model.forward(requests, keep_logits)
            last = [slots[-1] for slots in result.slots]
            judged = [(branch, at) for branch, at in zip(active, last, strict=True) if "judge" in branch.needs]
            if judged:
                states = self.model.hidden([branch.row for branch, _ in judged], [at for _, at in judged])
                for (branch, _), state in zip(judged, states, strict=True):
                    branch.hidden.append(state)
            logits = torch.stack([rows[-1] for rows in result.logits]) if keep_logits else None
            choices = self._choose(active, last, logits)
            for i, branch in enumerate(active):
                branch.draft_slots = np.concatenate([branch.draft_slots, result.slots[i]])
                branch.draft_unread = []
                if not branch.window_open:  # it read its last proposal, for the judge
                    branch.result.last_reads += 1
                    continue
                branch.result.draft_calls += 1
                branch.proposals.append(choices[i])
                branch.draft_unread = [choices[i]]
                if logits is not None:
                    branch.logits.append(logits[i])
            active = [branch for branch in active if branch.window_open or self._reads_last(branch)]

    def _choose(self, branches: list["Branch"], last: list[int], logits: torch.Tensor | None) -> list[int]:
        if self.sampling is None or logits is None:
            return [self.model.choices(b.row, np.array([at]))[0] for b, at in zip(branches, last, strict=True)]
        uniform = torch.tensor([branch.random.random() for branch in branches], dtype=torch.float64)
        return draw(self.sampling.distribution(logits), uniform).tolist()

    def _reads_last(self, branch: "Branch") -> bool:
        """Tell whether the draft must still read its last proposal, for the state that the judge wants."""
        return len(branch.hidden) <= len(branch.proposals) and "draft_at_draft" in branch.needs

    def keep(self, branch: "Branch", kept: int, added: list[int]) -> None:
        """Drop what was refused from the cache."""
        start = branch.length - len(added)
        read = min(len(branch.draft_slots), start + kept)
        self.model.release(branch.row, branch.draft_slots[read:])
        branch.draft_slots, branch.draft_unread = branch.draft_slots[:read], added[read - start :]

    def save(self, branch: "Branch", kept: int, added: list[int], other: "Branch") -> None:
        """Copy the cache of what was kept."""
        read = min(len(branch.draft_slots), branch.length + kept)
        other.saved["draft"] = self.model.save(branch.row, branch.draft_slots[:read])
        other.draft_unread = added[read - branch.length :]

    def load(self, branch: "Branch") -> None:
        """Put the copy into the row."""
        branch.draft_slots = self.model.load(branch.row, branch.saved.pop("draft"))

    def clear(self, row: int) -> None:
        """Free the row."""
        self.model.clear(row)


class PromptLookup(Proposer):
    """Proposes what followed the text's last tokens where they occurred before, the latest such place (n-gram lookup).

    No draft model: it has no probabilities and no hidden states.
    """

    def propose(self, branches: list["Branch"]) -> None:
        """Look the end of each text up in it."""
        for branch in branches:
            text = np.array([*branch.job.prompt, *branch.result.tokens])
            branch.proposals = look_up(text, branch.room)


def look_up(text: np.ndarray, count: int) -> list[int]:
    """Return up to `count` tokens that followed the longest n-gram that ends a text, where it occurred last before."""
    for n in range(min(LONGEST_NGRAM, len(text) - 1), 0, -1):
        windows = np.lib.stride_tricks.sliding_window_view(text[:-1], n)
        places = np.flatnonzero((windows == text[-n:]).all(1))
        if len(places):
            start = places[-1] + n
            return text[start : start + count].tolist()
    return []
