"""Mine labels: which of the draft's mismatching tokens change the target's final answer (paper, Algorithm 1).

Problems are rows of one batch, refilled as they finish. Each row walks through its stages (`Stage`) at its own pace; a
round is one pass of the target and one of the draft, each serving all rows that wait for it. A continuation by the
target is proposed from the problem's earlier texts and verified several tokens per pass, which greedy decoding leaves
identical.
"""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autojudge.engine.cache import CachedModel
from autojudge.engine.endings import Ending
from autojudge.engine.features import compare_distributions
from autojudge.engine.memory import Footprint, largest_batch, memory_budget
from autojudge.engine.models import Pair, load_pair
from autojudge.engine.text import CachedText, read_texts
from autojudge.mining.continuations import Continuations, Foresight
from autojudge.scoring.scorer import Scorer
from autojudge.tables.feature_names import BLOCKS

# What a pass costs beside its tokens, as tokens: by itself, and for each row (divided by the parameters of the model).
PASS_COST = {"cpu": 22, "cuda": 256}
ROW_COST = 10**7
GROWTH = 2  # tokens by which a text grows in a pass, about
DRAFT_CHUNK = 12  # response tokens that the draft reads ahead in search of a mismatch
STORED = torch.float16  # of hidden states
NEAR_TIE = {torch.float32: 1e-4, torch.float16: 2**-6, torch.bfloat16: 2**-3}  # logits; a step of 16-bit ones near 20


class Stage(Enum):
    """What a row is at."""

    PROMPT = auto()  # the target reads the prompt
    DRAFT_RESPONSE = auto()  # the draft reads the prompt and writes its own response
    TARGET_RESPONSE = auto()  # the target writes its own, proposed from the draft's, and its answer is extracted
    SEARCH = auto()  # the draft reads the response from the border on, up to the next mismatch
    SWAP = auto()  # the target continues the alternative, and its answer is compared
    DONE = auto()


@dataclass
class Swap:
    """A mismatch: the draft's token as the draft read it, and the alternative that the target continues."""

    position: int
    draft_reading: CachedText
    alternative: CachedText


@dataclass(frozen=True)
class Checked:
    """What a complete text says: its answer, and whether this is the target's own."""

    answer: str | None
    same: bool


@dataclass
class Row:
    """A problem in work: at most one of its texts is being continued by the target.

    Attributes
    ----------
    index : int
        Of the row in both caches.
    draft, target : CachedText
        The present response as each model has read it; up to the search, each model's own.
    draft_tokens, target_tokens : list of int
        The models' own responses, empty until they are complete.
    least_margin : float
        Of the target's own response.
    check, draft_check : Future of Checked, or None
        Of the complete text whose answer is awaited, and of the draft's own response.
    border : int
        Response tokens before it are settled.
    texts : list of lists of int
        What the problem's texts were so far, the oldest first.
    """

    index: int
    problem: dict[str, Any]
    draft: CachedText
    target: CachedText
    stage: Stage = Stage.PROMPT
    started: float = field(default_factory=time.monotonic)
    draft_tokens: list[int] = field(default_factory=list)
    target_tokens: list[int] = field(default_factory=list)
    least_margin: float = np.inf
    answer: str | None = None
    check: "Future[Checked] | None" = None
    draft_check: "Future[Checked] | None" = None
    swap: Swap | None = None
    border: int = 0
    texts: list[list[int]] = field(default_factory=list)
    continuations: Continuations | None = None
    labels: list[dict[str, Any]] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)
    evaluated: dict[str, int] = field(default_factory=lambda: {"target": 0, "draft": 0})

    @classmethod
    def open(cls, index: int, problem: dict[str, Any]) -> "Row":
        """Return the row of a problem that no model has read."""
        prompt = list(problem["prompt_tokens"])
        return cls(index, problem, CachedText(prompt, row=index), CachedText(prompt, row=index))

    @property
    def continued(self) -> CachedText:
        """The text that the target continues."""
        return self.swap.alternative if self.swap else self.target

    def set_continuations(self, followed: list[int], text: list[int]) -> None:
        """Propose how a text goes on, from one that is as long or longer and the earlier ones, the latest first."""
        self.continuations = Continuations([followed, *self.texts[::-1]], text, len(text))


