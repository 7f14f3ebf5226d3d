"""Responses in work: a job, the branches that its response splits into, and how a verified window goes on."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from autojudge.decoding.thresholds import Interval, Points, Thresholds
from autojudge.decoding.window import Window
from autojudge.engine.attention import Slots
from autojudge.engine.text import CachedText
from autojudge.rules import Rule


@dataclass(frozen=True)
class Job:
    """A response to decode.

    Attributes
    ----------
    prompt : sequence of int
        Its tokens.
    thresholds : mapping of Rule to Thresholds
        What decides at mismatches; empty: the target alone, without a draft.
    fallback : mapping of Rule to Points
        What is left of a rule's thresholds where they would give more responses than allowed.
    seed : int
        Of the random numbers; the same seed gives the same response in any batch.
    labels : mapping of int to bool
        By position of a mined response, whether its mismatch is important.
    """

    prompt: Sequence[int]
    thresholds: Mapping[Rule, Thresholds]
    fallback: Mapping[Rule, Points] = field(default_factory=dict)
    seed: int = 0
    labels: Mapping[int, bool] = field(default_factory=dict)


@dataclass
class Decoded:
    """A response, its counts (`schemas.COUNTS` tells their meaning) and the thresholds for which it holds.

    Attributes
    ----------
    kept_at : list of int
        By place in the window, the cycles that kept the proposal there.
    last_reads : int
        Further draft calls of rules that want the state at a window's last token.
    sums : mapping of Rule to float
        What the scores of kept mismatches have come to, for rules that sum them.
    """

    tokens: list[int] = field(default_factory=list)
    cycles: int = 0
    accepted: int = 0
    emitted: int = 0
    target_calls: int = 0
    draft_calls: int = 0
    kept_at: list[int] = field(default_factory=list)
    last_reads: int = 0
    sums: Mapping[Rule, float] = field(default_factory=dict)
    thresholds: Mapping[Rule, Thresholds] = field(default_factory=dict)

    def keep(self, count: int) -> None:
        """Count a cycle that kept so many proposals."""
        self.kept_at += [0] * (count - len(self.kept_at))
        for place in range(count):
            self.kept_at[place] += 1

    def counts(self, reads_last: bool = False) -> dict[str, int]:
        """Return the counts as columns of the sweep table, but for `kept_at`."""
        return {
            "tokens": len(self.tokens),
            "cycles": self.cycles,
            "accepted": self.accepted,
            "emitted": self.emitted,
            "target_calls": self.target_calls,
            "draft_calls": self.draft_calls + (self.last_reads if reads_last else 0),
        }


def may_split(thresholds: Mapping[Rule, Thresholds]) -> bool:
    """Tell whether these thresholds may give more than one response."""
    return len(thresholds) > 1 or not all(isinstance(t, Points) and len(t.values) == 1 for t in thresholds.values())


@dataclass(eq=False)
class Branch:
    """A response in work.

    Attributes
    ----------
    tree : Tree
        The job that it belongs to.
    random : Generator
        Of its random numbers.
    result : Decoded
        What it has come to.
    texts : dict of str to CachedText
        What each model, "target" and "draft", has read of it; they share the tokens of `result`.
    """

    tree: "Tree"
    random: np.random.Generator
    result: Decoded
    texts: dict[str, CachedText]

    @classmethod
    def start(cls, tree: "Tree", thresholds: Mapping[Rule, Thresholds]) -> "Branch":
        """Return a branch of a job of which nothing is decoded."""
        random = np.random.Generator(np.random.Philox(key=tree.job.seed))
        result = Decoded(thresholds=thresholds)
        return cls(tree, random, result, tree.texts(result.tokens))

    @property
    def tokens(self) -> list[int]:
        """The response so far."""
        return self.result.tokens

    @property
    def row(self) -> int:
        """Row of the caches; NO_ROW while it waits for one."""
        return self.texts["target"].row

    def fork(self) -> "Branch":
        """Return a copy of which no model has read anything."""
        result = replace(self.result, tokens=list(self.tokens), kept_at=list(self.result.kept_at))
        return Branch(self.tree, copy.deepcopy(self.random), result, self.tree.texts(result.tokens))


@dataclass(eq=False)
class Tree:
    """A job in work: all branches of its response.

    Attributes
    ----------
    number : int
        Of the job.
    live : list of Branch
        Those that have not ended.
    ended : list of Decoded
        What the others gave.
    fallback : dict of Rule to Points
        Of the rules that still have all their thresholds.
    """

    number: int
    job: Job
    live: list[Branch] = field(default_factory=list)
    ended: list[Decoded] = field(default_factory=list)
    fallback: dict[Rule, Points] = field(default_factory=dict)

    @classmethod
    def plant(cls, number: int, job: Job) -> "Tree":
        """Return a job's tree with one branch."""
        tree = cls(number, job, fallback=dict(job.fallback))
        tree.add(Branch.start(tree, job.thresholds))
        return tree

    def add(self, branch: Branch) -> Branch:
        """Add a branch and return it."""
        self.live.append(branch)
        return branch

    def end(self, branch: Branch) -> None:
        """Keep the response of a branch that has ended."""
        self.live.remove(branch)
        self.ended.append(branch.result)

    def texts(self, tokens: list[int]) -> dict[str, CachedText]:
        """Return a response as each model's text, not read."""
        return {name: CachedText(list(self.job.prompt), tokens) for name in ("target", "draft")}

    def narrow(self, most: int) -> list[Branch]:
        """Leave a rule with more than so many responses its fallback alone, which goes on from what there is.

        Return the branches that hold for nothing now; they are none of the tree's any more.
        """
        exceeding = [rule for rule in self.fallback if self._count(rule) > most]
        if not exceeding:
            return []
        for rule in exceeding:
            fallback = self.fallback.pop(rule)
            for result in self._results():
                part = result.thresholds.get(rule)
                others = {other: thresholds for other, thresholds in result.thresholds.items() if other != rule}
                left = fallback.within(part) if isinstance(part, Interval) else None
                result.thresholds = others | ({rule: left} if left else {})
        self.ended = [result for result in self.ended if result.thresholds]
        removed = [branch for branch in self.live if not branch.result.thresholds]
        self.live = [branch for branch in self.live if branch.result.thresholds]
        return removed

    def _count(self, rule: Rule) -> int:
        return sum(rule in result.thresholds for result in self._results())

    def _results(self) -> list[Decoded]:
        return [*self.ended, *(branch.result for branch in self.live)]


