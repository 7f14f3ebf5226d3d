"""Speculative decoding in batch: a proposer drafts a window, the target verifies it, rules decide at mismatches.

A response is decoded for many rules and thresholds at once. It holds for some thresholds of each rule; where a mismatch
is kept by some of them and refused by others, it splits into two branches, which share what was computed so far. A job
with one threshold of one rule never splits: that is ordinary decoding.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from autojudge.decoding.proposers import DraftModel, PromptLookup, Proposer
from autojudge.decoding.thresholds import Points, Thresholds
from autojudge.engine.cache import NO_SLOTS, CachedModel, Pass, Request, Saved, Slots
from autojudge.engine.endings import Ending
from autojudge.engine.models import Pair
from autojudge.engine.sampling import Sampling, draw, residual
from autojudge.judging.artifact import Judge
from autojudge.judging.signals import Signals
from autojudge.rules import Rule

NEW_SHARE = 8  # of the rows, one in so many takes a new splitting job at a time: its branches will need the others


@dataclass(frozen=True)
class Job:
    """A response to decode.

    Attributes
    ----------
    prompt : sequence of int
        Its tokens.
    rules : mapping of Rule to Thresholds
        What decides at mismatches; empty: the target alone, without a draft.
    instead : mapping of Rule to Points
        Taken in place of `rules` where those would need more branches than allowed.
    seed : int
        Of the random numbers; the same seed gives the same response in any batch.
    labels : mapping of int to bool
        By position of a mined response, whether its mismatch is important.
    """

    prompt: Sequence[int]
    rules: Mapping[Rule, Thresholds]
    instead: Mapping[Rule, Points] | None = None
    seed: int = 0
    labels: Mapping[int, bool] = field(default_factory=dict)

    @property
    def splits(self) -> bool:
        """Tell whether there may be more than one response."""
        return len(self.rules) > 1 or any(t != Points(getattr(t, "values", ())[:1]) for t in self.rules.values())


@dataclass
class Decoded:
    """A response, its counts (`tables.decoding` tells their meaning) and the thresholds for which it holds.

    Attributes
    ----------
    last_reads : int
        Further draft calls of rules that want the state at a window's last token.
    """

    tokens: list[int] = field(default_factory=list)
    cycles: int = 0
    accepted: int = 0
    emitted: int = 0
    target_calls: int = 0
    draft_calls: int = 0
    last_reads: int = 0
    rules: Mapping[Rule, Thresholds] = field(default_factory=dict)

    def counts(self, reads_last: bool = False) -> dict[str, int]:
        """Return the counts as columns of the sweep table."""
        return {
            "tokens": len(self.tokens),
            "cycles": self.cycles,
            "accepted": self.accepted,
            "emitted": self.emitted,
            "target_calls": self.target_calls,
            "draft_calls": self.draft_calls + (self.last_reads if reads_last else 0),
        }


@dataclass(eq=False)
class Branch:
    """A response in work.

    Attributes
    ----------
    row : int
        Of the caches; -1 while it waits for one.
    window : int
        Tokens proposed a cycle.
    needs : frozenset of str
        What its rules read beside the draft's token.
    target_slots, draft_slots : Slots
        What each model has read, prompt included.
    target_unread, draft_unread : list of int
        Tokens at the response's end that each model has yet to read; the target's is always one.
    saved : dict of str to Saved
        What the models had read, while it waits.
    proposals, logits, hidden : list
        Of the current window: the draft's tokens, the logits they were chosen from, the draft's state at each.
    """

    number: int
    job: Job
    ending: Ending
    window: int
    random: np.random.Generator
    row: int = -1
    needs: frozenset[str] = frozenset()
    result: Decoded = field(default_factory=Decoded)
    target_slots: Slots = field(default_factory=lambda: NO_SLOTS)
    draft_slots: Slots = field(default_factory=lambda: NO_SLOTS)
    target_unread: list[int] = field(default_factory=list)
    draft_unread: list[int] = field(default_factory=list)
    saved: dict[str, Saved] = field(default_factory=dict)
    proposals: list[int] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)
    hidden: list[torch.Tensor] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Length of the text, prompt included."""
        return len(self.job.prompt) + len(self.result.tokens)

    @property
    def room(self) -> int:
        """Most tokens of the next window."""
        return min(self.window, self.ending.limit - len(self.result.tokens))

    @property
    def window_open(self) -> bool:
        """Tell whether the window takes another token."""
        ended = bool(self.proposals) and self.proposals[-1] in self.ending.end_tokens
        return len(self.proposals) < self.room and not ended

    def close_window(self) -> None:
        """Forget the window."""
        self.proposals, self.logits, self.hidden = [], [], []

    def fork(self) -> "Branch":
        """Return a copy without a row that goes its own way."""
        result = replace(self.result, tokens=list(self.result.tokens))
        return replace(self, row=-1, result=result, random=copy.deepcopy(self.random), saved={})