@dataclass(frozen=True)
class Mined:
    """What mining one problem gives: its row of responses, its rows of labels and of features."""

    response: dict[str, Any]
    labels: list[dict[str, Any]]
    features: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return the rows as JSON-like values, hidden states in base64."""
        features = [{k: _encode(v) if k in BLOCKS else v for k, v in row.items()} for row in self.features]
        return {"response": self.response, "labels": self.labels, "features": features}

    @staticmethod
    def from_json(entry: dict[str, Any]) -> "Mined":
        """Return what `to_json` was called on."""
        features = [{k: _decode(v) if k in BLOCKS else v for k, v in row.items()} for row in entry["features"]]
        return Mined(entry["response"], entry["labels"], features)


def _encode(
    states: NDArray[np.float16],  # (hidden,)
) -> str:
    return base64.b64encode(states.tobytes()).decode()


def _decode(text: str) -> NDArray[np.float16]:
    return np.frombuffer(base64.b64decode(text), dtype=np.float16)


Work = tuple[Row, CachedText, list[int]]  # a row's text and the tokens to evaluate after what has been read of it


class Miner:
    """Mines problems side by side.

    Parameters
    ----------
    pair : Pair
        Draft and target.
    scorer : Scorer
        Extracts and compares answers, beside generation where that is slow. Its prompt's stop strings end responses.
    max_new_tokens : int
        Longest response, counted from the prompt's end.
    batch : int
        Most problems in work at a time.
    memory : int or None
        Bytes for caches and passes beside the models' weights, which bound the batch too. None: no bound.
    """

    def __init__(self, pair: Pair, scorer: Scorer, max_new_tokens: int, batch: int, memory: int | None = None) -> None:
        self.pair, self.scorer, self.batch, self.memory = pair, scorer, batch, memory
        self.ending = Ending(max_new_tokens, pair.end_tokens, scorer.prompt.stop, pair.decode)
        self.models: dict[str, CachedModel] = {}
        # What a row's turn costs beside its tokens, and what a pass does, as tokens.
        self.row_cost: float = 1 + ROW_COST / pair.target.num_parameters(exclude_embeddings=True)
        self.pass_cost = PASS_COST[pair.target.device.type]
        self.foresight = Foresight()

    @classmethod
    def load(cls, pair: Mapping[str, Any], scorer: Scorer, max_new_tokens: int, batch: int, memory_mb: int) -> "Miner":
        """Return a miner of a `pairs` entry of the config, whose models it loads, for a job of so much memory in MB.

        Raises
        ------
        InputError
            A model cannot be had, or the pair's tokenizers differ.
        """
        loaded = load_pair(pair)
        models = [model for model in (loaded.draft, loaded.target) if model is not None]
        return cls(loaded, scorer, max_new_tokens, batch, memory_budget(models, memory_mb - scorer.memory_mb))

    @torch.inference_mode()
    def mine(self, problems: Sequence[dict[str, Any]]) -> Iterator[Mined]:
        """Yield each problem's result as it ends; the order is that of their ends.

        Parameters
        ----------
        problems : sequence of dict
            Rows of problems.parquet.

        Raises
        ------
        InputError
            Not even one problem fits into the memory, or a prompt holds a token that a model does not embed.
        """
        # The longest prompts first: they tend to take longest, and what starts last should end soon.
        waiting, rows = sorted(problems, key=lambda problem: len(problem["prompt_tokens"])), dict[int, Row]()
        batch = self._open_caches(problems) if problems else 0
        with ExitStack() as stack:
            threads = self.scorer.threads
            checks = stack.enter_context(ThreadPoolExecutor(threads)) if threads else None
            while waiting or rows:
                free = [i for i in range(batch) if i not in rows][: len(waiting)]
                rows |= {i: Row.open(i, waiting.pop()) for i in free}
                worked = self._continue_texts(list(rows.values()), checks)
                worked |= self._take_answers(list(rows.values()))
                worked |= self._read_with_draft(list(rows.values()), checks)
                for row in [row for row in rows.values() if row.stage is Stage.DONE]:
                    for model in self.models.values():
                        model.clear(row.index)
                    del rows[row.index]
                    yield self._result(row)
                if not worked:
                    wait([row.check for row in rows.values() if row.check], return_when=FIRST_COMPLETED)

    def _open_caches(self, problems: Sequence[dict[str, Any]]) -> int:
        """Make the caches; a row holds a prompt, a response and an alternative. Return the number of rows."""
        for problem in problems:
            self.pair.check_tokens(problem["prompt_tokens"])
        capacity = max(len(p["prompt_tokens"]) for p in problems) + 2 * self.ending.limit + 2
        models = {"draft": self.pair.draft, "target": self.pair.target}
        batch, pass_tokens = min(self.batch, len(problems)), 2**20
        if self.memory is not None:
            footprints = [Footprint.measure(model, self.pair.vocabulary) for model in models.values()]
            batch, pass_tokens = largest_batch(footprints, capacity, batch, self.memory)
        self.models = {
            name: CachedModel(model, batch, capacity, self.pair.vocabulary, pass_tokens, margins=True)
            for name, model in models.items()
        }
        return batch

    def _read(self, name: str, work: list[Work]) -> list[list[int]]:
        """Let a model read tokens in one pass; return its greedy token after each (of a prompt, after the last)."""
        if not work:
            return []
        model = self.models[name]
        result = read_texts(model, [(text, tokens) for _, text, tokens in work])
        choices = []
        for (row, text, tokens), slots in zip(work, result.slots, strict=True):
            row.evaluated[name] += len(tokens)
            prompt = len(text.slots) == len(tokens)
            choices.append(model.choices(row.index, slots[-1:] if prompt else slots))
        return choices

    def _continue_texts(self, rows: list[Row], checks: Executor | None) -> bool:
        """Continue each row's text by one verified pass of the target; tell whether there was any."""
        least = self._least_probability(len(rows))
        work = [work for row in rows if (work := self._target_work(row, least))]
        for (row, text, tokens), choices in zip(work, self._read("target", work), strict=True):
            if row.stage is Stage.PROMPT:
                text.tokens.append(choices[0])
                row.stage = Stage.DRAFT_RESPONSE
            elif text is row.continued:
                self._keep_verified(row, text, tokens, choices)
                if self.ending.reached(text.tokens):
                    row.check = self._check(row, text.tokens, checks)
        return bool(work)

    def _least_probability(self, rows: int) -> float:
        """Return how probably right a proposed token must be to be worth its cost.

        A right one has to be evaluated anyway: it costs nothing and saves a share of a later pass. A wrong one is lost.
        """
        return 1 / (1 + (self.row_cost + self.pass_cost / rows) / GROWTH)

    def _target_work(self, row: Row, least: float) -> Work | None:
        """Return what the target is to read next in a row: the prompt, or a text's last token and proposals."""
        if row.stage is Stage.PROMPT:
            return row, row.target, row.target.unread()
        if row.check or row.stage not in (Stage.TARGET_RESPONSE, Stage.SWAP):
            return None
        if row.swap and row.target.n_read <= row.swap.position:  # the response's last token, for its features
            return row, row.target, row.target.unread()
        text = row.continued
        return row, text, text.unread(self._propose(row, text.tokens, least))

    def _propose(self, row: Row, tokens: list[int], least: float) -> list[int]:
        """Propose how a text goes on as far as it is right with a probability of at least `least`."""
        if self.ending.reached(tokens) or row.continuations is None:
            return []
        count = self.foresight.length(row.continuations.matched, least)
        return row.continuations.tokens(min(count, self.ending.limit - len(tokens)))

    def _keep_verified(self, row: Row, text: CachedText, tokens: list[int], choices: list[int]) -> None:
        """Keep the tokens of a pass that greedy decoding chooses too, and the target's own one after them."""
        known = len(text.tokens) - (text.n_read - len(tokens))
        kept, length = known, len(text.tokens)
        while kept < len(tokens) and tokens[kept] == choices[kept - 1] and not self.ending.reached(text.tokens):
            text.tokens.append(tokens[kept])
            kept += 1
        text.keep(self.models["target"], text.n_read - (len(tokens) - kept))
        if not self.ending.reached(text.tokens):
            text.tokens.append(choices[kept - 1])
        if row.continuations:
            matched = row.continuations.matched
            self.foresight.learn(matched, row.continuations.advance(text.tokens, len(text.tokens) - length))

    def _check(self, row: Row, tokens: list[int], checks: Executor | None) -> "Future[Checked]":
        """Extract and compare the answer of a complete text, beside generation where that is slow."""
        text, own = self.pair.decode(tokens), row.answer

        def check() -> Checked:
            answer = self.scorer.answer(text, row.problem)
            return Checked(answer, self.scorer.same(answer, own))

        if checks:
            return checks.submit(check)
        done: Future[Checked] = Future()
        done.set_result(check())
        return done

    def _take_answers(self, rows: list[Row]) -> bool:
        """Go on with the rows whose answer is there and whose mismatch both models have read; tell if any were."""
        checked = [row for row in rows if row.check and row.check.done()]
        swaps = [row for row in checked if row.swap and row.swap.draft_reading.n_read > row.swap.position]
        responses = [row for row in checked if row.stage is Stage.TARGET_RESPONSE]
        if swaps:
            self._record_swaps(swaps)
        for row in responses:
            self._accept_response(row)
        return bool(swaps or responses)

    def _accept_response(self, row: Row) -> None:
        """Take the complete response of the target; the draft has read what its own shares with it."""
        assert row.check is not None
        row.target_tokens, row.answer, row.check = list(row.target.tokens), row.check.result().answer, None
        row.least_margin = self._least_margin("target", row.target, 0)
        if row.answer is None:
            row.stage = Stage.DONE
            return
        shared = 0
        for own, token in zip(row.draft_tokens, row.target_tokens, strict=False):
            if own != token:
                break
            shared += 1
        row.draft.keep(self.models["draft"], shared)
        row.draft.tokens = row.target.tokens
        self._find_mismatch(row)

    def _least_margin(self, name: str, text: CachedText, start: int) -> float:
        """Return the least margin by which a model chose the tokens of a text from `start` on."""
        return self.models[name].least_margin(text.row, text.slots_before(start))

    def _close_swap(self, row: Row, swap: Swap, important: bool) -> None:
        """Go on with the text that keeps the answer, and search it for the next mismatch."""
        dropped = {"draft": swap.draft_reading, "target": swap.alternative}
        if not important:
            dropped = {"draft": row.draft, "target": row.target}
        for name, text in dropped.items():
            text.keep(self.models[name], swap.position)
        row.texts.append(dropped["target"].tokens)
        if not important:
            row.target, row.draft = swap.alternative, swap.draft_reading
            row.draft.tokens = row.target.tokens
        row.check, row.swap, row.border = None, None, swap.position + 1
        if swap.alternative.tokens[swap.position] in self.pair.end_tokens:
            row.stage = Stage.DONE
        else:
            self._find_mismatch(row)

    def _read_with_draft(self, rows: list[Row], checks: Executor | None) -> bool:
        """Let the draft read what each row needs next in one pass; tell whether there was any."""
        work = [work for row in rows if (work := self._draft_work(row))]
        for (row, text, _), choices in zip(work, self._read("draft", work), strict=True):
            if row.stage is Stage.DRAFT_RESPONSE:
                text.tokens.append(choices[-1])
                if self.ending.reached(text.tokens):
                    row.draft_tokens, row.stage = text.tokens, Stage.TARGET_RESPONSE
                    row.draft_check = self._check(row, text.tokens, checks)
                    row.texts.append(text.tokens)
                    row.set_continuations(text.tokens, row.target.tokens)
            elif row.stage is Stage.SEARCH:
                self._find_mismatch(row)
        return bool(work)

    def _draft_work(self, row: Row) -> Work | None:
        """Return what the draft is to read next in a row: its own response, a mismatch, or ahead to the next one."""
        if row.stage is Stage.DRAFT_RESPONSE:
            return row, row.draft, row.draft.unread()
        if row.stage is Stage.SEARCH:
            return row, row.draft, row.draft.unread()[:DRAFT_CHUNK]
        if row.swap:
            for text in (row.draft, row.swap.draft_reading):
                if text.n_read <= row.swap.position:
                    return row, text, text.unread()[:1]
        return None

    def _find_mismatch(self, row: Row) -> None:
        """Search for the next mismatch as far as the draft has read; open a swap there, or end the row."""
        row.stage = Stage.SEARCH
        tokens = row.target.tokens
        for choice in self.models["draft"].choices(row.index, row.draft.slots_before(row.border)):
            if choice != tokens[row.border]:
                return self._open_swap(row, choice)
            row.border += 1
        if row.border >= len(tokens):
            row.stage = Stage.DONE
        return None

    def _open_swap(self, row: Row, token: int) -> None:
        """Put the draft's token at the border; what went on after the target's token may go on after it too."""
        tokens = [*row.target.tokens[: row.border], token]
        reading, alternative = row.draft.branch(row.border, tokens), row.target.branch(row.border, list(tokens))
        row.swap, row.stage = Swap(row.border, reading, alternative), Stage.SWAP
        row.set_continuations(row.target.tokens, tokens)

    def _record_swaps(self, rows: list[Row]) -> None:
        """Write labels and features of complete swaps from what their passes left, and go on with the rows."""
        swaps = [row.swap for row in rows if row.swap]
        pairs = list(zip(rows, swaps, strict=True))
        places = {
            "draft_at_draft": [swap.draft_reading.slot(swap.position) for swap in swaps],
            "target_at_draft": [swap.alternative.slot(swap.position) for swap in swaps],
            "draft_at_target": [row.draft.slot(swap.position) for row, swap in pairs],
            "target_at_target": [row.target.slot(swap.position) for row, swap in pairs],
            "draft_before": [row.draft.slot(swap.position - 1) for row, swap in pairs],
            "target_before": [row.target.slot(swap.position - 1) for row, swap in pairs],
        }
        indices = [row.index for row in rows]
        states = {name: self.models[name.split("_")[0]].hidden(indices, places[name]) for name in BLOCKS}
        target, draft = (self.models[name].head(states[f"{name}_before"]).float() for name in ("target", "draft"))
        tokens = torch.tensor([s.alternative.tokens[s.position] for s in swaps], device=target.device)
        scalars = compare_distributions(target, draft.to(target.device), tokens)
        best = target.topk(2).values
        columns = {name: list(block.to("cpu", STORED).numpy()) for name, block in states.items()}
        columns |= {name: values.tolist() for name, values in scalars.items()}
        for i, ((row, swap), margin) in enumerate(zip(pairs, (best[:, 0] - best[:, 1]).tolist(), strict=True)):
            key = {"problem_id": row.problem["problem_id"], "position": swap.position}
            row.features.append(key | {name: values[i] for name, values in columns.items()})
            row.labels.append(key | self._label(row, swap, margin))
            self._close_swap(row, swap, row.labels[-1]["important"])

    def _label(self, row: Row, swap: Swap, margin: float) -> dict[str, Any]:
        assert row.check is not None
        t, checked = swap.position, row.check.result()
        chosen = self._least_margin("target", swap.alternative, t + 1)
        proposed = self._least_margin("draft", swap.draft_reading, t)
        least = min(chosen, proposed)
        return {
            "split": row.problem["split"],
            "target_token": row.target.tokens[t],
            "draft_token": swap.alternative.tokens[t],
            "important": not checked.same,
            "alternative_answer": checked.answer,
            "margin": margin,
            "least_margin": least,
            "cut_off": self.ending.cut_off(row.target_tokens) or self.ending.cut_off(swap.alternative.tokens),
            "near_tie": least < NEAR_TIE[self.pair.target.dtype],
            "alternative_tokens": swap.alternative.tokens[t:],
        }

    def _result(self, row: Row) -> Mined:
        assert row.draft_check is not None
        response = {
            "problem_id": row.problem["problem_id"],
            "split": row.problem["split"],
            "target_tokens": row.target_tokens,
            "draft_tokens": row.draft_tokens,
            "mined_tokens": row.target.tokens,
            "target_answer": row.answer,
            "draft_answer": row.draft_check.result().answer,
            "mined_answer": self.scorer.answer(self.pair.decode(row.target.tokens), row.problem),
            "correct": self.scorer.same(row.answer, row.problem["gold"]),
            "checked_by": self.scorer.checked_by,
            "cut_off": self.ending.cut_off(row.target_tokens),
            "least_margin": row.least_margin,
            "seconds": time.monotonic() - row.started,
            "target_evaluated": row.evaluated["target"],
            "draft_evaluated": row.evaluated["draft"],
        }
        return Mined(response, row.labels, row.features)
