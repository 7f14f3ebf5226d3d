"""The work of a sweep job: on what exactly a decoded problem depends, and decoding what the store does not have.

A problem's pieces are the target's response, and per window and rule its curve: the responses at every threshold. Where
a rule has too many of these, that finding is a piece, and so is the response at each given threshold.
"""

import logging
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.sweep import LOSSLESS, TARGET, build_job, compare_with_lossless, rows_by_rule
from autojudge.decoding.thresholds import EVERY, INFINITY, Points, Thresholds
from autojudge.engine.settings import Models
from autojudge.jobs.mining_work import describe_problem
from autojudge.jobs.progress import Progress
from autojudge.jobs.store import Store, piece_key
from autojudge.rules import Settings
from autojudge.tasks import Task

logger = logging.getLogger("autojudge")


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

    def decode(
        self, problems: Sequence[Mapping[str, Any]], store: Store, task: Task, open_decoder: Callable[[int], Decoder]
    ) -> list[dict[str, Any]]:
        """Return the rows of sweep.parquet of some problems, from the store and by decoding what it does not have.

        Parameters
        ----------
        problems : sequence of mapping
            Rows of problems.parquet.
        open_decoder : callable
            Returns the decoder of a window; called where something has to be decoded.
        """
        swept = [SweptProblem(self, problem) for problem in problems]
        pieces = store.take_all(key for problem in swept for key in problem.all_keys())
        missing = {w: [(p, job) for p in swept for job in p.missing_jobs(pieces, w)] for w in self.windows}
        # Of the target alone: no rule, one piece.
        computed = sum(len(job.thresholds) or 1 for jobs in missing.values() for _, job in jobs)
        progress = Progress(sum(map(len, missing.values())), "response tree")
        for window, jobs in missing.items():
            if jobs:
                decoder = open_decoder(window)
                for number, responses in decoder.decode([job for _, job in jobs]):
                    problem = jobs[number][0]
                    found = problem.to_pieces(rows_by_rule(problem.row, responses, decoder, task), window)
                    store.add(found)
                    pieces |= found
                    progress.advance()
        every = len(swept) * (1 + len(self.windows) * len(self.given))
        logger.info("store: %d taken, %d computed", every - computed, computed)
        return [row for problem in swept for row in problem.to_rows(pieces)]


class SweptProblem:
    """A problem of a sweep, and the keys of its pieces.

    Parameters
    ----------
    work : SweepWork
        What the pieces depend on beside the problem.
    row : mapping
        Its row of problems.parquet.
    """

    def __init__(self, work: SweepWork, row: Mapping[str, Any]) -> None:
        self.work, self.row, name = work, row, row["problem_id"]
        common = {"code": work.code, "max_new_tokens": work.max_new_tokens, "sampling": dict(work.sampling)}
        problem = piece_key(common | describe_problem(row))
        models, labels = piece_key(dict(work.models)), {rule: work.labels[rule].get(name, {}) for rule in work.labels}
        self._target = piece_key({"problem": problem, "target": work.models["target"]})
        self._of_rule = {
            (window, rule): {"problem": problem, "models": models, "window": window, "rule": rule}
            | {"code": work.rules[rule]}
            | ({"labels": sorted(labels[rule].items())} if rule in labels else {})
            for window in work.windows
            for rule in work.given
        }
        self.labels = next(iter(labels.values()), {})

    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all pieces that the problem may have."""
        yield self._target
        for window, rule in self._of_rule:
            yield self._curve(window, rule)
            yield self._overflow(window, rule)
            yield from (self._point(window, rule, threshold) for threshold in (*self.work.given[rule], INFINITY))

    def missing_jobs(self, pieces: Container[str], window: int) -> Iterator[Job]:
        """Yield the jobs of a window that decode what is not among some pieces; the target alone with the first one."""
        if self._target not in pieces and window == self.work.windows[0]:
            yield build_job(self.row, {}, self.work.given, self.labels, self.work.settings)
        parts = {rule: self._missing(window, rule, pieces) for rule in self.work.given}
        if missing := {rule: part for rule, part in parts.items() if part is not None}:
            yield build_job(self.row, missing, self.work.given, self.labels, self.work.settings)

    def to_pieces(self, found: Mapping[str, list[dict[str, Any]]], window: int) -> dict[str, Any]:
        """Return the pieces that rows of `rows_by_rule`, decoded at a window, are kept as, by key."""
        pieces: dict[str, Any] = {}
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
        rows = compare_with_lossless(pieces[self._target], self._rows(self.work.windows[0], LOSSLESS, pieces))
        for window in self.work.windows:
            lossless = self._rows(window, LOSSLESS, pieces)
            for rule in self.work.given:
                rows += compare_with_lossless(self._rows(window, rule, pieces), lossless)
        return [row | {"split": self.row["split"]} for row in rows]

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