@dataclass(frozen=True)
class Verdict:
    """What the target says to a window of n proposals.

    Attributes
    ----------
    agrees : list of bool
        For each, whether the target keeps it without a rule.
    instead : list of int, n + 1
        The target's token in the place of each, were it refused; and after the last.
    """

    agrees: list[bool]
    instead: list[int]


@dataclass(frozen=True)
class Outcome:
    """One way in which a window ends: so many proposals kept, then a refusal or none, for these thresholds."""

    kept: int
    refused: bool
    rules: Mapping[Rule, Thresholds]
    token: int | None = None  # after the kept ones; the target's unless given


class Decoder:
    """Decodes responses side by side, refilling rows as they finish.

    Parameters
    ----------
    pair : Pair
        Target, and draft model or none (prompt lookup).
    judge : Judge or None
        For rules that need it.
    window : int
        Tokens that are proposed a cycle.
    max_new_tokens : int
        Longest response.
    batch : int
        Branches in work at a time.
    stop : tuple of str
        Texts that end a response.
    sampling : Sampling or None
        None: greedy.
    most_branches : int
        Responses that a job may split into before its thresholds are replaced by `Job.instead`.
    """

    def __init__(
        self,
        pair: Pair,
        judge: Judge | None,
        window: int,
        max_new_tokens: int,
        batch: int,
        stop: tuple[str, ...] = (),
        sampling: Sampling | None = None,
        most_branches: int = 2**30,
    ) -> None:
        self.pair, self.judge, self.window, self.batch = pair, judge, window, batch
        self.ending = Ending(max_new_tokens, pair.end_tokens, stop, pair.decode)
        self.sampling, self.most_branches = sampling, most_branches

    @torch.inference_mode()
    def decode(self, jobs: Sequence[Job]) -> Iterator[tuple[int, list[Decoded]]]:
        """Yield (index of the job, its responses), whole jobs as they end; a job without splits has one response."""
        waiting = [self._open(number, job) for number, job in reversed(list(enumerate(jobs)))]
        parked: list[Branch] = []  # branches whose other half goes on in their row, the latest last
        active: list[Branch] = []
        done: dict[int, list[Decoded]] = {branch.number: [] for branch in waiting}
        batch = self._open_caches(jobs)
        while waiting or parked or active:
            rows = sorted(set(range(batch)) - {branch.row for branch in active})
            active += self._resume(parked, rows)
            if not parked:
                active += self._start(waiting, rows)
            self.proposer.propose([branch for branch in active if branch.job.rules])
            split_off = self._verify(active)
            ended = [branch for branch in [*split_off, *active] if self.ending.reached(branch.result.tokens)]
            parked += [branch for branch in split_off if branch not in ended]
            for branch in ended:
                done[branch.number].append(branch.result)
                if branch.row >= 0:
                    self._leave(branch, active)
            live = {branch.number for branch in [*active, *parked]}
            for number in dict.fromkeys(branch.number for branch in ended):
                if number not in live:
                    yield number, done.pop(number)
            self._give_up(active, parked, waiting, done)

    def _open_caches(self, jobs: Sequence[Job]) -> int:
        """Make the caches and return the number of rows."""
        capacity = max((len(job.prompt) for job in jobs), default=0) + self.ending.limit + self.window + 2
        batch = self.batch if any(job.splits for job in jobs) else min(self.batch, len(jobs))
        self.target = CachedModel(self.pair.target, batch, capacity, self.pair.vocabulary)
        self.proposer: Proposer = PromptLookup()
        if self.pair.draft is not None:
            draft = CachedModel(self.pair.draft, batch, capacity, self.pair.vocabulary)
            self.proposer = DraftModel(draft, self.sampling)
        return batch

    def _open(self, number: int, job: Job) -> Branch:
        random = np.random.Generator(np.random.Philox(key=job.seed))
        branch = Branch(number, job, self.ending, self.window, random)
        self._hold(branch, job.rules)
        return branch

    def _hold(self, branch: Branch, rules: Mapping[Rule, Thresholds]) -> None:
        """Let a branch stand for these thresholds from here on."""
        branch.result.rules = rules
        branch.needs = frozenset().union(*(needs_of(rule, self.judge) for rule in rules))

    def _resume(self, parked: list[Branch], rows: list[int]) -> list[Branch]:
        """Give free rows to parked branches."""
        resumed = []
        while parked and rows:
            branch = parked.pop()
            branch.row = rows.pop(0)
            branch.target_slots = self.target.load(branch.row, branch.saved.pop("target"))
            self.proposer.load(branch)
            resumed.append(branch)
        return resumed

    def _start(self, waiting: list[Branch], rows: list[int]) -> list[Branch]:
        """Give free rows to new jobs and read their prompts, but for the last token: a window begins with it."""
        started: list[Branch] = []
        splitting = 0
        while waiting and rows and splitting <= self.batch // NEW_SHARE:
            branch = waiting.pop()
            branch.row = rows.pop(0)
            splitting += branch.job.splits
            started.append(branch)
        if started:
            requests = [Request(b.row, NO_SLOTS, list(b.job.prompt[:-1]), True) for b in started]
            for branch, slots in zip(started, self.target.forward(requests).slots, strict=True):
                branch.target_slots, branch.target_unread = slots, [branch.job.prompt[-1]]
                branch.result.target_calls += 1
        if drafted := [branch for branch in started if branch.job.rules]:
            self.proposer.start(drafted)
        return started

    def _leave(self, branch: Branch, active: list[Branch]) -> None:
        self.target.clear(branch.row)
        self.proposer.clear(branch.row)
        active.remove(branch)

    def _give_up(
        self, active: list[Branch], parked: list[Branch], waiting: list[Branch], done: dict[int, list[Decoded]]
    ) -> None:
        """Start jobs with too many branches again with the thresholds given instead."""
        live = Counter(branch.number for branch in [*active, *parked] if branch.job.instead is not None)
        for number, count in live.items():
            if count + len(done[number]) <= self.most_branches:
                continue
            job = next(branch.job for branch in [*active, *parked] if branch.number == number)
            assert job.instead is not None
            for branch in [branch for branch in active if branch.number == number]:
                self._leave(branch, active)
            parked[:] = [branch for branch in parked if branch.number != number]
            done[number] = []
            waiting.append(self._open(number, replace(job, rules=job.instead, instead=None)))

    def _verify(self, branches: list[Branch]) -> list[Branch]:
        """Let the target read each window in one pass and go on with what it keeps; return branches split off."""
        if not branches:
            return []
        keep_logits = self.sampling is not None or any("target_logits" in branch.needs for branch in branches)
        requests = [Request(b.row, b.target_slots, b.target_unread + b.proposals) for b in branches]
        result = self.target.forward(requests, keep_logits)
        for branch, slots in zip(branches, result.slots, strict=True):
            branch.target_slots = np.concatenate([branch.target_slots, slots])
            branch.result.target_calls += 1
        verdicts = [self._judge_window(branch, result, i) for i, branch in enumerate(branches)]
        scores = self._score(branches, result, verdicts)
        split_off = []
        for branch, verdict, of_rules in zip(branches, verdicts, scores, strict=True):
            *others, last = self._outcomes(branch, verdict, of_rules)
            split_off += [self._split_off(branch, outcome, verdict) for outcome in others]
            self._stay(branch, last, verdict)
        return split_off

    def _judge_window(self, branch: Branch, result: Pass, i: int) -> Verdict:
        """Compare a window with the target's choices, or sample from its distribution where that differs."""
        if self.sampling is None:
            choices = self.target.choices(branch.row, result.slots[i])
            return Verdict([a == b for a, b in zip(branch.proposals, choices, strict=False)], choices)
        n = len(branch.proposals)
        p = self.sampling.distribution(result.logits[i])
        uniform = torch.from_numpy(branch.random.random((2, n + 1))).to(p.device)
        if not n:
            return Verdict([], draw(p, uniform[1]).tolist())
        if self.pair.draft is not None:
            q = self.sampling.distribution(torch.stack(branch.logits)).to(p.device)
        else:  # prompt lookup is sure of its tokens
            q = torch.zeros_like(p[:n]).scatter(1, torch.tensor(branch.proposals, device=p.device)[:, None], 1)
        tokens = torch.tensor(branch.proposals, device=p.device)[:, None]
        agrees = uniform[0, :n] * q.gather(1, tokens)[:, 0] < p[:n].gather(1, tokens)[:, 0]
        weights = torch.cat([residual(p[:n], q), p[n:]])
        return Verdict(agrees.tolist(), draw(weights, uniform[1]).tolist())

    def _score(
        self, branches: list[Branch], result: Pass, verdicts: list[Verdict]
    ) -> list[dict[tuple[Rule, int], float]]:
        """Return for each branch the scores of its rules, by rule and place in the window, of all mismatches."""
        scores: list[dict[tuple[Rule, int], float]] = [{} for _ in branches]
        groups: dict[frozenset[str], list[tuple[int, int]]] = {}
        for i, (branch, verdict) in enumerate(zip(branches, verdicts, strict=True)):
            places = [(i, j) for j, agrees in enumerate(verdict.agrees) if not agrees]
            groups.setdefault(branch.needs, []).extend(places)
        for needs, places in groups.items():
            if not places:
                continue
            signals = self._signals(needs, branches, result, verdicts, places)
            for rule in {rule: None for i, _ in places for rule in branches[i].result.rules}:
                for (i, j), score in zip(places, rule.score(signals).tolist(), strict=True):
                    scores[i][rule, j] = score
        return scores

    def _signals(
        self,
        needs: frozenset[str],
        branches: list[Branch],
        result: Pass,
        verdicts: list[Verdict],
        places: list[tuple[int, int]],
    ) -> Signals:
        """Gather what rules read of mismatches, each given by its branch and place in the window."""
        device, owners = self.pair.target.device, [branches[i] for i, _ in places]
        positions = [len(branch.result.tokens) + j for branch, (_, j) in zip(owners, places, strict=True)]
        temperature = self.sampling.temperature if self.sampling else 1.0
        signals = Signals(
            draft_token=torch.tensor([branches[i].proposals[j] for i, j in places], device=device), judge=self.judge
        )
        if "target_logits" in needs:
            signals.target_logits = torch.stack([result.logits[i][j] for i, j in places]) / temperature
        if "draft_logits" in needs:
            signals.draft_logits = torch.stack([branches[i].logits[j] for i, j in places]).to(device) / temperature
        if "judge" in needs:
            rows = [branch.row for branch in owners]
            before, at = ([int(result.slots[i][j + k]) for i, j in places] for k in (0, 1))
            signals.hidden = {
                "target_before": self.target.hidden(rows, before),
                "target_at_draft": self.target.hidden(rows, at),
                "draft_before": torch.stack([branches[i].hidden[j] for i, j in places]),
            }
        if "draft_at_draft" in needs:
            signals.hidden["draft_at_draft"] = torch.stack([branches[i].hidden[j + 1] for i, j in places])
        if "following" in needs:
            following = [count_leading(verdicts[i].agrees[j + 1 :]) for i, j in places]
            signals.following = torch.tensor(following, device=device)
        if "uniform" in needs:
            seeds = zip(owners, positions, strict=True)
            uniform = [np.random.default_rng([b.job.seed, position]).random() for b, position in seeds]
            signals.uniform = torch.tensor(uniform, device=device)
        if "labels" in needs:
            labels = [b.job.labels.get(position, True) for b, position in zip(owners, positions, strict=True)]
            signals.important = torch.tensor(labels, device=device)
        return signals

    def _outcomes(self, branch: Branch, verdict: Verdict, scores: dict[tuple[Rule, int], float]) -> list[Outcome]:
        """Walk a window left to right; return how it ends, for which thresholds, the shortest first."""
        outcomes, rules = [], branch.result.rules
        for j, agrees in enumerate(verdict.agrees):
            if agrees:
                continue
            parts = {rule: thresholds.split(scores[rule, j]) for rule, thresholds in rules.items()}
            if refusing := {rule: part for rule, (part, _) in parts.items() if part}:
                outcomes.append(Outcome(j, True, refusing))
            rules = {rule: part for rule, (_, part) in parts.items() if part}
            if not rules:
                return outcomes
        return [*outcomes, *self._full_window(branch, rules)]

    def _full_window(self, branch: Branch, rules: Mapping[Rule, Thresholds]) -> list[Outcome]:
        """Return how a window ends that is kept whole: with the target's token after it, or, for an oracle, without.

        An oracle's labels belong to a text that has the draft's token where that is unimportant. It leaves such a place
        to the next window: the last proposal is taken as the cycle's own token.
        """
        kept, position = len(branch.proposals), len(branch.result.tokens) + len(branch.proposals)
        if not kept or branch.job.labels.get(position, True):
            return [Outcome(kept, False, rules)]
        parts = {rule: t.split(0.0) if "labels" in rule.needs else (t, None) for rule, t in rules.items()}
        waiting = {rule: part for rule, (_, part) in parts.items() if part}
        others = {rule: part for rule, (part, _) in parts.items() if part}
        outcomes = [Outcome(kept - 1, True, waiting, branch.proposals[-1])] if waiting else []
        return [*outcomes, Outcome(kept, False, others)] if others else outcomes

    def _go_on(self, branch: Branch, outcome: Outcome, verdict: Verdict) -> list[int]:
        """Add a cycle's tokens and counts to a branch and return the tokens."""
        result, before = branch.result, len(branch.result.tokens)
        last = verdict.instead[outcome.kept] if outcome.token is None else outcome.token
        self.ending.extend(result.tokens, [*branch.proposals[: outcome.kept], last])
        added = result.tokens[before:]
        result.cycles += 1
        result.accepted += min(outcome.kept + outcome.refused, len(added))
        result.emitted += len(added)
        branch.target_unread = added[-1:]
        self._hold(branch, outcome.rules)
        return added

    def _split_off(self, branch: Branch, outcome: Outcome, verdict: Verdict) -> Branch:
        """Return a branch of its own for an outcome, with a copy of what the models have read of it."""
        other = branch.fork()
        added = self._go_on(other, outcome, verdict)
        if not self.ending.reached(other.result.tokens):
            other.saved["target"] = self.target.save(branch.row, branch.target_slots[: branch.length + outcome.kept])
            self.proposer.save(branch, outcome.kept, added, other)
        other.close_window()
        return other

    def _stay(self, branch: Branch, outcome: Outcome, verdict: Verdict) -> None:
        """Go on with an outcome in the branch's row; what was refused is dropped from the caches."""
        length = branch.length + outcome.kept
        added = self._go_on(branch, outcome, verdict)
        self.target.release(branch.row, branch.target_slots[length:])
        branch.target_slots = branch.target_slots[:length]
        if branch.job.rules:
            self.proposer.keep(branch, outcome.kept, added)
        branch.close_window()


def needs_of(rule: Rule, judge: Judge | None) -> frozenset[str]:
    """Return what a rule, or the judge that it asks, reads."""
    if "judge" not in rule.needs or judge is None:
        return rule.needs
    scalars = {"draft_logits", "target_logits"} if judge.needs_scalars else set()
    return rule.needs | scalars | ({"draft_at_draft"} & set(judge.columns))


def count_leading(flags: Sequence[bool]) -> int:
    """Return how many flags are true before the first false one."""
    return next((i for i, flag in enumerate(flags) if not flag), len(flags))
