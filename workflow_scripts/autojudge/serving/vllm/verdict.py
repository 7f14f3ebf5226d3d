"""The judge's verdict on the rows of a verification, by tensors alone: nothing here waits for the device.

Row j of a request verifies its proposal j; the last row, after all proposals, has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from autojudge.judging.artifact import Judge
from autojudge.judging.signals import Signals
from autojudge.serving.vllm.counts import Counts

CERTAIN = 1e6  # logit of a kept token: others have probability 0 beside it, at any temperature above 0.001
LEAST_LOGIT = -1e30  # in place of -inf
MOST_NUMBERS = 2**25  # of logits in work at a time: vLLM has not set memory aside for copies of all


@dataclass(frozen=True)
class Rows:
    """Rows of a verification, several requests' one after another.

    Attributes
    ----------
    token : Tensor of shape (n,), int64
        The proposal that a row verifies; where it verifies none, anything.
    is_draft : Tensor of shape (n,), bool
        Whether it verifies one.
    place : Tensor of shape (n,), int64
        The row's place among its request's.
    threshold : Tensor of shape (n,), float64
        Of its request.
    """

    token: torch.Tensor
    is_draft: torch.Tensor
    place: torch.Tensor
    threshold: torch.Tensor


@dataclass(frozen=True)
class Known:
    """What is known of n rows: what a judge reads.

    Attributes
    ----------
    target_logits : Tensor of shape (n, vocabulary)
        Divided by the temperature where tokens are sampled.
    draft_logits : Tensor of shape (n, vocabulary) or None
        The same of the draft, for judges that read it.
    blocks : dict of str to Tensor of shape (n, hidden)
        Hidden states that the judge reads.
    is_known : Tensor of shape (n,), bool
        Where all of it is there.
    """

    target_logits: torch.Tensor
    draft_logits: torch.Tensor | None = None
    blocks: Mapping[str, torch.Tensor] = field(default_factory=dict)
    is_known: torch.Tensor | None = None


def make_rows(
    token: torch.Tensor,  # (n,)
    is_draft: torch.Tensor,  # (n,), bool
    place: torch.Tensor,  # (n,)
    threshold: torch.Tensor,  # (n,)
    vocabulary: int,
) -> Rows:
    """Return rows, of which those verify nothing whose token is none: vLLM's placeholder is -1."""
    is_token = (token >= 0) & (token < vocabulary)
    return Rows(token.long().clamp(0, vocabulary - 1), is_draft & is_token, place, threshold)


@dataclass
class Trace:
    """Windows as they were verified, for checks within one process.

    Attributes
    ----------
    windows : list of list of (bool, bool)
        Of each proposal, whether it passes (the target's greedy token, or kept) and whether it is a mismatch kept.
    """

    windows: list[list[tuple[bool, bool]]] = field(default_factory=list)


class Bench:
    """Asks a judge about rows.

    Parameters
    ----------
    judge : Judge
    device : torch.device
        Where logits are.
    is_told : bool
        Whether this process tells counts.
    """

    trace: Trace | None = None  # of all benches in this process; reading it waits for the device

    def __init__(self, judge: Judge, device: torch.device, is_told: bool) -> None:
        self.judge, self.counts = judge.to(device), Counts(device, is_told)

    def score(self, rows: Rows, known: Known) -> torch.Tensor:
        """Return p(important) of each row, float32 of shape (n,)."""
        return self.judge.probability(dict(known.blocks) | self._compute_scalars(rows, known))

    def _compute_scalars(self, rows: Rows, known: Known) -> dict[str, torch.Tensor]:
        """Return the scalars that the judge may read, (n,) each, from some rows' distributions at a time."""
        if self.judge.needs.isdisjoint({"target_logits", "draft_logits"}):
            return {}
        size = max(1, MOST_NUMBERS // known.target_logits.shape[-1])
        slices = [slice(start, start + size) for start in range(0, len(rows.token), size)]
        parts = [self._signals(rows, known, part).scalars_read for part in slices]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _signals(self, rows: Rows, known: Known, part: slice) -> Signals:
        """Return what scalars of some rows come from; logits that a mask has made -inf would make them NaN."""
        given = known.target_logits, known.draft_logits
        target, draft = (None if found is None else found[part].float().clamp(min=LEAST_LOGIT) for found in given)
        return Signals(rows.token[part], self.judge, target_logits=target, draft_logits=draft)

    def keep(
        self,
        rows: Rows,
        p: torch.Tensor,  # (n,)
        is_known: torch.Tensor | None,  # (n,), bool
        logits: torch.Tensor,  # (n, vocabulary)
    ) -> torch.Tensor:
        """Make logits, in place, accept the tokens that the judge keeps; return them.

        Parameters
        ----------
        rows : Rows
        p : Tensor of shape (n,)
            p(important); where it is NaN the token is refused.
        is_known : Tensor of shape (n,), bool, or None
            Where all was known that p depends on; elsewhere the token is refused. None: everywhere.
        logits : Tensor of shape (n, vocabulary)
            The target's, processed: what a grammar or another mask forbids (-inf) stays forbidden.
        """
        here = logits.gather(1, rows.token[:, None])
        known = torch.ones_like(rows.is_draft) if is_known is None else is_known
        kept = rows.is_draft & known & (p.double() < rows.threshold) & (here[:, 0] > -torch.inf)
        self._count(rows, p, known, kept, logits.argmax(-1) == rows.token)
        return logits.scatter_(1, rows.token[:, None], torch.where(kept[:, None], CERTAIN, here))

    def _count(
        self,
        rows: Rows,
        p: torch.Tensor,  # (n,)
        known: torch.Tensor,  # (n,), bool
        kept: torch.Tensor,  # (n,), bool
        matches: torch.Tensor,  # (n,), bool
    ) -> None:
        """Count what a greedy walk through each window meets; at a temperature, matches are the likeliest tokens."""
        refused = (rows.is_draft & ~matches & ~kept).long()
        before = refused.cumsum(0) - refused
        start = (torch.arange(len(p), device=p.device) - rows.place).clamp(min=0)
        reached = rows.is_draft & (before == before[start])
        judged, mismatch = rows.is_draft & (rows.threshold > 0), reached & ~matches
        found = [
            judged & (rows.place == 0),
            judged & mismatch,
            kept & mismatch,
            judged & known & p.isnan(),
            judged & mismatch & ~known,
        ]
        self.counts.add(torch.stack([row.sum() for row in found]))
        if Bench.trace is not None:
            _note(Bench.trace, rows, matches | kept, kept & ~matches)


def _note(
    trace: Trace,
    rows: Rows,
    passes: torch.Tensor,  # (n,), bool
    kept: torch.Tensor,  # (n,), bool
) -> None:
    for is_draft, place, *found in torch.stack([rows.is_draft, rows.place, passes, kept], dim=1).tolist():
        if is_draft and place == 0:
            trace.windows.append([])
        if is_draft:
            trace.windows[-1].append((bool(found[0]), bool(found[1])))
