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
from autojudge.errors import InputError
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
class Draw:
    """A continuation in work: mismatch and sample, its place and text, and the numbers that draw its tokens."""

    key: tuple[int, int]
    position: int
    text: CachedText
    uniform: NDArray[np.float64]  # (tokens,)


@dataclass
class Row:
    """A problem in work.

    Attributes
    ----------
    prefix : CachedText
        The mined response up to its last mismatch, from which all continuations branch.
    waiting : list of (int, int)
        Mismatches and samples that are not in work yet, the first last.
    draws : list of Draw
        Those in work.
    continuations, kept : dict of (int, int)
        Complete ones, by mismatch and sample, and whether they keep the answer.
    """

    index: int
    problem: dict[str, Any]
    mined: Mined
    prefix: CachedText
    waiting: list[tuple[int, int]]
    draws: list[Draw] = field(default_factory=list)
    continuations: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    kept: "dict[tuple[int, int], Future[bool]]" = field(default_factory=dict)
    evaluated: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> bool:
        """Whether all is drawn and checked."""
        return not self.waiting and not self.draws and all(check.done() for check in self.kept.values())


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
        Most problems in work at a time.
    memory : int or None
        Bytes for cache and passes beside the weights, which bound the batch too, and how many continuations of a
        problem are in work at a time. None: no bound.
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
            Not even one problem fits into the memory.
        """
        waiting, rows = sorted(problems, key=lambda p: len(p[0]["prompt_tokens"])), dict[int, Row]()
        model, batch, most = self._open_cache(problems)
        with ExitStack() as stack:
            threads = self.scorer.threads
            checks = stack.enter_context(ThreadPoolExecutor(threads)) if threads else None
            while waiting or rows:
                free = [i for i in range(batch) if i not in rows][: len(waiting)]
                rows |= {i: self._open_row(i, *waiting.pop()) for i in free}
                worked = self._read(model, list(rows.values()), most, checks)
                for row in [row for row in rows.values() if row.ended]:
                    model.clear(row.index)
                    del rows[row.index]
                    yield self._result(row)
                    worked = True
                if not worked:
                    pending = [check for row in rows.values() for check in row.kept.values() if not check.done()]
                    wait(pending, return_when=FIRST_COMPLETED)

    def _open_cache(self, problems: Sequence[tuple[dict[str, Any], Mined]]) -> tuple[CachedModel, int, int]:
        """Return the cache, its number of rows, and how many continuations of a row are in work at a time."""
        prompt = max(len(problem["prompt_tokens"]) for problem, _ in problems)
        target, batch, pass_tokens = self.pair.target, min(self.batch, len(problems)), 2**20
        most = self.samples.count
        if self.memory is not None:
            footprint = Footprint.measure(target, self.pair.vocabulary)
            while True:
                try:
                    batch, pass_tokens = largest_batch([footprint], self._capacity(prompt, most), batch, self.memory)
                    break
                except InputError:
                    if most == 1:
                        raise
                    most //= 2
        cache = CachedModel(target, batch, self._capacity(prompt, most), self.pair.vocabulary, pass_tokens)
        return cache, batch, most

    def _capacity(self, prompt: int, most: int) -> int:
        """Return the slots of a row: a prompt, the mined response, and continuations of it."""
        return prompt + (1 + most) * self.ending.limit + 2

    def _open_row(self, index: int, problem: dict[str, Any], mined: Mined) -> Row:
        tokens = list(mined.response["mined_tokens"])[: mined.labels[-1]["position"]]
        order = [(i, sample) for i in range(len(mined.labels)) for sample in range(self.samples.count)]
        return Row(index, problem, mined, CachedText(list(problem["prompt_tokens"]), tokens, index), order[::-1])

    def _read(self, model: CachedModel, rows: list[Row], most: int, checks: Executor | None) -> bool:
        """Let the target read each row's prefix or draw a token of its continuations; tell if there was any work."""
        for row in rows:
            self._open_draws(row, most, checks)
        work: list[tuple[Row, CachedText, Draw | None]] = [(row, row.prefix, None) for row in rows]
        work = [(row, text, drawn) for row, text, drawn in work if text.unread()]
        work += [(row, drawn.text, drawn) for row in rows for drawn in row.draws]
        chunk = max(1, HEAD_LOGITS // self.pair.vocabulary)
        for part in (work[first : first + chunk] for first in range(0, len(work), chunk)):
            unread = [(text, text.unread()) for _, text, _ in part]
            logits = read_texts(model, unread, keep_logits=True).logits
            for (row, _, _), (_, tokens) in zip(part, unread, strict=True):
                row.evaluated += len(tokens)
            self._draw([(drawn, after[-1]) for (_, _, drawn), after in zip(part, logits, strict=True) if drawn])
            for row, _, drawn in part:
                if drawn and self.ending.reached(drawn.text.tokens):
                    drawn.text.keep(model, drawn.position)
                    row.draws.remove(drawn)
                    self._end(row, drawn, checks)
        return bool(work)

    def _open_draws(self, row: Row, most: int, checks: Executor | None) -> None:
        """Take up continuations of a row whose prefix is read, at most so many at a time."""
        while row.waiting and len(row.draws) < most and not row.prefix.unread():
            mismatch, sample = key = row.waiting.pop()
            label = row.mined.labels[mismatch]
            t = label["position"]
            text = row.prefix.branch(t, [*row.prefix.tokens[:t], label["draft_token"]])
            uniform = self.samples.uniform(row.problem["problem_id"], t, sample, self.ending.limit - t)
            drawn = Draw(key, t, text, uniform)
            if self.ending.reached(text.tokens):
                self._end(row, drawn, checks)
            else:
                row.draws.append(drawn)

    def _draw(self, draws: list[tuple[Draw, torch.Tensor]]) -> None:
        """Add a token to each continuation, by the logits (vocabulary,) after its last one."""
        if draws:
            uniform = [drawn.uniform[len(drawn.text.tokens) - drawn.position - 1] for drawn, _ in draws]
            p = self.sampling.distribution(torch.stack([logits for _, logits in draws]))
            for (drawn, _), token in zip(draws, draw(p, torch.tensor(uniform)).tolist(), strict=True):
                drawn.text.tokens.append(token)

    def _end(self, row: Row, drawn: Draw, checks: Executor | None) -> None:
        """Compare the answer of a complete continuation with the target's own, beside generation where that is slow."""
        text, own, key = self.pair.decode(drawn.text.tokens), row.mined.response["target_answer"], drawn.key

        def keeps() -> bool:
            return self.scorer.same(self.scorer.answer(text, row.problem), own)

        row.continuations[key] = drawn.text.tokens[drawn.position :]
        row.kept[key] = checks.submit(keeps) if checks else Future()
        if not checks:
            row.kept[key].set_result(keeps())

    def _result(self, row: Row) -> Sampled:
        keys = [[(i, sample) for sample in range(self.samples.count)] for i in range(len(row.mined.labels))]
        return Sampled(
            problem_id=row.problem["problem_id"],
            positions=[label["position"] for label in row.mined.labels],
            continuations=[[row.continuations[key] for key in of_mismatch] for of_mismatch in keys],
            kept=[[row.kept[key].result() for key in of_mismatch] for of_mismatch in keys],
            seconds=time.monotonic() - row.started,
            target_evaluated=row.evaluated,
        )
