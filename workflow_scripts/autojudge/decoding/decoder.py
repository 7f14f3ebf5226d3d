"""Speculative decoding in batch: a proposer drafts a window, the target verifies it, rules decide at mismatches.

A response is decoded for many rules and thresholds at once. It holds for some thresholds of each rule; where a mismatch
is kept by some of them and refused by others, it splits into two branches, which share what was computed so far. A job
with one threshold of one rule never splits: that is ordinary decoding.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from autojudge.decoding.branches import Branch, Cycle, Decoded, Job, Outcome, Tree, Verdict, may_split
from autojudge.decoding.proposers import DraftModel, PromptLookup, Proposer
from autojudge.decoding.window import Window
from autojudge.engine.attention import Slots
from autojudge.engine.cache import CachedModel
from autojudge.engine.endings import Ending
from autojudge.engine.models import Pair
from autojudge.engine.sampling import Sampling, draw, residual
from autojudge.engine.text import read_texts
from autojudge.judging.artifact import Judge
from autojudge.judging.signals import Signals
from autojudge.rules import Rule

NEW_SHARE = 8  # of the rows, one in so many takes a new splitting job at a time: its branches will need the others


class Decoder:
    """Decodes responses side by side, refilling rows as they finish.

    Parameters
    ----------
    pair : Pair
        Target, and draft model or none (prompt lookup).
    judge : Judge or None
        For rules that need it.
    window : int
        Tokens that are proposed per cycle.
    max_new_tokens : int
        Longest response.
    batch : int
        Branches in work at a time.
    stop : tuple of str
        Texts that end a response.
    sampling : Sampling or None
        None: greedy.
    most_branches : int
        Responses that a job may split into for one rule; a rule with more is decoded with `Job.fallback`.
    target_first : bool
        Start like vLLM, whose prefill gives the first token without a draft: a call of the target that is no cycle.
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
        target_first: bool = False,
    ) -> None:
        self.pair, self.judge, self.window, self.batch = pair, judge, window, batch
        self.ending = Ending(max_new_tokens, pair.end_tokens, stop, pair.decode)
        self.sampling, self.most_branches, self.target_first = sampling, most_branches, target_first
        self.models: dict[str, CachedModel] = {}

    @torch.inference_mode()
    def decode(self, jobs: Sequence[Job]) -> Iterator[tuple[int, list[Decoded]]]:
        """Yield (index of the job, its responses), whole jobs as they end; a job without splits has one response.

        Raises
        ------
        InputError
            A prompt holds a token that a model does not embed.
        """
        waiting = [branch for number in reversed(range(len(jobs))) for branch in Tree.plant(number, jobs[number]).live]
        parked: list[Branch] = []  # branches whose other half goes on in their row, the latest last
        active: list[Branch] = []
        batch = self._open_caches(jobs)
        while waiting or parked or active:
            rows = sorted(set(range(batch)) - {branch.row for branch in active})
            active += self._resume(parked, rows)
            if not parked:
                active += self._start(waiting, rows)
            split_off = self._run_cycle(active)
            parked += split_off
            ended = [branch for branch in [*split_off, *active] if self.ending.reached(branch.tokens)]
            for branch in ended:
                branch.tree.end(branch)
                self._drop(branch, active, parked)
            for tree in dict.fromkeys(branch.tree for branch in [*split_off, *ended]):
                for branch in tree.narrow(self.most_branches):
                    self._drop(branch, active, parked)
                if not tree.live:
                    yield tree.number, tree.ended

    def _open_caches(self, jobs: Sequence[Job]) -> int:
        """Make the caches and the proposer; return the number of rows."""
        for job in jobs:
            self.pair.check_tokens(job.prompt)
        capacity = max((len(job.prompt) for job in jobs), default=0) + self.ending.limit + self.window + 2
        batch = self.batch if any(may_split(job.thresholds) for job in jobs) else min(self.batch, len(jobs))
        self.models = {"target": CachedModel(self.pair.target, batch, capacity, self.pair.vocabulary)}
        self.proposer: Proposer = PromptLookup()
        if self.pair.draft is not None:
            self.models["draft"] = CachedModel(self.pair.draft, batch, capacity, self.pair.vocabulary)
            self.proposer = DraftModel(self.models["draft"], self.sampling)
        return batch

    def _resume(self, parked: list[Branch], rows: list[int]) -> list[Branch]:
        """Give free rows to parked branches."""
        resumed = []
        while parked and rows:
            branch, row = parked.pop(), rows.pop(0)
            for name, model in self.models.items():
                branch.texts[name].load(model, row)
            resumed.append(branch)
        return resumed

    def _start(self, waiting: list[Branch], rows: list[int]) -> list[Branch]:
        """Give free rows to new branches and read their prompts, but for the last token: a window begins with it."""
        started: list[Branch] = []
        splitting = 0
        while waiting and rows and splitting <= self.batch // NEW_SHARE:
            branch, row = waiting.pop(), rows.pop(0)
            for text in branch.texts.values():
                text.row = row
            if may_split(branch.result.thresholds):
                splitting += 1
            started.append(branch)
        self._read_prompts("target", started)
        for branch in started:
            branch.result.target_calls += 1
        if "draft" in self.models:
            drafted = [branch for branch in started if branch.result.thresholds]
            self._read_prompts("draft", drafted)
            for branch in drafted:
                branch.result.draft_calls += 1
        return started

    def _read_prompts(self, name: str, branches: list[Branch]) -> None:
        texts = [branch.texts[name] for branch in branches]
        if texts:
            read_texts(self.models[name], [(text, text.prompt[:-1]) for text in texts])

    def _drop(self, branch: Branch, active: list[Branch], parked: list[Branch]) -> None:
        """Take a branch out of work and free its row."""
        if branch in parked:
            parked.remove(branch)
            return
        for model in self.models.values():
            model.clear(branch.row)
        active.remove(branch)

    def _run_cycle(self, branches: list[Branch]) -> list[Branch]:
        """Draft and verify a window of each branch and go on with what is kept; return the branches split off."""
        split_off = []
        for cycle in self._verify(branches, self._propose(branches)):
            *others, last = cycle.outcomes()
            split_off += [self._split_off(cycle, outcome) for outcome in others]
            self._continue_in_row(cycle, last)
        return split_off

    def _propose(self, branches: list[Branch]) -> list[Window]:
        """Return a window of each branch; one without room where the target writes alone."""
        windows = []
        for branch in branches:
            needs = frozenset[str]().union(*(needs_of(rule, self.judge) for rule in branch.result.thresholds))
            alone = not branch.result.thresholds or (self.target_first and not branch.tokens)
            room = 0 if alone else min(self.window, self.ending.limit - len(branch.tokens))
            windows.append(Window(branch.texts["draft"], room, self.ending.end_tokens, needs, branch.random))
        self.proposer.propose([window for window in windows if window.room])
        for branch, window in zip(branches, windows, strict=True):
            branch.result.draft_calls += window.draft_calls
            branch.result.last_reads += window.last_reads
        return windows

    def _verify(self, branches: list[Branch], windows: list[Window]) -> list[Cycle]:
        """Let the target read each window in one pass; return what it says to them, and the scores of mismatches."""
        keep_logits = self.sampling is not None or any("target_logits" in window.needs for window in windows)
        texts = [branch.texts["target"] for branch in branches]
        work = [(text, text.unread(window.proposals)) for text, window in zip(texts, windows, strict=True)]
        result = read_texts(self.models["target"], work, keep_logits)
        cycles = []
        for i, (branch, window) in enumerate(zip(branches, windows, strict=True)):
            branch.result.target_calls += 1
            slots, logits = result.slots[i], result.logits[i] if keep_logits else None
            cycles.append(Cycle(branch, window, slots, logits, self._compare(branch.row, window, slots, logits)))
        self._score(cycles)
        return cycles

    def _compare(
        self,
        row: int,
        window: Window,
        slots: Slots,
        logits: torch.Tensor | None,  # (n + 1, vocabulary)
    ) -> Verdict:
        """Compare a window of n proposals with the target's choices, or sample where its distribution differs."""
        if self.sampling is None or logits is None:
            choices = self.models["target"].choices(row, slots)
            return Verdict([a == b for a, b in zip(window.proposals, choices, strict=False)], choices)
        n = len(window.proposals)
        p = self.sampling.distribution(logits)
        uniform = torch.from_numpy(window.random.random((2, n + 1))).to(p.device)
        if not n:
            return Verdict([], draw(p, uniform[1]).tolist())
        tokens = torch.tensor(window.proposals, device=p.device)[:, None]
        if self.pair.draft is not None:
            q = self.sampling.distribution(torch.stack(window.logits)).to(p.device)
        else:  # prompt lookup is sure of its tokens
            q = torch.zeros_like(p[:n]).scatter(1, tokens, 1)
        agrees = uniform[0, :n] * q.gather(1, tokens)[:, 0] < p[:n].gather(1, tokens)[:, 0]
        weights = torch.cat([residual(p[:n], q), p[n:]])
        return Verdict(agrees.tolist(), draw(weights, uniform[1]).tolist(), uniform[0, :n].tolist())

    def _score(self, cycles: list[Cycle]) -> None:
        """Let the rules of each branch score its mismatches, those with the same needs together."""
        groups: dict[frozenset[str], list[tuple[Cycle, int]]] = {}
        for cycle in cycles:
            groups.setdefault(cycle.window.needs, []).extend((cycle, place) for place in cycle.mismatches)
        for needs, mismatches in groups.items():
            if not mismatches:
                continue
            signals = self._signals(needs, mismatches)
            for rule in dict.fromkeys(rule for cycle, _ in mismatches for rule in cycle.branch.result.thresholds):
                for (cycle, place), score in zip(mismatches, rule.score(signals).tolist(), strict=True):
                    cycle.note_score(rule, place, score)

    def _signals(self, needs: frozenset[str], mismatches: list[tuple[Cycle, int]]) -> Signals:
        """Gather what rules read of mismatches, each given by its cycle and place in the window."""
        device, jobs = self.pair.target.device, [cycle.branch.tree.job for cycle, _ in mismatches]
        positions = [len(cycle.branch.tokens) + place for cycle, place in mismatches]
        temperature = self.sampling.temperature if self.sampling else 1.0
        draft_token = torch.tensor([cycle.window.proposals[place] for cycle, place in mismatches], device=device)
        signals = Signals(draft_token, self.judge, hidden=self._hidden(needs, mismatches))
        if "target_logits" in needs:
            logits = [cycle.logits[place] for cycle, place in mismatches if cycle.logits is not None]
            signals.target_logits = torch.stack(logits) / temperature
        if "draft_logits" in needs:
            logits = [cycle.window.logits[place] for cycle, place in mismatches]
            signals.draft_logits = torch.stack(logits).to(device) / temperature
        if "following" in needs:
            following = [cycle.verdict.following(place) for cycle, place in mismatches]
            signals.following, signals.window = torch.tensor(following, device=device), self.window
        if "uniform" in needs:
            if self.sampling is None:
                seeds = [[job.seed, position] for job, position in zip(jobs, positions, strict=True)]
                uniform = [np.random.default_rng(seed).random() for seed in seeds]
            else:
                uniform = [cycle.verdict.uniform[place] for cycle, place in mismatches]
            signals.uniform = torch.tensor(uniform, device=device)
        if "position" in needs:
            signals.position = torch.tensor(positions, device=device)
        if "labels" in needs:
            labels = [job.labels.get(position, True) for job, position in zip(jobs, positions, strict=True)]
            signals.important = torch.tensor(labels, device=device)
        return signals

    def _hidden(self, needs: frozenset[str], mismatches: list[tuple[Cycle, int]]) -> dict[str, torch.Tensor]:
        """Return the blocks of hidden states, (mismatches, hidden), that a judge reads."""
        if "judge" not in needs:
            return {}
        rows = [cycle.branch.row for cycle, _ in mismatches]
        before, at = ([int(cycle.slots[place + k]) for cycle, place in mismatches] for k in (0, 1))
        blocks = {
            "target_before": self.models["target"].hidden(rows, before),
            "target_at_draft": self.models["target"].hidden(rows, at),
            "draft_before": torch.stack([cycle.window.hidden[place] for cycle, place in mismatches]),
        }
        if "draft_at_draft" in needs:
            blocks["draft_at_draft"] = torch.stack([cycle.window.hidden[place + 1] for cycle, place in mismatches])
        return blocks

    def _end_cycle(self, branch: Branch, cycle: Cycle, outcome: Outcome) -> None:
        """Add a cycle's tokens and counts to a branch, which holds for the outcome's thresholds from here on.

        A token that the target writes alone is part of no cycle.
        """
        result, before = branch.result, len(branch.tokens)
        self.ending.extend(result.tokens, [*cycle.window.proposals[: outcome.kept], outcome.last])
        added = len(result.tokens) - before
        if cycle.window.room:
            result.cycles += 1
            result.keep(min(outcome.kept, added))
            result.accepted += min(outcome.accepted, added)
            result.emitted += added
        result.thresholds = outcome.thresholds
        result.sums = {rule: cycle.sum_before(rule, outcome.kept) for rule in outcome.thresholds if rule.summed}

    def _split_off(self, cycle: Cycle, outcome: Outcome) -> Branch:
        """Return a branch of its own for an outcome, with a copy of what the models have read of it."""
        branch, count = cycle.branch, len(cycle.branch.tokens) + outcome.kept
        other = branch.tree.add(branch.fork())
        self._end_cycle(other, cycle, outcome)
        if not self.ending.reached(other.tokens):
            for name, model in self.models.items():
                other.texts[name] = branch.texts[name].save(model, count, other.tokens)
        return other

    def _continue_in_row(self, cycle: Cycle, outcome: Outcome) -> None:
        """Go on with an outcome in the branch's row; what was refused is dropped from the caches."""
        branch, count = cycle.branch, len(cycle.branch.tokens) + outcome.kept
        self._end_cycle(branch, cycle, outcome)
        for name, model in self.models.items():
            branch.texts[name].keep(model, count)


def needs_of(rule: Rule, judge: Judge | None) -> frozenset[str]:
    """Return what a rule, or the judge that it asks, reads."""
    if "judge" not in rule.needs or judge is None:
        return rule.needs
    logits = {"draft_logits", "target_logits"} & judge.needs
    return rule.needs | logits | ({"draft_at_draft"} & set(judge.columns))
