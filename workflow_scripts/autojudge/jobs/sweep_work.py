"""The work of a sweep job: on what exactly a decoded problem depends, and decoding what the store does not have.

A problem's pieces are the target's response, and per window and rule its curve: the responses at every threshold. Where
a rule has too many of these, that finding is a piece, and so is the response at each given threshold. The response of
the target truncated by a rule at a given threshold is a piece, too. A repeat of a problem has pieces of its own.
"""

import logging
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.sweep import LOSSLESS, TARGET, build_job, compare_with_lossless, rows_by_rule
from autojudge.decoding.thresholds import EVERY, INFINITY, Points, Thresholds
from autojudge.decoding.truncated_sampling import truncate
from autojudge.decoding.truncation import name_truncated
from autojudge.engine.settings import Models
from autojudge.jobs.mining_work import describe_problem
from autojudge.jobs.progress import Progress
from autojudge.jobs.store import Store, piece_key
from autojudge.rules import Settings, load_rule
from autojudge.scoring.scorer import Scorer

logger = logging.getLogger("autojudge")


class Cut(NamedTuple):
    """A rule and a threshold by which the target is truncated."""

    rule: str
    threshold: float


@dataclass(frozen=True)
class SweepWork:
    """What all decoded problems depend on; what is not named here (shards, batches, devices, splits) changes no result.

    Attributes
    ----------
    code : str
        Digest of the decoder's and the task's code, acceptance rules left out.
    max_new_tokens : int
        Longest response.
    models : mapping
        What identifies draft and target.
    sampling : mapping
        `temperature` and `top_p`.
    windows : sequence of int
        Tokens that are proposed per cycle, each swept.
    branches : int
        Most responses per rule, beyond which only given thresholds are decoded.
    rules : mapping of str to str
        Digest of each swept rule's code and, where there are any, of its modifiers and of the judge that it asks.
    given : mapping of str to sequence of float
        Each swept rule's given thresholds, ascending.
    labels : mapping of str to mapping of str to mapping of int to bool
        Of rules that read mined labels: these, by problem and position.
    settings : mapping of str to mapping
        Each swept rule's entry of the config, which may modify it.
    repeats : int
        Times that each problem is decoded, each time by other random numbers.
    truncated : mapping of str to str
        Of swept rules by which the target is truncated: a digest of what truncates it.
    target_first : bool
        Rules are asked from the second token on; the target writes the first one.
    """

    code: str
    max_new_tokens: int
    models: Models
    sampling: Mapping[str, float]
    windows: Sequence[int]
    branches: int
    rules: Mapping[str, str]
    given: Mapping[str, Sequence[float]]
    labels: Mapping[str, Mapping[str, Mapping[int, bool]]] = field(default_factory=dict)
    settings: Mapping[str, Settings] = field(default_factory=dict)
    repeats: int = 1
    truncated: Mapping[str, str] = field(default_factory=dict)
    target_first: bool = False

    def swept(self, problems: Sequence[Mapping[str, Any]]) -> list["SweptProblem"]:
        """Return what is decoded of some problems, rows of problems.parquet: each in every repeat."""
        return [SweptProblem(self, problem, repeat) for problem in problems for repeat in range(self.repeats)]

    @property
    def cuts(self) -> list[Cut]:
        """Every rule and given threshold by which the target is truncated."""
        return [Cut(rule, threshold) for rule in self.truncated for threshold in self.given[rule]]

    def decode(
        self,
        problems: Sequence[Mapping[str, Any]],
        store: Store,
        scorer: Scorer,
        open_decoder: Callable[[int], Decoder],
    ) -> list[dict[str, Any]]:
        """Return the rows of sweep.parquet of some problems, from the store and by decoding what it does not have.

        Parameters
        ----------
        problems : sequence of mapping
            Rows of problems.parquet.
        open_decoder : callable
            Returns the decoder of a window; called where something has to be decoded.
        """
        swept = self.swept(problems)
        pieces = store.take_all(key for problem in swept for key in problem.all_keys())
        missing: dict[int | Cut, list[tuple[SweptProblem, Job]]] = {
            **{w: [(p, job) for p in swept for job in p.missing_jobs(pieces, w)] for w in self.windows},
            **{cut: [(p, job) for p in swept for job in p.missing_cuts(pieces, cut)] for cut in self.cuts},
        }
        # Of the target alone: no rule, one piece.
        computed = sum(len(job.thresholds) or 1 for jobs in missing.values() for _, job in jobs)
        progress = Progress(sum(map(len, missing.values())), "response tree")
        for part, jobs in missing.items():
            if jobs:
                decoder = self._open(part, open_decoder)
                for number, responses in decoder.decode([job for _, job in jobs]):
                    problem = jobs[number][0]
                    found = problem.to_pieces(rows_by_rule(problem.row, responses, decoder, scorer), part)
                    store.add(found)
                    pieces |= found
                    progress.advance()
        every = len(swept) * (1 + len(self.windows) * len(self.given) + len(self.cuts))
        logger.info("store: %d taken, %d computed", every - computed, computed)
        return [row for problem in swept for row in problem.to_rows(pieces)]

    def _open(self, part: int | Cut, open_decoder: Callable[[int], Decoder]) -> Decoder:
        """Return the decoder of a window, or of the truncated target."""
        if isinstance(part, int):
            return open_decoder(part)
        return truncate(open_decoder(0), load_rule(part.rule, self.settings.get(part.rule)), part.threshold)