@dataclass(frozen=True)
class Verdict:
    """What the target says to a window of n proposals.

    Attributes
    ----------
    agrees : list of bool
        For each, whether the target keeps it without a rule.
    corrections : list of int, n + 1
        The target's token in the place of each, were it refused; and after the last.
    uniform : list of float
        Where tokens are sampled, the random number by which each was kept or not.
    """

    agrees: list[bool]
    corrections: list[int]
    uniform: list[float] = field(default_factory=list)

    def following(self, place: int) -> int:
        """Return on how many proposals in a row after that place the target agrees."""
        after = self.agrees[place + 1 :]
        return after.index(False) if False in after else len(after)


@dataclass(frozen=True)
class Outcome:
    """One way in which a window ends.

    Attributes
    ----------
    kept : int
        Proposals that are kept.
    refused : bool
        The next proposal is refused; else all are kept.
    last : int
        The cycle's last token, after the kept ones.
    thresholds : mapping of Rule to Thresholds
        For which it ends so.
    """

    kept: int
    refused: bool
    last: int
    thresholds: Mapping[Rule, Thresholds]

    @property
    def accepted(self) -> int:
        """Tokens by the paper's count: the kept ones and the correction after a refusal."""
        return self.kept + 1 if self.refused else self.kept


@dataclass(eq=False)
class Cycle:
    """A branch's window and what the target's pass over it gave.

    Attributes
    ----------
    slots : Slots
        Of the target's cache: of the token before the window, and of its n proposals.
    logits : Tensor of shape (n + 1, vocabulary) or None
        The target's at these slots, if rules or sampling want them.
    scores : dict of (Rule, int) to float
        Of each mismatch by its place in the window.
    """

    branch: Branch
    window: Window
    slots: Slots
    logits: torch.Tensor | None
    verdict: Verdict
    scores: dict[tuple[Rule, int], float] = field(default_factory=dict)

    @property
    def mismatches(self) -> list[int]:
        """Places of the window at which the target disagrees."""
        return [place for place, agrees in enumerate(self.verdict.agrees) if not agrees]

    def note_score(self, rule: Rule, place: int, score: float) -> None:
        """Note a rule's score of a mismatch, those of the mismatches before it noted already."""
        self.scores[rule, place] = score + self.sum_before(rule, place) if rule.summed else score

    def sum_before(self, rule: Rule, place: int) -> float:
        """Return what the scores of mismatches before a place come to, all of them kept, for a rule that sums them."""
        before = [mismatch for mismatch in self.mismatches if mismatch < place]
        return self.scores[rule, before[-1]] if before else self.branch.result.sums.get(rule, 0.0)

    def outcomes(self) -> list[Outcome]:
        """Walk the window left to right; return how it ends, for which thresholds, the shortest first."""
        outcomes, thresholds = [], self.branch.result.thresholds
        for place in self.mismatches:
            parts = {rule: t.split(self.scores[rule, place]) for rule, t in thresholds.items()}
            if refusing := {rule: part for rule, (part, _) in parts.items() if part}:
                outcomes.append(Outcome(place, True, self.verdict.corrections[place], refusing))
            thresholds = {rule: part for rule, (_, part) in parts.items() if part}
            if not thresholds:
                return outcomes
        return [*outcomes, *self._all_kept(thresholds)]

    def _all_kept(self, thresholds: Mapping[Rule, Thresholds]) -> list[Outcome]:
        """Return how a window ends that is kept whole: with the target's token after it, or, for an oracle, without.

        An oracle's labels belong to a text that has the draft's token where that is unimportant. It leaves such a place
        to the next window: the last proposal is taken as the cycle's own token.
        """
        proposals = self.window.proposals
        n, position = len(proposals), len(self.branch.tokens) + len(proposals)
        bonus = self.verdict.corrections[n]
        if not n or self.branch.tree.job.labels.get(position, True):
            return [Outcome(n, False, bonus, thresholds)]
        parts = {rule: t.split(0.0) if "labels" in rule.needs else (t, None) for rule, t in thresholds.items()}
        waiting = {rule: part for rule, (_, part) in parts.items() if part}
        others = {rule: part for rule, (part, _) in parts.items() if part}
        outcomes = [Outcome(n - 1, True, proposals[-1], waiting)] if waiting else []
        return [*outcomes, Outcome(n, False, bonus, others)] if others else outcomes
