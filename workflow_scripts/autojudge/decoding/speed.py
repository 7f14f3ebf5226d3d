"""Wall-clock speed of decoding methods on the same prompts, in turn."""

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from autojudge.decoding.assisted import CONFIDENCE, MOST_TOKENS, assist
from autojudge.decoding.branches import Decoded, Job
from autojudge.decoding.decoder import Decoder, needs_of
from autojudge.decoding.thresholds import Points
from autojudge.engine.models import Pair
from autojudge.judging.artifact import Judge
from autojudge.rules import Rule, Settings, load_rule

logger = logging.getLogger("autojudge")

TARGET, ASSISTED, DYNAMIC = "target", "assisted generation", "assisted generation, dynamic"
OF_TRANSFORMERS = {ASSISTED, DYNAMIC}


@dataclass(frozen=True)
class Method:
    """A way to decode: the target alone, a rule at a threshold, or assisted generation of transformers.

    Attributes
    ----------
    name : str
        `TARGET`, `ASSISTED`, `DYNAMIC`, or that of the rule.
    rule : Rule or None
        None for all but rules.
    threshold : float
        Of the rule; of `DYNAMIC` the draft's confidence below which it first stops.
    window : int
        Tokens that are proposed per cycle, of `DYNAMIC` the most; 0 for the target alone.
    """

    name: str
    rule: Rule | None = None
    threshold: float = 0.0
    window: int = 0


@dataclass(frozen=True)
class Setting:
    """What methods that are compared have in common.

    Attributes
    ----------
    limit : int
        Longest response in tokens.
    judge : Judge or None
        For rules that need it.
    stop : tuple of str
        Texts that end a response.
    """

    pair: Pair
    limit: int
    judge: Judge | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """What is measured: a method at a batch (responses side by side)."""

    method: Method
    batch: int


@dataclass
class Run:
    """One measurement: seconds, of these outside model forwards, and the counts of all responses together."""

    seconds: float
    outside: float
    counts: Mapping[str, int]


def choose_methods(summary: pd.DataFrame, drafts: bool, rules: Mapping[str, Settings]) -> list[Method]:
    """Return what is timed: references, the judge and the best training-free rule, each at its recommended point.

    Parameters
    ----------
    summary : DataFrame
        Rows of table `summary` of one pair.
    drafts : bool
        The pair has a draft model. Assisted generation then takes lossless decoding's window, and once its own way.
    rules : mapping of rule name to mapping
        The swept rules' entries of the config.
    """
    lossless = summary["rule"] == "lossless"
    chosen = pd.concat([summary[lossless], summary[~lossless & (summary["best"] | (summary["kind"] == "judge"))]])
    methods = [
        Method(str(name), load_rule(str(name), rules.get(str(name))), float(threshold), int(window))
        for name, threshold, window in zip(chosen["rule"], chosen["threshold"], chosen["window"], strict=True)
    ]
    return [Method(TARGET), *(assisted_methods(methods[0].window) if drafts else []), *methods]


def assisted_methods(window: int) -> list[Method]:
    """Return transformers' assisted generation: fixed windows, and those that end by the draft's confidence."""
    return [Method(ASSISTED, window=window), Method(DYNAMIC, threshold=CONFIDENCE, window=MOST_TOKENS)]


class ForwardClock:
    """Adds up the time in the forward passes of a pair's models, their heads included.

    Attributes
    ----------
    seconds : float
        Since it was made.
    """

    def __init__(self, pair: Pair) -> None:
        self.seconds, self._start = 0.0, 0.0
        parts = _parts(pair)
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


def _parts(pair: Pair) -> list[torch.nn.Module]:
    """Return what computes; a draft of the target's first layers shares its hooks, which are to run once."""
    models = [model for model in (pair.draft, pair.target) if model is not None]
    parts = [part for model in models for part in (model.base_model, model.get_output_embeddings())]
    return list({id(part._forward_hooks): part for part in parts}.values())


@contextmanager
def _clock(pair: Pair) -> Iterator[ForwardClock]:
    clock = ForwardClock(pair)
    try:
        yield clock
    finally:
        clock.remove()


