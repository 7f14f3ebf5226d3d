"""Speculative decoding in batch: the draft proposes a window, the target verifies it, a rule decides at mismatches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from autojudge.generation import NO_SLOTS, CachedModel, Pass, Request, Slots
from autojudge.judge import Judge
from autojudge.models import Pair
from autojudge.rules import Rule, Signals


@dataclass(frozen=True)
class Job:
    """A response to decode.

    Attributes
    ----------
    prompt : sequence of int
        Its tokens.
    rule : Rule or None
        Decides at mismatches; None: the target alone, without a draft.
    threshold : float
        The rule keeps a mismatch whose score lies below.
    """

    prompt: Sequence[int]
    rule: Rule | None
    threshold: float


@dataclass
class Decoded:
    """A response and its counts (`schemas.COUNTS` tells their meaning)."""

    tokens: list[int] = field(default_factory=list)
    cycles: int = 0
    accepted: int = 0
    emitted: int = 0
    target_calls: int = 0
    draft_calls: int = 0

    def counts(self) -> dict[str, int]:
        """Return the counts as columns of the sweep table."""
        return {
            "tokens": len(self.tokens),
            "cycles": self.cycles,
            "accepted": self.accepted,
            "emitted": self.emitted,
            "target_calls": self.target_calls,
            "draft_calls": self.draft_calls,
        }


@dataclass
class Row:
    """A response in work.

    Attributes
    ----------
    needs : frozenset of str
        What its rule reads beside the target's logits.
    slots : dict of str to Slots
        What each model has read, prompt included.
    unread : dict of str to list of int
        Tokens at the response's end that each model has yet to read; the target's is always one.
    proposals, logits, hidden : list
        Of the current window: the draft's tokens, the logits they were chosen from, the draft's state at each.
    """

    index: int
    number: int
    job: Job
    needs: frozenset[str]
    result: Decoded = field(default_factory=Decoded)
    slots: dict[str, Slots] = field(default_factory=lambda: {"draft": NO_SLOTS, "target": NO_SLOTS})
    unread: dict[str, list[int]] = field(default_factory=lambda: {"draft": [], "target": []})
    proposals: list[int] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)
    hidden: list[torch.Tensor] = field(default_factory=list)


class Decoder:
    """Decodes responses side by side, refilling rows as they finish.

    Parameters
    ----------
    pair : Pair
        Draft and target.
    judge : Judge or None
        For rules that need it.
    window : int
        Tokens that the draft proposes a cycle.
    max_new_tokens : int
        Longest response.
    batch : int
        Responses in work at a time.
    """

    def __init__(self, pair: Pair, judge: Judge | None, window: int, max_new_tokens: int, batch: int) -> None:
        self.pair, self.judge, self.window, self.limit, self.batch = pair, judge, window, max_new_tokens, batch
        self.models: dict[str, CachedModel] = {}

    @torch.inference_mode()
    def decode(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Decoded]]:
        """Yield (index of the job, its result) as responses end."""
        waiting = list(reversed(list(enumerate(jobs))))
        rows: dict[int, Row] = {}
        capacity = max((len(job.prompt) for job in jobs), default=0) + self.limit + self.window + 2
        models = {"draft": self.pair.draft, "target": self.pair.target}
        batch = min(self.batch, len(jobs))
        self.models = {
            name: CachedModel(model, batch, capacity, self.pair.vocabulary) for name, model in models.items()
        }
        while waiting or rows:
            free = [i for i in range(batch) if i not in rows][: len(waiting)]
            if free:
                rows |= {row.index: row for row in self._start([self._open(i, *waiting.pop()) for i in free])}
            self._propose([row for row in rows.values() if row.job.rule and not self._ends(row.result.tokens)])
            self._verify([row for row in rows.values() if not self._ends(row.result.tokens)])
            for row in [row for row in rows.values() if self._ends(row.result.tokens)]:
                for model in self.models.values():
                    model.clear(row.index)
                del rows[row.index]
                yield row.number, row.result

    def _open(self, index: int, number: int, job: Job) -> Row:
        return Row(index, number, job, self._needs(job.rule))

    def _ends(self, tokens: list[int]) -> bool:
        return len(tokens) >= self.limit or (bool(tokens) and tokens[-1] in self.pair.end_tokens)

    def _forward(self, name: str, rows: list[Row], tokens: list[list[int]], last_only: bool = False) -> Pass:
        """Let a model read tokens after what it has read of each row."""
        requests = [Request(row.index, row.slots[name], t, last_only) for row, t in zip(rows, tokens, strict=True)]
        result = self.models[name].forward(requests, keep_logits=not last_only)
        for row, slots in zip(rows, result.slots, strict=True):
            row.slots[name] = np.concatenate([row.slots[name], slots])
            setattr(row.result, f"{name}_calls", getattr(row.result, f"{name}_calls") + 1)
        return result

    def _start(self, rows: list[Row]) -> list[Row]:
        """Read the prompts but for their last token, which the first window begins with."""
        for name in ("draft", "target"):
            group = [row for row in rows if name == "target" or row.job.rule]
            if group:
                self._forward(name, group, [list(row.job.prompt[:-1]) for row in group], last_only=True)
        for row in rows:
            row.unread = {"draft": [row.job.prompt[-1]], "target": [row.job.prompt[-1]]}
        return rows

    def _needs(self, rule: Rule | None) -> frozenset[str]:
        """Return what a rule, or the judge that it asks, reads of the draft."""
        if rule is None or "judge" not in rule.needs or self.judge is None:
            return rule.needs if rule else frozenset()
        scalars = {"draft_logits"} if self.judge.needs_scalars else set()
        return rule.needs | scalars | ({"draft_at_draft"} & set(self.judge.columns))

    def _propose(self, rows: list[Row]) -> None:
        """Let the draft propose each row's window greedily; it ends early at an end token or at the limit."""
        for row in rows:
            row.proposals, row.logits, row.hidden = [], [], []
        active = rows
        while active:
            result = self._forward("draft", active, [row.unread["draft"] for row in active])
            last = [slots[-1] for slots in result.slots]
            hidden = self.models["draft"].hidden([row.index for row in active], last)
            for i, row in enumerate(active):
                (choice,) = self.models["draft"].choices(row.index, result.slots[i][-1:])
                row.hidden.append(hidden[i])
                row.unread["draft"] = []
                if self._window_open(row):
                    row.proposals.append(choice)
                    row.logits.append(result.logits[i][-1])
                    row.unread["draft"] = [choice]
            active = [row for row in active if self._window_open(row) or self._reads_last(row)]

    def _window_open(self, row: Row) -> bool:
        room = min(self.window, self.limit - len(row.result.tokens))
        return len(row.proposals) < room and not (row.proposals and row.proposals[-1] in self.pair.end_tokens)

    def _reads_last(self, row: Row) -> bool:
        """Tell whether the draft must still read its last proposal, for the state that the judge wants."""
        return len(row.hidden) <= len(row.proposals) and "draft_at_draft" in row.needs

    def _verify(self, rows: list[Row]) -> None:
        """Let the target read each window in one pass, then keep what matches or what the rule lets pass."""
        if not rows:
            return
        starts = [len(row.slots["target"]) for row in rows]
        result = self._forward("target", rows, [row.unread["target"] + row.proposals for row in rows])
        model = self.models["target"]
        choices = [model.choices(row.index, slots) for row, slots in zip(rows, result.slots, strict=True)]
        passed = self._ask_rules(rows, result, choices)
        for i, row in enumerate(rows):
            self._finish_cycle(row, choices[i], passed[i], starts[i])

    def _ask_rules(self, rows: list[Row], result: Pass, choices: list[list[int]]) -> list[set[int]]:
        """Return for each row the window positions of mismatches that its rule keeps."""
        passed: list[set[int]] = [set() for _ in rows]
        groups: dict[str, list[tuple[int, int]]] = {}
        for i, row in enumerate(rows):
            for j, token in enumerate(row.proposals):
                if token != choices[i][j] and row.job.rule:
                    groups.setdefault(row.job.rule.name, []).append((i, j))
        for places in groups.values():
            rule = rows[places[0][0]].job.rule
            assert rule is not None
            scores = rule.score(self._signals(rule, rows, result, places)).tolist()
            for (i, j), score in zip(places, scores, strict=True):
                if score < rows[i].job.threshold:
                    passed[i].add(j)
        return passed

    def _signals(self, rule: Rule, rows: list[Row], result: Pass, places: list[tuple[int, int]]) -> Signals:
        owners = [rows[i].index for i, _ in places]
        before, at_draft = ([result.slots[i][j + k] for i, j in places] for k in (0, 1))
        device = result.logits[0].device
        needs = rows[places[0][0]].needs
        hidden = {}
        if "judge" in rule.needs and self.judge is not None:
            hidden = {
                "target_at_draft": self.models["target"].hidden(owners, at_draft),
                "target_before": self.models["target"].hidden(owners, before),
                "draft_before": torch.stack([rows[i].hidden[j] for i, j in places]),
            }
            if "draft_at_draft" in needs:
                hidden["draft_at_draft"] = torch.stack([rows[i].hidden[j + 1] for i, j in places])
        return Signals(
            draft_token=torch.tensor([rows[i].proposals[j] for i, j in places], device=device),
            target_logits=torch.stack([result.logits[i][j] for i, j in places]),
            draft_logits=torch.stack([rows[i].logits[j] for i, j in places]).to(device)
            if "draft_logits" in needs
            else None,
            hidden=hidden,
            judge=self.judge,
        )

    def _finish_cycle(self, row: Row, choices: list[int], passed: set[int], start: int) -> None:
        """Walk a verified window left to right, add its tokens and drop what was refused from both caches."""
        kept = 0
        while kept < len(row.proposals) and (row.proposals[kept] == choices[kept] or kept in passed):
            kept += 1
        refused = kept < len(row.proposals)
        added = row.proposals[:kept]
        if not self._ends(row.result.tokens + added):
            added = [*added, choices[kept]]
        row.result.cycles += 1
        row.result.accepted += kept + refused
        row.result.emitted += len(added)
        row.result.tokens += added
        if self._ends(row.result.tokens):
            return
        self._drop(row, "target", start + 1 + kept)
        row.unread["target"] = added[-1:]
        if row.job.rule:
            read = min(len(row.slots["draft"]), start + 1 + kept)
            self._drop(row, "draft", read)
            row.unread["draft"] = added[read - start - 1 :]

    def _drop(self, row: Row, name: str, length: int) -> None:
        self.models[name].release(row.index, row.slots[name][length:])
        row.slots[name] = row.slots[name][:length]
