"""Wall-clock speed of decoding methods on the same prompts, in turn; and what the counted calls promise elsewhere."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from autojudge.decoding.branches import Decoded, Job
from autojudge.decoding.decoder import Decoder, needs_of
from autojudge.decoding.thresholds import Points
from autojudge.engine.models import Pair
from autojudge.judging.artifact import Judge
from autojudge.rules import Rule, load_rule

ASSISTED, TARGET = "assisted generation", "target"


@dataclass(frozen=True)
class Method:
    """A way to decode: the target alone, a rule at a threshold, or (`assisted`) that of transformers."""

    name: str
    rule: Rule | None = None
    threshold: float = 0.0


@dataclass(frozen=True)
class Setting:
    """What methods that are compared have in common.

    Attributes
    ----------
    window : int
        Tokens that are proposed per cycle.
    limit : int
        Longest response in tokens.
    judge : Judge or None
        For rules that need it.
    stop : tuple of str
        Texts that end a response.
    """

    pair: Pair
    window: int
    limit: int
    judge: Judge | None = None
    stop: tuple[str, ...] = ()


@dataclass
class Run:
    """One measurement: seconds, of these outside model forwards, and the counts of all responses together."""

    seconds: float
    outside: float
    counts: Mapping[str, int]


def choose_methods(summary: pd.DataFrame, drafts: bool) -> list[Method]:
    """Return what is timed: references, the judge and the best training-free rule, at recommended thresholds."""
    chosen = summary[summary["best"] | (summary["kind"] == "judge")]
    rules = [
        Method(str(name), load_rule(str(name)), float(threshold))
        for name, threshold in zip(chosen["rule"], chosen["threshold"], strict=True)
    ]
    assisted = [Method(ASSISTED)] if drafts else []
    return [Method(TARGET), *assisted, Method("lossless", load_rule("lossless")), *rules]


class ForwardClock:
    """Adds up the time in the forward passes of a pair's models, their heads included.

    Attributes
    ----------
    seconds : float
        Since it was made.
    """

    def __init__(self, pair: Pair) -> None:
        self.seconds, self._start = 0.0, 0.0
        parts = [part for m in (pair.draft, pair.target) if m is not None for part in _parts(m)]
        self._hooks = [part.register_forward_pre_hook(self._begin) for part in parts]
        self._hooks += [part.register_forward_hook(self._end) for part in parts]

    def _begin(self, *_: Any) -> None:
        self._start = time.perf_counter()

    def _end(self, *_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - self._start

    def remove(self) -> None:
        """Take the clock off the models."""
        for hook in self._hooks:
            hook.remove()


def _parts(model: Any) -> list[torch.nn.Module]:
    return [model.base_model, model.get_output_embeddings()]


@contextmanager
def _clock(pair: Pair) -> Iterator[ForwardClock]:
    clock = ForwardClock(pair)
    try:
        yield clock
    finally:
        clock.remove()


def run_method(setting: Setting, prompts: Sequence[list[int]], method: Method, batch: int) -> Run:
    """Decode the prompts and time it. Assisted generation takes them one by one, whatever the batch."""
    pair, window, limit, judge = setting.pair, setting.window, setting.limit, setting.judge
    with _clock(pair) as clock:
        start = time.perf_counter()
        if method.name == ASSISTED:
            responses = [assist(pair, prompt, window, limit) for prompt in prompts]
            counts = {"tokens": sum(map(len, responses))}
        else:
            thresholds = {method.rule: Points((method.threshold,))} if method.rule else {}
            jobs = [Job(prompt, thresholds) for prompt in prompts]
            decoder = Decoder(pair, judge, window, limit, batch, setting.stop)
            counts = _add_counts([r for _, rs in decoder.decode(jobs) for r in rs], method.rule, judge)
        seconds = time.perf_counter() - start
    return Run(seconds, seconds - clock.seconds, counts)


def _add_counts(responses: Sequence[Decoded], rule: Rule | None, judge: Judge | None) -> dict[str, int]:
    reads_last = rule is not None and "draft_at_draft" in needs_of(rule, judge)
    rows = [response.counts(reads_last) for response in responses]
    return {name: sum(row[name] for row in rows) for name in rows[0]}


@torch.inference_mode()
def assist(pair: Pair, prompt: list[int], window: int, limit: int) -> list[int]:
    """Generate greedily with transformers' own assisted generation, windows of a fixed length."""
    assert pair.draft is not None, "assisted generation wants a draft model"
    draft = pair.draft.generation_config
    draft.num_assistant_tokens, draft.num_assistant_tokens_schedule = window, "constant"
    draft.assistant_confidence_threshold = 0.0
    tokens = torch.tensor([prompt], device=pair.target.device)
    output = pair.target.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        assistant_model=pair.draft,
        max_new_tokens=limit,
        do_sample=False,
        eos_token_id=sorted(pair.end_tokens),
        pad_token_id=min(pair.end_tokens),
        temperature=None,
        top_p=None,
        top_k=None,
        repetition_penalty=1.0,
    )
    response: list[int] = output[0, len(prompt) :].tolist()
    return response


def time_methods(
    setting: Setting,
    prompts: Sequence[list[int]],
    methods: Sequence[Method],
    batches: Sequence[int],
    rounds: int,
) -> list[dict[str, Any]]:
    """Time methods in turn, round by round, after a round that is not counted.

    Parameters
    ----------
    prompts : sequence of lists of int
        The same for every method.
    batches : sequence of int
        Responses side by side. Assisted generation knows only 1.
    rounds : int
        Each gives one measurement of every method and batch.

    Returns
    -------
    list of dict
        Rows of table `speed`: medians over the rounds, with the slowest and the fastest.
    """
    keys = [(method, batch) for method in methods for batch in batches if method.name != ASSISTED or batch == 1]
    runs: dict[tuple[Method, int], list[Run]] = {key: [] for key in keys}
    for number in range(rounds + 1):
        for method, batch in keys:
            run = run_method(setting, prompts if number else prompts[:2], method, batch)
            if number:
                runs[method, batch].append(run)
    return [
        _describe(method, batch, setting.window, len(prompts), measured) for (method, batch), measured in runs.items()
    ]


def _describe(method: Method, batch: int, window: int, problems: int, runs: list[Run]) -> dict[str, Any]:
    counts = runs[0].counts
    speeds = [run.counts["tokens"] / run.seconds for run in runs]
    per_token = {
        f"{name}_calls_per_token": counts[f"{name}_calls"] / counts["tokens"] if f"{name}_calls" in counts else np.nan
        for name in ("target", "draft")
    }
    return {
        "method": method.name,
        "threshold": method.threshold,
        "window": 0 if method.name == TARGET else window,
        "batch": batch,
        "problems": problems,
        "tokens": counts["tokens"],
        "tokens_per_second": float(np.median(speeds)),
        "tokens_per_second_low": min(speeds),
        "tokens_per_second_high": max(speeds),
        "problems_per_second": float(np.median([problems / run.seconds for run in runs])),
        "outside_forwards": float(np.median([run.outside / run.seconds for run in runs])),
        **per_token,
    }


def call_cost_ratio(pair: Pair, calls: int = 20) -> float:
    """Return the time of a draft call over that of a target call, each of one token, medians; 0 without a draft."""
    if pair.draft is None:
        return 0.0
    return _call_seconds(pair.draft, calls) / _call_seconds(pair.target, calls)


@torch.inference_mode()
def _call_seconds(model: Any, calls: int) -> float:
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        model(torch.tensor([[5]], device=model.device), use_cache=False)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
