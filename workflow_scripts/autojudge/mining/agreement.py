"""Mining with agreement: an alternative that has come back to the text that it left is stopped (`mining.agreement`).

Its last tokens have then agreed, one after another, with a window of that text, whose rest is taken over. That is
expected, not known: the target reads it as far as the next mismatch needs, and where it says otherwise it goes
on by itself, until it has come back once more. So every mismatch lies in a text that the target would write; only the
labels of stopped alternatives are inferred. docs/mining.md tells it in full.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autojudge.engine.text import CachedText
from autojudge.mining.miner import Checked, Mined, Miner, Row, Stage, Swap, Work

NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Agreement:
    """When alternatives are stopped.

    Attributes
    ----------
    tokens : int
        How many tokens have to agree, one after another.
    same_numbers : int
        How many are enough where the text before them, from the swap on, has the numbers of what it stands for; at most
        `tokens`.
    audit : float
        Share of the alternatives to be stopped that are continued to their end all the same.
    seed : int
        Of the choice of these.
    """

    tokens: int
    same_numbers: int
    audit: float
    seed: int

    def audits(self, problem_id: str, position: int) -> bool:
        """Tell whether the alternative at a position is continued to its end; the same in every run."""
        digest = hashlib.sha256(f"{self.seed} {problem_id} {position}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64 < self.audit


class Alignment:
    """How a text that has left another, its source, comes back to it.

    Parameters
    ----------
    source : sequence of int
        A complete response, its end no token limit.
    text : list of int
        A response that goes on; its last token is the first that is not the source's.
    limit : int
        Longest response: a text that would be longer with the source's rest does not come back.
    agreement : Agreement
        How many tokens have to agree.
    decode : callable
        Turns tokens into text.

    Attributes
    ----------
    seen : int
        Tokens of the text that were taken in.
    """

    def __init__(
        self,
        source: Sequence[int],
        text: list[int],
        limit: int,
        agreement: Agreement,
        decode: Callable[[list[int]], str],
    ) -> None:
        self._source, self._text, self._limit = np.array(source), text, limit
        self._agreement, self._decode = agreement, decode
        self._left, self.seen = len(text) - 1, len(text)
        self._runs = np.zeros(
            len(source), dtype=np.int64
        )  # last tokens of the text that agree with those before a place

    def follow(self, end: int) -> int | None:
        """Take in the text's next tokens before `end`, up to the first with which it has come back.

        Returns
        -------
        int or None
            The place of the source where the text goes on; of several, the one nearest to the text's end.
        """
        while self.seen < end:
            agrees = self._source[:-1] == self._text[self.seen]
            shortest = self.seen + len(self._source) - self._limit  # what agrees before it would be too long
            agrees[: max(self._left + 1, shortest)] = False
            self._runs[1:] = np.where(agrees, self._runs[:-1] + 1, 0)
            self.seen += 1
            places = np.flatnonzero(self._runs >= self._agreement.same_numbers)
            back = [place for place in places.tolist() if self._is_back(place)]
            if back:
                return min(back, key=lambda place: (abs(place - self.seen), place))
        return None

    def missing(self) -> int:
        """Return how many tokens the text has to add at least until it can have come back."""
        wanted = np.where(
            self._runs < self._agreement.same_numbers, self._agreement.same_numbers, self._agreement.tokens
        )
        return max(1, int((wanted - self._runs).min()))

    def _is_back(self, place: int) -> bool:
        run = int(self._runs[place])
        if run >= self._agreement.tokens:
            return True
        swapped, replaced = self._text[self._left : self.seen - run], self._source[self._left : place - run].tolist()
        return NUMBER.findall(self._decode(swapped)) == NUMBER.findall(self._decode(replaced))


@dataclass
class Walk:
    """What agreement knows of a problem in work beside its row, whose draft reads the mined text as it is expected.

    Attributes
    ----------
    needed : int
        How much of the mined text the target has to know before the row goes on, in tokens; 0: no more than it does.
    alignment : Alignment or None
        Of the text that the target continues with the one that it has left and may come back to.
    rest : list of int
        What a stopped alternative takes over.
    stopped, audited : bool
        The present alternative was stopped; it would have been, but is continued.
    exactly : bool
        The answer has changed after all, so that no alternative is stopped.
    """

    needed: int = 0
    alignment: Alignment | None = None
    rest: list[int] = field(default_factory=list)
    stopped: bool = False
    audited: bool = False
    exactly: bool = False


class AgreementMiner(Miner):
    """A miner that stops alternatives that have come back to the text that they left.

    Attributes
    ----------
    agreement : Agreement
        When they are stopped.
    """

    agreement: Agreement
    _walks: dict[int, Walk]  # by the row's index

    def _open_caches(self, problems: Sequence[dict[str, Any]]) -> int:
        self._walks = defaultdict(Walk)
        return super()._open_caches(problems)

    def _align(self, source: list[int], text: list[int]) -> Alignment | None:
        """Return how a text that has left another comes back to it; None where that one has no end of its own."""
        if self.ending.cut_off(source):
            return None
        return Alignment(source, text, self.ending.limit, self.agreement, self.pair.decode)

    # The target's turn: it continues a text, or the mined one as far as it is needed.

    def _target_work(self, row: Row, least: float) -> Work | None:
        if self._walks[row.index].needed and row.check is None:
            return row, row.target, row.target.unread(self._propose(row, row.target.tokens, least))
        return super()._target_work(row, least)

    def _propose(self, row: Row, tokens: list[int], least: float) -> list[int]:
        """Propose what is expected, and of a text that may come back no more than it needs for that."""
        walk = self._walks[row.index]
        if walk.needed and walk.alignment is None:
            return row.draft.tokens[len(tokens) : walk.needed - 1]
        proposed = super()._propose(row, tokens, least)
        if walk.alignment is None or (row.swap and self._is_continued(row, row.swap)):
            return proposed
        return proposed[: walk.alignment.missing() - 1]

    def _is_continued(self, row: Row, swap: Swap) -> bool:
        """Tell whether an alternative is continued to its end in any case."""
        return self._walks[row.index].exactly or self.agreement.audits(row.problem["problem_id"], swap.position)

    def _keep_verified(self, row: Row, text: CachedText, tokens: list[int], choices: list[int]) -> None:
        super()._keep_verified(row, text, tokens, choices)
        if row.swap:
            self._follow_alternative(row, row.swap)
        elif self._walks[row.index].needed:
            self._follow_mined(row)

    def _follow_alternative(self, row: Row, swap: Swap) -> None:
        """Stop the alternative if it has come back."""
        walk, tokens = self._walks[row.index], swap.alternative.tokens
        if walk.alignment is None:
            return
        place = walk.alignment.follow(len(tokens) - self.ending.reached(tokens))
        if place is None:
            return
        walk.alignment = None
        walk.audited = self.agreement.audits(row.problem["problem_id"], swap.position)
        if not self._is_continued(row, swap):
            walk.stopped, walk.rest = True, row.draft.tokens[place:]
            row.check = Future()
            row.check.set_result(Checked(None, same=True))

    def _follow_mined(self, row: Row) -> None:
        """See whether the mined text goes on as expected, or has come back to that; go on with the row if it may."""
        walk, tokens = self._walks[row.index], row.target.tokens
        if self.ending.reached(tokens):
            return  # its answer is checked
        if walk.alignment:
            place = walk.alignment.follow(len(tokens))
            if place is not None:
                self._expect(row, tokens + row.draft.tokens[place:])
        elif tokens[-1] != row.draft.tokens[len(tokens) - 1]:
            walk.alignment = self._align(row.draft.tokens, tokens)
            row.set_continuations(row.draft.tokens, tokens)
        elif len(tokens) >= walk.needed:
            walk.needed = 0
            self._find_mismatch(row)

    def _expect(self, row: Row, tokens: list[int]) -> None:
        """Expect another text than so far, and let the draft search it."""
        walk, expected = self._walks[row.index], row.draft.tokens
        differ = (i for i, (old, new) in enumerate(zip(expected, tokens, strict=False)) if old != new)
        shared = next(differ, min(len(expected), len(tokens)))
        row.draft.keep(self.models["draft"], shared)
        row.draft.tokens = tokens
        if row.border <= self.ending.limit:
            row.border = min(row.border, shared)
        walk.needed, walk.alignment = 0, None
        self._find_mismatch(row)

    # The draft's turn: it searches the mined text as it is expected.

    def _draft_work(self, row: Row) -> Work | None:
        return None if self._walks[row.index].needed else super()._draft_work(row)

    def _find_mismatch(self, row: Row) -> None:
        walk, row.stage = self._walks[row.index], Stage.SEARCH
        if walk.stopped:
            row.draft.tokens = row.target.tokens + walk.rest
            walk.stopped = False
        for choice in self.models["draft"].choices(row.index, row.draft.slots_before(row.border)):
            if choice != row.draft.tokens[row.border]:
                return self._open_swap(row, choice)
            row.border += 1
        if row.border >= len(row.draft.tokens) and not self._need(row, len(row.draft.tokens)):
            row.stage = Stage.DONE
        return None

    def _need(self, row: Row, count: int) -> bool:
        """Ask the target for the first tokens of the mined text, and tell whether it does not know them."""
        unknown = len(row.target.tokens) < min(count, len(row.draft.tokens))
        if unknown:
            self._walks[row.index].needed, row.continuations = min(count, len(row.draft.tokens)), None
        return unknown

    # A mismatch.

    def _open_swap(self, row: Row, token: int) -> None:
        if self._need(row, row.border + 2):  # with its target's token and the one after that
            return
        super()._open_swap(row, token)
        assert row.swap is not None
        walk, tokens = self._walks[row.index], row.swap.alternative.tokens
        walk.alignment, walk.audited = self._align(row.draft.tokens, tokens), False
        row.set_continuations(row.draft.tokens, tokens)

    def _label(self, row: Row, swap: Swap, margin: float) -> dict[str, Any]:
        walk = self._walks[row.index]
        return super()._label(row, swap, margin) | {"stopped": walk.stopped, "audited": walk.audited}

    def _close_swap(self, row: Row, swap: Swap, important: bool) -> None:
        self._walks[row.index].alignment = None
        super()._close_swap(row, swap, important)
        if row.stage is Stage.DONE and self._need(row, len(row.draft.tokens)):  # the draft's token ends the response
            row.stage, row.border = Stage.SEARCH, self.ending.limit + 1  # there is nothing more to search

    # The end of the mined text.

    def _take_answers(self, rows: list[Row]) -> bool:
        ended = [row for row in rows if row.stage is Stage.SEARCH and row.check and row.check.done()]
        for row in ended:
            assert row.check is not None
            same, row.check = row.check.result().same, None
            if same:
                self._expect(row, row.target.tokens)
            else:
                self._start_again(row)
        return super()._take_answers(rows) or bool(ended)

    def _start_again(self, row: Row) -> None:
        """Mine the problem exactly."""
        for model in self.models.values():
            model.clear(row.index)
        fresh = Row.open(row.index, row.problem)
        fresh.started, fresh.evaluated = row.started, row.evaluated
        vars(row).update(vars(fresh))
        self._walks[row.index] = Walk(exactly=True)

    def _result(self, row: Row) -> Mined:
        mined = super()._result(row)
        again = self._walks.pop(row.index).exactly
        return Mined(mined.response | {"mined_again": again}, mined.labels, mined.features)


def load_miner(agreement: Agreement | None, *arguments: Any) -> Miner:
    """Return `Miner.load` of the arguments, or a miner with agreement loaded likewise. Raises InputError like it."""
    if agreement is None:
        return Miner.load(*arguments)
    miner = AgreementMiner.load(*arguments)
    assert isinstance(miner, AgreementMiner)
    miner.agreement = agreement
    return miner
