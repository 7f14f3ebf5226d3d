"""Soft labels: how often sampled continuations of a swap keep the target's answer (`mining.samples`).

Of a mined problem every mismatch is continued once more, several times, by draws from the target's distribution. Random
numbers belong to seed, problem, position and sample, so batches and resumed runs draw the same. docs/mining.md tells it
in full.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autojudge.engine.cache import HEAD_LOGITS, CachedModel
from autojudge.engine.endings import Ending
from autojudge.engine.memory import Footprint, largest_batch, memory_budget
from autojudge.engine.models import Pair, load_pair
from autojudge.engine.sampling import Sampling, draw
from autojudge.engine.text import CachedText, read_texts
from autojudge.mining.miner import Mined
from autojudge.scoring.scorer import Scorer


@dataclass(frozen=True)
class Samples:
    """How continuations are drawn.

    Attributes
    ----------
    count : int
        Of each mismatch.
    temperature : float
        Above 0.
    seed : int
        Of the random numbers.
    """

    count: int
    temperature: float
    seed: int

    def uniform(self, problem_id: str, position: int, sample: int, tokens: int) -> NDArray[np.float64]:
        """Return the numbers that draw a continuation's tokens, (tokens,); the same in every run."""
        digest = hashlib.sha256(f"{self.seed} {problem_id} {position} {sample}".encode()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16]))).random(tokens)


@dataclass(frozen=True)
class Sampled:
    """What sampling gives of a problem.

    Attributes
    ----------
    problem_id : str
    positions : list of int
        Of its mismatches.
    continuations : list of lists of lists of int
        Of each mismatch its samples: the alternative's tokens from the swap on.
    kept : list of lists of bool
        Whether the answer of each is the target's own.
    seconds : float
        Wall-clock; problems overlap in a batch.
    target_evaluated : int
        Tokens put through the target.
    """

    problem_id: str
    positions: list[int]
    continuations: list[list[list[int]]]
    kept: list[list[bool]]
    seconds: float
    target_evaluated: int

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as JSON-like values."""
        return asdict(self)

    def belongs_to(self, mined: Mined) -> bool:
        """Tell whether the mismatches are those that were mined; near ties may fall otherwise when mined once more."""
        ours = zip(self.positions, (samples[0][0] for samples in self.continuations), strict=True)
        return list(ours) == [(label["position"], label["draft_token"]) for label in mined.labels]

    def add_to(self, mined: Mined) -> Mined:
        """Return the problem's labels with `kept_share`, and its response with what sampling took beside mining."""
        labels = [
            label | {"kept_share": sum(kept) / len(kept)} for label, kept in zip(mined.labels, self.kept, strict=True)
        ]
        counts = {name: mined.response[name] + getattr(self, name) for name in ("seconds", "target_evaluated")}
        return Mined(mined.response | counts, labels, mined.features)


@dataclass(eq=False)
class Problem:
    """A problem in work.

    Attributes
    ----------
    samples : int
        How many are drawn of each mismatch.
    continuations, kept : dict of (int, int)
        Complete ones, by mismatch and sample, and whether they keep the answer.
    """

    problem: dict[str, Any]
    mined: Mined
    samples: int
    continuations: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    kept: "dict[tuple[int, int], Future[bool]]" = field(default_factory=dict)
    evaluated: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> bool:
        """Whether all is drawn and checked."""
        drawn = len(self.kept) == self.samples * len(self.mined.labels)
        return drawn and all(check.done() for check in self.kept.values())

    def result(self) -> Sampled:
        """Return what was drawn."""
        keys = [[(i, sample) for sample in range(self.samples)] for i in range(len(self.mined.labels))]
        return Sampled(
            problem_id=self.problem["problem_id"],
            positions=[label["position"] for label in self.mined.labels],
            continuations=[[self.continuations[key] for key in of_mismatch] for of_mismatch in keys],
            kept=[[self.kept[key].result() for key in of_mismatch] for of_mismatch in keys],
            seconds=time.monotonic() - self.started,
            target_evaluated=self.evaluated,
        )


@dataclass
class Draw:
    """A continuation in work: its mismatch, its place and text, and the numbers that draw its tokens."""

    mismatch: int
    position: int
    text: CachedText
    uniform: NDArray[np.float64]  # (tokens,)


