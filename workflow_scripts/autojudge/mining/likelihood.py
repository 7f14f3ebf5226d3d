"""Labels by likelihood: how a swap changes what the target thinks of its own next tokens (`mining.likelihood`).

After SelfJudge (arXiv 2510.02329). The text is the target's own response and never changes; each of its mismatches
takes one pass over the draft's token and the tokens that follow in the response. No answer is needed. docs/mining.md
tells it in full.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autojudge.engine.cache import HEAD_LOGITS
from autojudge.engine.text import CachedText
from autojudge.mining.miner import NEAR_TIE, Checked, Mined, Miner, Row, Stage, Swap, Work


@dataclass(frozen=True)
class Likelihood:
    """When a swap is important.

    Attributes
    ----------
    tokens : int
        How many tokens after the swap count, fewer near the end of the response.
    threshold : float
        By how much their log likelihood, summed, has to fall, in nats.
    """

    tokens: int
    threshold: float

    def label(self, mined: Mined) -> Mined:
        """Return a problem that `LikelihoodMiner` mined with its labels by this threshold."""
        important = [label["likelihood_change"] < -self.threshold for label in mined.labels]
        labels = [label | {"important": i} for label, i in zip(mined.labels, important, strict=True)]
        return Mined(mined.response, labels, mined.features)


class LikelihoodMiner(Miner):
    """A miner that walks along the target's response and takes the change of likelihood at each mismatch.

    Its rows carry `likelihood_change`, and `important` as long as no threshold is applied is false.

    Attributes
    ----------
    tokens : int
        As `Likelihood` has it.
    """

    tokens: int
    _own: dict[int, NDArray[np.float64]]  # by the row's index: log p of each token of the response but the first
    _changes: dict[int, float]  # by the row's index: of its present swap

    def _open_caches(self, problems: Sequence[dict[str, Any]]) -> int:
        self._own, self._changes = {}, {}
        return super()._open_caches(problems)

    def _accept_response(self, row: Row) -> None:
        """Go on with a response, be there an answer in it or not."""
        self._own[row.index] = self._log_likelihoods(row.target, 0, row.target.tokens[1:])
        super()._accept_response(row)
        if row.answer is None:
            row.draft.keep(self.models["draft"], len(commonprefix([row.draft_tokens, row.target_tokens])))
            row.draft.tokens = row.target.tokens
            self._find_mismatch(row)

    def _log_likelihoods(self, text: CachedText, start: int, tokens: list[int]) -> NDArray[np.float64]:
        """Return the target's log p of each of the tokens that follow the response token at `start`, (tokens,)."""
        model, slots = self.models["target"], [text.slot(start + i) for i in range(len(tokens))]
        chunk, found = max(1, HEAD_LOGITS // self.pair.vocabulary), [np.empty(0)]
        for first in range(0, len(tokens), chunk):
            part = slots[first : first + chunk]
            logits = model.head(model.hidden([text.row] * len(part), part))
            said = torch.tensor(tokens[first : first + chunk], device=logits.device)
            chosen = logits.float().log_softmax(-1).gather(1, said[:, None])[:, 0]
            found.append(chosen.double().cpu().numpy())
        return np.concatenate(found)

    def _open_swap(self, row: Row, token: int) -> None:
        """Put the draft's token at the border, before the response's next tokens; there is no label where none are."""
        t, response = row.border, row.target.tokens
        if t + 1 == len(response):
            row.border, row.stage = t + 1, Stage.DONE
            return
        tokens = [*response[:t], token, *response[t + 1 : t + 1 + self.tokens]]
        row.swap, row.stage = Swap(t, row.draft.branch(t, tokens), row.target.branch(t, tokens)), Stage.SWAP

    def _target_work(self, row: Row, least: float) -> Work | None:
        """Let the target read an alternative but for its last token, after which nothing is asked."""
        work = super()._target_work(row, least)
        if work is None or row.swap is None or work[1] is not row.swap.alternative:
            return work
        return row, row.swap.alternative, row.swap.alternative.unread()[:-1]

    def _propose(self, row: Row, tokens: list[int], least: float) -> list[int]:
        return [] if row.swap else super()._propose(row, tokens, least)

    def _keep_verified(self, row: Row, text: CachedText, tokens: list[int], choices: list[int]) -> None:
        if row.swap is None:
            return super()._keep_verified(row, text, tokens, choices)
        t, following = row.swap.position, text.tokens[row.swap.position + 1 :]
        swapped = self._log_likelihoods(text, t, following)
        self._changes[row.index] = float((swapped - self._own[row.index][t : t + len(following)]).sum())
        row.check = Future()
        row.check.set_result(Checked(None, same=True))
        return None

    def _check(self, row: Row, tokens: list[int], checks: Executor | None) -> "Future[Checked]":
        """Extract and compare the answer of a response; an alternative has none, and is checked already."""
        return row.check or super()._check(row, tokens, checks)

    def _label(self, row: Row, swap: Swap, margin: float) -> dict[str, Any]:
        least = self._least_margin("draft", swap.draft_reading, swap.position)  # of the draft's token, the only choice
        return super()._label(row, swap, margin) | {
            "least_margin": least,
            "near_tie": least < NEAR_TIE[self.pair.target.dtype],
            "cut_off": False,
            "likelihood_change": self._changes[row.index],
        }

    def _close_swap(self, row: Row, swap: Swap, important: bool) -> None:  # noqa: ARG002
        """Leave the text as it is, and go on after the swap, be its token the end of a response or not."""
        super()._close_swap(row, swap, important=True)
        if row.swap is None:
            self._find_mismatch(row)