def run_method(setting: Setting, prompts: Sequence[list[int]], method: Method, batch: int) -> Run:
    """Decode the prompts and time it. Assisted generation takes them one by one, whatever the batch."""
    pair, limit, judge, stop = setting.pair, setting.limit, setting.judge, setting.stop
    with _clock(pair) as clock:
        start = time.perf_counter()
        if method.name in OF_TRANSFORMERS:
            responses = [assist(pair, prompt, method.window, limit, stop, method.threshold) for prompt in prompts]
            counts = {"tokens": sum(map(len, responses))}
        else:
            thresholds = {method.rule: Points((method.threshold,))} if method.rule else {}
            jobs = [Job(prompt, thresholds) for prompt in prompts]
            decoder = Decoder(pair, judge, method.window, limit, batch, stop)
            counts = _add_counts([r for _, rs in decoder.decode(jobs) for r in rs], method.rule, judge)
        seconds = time.perf_counter() - start
    return Run(seconds, seconds - clock.seconds, counts)


def _add_counts(responses: Sequence[Decoded], rule: Rule | None, judge: Judge | None) -> dict[str, int]:
    reads_last = rule is not None and "draft_at_draft" in needs_of(rule, judge)
    rows = [response.counts(reads_last) for response in responses]
    return {name: sum(row[name] for row in rows) for name in rows[0]}


def time_methods(
    setting: Setting,
    prompts: Sequence[list[int]],
    methods: Sequence[Method],
    batches: Sequence[int],
    rounds: int,
    seconds: float = math.inf,
) -> list[dict[str, Any]]:
    """Time methods in turn, round by round, after a round of two prompts that is not counted.

    Parameters
    ----------
    prompts : sequence of lists of int
        The same for every method; fewer are taken where a round of all would not fit into the time, one at least.
    batches : sequence of int
        Responses side by side. Assisted generation knows only 1.
    rounds : int
        Each gives one measurement of every method and batch. A further one begins only if it still fits into the time.
    seconds : float
        The time for all of it.

    Returns
    -------
    list of dict
        Rows of table `speed`: medians over the rounds, with the slowest and the fastest. Assisted generation has none
        where transformers fails with the pair; a warning tells why.
    """
    end = time.monotonic() + seconds
    cases = [Case(m, batch) for m in methods for batch in batches if m.name not in OF_TRANSFORMERS or batch == 1]
    tried = _run_in_turn(setting, prompts[:2], cases)
    per_prompt = sum(run.seconds for run in tried.values()) / len(prompts[:2])
    chosen = prompts[: max(1, int(min(len(prompts), (end - time.monotonic()) / per_prompt)))]
    runs = {case: [run] for case, run in _run_in_turn(setting, chosen, tried).items()}
    took = sum(run.seconds for (run,) in runs.values())
    had = 1
    while had < rounds and time.monotonic() + took <= end:
        for case, run in _run_in_turn(setting, chosen, runs).items():
            runs[case].append(run)
        had += 1
    logger.info("%d of %d rounds, %d of %d problems", had, rounds, len(chosen), len(prompts))
    return [_describe(case, len(chosen), measured) for case, measured in runs.items()]


def _run_in_turn(setting: Setting, prompts: Sequence[list[int]], cases: Iterable[Case]) -> dict[Case, Run]:
    """Run each case once; assisted generation is left out where transformers fails."""
    runs = {}
    for case in cases:
        try:
            runs[case] = run_method(setting, prompts, case.method, case.batch)
        except Exception as fault:  # transformers may fail in any way
            if case.method.name not in OF_TRANSFORMERS:
                raise
            logger.warning("%s is left out: transformers fails with these models (%r)", case.method.name, fault)
    return runs


def _describe(case: Case, problems: int, runs: list[Run]) -> dict[str, Any]:
    counts = runs[0].counts
    speeds = [run.counts["tokens"] / run.seconds for run in runs]
    per_token = {
        f"{name}_calls_per_token": counts[f"{name}_calls"] / counts["tokens"] if f"{name}_calls" in counts else np.nan
        for name in ("target", "draft")
    }
    return {
        "method": case.method.name,
        "threshold": case.method.threshold,
        "window": case.method.window,
        "batch": case.batch,
        "problems": problems,
        "rounds": len(runs),
        "tokens": counts["tokens"],
        "tokens_per_second": float(np.median(speeds)),
        "tokens_per_second_low": min(speeds),
        "tokens_per_second_high": max(speeds),
        "problems_per_second": float(np.median([problems / run.seconds for run in runs])),
        "outside_forwards": float(np.median([run.outside / run.seconds for run in runs])),
        **per_token,
    }