class SweptProblem:
    """A problem of a sweep, and the keys of its pieces.

    Parameters
    ----------
    work : SweepWork
        What the pieces depend on beside the problem.
    row : mapping
        Its row of problems.parquet.
    repeat : int
        From 0. The others are decoded under names of their own, from which their keys and random numbers follow.
    """

    def __init__(self, work: SweepWork, row: Mapping[str, Any], repeat: int = 0) -> None:
        name = row["problem_id"]
        self.work, self._told = work, {"problem_id": name, "repeat": repeat, "split": row["split"]}
        self.row = row = {**row, "problem_id": f"{name} repeat {repeat}"} if repeat else row
        common = {"code": work.code, "max_new_tokens": work.max_new_tokens, "sampling": dict(work.sampling)}
        problem = piece_key(common | describe_problem(row))
        models, labels = piece_key(dict(work.models)), {rule: work.labels[rule].get(name, {}) for rule in work.labels}
        self._target = piece_key({"problem": problem, "target": work.models["target"]})
        self._cuts = {
            cut: piece_key({"target": self._target, "truncated": work.truncated[cut.rule], "threshold": cut.threshold})
            for cut in work.cuts
        }
        self._of_rule = {
            (window, rule): {"problem": problem, "models": models, "window": window, "rule": rule}
            | {"code": work.rules[rule]}
            | ({"labels": sorted(labels[rule].items())} if rule in labels else {})
            | ({"target_first": True} if work.target_first else {})
            for window in work.windows
            for rule in work.given
        }
        self.labels = next(iter(labels.values()), {})

    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all pieces that the problem may have."""
        yield self._target
        yield from self._cuts.values()
        for window, rule in self._of_rule:
            yield self._curve(window, rule)
            yield self._overflow(window, rule)
            yield from (self._point(window, rule, threshold) for threshold in (*self.work.given[rule], INFINITY))

    def missing_jobs(self, pieces: Container[str], window: int) -> Iterator[Job]:
        """Yield the jobs of a window that decode what is not among some pieces; the target alone with the first one."""
        if self._target not in pieces and window == self.work.windows[0]:
            yield self._job({})
        parts = {rule: self._missing(window, rule, pieces) for rule in self.work.given}
        if missing := {rule: part for rule, part in parts.items() if part is not None}:
            yield self._job(missing)

    def missing_cuts(self, pieces: Container[str], cut: Cut) -> Iterator[Job]:
        """Yield the job that decodes with a truncated target, if its response is not among some pieces."""
        if self._cuts[cut] not in pieces:
            yield self._job({})

    def _job(self, thresholds: Mapping[str, Thresholds]) -> Job:
        return build_job(self.row, thresholds, self.work.given, self.labels, self.work.settings)

    def to_pieces(self, found: Mapping[str, list[dict[str, Any]]], part: int | Cut) -> dict[str, Any]:
        """Return the pieces that rows of `rows_by_rule` are kept as, by key.

        Parameters
        ----------
        part : int or Cut
            The window at which they were decoded, or what truncated the target.
        """
        if isinstance(part, Cut):
            return {self._cuts[part]: found[TARGET]}
        window, pieces = part, dict[str, Any]()
        for rule, rows in found.items():
            if rule == TARGET:
                pieces[self._target] = rows
            elif rows[0]["exact"]:
                pieces[self._curve(window, rule)] = rows
            else:
                message = "problem %s, rule %s: more than %d responses, decoded at the given thresholds only"
                logger.warning(message, self.row["problem_id"], rule, self.work.branches)
                pieces[self._overflow(window, rule)] = []
                pieces |= {self._point(window, rule, row["threshold"]): [row] for row in rows}
        return pieces

    def to_rows(self, pieces: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of sweep.parquet that the pieces give: the target's, then each window's and rule's."""
        alone = [*pieces[self._target], *(row for rule in self.work.truncated for row in self._cut_rows(rule, pieces))]
        rows = compare_with_lossless(alone, self._rows(self.work.windows[0], LOSSLESS, pieces))
        for window in self.work.windows:
            lossless = self._rows(window, LOSSLESS, pieces)
            for rule in self.work.given:
                rows += compare_with_lossless(self._rows(window, rule, pieces), lossless)
        return [row | self._told for row in rows]

    def _cut_rows(self, rule: str, pieces: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield a row per given threshold of the target truncated by a rule, for those from the one before it on."""
        low, name = -INFINITY, name_truncated(rule)
        for threshold in self.work.given[rule]:
            held = {"rule": name, "threshold_low": low, "threshold": threshold, "exact": False}
            yield pieces[self._cuts[Cut(rule, threshold)]][0] | held
            low = threshold

    def _rows(self, window: int, rule: str, pieces: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a rule: its curve, or a row per given threshold, for those from the one before it on."""
        if (curve := pieces.get(self._curve(window, rule))) is not None:
            return list(curve)
        thresholds = [*self.work.given[rule], INFINITY]
        found = [pieces[self._point(window, rule, threshold)][0] for threshold in thresholds]
        return [row | {"threshold_low": low} for row, low in zip(found, [-INFINITY, *thresholds], strict=False)]

    def _missing(self, window: int, rule: str, pieces: Container[str]) -> Thresholds | None:
        """Return what is still to be decoded by a rule at a window."""
        if self._curve(window, rule) in pieces:
            return None
        if self._overflow(window, rule) not in pieces:
            return EVERY
        given = (*self.work.given[rule], INFINITY)
        points = tuple(threshold for threshold in given if self._point(window, rule, threshold) not in pieces)
        return Points(points) if points else None

    def _curve(self, window: int, rule: str) -> str:
        return piece_key(self._of_rule[window, rule])

    def _overflow(self, window: int, rule: str) -> str:
        return piece_key(self._of_rule[window, rule] | {"branches": self.work.branches})

    def _point(self, window: int, rule: str, threshold: float) -> str:
        return piece_key(self._of_rule[window, rule] | {"threshold": threshold})