@dataclass
class Row:
    """A row of the cache: one sample of each mismatch of a problem, one after another.

    Attributes
    ----------
    prefix : CachedText
        The mined response up to its last mismatch, from which all continuations branch.
    waiting : list of int
        Mismatches that are not sampled yet, the first last.
    draw : Draw or None
        The continuation in work; None while the prefix is read, and at the end.
    """

    work: Problem
    sample: int
    prefix: CachedText
    waiting: list[int]
    draw: Draw | None = None

    @staticmethod
    def open(index: int, work: Problem, sample: int) -> "Row":
        """Return a row that is free for one more sample."""
        tokens = list(work.mined.response["mined_tokens"])[: work.mined.labels[-1]["position"]]
        prefix = CachedText(list(work.problem["prompt_tokens"]), tokens, index)
        return Row(work, sample, prefix, list(range(len(work.mined.labels)))[::-1])

    @property
    def ended(self) -> bool:
        """Whether all is drawn."""
        return not self.waiting and self.draw is None

    @property
    def text(self) -> CachedText:
        """What the target reads next."""
        return self.draw.text if self.draw else self.prefix


class Sampler:
    """Draws continuations of mined problems side by side.

    Parameters
    ----------
    pair : Pair
        Whose target draws.
    scorer : Scorer
        Extracts and compares answers, beside generation where that is slow. Its prompt's stop strings end responses.
    samples : Samples
        What is drawn.
    max_new_tokens : int
        Longest response, counted from the prompt's end.
    batch : int
        Most problems whose samples are all in work at a time.
    memory : int or None
        Bytes for cache and passes beside the weights, which bound the samples in work too. None: no bound.
    """

    def __init__(
        self, pair: Pair, scorer: Scorer, samples: Samples, max_new_tokens: int, batch: int, memory: int | None = None
    ) -> None:
        self.pair, self.scorer, self.samples, self.batch, self.memory = pair, scorer, samples, batch, memory
        self.ending = Ending(max_new_tokens, pair.end_tokens, scorer.prompt.stop, pair.decode)
        self.sampling = Sampling(samples.temperature)

    @classmethod
    def load(
        cls,
        samples: Samples,
        pair: Mapping[str, Any],
        scorer: Scorer,
        max_new_tokens: int,
        batch: int,
        memory_mb: int,
    ) -> "Sampler":
        """Return a sampler of a `pairs` entry of the config, whose models it loads, for a job of so much memory in MB.

        Raises
        ------
        InputError
            A model cannot be had, or the pair's tokenizers differ.
        """
        loaded = load_pair(pair)
        models = [model for model in (loaded.draft, loaded.target) if model is not None]
        return cls(loaded, scorer, samples, max_new_tokens, batch, memory_budget(models, memory_mb - scorer.memory_mb))

    @torch.inference_mode()
    def sample(self, problems: Sequence[tuple[dict[str, Any], Mined]]) -> Iterator[Sampled]:
        """Yield what is drawn of each problem as it ends; the order is that of their ends.

        Parameters
        ----------
        problems : sequence of (dict, Mined)
            Rows of problems.parquet, and what was mined of each: a mismatch at least.

        Raises
        ------
        InputError
            Not even one sample fits into the memory.
        """
        queue, rows, works = self._queue(problems), dict[int, Row](), list[Problem]()
        model, count = self._open_cache(problems)
        with ExitStack() as stack:
            threads = self.scorer.threads
            checks = stack.enter_context(ThreadPoolExecutor(threads)) if threads else None
            while True:
                for index, (work, sample) in zip([i for i in range(count) if i not in rows], queue, strict=False):
                    rows[index] = Row.open(index, work, sample)
                    works += [work] if sample == 0 else []
                if not works:
                    return
                self._read(model, list(rows.values()), checks)
                for index in [index for index, row in rows.items() if row.ended]:
                    model.clear(index)
                    del rows[index]
                if not rows:
                    checking = [check for work in works for check in work.kept.values() if not check.done()]
                    wait(checking, return_when=FIRST_COMPLETED)
                for work in [work for work in works if work.ended]:
                    works.remove(work)
                    yield work.result()

    def _queue(self, problems: Sequence[tuple[dict[str, Any], Mined]]) -> Iterator[tuple[Problem, int]]:
        """Yield each sample of each problem, the longest prompts first; a problem's clock starts with its first."""
        for problem, mined in sorted(problems, key=lambda p: -len(p[0]["prompt_tokens"])):
            work = Problem(problem, mined, self.samples.count)
            yield from ((work, sample) for sample in range(self.samples.count))

    def _open_cache(self, problems: Sequence[tuple[dict[str, Any], Mined]]) -> tuple[CachedModel, int]:
        """Return the cache and its number of rows: each takes a prompt, the mined response and a continuation."""
        capacity = max(len(problem["prompt_tokens"]) for problem, _ in problems) + 2 * self.ending.limit + 2
        target, rows, pass_tokens = self.pair.target, min(self.batch, len(problems)) * self.samples.count, 2**20
        if self.memory is not None:
            footprint = Footprint.measure(target, self.pair.vocabulary)
            rows, pass_tokens = largest_batch([footprint], capacity, rows, self.memory)
        return CachedModel(target, rows, capacity, self.pair.vocabulary, pass_tokens), rows

    def _read(self, model: CachedModel, rows: list[Row], checks: Executor | None) -> None:
        """Let the target read each row's prefix, or draw the next token of its continuation."""
        for row in rows:
            if not row.text.unread():
                self._open_draw(row, checks)
        busy, chunk = [row for row in rows if row.text.unread()], max(1, HEAD_LOGITS // self.pair.vocabulary)
        for part in (busy[first : first + chunk] for first in range(0, len(busy), chunk)):
            unread = [(row.text, row.text.unread()) for row in part]
            logits = read_texts(model, unread, keep_logits=True).logits
            for row, (_, tokens) in zip(part, unread, strict=True):
                row.work.evaluated += len(tokens)
            drawing = [(row, row.draw, after[-1]) for row, after in zip(part, logits, strict=True) if row.draw]
            self._draw([(draw, after) for _, draw, after in drawing])
            for row, drawn, _ in drawing:
                if self.ending.reached(drawn.text.tokens):
                    drawn.text.keep(model, drawn.position)
                    row.draw = None
                    self._end(row, drawn, checks)

    def _open_draw(self, row: Row, checks: Executor | None) -> None:
        """Take up the row's next continuation; one that the draft's token ends is complete."""
        while row.waiting and row.draw is None:
            mismatch = row.waiting.pop()
            label = row.work.mined.labels[mismatch]
            t = label["position"]
            text = row.prefix.branch(t, [*row.prefix.tokens[:t], label["draft_token"]])
            uniform = self.samples.uniform(row.work.problem["problem_id"], t, row.sample, self.ending.limit - t)
            drawn = Draw(mismatch, t, text, uniform)
            if self.ending.reached(text.tokens):
                self._end(row, drawn, checks)
            else:
                row.draw = drawn

    def _draw(self, draws: list[tuple[Draw, torch.Tensor]]) -> None:
        """Add a token to each continuation, by the logits (vocabulary,) after its last one."""
        if draws:
            uniform = [drawn.uniform[len(drawn.text.tokens) - drawn.position - 1] for drawn, _ in draws]
            p = self.sampling.distribution(torch.stack([logits for _, logits in draws]))
            for (drawn, _), token in zip(draws, draw(p, torch.tensor(uniform)).tolist(), strict=True):
                drawn.text.tokens.append(token)

    def _end(self, row: Row, drawn: Draw, checks: Executor | None) -> None:
        """Compare the answer of a complete continuation with the target's own, beside generation where that is slow."""
        work, key = row.work, (drawn.mismatch, row.sample)
        text, own = self.pair.decode(drawn.text.tokens), work.mined.response["target_answer"]

        def keeps() -> bool:
            return self.scorer.same(self.scorer.answer(text, work.problem), own)

        work.continuations[key] = drawn.text.tokens[drawn.position :]
        work.kept[key] = checks.submit(keeps) if checks else Future()
        if not checks:
            work.kept[key].set_result(keeps())
