"""Mine labels: which of the draft's mismatching tokens change the target's final answer (paper, Algorithm 1).

Problems are rows of one batch. Each row walks through its phases (prompt, draft's response, target's response, then one
alternative after another) at its own pace; every pass serves all rows that wait for that model. A continuation by the
target is proposed from the response it departs from and verified several tokens a pass, which greedy decoding leaves
identical.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from autojudge.features import compare_distributions
from autojudge.generation import NO_SLOTS, CachedModel, Pass, Request, Slots, propose_tail
from autojudge.models import Pair
from autojudge.schemas import BLOCKS
from autojudge.tasks import Task

FIRST_PROPOSAL, LONGEST_PROPOSAL = 4, 16  # tokens
DRAFT_CHUNK = 12  # response tokens that the draft reads ahead in search of a mismatch


@dataclass
class Text:
    """A response as one model has read it; branches share the slots of their common prefix.

    Attributes
    ----------
    tokens : list of int
        The response, read or not.
    slots : Slots
        Cache slots of the prompt and of the tokens read.
    hidden : list of Tensor of shape (hidden,)
        Entry t is the state that predicts token t: of the prompt's end for t = 0, else of token t - 1.
    choices : list of int
        Entry t is the model's greedy token for position t.
    """

    tokens: list[int]
    slots: Slots = field(default_factory=lambda: NO_SLOTS)
    hidden: list[torch.Tensor] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)

    @property
    def n_read(self) -> int:
        """Number of response tokens read."""
        return len(self.hidden) - 1

    def read(self, slots: Slots, hidden: torch.Tensor, choices: list[int]) -> None:
        """Take in evaluated tokens: slots (count,), states (count, hidden) and greedy tokens (count,)."""
        self.slots = np.concatenate([self.slots, slots])
        self.hidden.extend(hidden)
        self.choices.extend(choices)

    def branch(self, prompt: int, length: int, tokens: list[int]) -> "Text":
        """Return what has been read of the first `length` tokens, to be continued as `tokens`."""
        return Text(tokens, self.slots[: prompt + length], self.hidden[: length + 1], self.choices[: length + 1])


@dataclass
class Swap:
    """A mismatch: the draft's token as the draft read it, and the alternative that the target continues."""

    position: int
    draft_reading: Text
    alternative: Text


@dataclass
class Row:
    """A problem in work: at most one of its texts is being continued by the target."""

    index: int
    problem: dict[str, Any]
    started: float = field(default_factory=time.monotonic)
    draft: Text = field(default_factory=lambda: Text([]))
    target: Text = field(default_factory=lambda: Text([]))
    draft_tokens: list[int] = field(default_factory=list)
    target_tokens: list[int] = field(default_factory=list)  # empty until the target's greedy response is complete
    answer: str | None = None
    swap: Swap | None = None
    border: int = 0
    expected: int = 1  # index in the reference where the continued text seems to go on
    proposal: int = FIRST_PROPOSAL
    labels: list[dict[str, Any]] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)
    evaluated: dict[str, int] = field(default_factory=lambda: {"target": 0, "draft": 0})

    @property
    def prompt(self) -> int:
        """Length of the prompt in tokens."""
        return len(self.problem["prompt_tokens"])

    @property
    def continued(self) -> Text:
        """The text that the target is writing."""
        return self.swap.alternative if self.swap else self.target

    @property
    def reference(self) -> list[int]:
        """A response that the continued text resembles, and is proposed from."""
        return self.target.tokens if self.swap else self.draft_tokens


@dataclass(frozen=True)
class Mined:
    """What mining one problem gives: its row of responses, its rows of labels and of features."""

    response: dict[str, Any]
    labels: list[dict[str, Any]]
    features: list[dict[str, Any]]


class Miner:
    """Mines problems side by side.

    Parameters
    ----------
    pair : Pair
        Draft and target.
    task : Task
        Extracts and compares answers.
    max_new_tokens : int
        Longest response, counted from the prompt's end.
    batch : int
        Problems in work at a time.
    """

    def __init__(self, pair: Pair, task: Task, max_new_tokens: int, batch: int) -> None:
        self.pair, self.task, self.limit, self.batch = pair, task, max_new_tokens, batch
        self.models = {
            "draft": CachedModel(pair.draft, batch, pair.vocabulary),
            "target": CachedModel(pair.target, batch, pair.vocabulary),
        }

    @torch.inference_mode()
    def mine(self, problems: Sequence[dict[str, Any]]) -> Iterator[Mined]:
        """Yield each problem's result as it ends; the order is that of their ends.

        Parameters
        ----------
        problems : sequence of dict
            Rows of problems.parquet.
        """
        waiting = list(reversed(problems))
        rows: dict[int, Row] = {}
        while waiting or rows:
            free = [i for i in range(self.batch) if i not in rows][: len(waiting)]
            if free:
                rows |= {row.index: row for row in self._start([Row(i, waiting.pop()) for i in free])}
            self._continue_texts(list(rows.values()))
            for row in self._find_mismatches([row for row in rows.values() if row.target_tokens and not row.swap]):
                for model in self.models.values():
                    model.clear(row.index)
                del rows[row.index]
                yield self._result(row)

    def _ends(self, tokens: list[int]) -> bool:
        return len(tokens) >= self.limit or (bool(tokens) and tokens[-1] in self.pair.end_tokens)

    def _read(self, name: str, reads: list[tuple[Row, Text, int]], last_only: bool = False) -> None:
        """Let a model read the next `count` tokens of each text; with `last_only` the prompt instead."""
        if not reads:
            return
        tokens = [
            list(row.problem["prompt_tokens"]) if last_only else text.tokens[text.n_read : text.n_read + count]
            for row, text, count in reads
        ]
        result = self._forward(
            name, [(row, text, t) for (row, text, _), t in zip(reads, tokens, strict=True)], last_only
        )
        choices = result.logits.argmax(-1).tolist()
        for i, (_, text, _) in enumerate(reads):
            count = 1 if last_only else len(tokens[i])
            text.read(result.slots[i], result.hidden[i, :count], choices[i][:count])

    def _forward(self, name: str, requests: list[tuple[Row, Text, list[int]]], last_only: bool = False) -> Pass:
        for row, _, tokens in requests:
            row.evaluated[name] += len(tokens)
        return self.models[name].forward([Request(row.index, text.slots, t) for row, text, t in requests], last_only)

    def _start(self, rows: list[Row]) -> list[Row]:
        """Read the prompts with both models and let the draft write its own responses."""
        self._read("draft", [(row, row.draft, 0) for row in rows], last_only=True)
        self._read("target", [(row, row.target, 0) for row in rows], last_only=True)
        writing = rows
        while writing:
            for row in writing:
                row.draft.tokens.append(row.draft.choices[-1])
            writing = [row for row in writing if not self._ends(row.draft.tokens)]
            self._read("draft", [(row, row.draft, 1) for row in writing])
        for row in rows:
            row.draft_tokens = row.draft.tokens
            row.target.tokens.append(row.target.choices[0])
        return rows

    def _continue_texts(self, rows: list[Row]) -> None:
        """Continue each row's text by one verified pass of the target."""
        if not rows:
            return
        requests = [(r, r.continued, r.continued.tokens[r.continued.n_read :] + self._propose(r)) for r in rows]
        result = self._forward("target", requests)
        choices = result.logits.argmax(-1).tolist()
        for i, (row, text, tokens) in enumerate(requests):
            known = len(text.tokens) - text.n_read
            kept = self._count_kept(tokens, choices[i], known)
            text.read(result.slots[i][:kept], result.hidden[i, :kept], choices[i][:kept])
            self.models["target"].release(row.index, result.slots[i][kept:])
            text.tokens += tokens[known:kept]
            if not self._ends(text.tokens):
                text.tokens.append(choices[i][kept - 1])
            self._adapt_proposal(row, kept - known, len(tokens) - known)
            if self._ends(text.tokens):
                self._settle_swap(row, row.swap) if row.swap else self._settle_response(row)

    def _propose(self, row: Row) -> list[int]:
        """Propose how the continued text goes on: the tail of its reference."""
        tokens = row.continued.tokens
        if self._ends(tokens):
            return []
        row.expected = propose_tail(row.reference, row.expected, tokens)
        return row.reference[row.expected : row.expected + min(row.proposal, self.limit - len(tokens))]

    def _count_kept(self, tokens: list[int], choices: list[int], known: int) -> int:
        """Count the tokens of a pass that stay: the known ones and the proposals that greedy decoding chooses too."""
        kept = known
        while kept < len(tokens) and tokens[kept] == choices[kept - 1] and tokens[kept - 1] not in self.pair.end_tokens:
            kept += 1
        return kept

    def _adapt_proposal(self, row: Row, agreed: int, proposed: int) -> None:
        row.expected += agreed + 1
        if agreed == proposed:
            row.proposal = min(2 * row.proposal, LONGEST_PROPOSAL)
        elif agreed < proposed // 2:
            row.proposal = max(row.proposal // 2, 2)

    def _settle_response(self, row: Row) -> None:
        """Take the complete response of the target; the draft has read what its own shares with it."""
        row.target_tokens = list(row.target.tokens)
        row.answer = self.task.extract_answer(self.pair.decode(row.target_tokens))
        shared = 0
        for own, token in zip(row.draft_tokens, row.target_tokens, strict=False):
            if own != token:
                break
            shared += 1
        self._keep_draft(row, min(shared, row.draft.n_read))

    def _keep_draft(self, row: Row, length: int) -> None:
        """Keep the draft's reading of the first tokens of the target's text, free the rest."""
        self.models["draft"].release(row.index, row.draft.slots[row.prompt + length :])
        row.draft = row.draft.branch(row.prompt, length, row.target.tokens)

    def _settle_swap(self, row: Row, swap: Swap) -> None:
        """Label the mismatch of a complete alternative and go on with the text that keeps the answer."""
        answer = self.task.extract_answer(self.pair.decode(swap.alternative.tokens))
        important = answer is None or not self.task.same_answer(answer, str(row.answer))
        self._record(row, swap, answer, important)
        start = row.prompt + swap.position
        if important:
            self.models["target"].release(row.index, swap.alternative.slots[start:])
            self.models["draft"].release(row.index, swap.draft_reading.slots[start:])
        else:
            self.models["target"].release(row.index, row.target.slots[start:])
            self.models["draft"].release(row.index, row.draft.slots[start:])
            row.target, row.draft = swap.alternative, swap.draft_reading
            row.draft.tokens = row.target.tokens
        ended = swap.draft_reading.tokens[swap.position] in self.pair.end_tokens
        row.swap, row.border = None, self.limit if ended else swap.position + 1

    def _find_mismatches(self, rows: list[Row]) -> list[Row]:
        """Let the draft read each response up to its next mismatch and open a swap there; return rows without one."""
        finished = []
        while rows:
            reading, found = [], []
            for row in rows:
                tokens, choices = row.target.tokens, row.draft.choices
                while row.border < min(len(choices), len(tokens)) and choices[row.border] == tokens[row.border]:
                    row.border += 1
                if row.answer is None or row.border >= len(tokens):
                    finished.append(row)
                elif row.border < len(choices):
                    found.append(row)
                else:
                    reading.append(row)
            self._open_swaps(found)
            self._read("draft", [(row, row.draft, DRAFT_CHUNK) for row in reading])
            rows = reading
        return finished

    def _open_swaps(self, rows: list[Row]) -> None:
        """Read the target's token at each border with both models, and the draft's in its place with the draft."""
        self._read("draft", [(row, row.draft, 1) for row in rows if row.draft.n_read <= row.border])
        self._read("target", [(row, row.target, 1) for row in rows if row.target.n_read <= row.border])
        readings = []
        for row in rows:
            tokens = [*row.target.tokens[: row.border], row.draft.choices[row.border]]
            reading = row.draft.branch(row.prompt, row.border, tokens)
            row.swap = Swap(row.border, reading, row.target.branch(row.prompt, row.border, list(tokens)))
            row.expected, row.proposal = row.border + 1, FIRST_PROPOSAL
            readings.append((row, reading, 1))
        self._read("draft", readings)

    def _record(self, row: Row, swap: Swap, answer: str | None, important: bool) -> None:
        """Write the label and the features of a mismatch from states that its passes left."""
        t = swap.position
        token = swap.alternative.tokens[t]
        states = {
            "draft_at_draft": swap.draft_reading.hidden[t + 1],
            "target_at_draft": swap.alternative.hidden[t + 1],
            "draft_at_target": row.draft.hidden[t + 1],
            "target_at_target": row.target.hidden[t + 1],
            "draft_before": row.draft.hidden[t],
            "target_before": row.target.hidden[t],
        }
        logits = {name: self.models[name].head(states[f"{name}_before"])[None] for name in self.models}
        best = logits["target"][0].topk(2).values
        scalars = compare_distributions(
            logits["target"], logits["draft"].to(logits["target"].device), torch.tensor([token], device=best.device)
        )
        key = {"problem_id": row.problem["problem_id"], "position": t}
        hidden = {name: states[name].to("cpu", torch.float16).numpy() for name in BLOCKS}
        row.features.append(key | hidden | {name: value.item() for name, value in scalars.items()})
        row.labels.append(
            key
            | {
                "split": row.problem["split"],
                "target_token": row.target.tokens[t],
                "draft_token": token,
                "important": important,
                "alternative_answer": answer,
                "margin": (best[0] - best[1]).item(),
                "alternative_tokens": swap.alternative.tokens[t:],
            }
        )

    def _result(self, row: Row) -> Mined:
        extract, decode = self.task.extract_answer, self.pair.decode
        response = {
            "problem_id": row.problem["problem_id"],
            "split": row.problem["split"],
            "target_tokens": row.target_tokens,
            "draft_tokens": row.draft_tokens,
            "mined_tokens": row.target.tokens,
            "target_answer": row.answer,
            "draft_answer": extract(decode(row.draft_tokens)),
            "mined_answer": extract(decode(row.target.tokens)),
            "correct": row.answer is not None and self.task.same_answer(row.answer, row.problem["gold"]),
            "seconds": time.monotonic() - row.started,
            "target_evaluated": row.evaluated["target"],
            "draft_evaluated": row.evaluated["draft"],
        }
        return Mined(response, row.labels, row.features)
