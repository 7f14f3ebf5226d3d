"""A toy sweep of known behaviour: responses with mismatches, some important, that rules tell apart more or less."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from autojudge.reporting.statistics import MEASURED_COST, Comparison, summarise_sweep

INFINITY = float("inf")
FREE = {"kl_divergence": 0.9, "fly": 0.5, "typical": 0.2}  # how far apart important and unimportant mismatches score
KINDS = {"target": "reference", "lossless": "reference", "always": "reference", "judge": "judge", "oracle": "oracle"}
THRESHOLDS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def decode(places: Sequence[int], length: int, window: int) -> dict[str, object]:
    """Return the counts of a response whose tokens at some places are refused."""
    refused, at, cycles, accepted, kept_at = sorted(places), 0, 0, 0, np.zeros(window, int)
    while at < length:
        stop = next((place for place in refused if at <= place < min(at + window, length)), None)
        kept = min(window, length - at) if stop is None else stop - at
        kept_at[:kept] += 1
        accepted += kept + (stop is not None)
        at += kept + 1
        cycles += 1
    counts = {"tokens": length, "cycles": cycles, "accepted": accepted, "emitted": length, "kept_at": kept_at.tolist()}
    return counts | {"target_calls": cycles + 1, "draft_calls": cycles * window}


def toy_sweep(
    windows: Sequence[int] = (4, 8, 16), free: Mapping[str, float] = FREE, problems: int = 40, seed: int = 0
) -> pd.DataFrame:
    """Return rows of table `sweep` for the references, a judge, an oracle and training-free rules."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(2 * problems):
        split, length = ("validation", "test")[number % 2], int(rng.integers(70, 110))
        places = np.flatnonzero(rng.random(length) < 0.15)
        important = rng.random(len(places)) < 0.2
        solved, harm = bool(rng.random() < 0.95), rng.random(len(places)) < 0.5
        base = {"problem_id": f"p{number}", "repeat": 0, "fold": None, "split": split, "exact": True}
        base |= {"cut_off": False, "loops": False}
        alone = {"tokens": length, "cycles": 0, "accepted": 0, "emitted": 0, "kept_at": []}
        alone |= {"target_calls": length, "draft_calls": 0, "differs": False, "correct": solved}
        every = {"threshold_low": -INFINITY, "threshold": INFINITY}
        rows.append(base | {"rule": "target", "window": 0} | every | alone)
        scores = {"judge": important * 2.5 + rng.normal(size=len(places)) * 0.8, "oracle": np.where(important, 9e9, 0)}
        scores |= {rule: gap * important + rng.normal(size=len(places)) for rule, gap in free.items()}
        scores |= {"lossless": np.full(len(places), INFINITY), "always": np.full(len(places), -9.0)}
        for rule, score in scores.items():
            for low, high in _intervals(rule):
                kept = (score <= low) & (low > -INFINITY)
                cut = bool(rule != "judge" and kept.sum() > 9 and number % 7 == 0)
                effects = {"differs": bool(kept.any()), "correct": solved and not (kept & important & harm).any()}
                text = base | {"rule": rule, "threshold_low": low, "threshold": high, "cut_off": cut, "loops": cut}
                longer = length + 3 * int((kept & important).sum())
                rows += [
                    text | {"window": window} | effects | decode(places[~kept], longer, window) for window in windows
                ]
    return pd.DataFrame(rows)


def _intervals(rule: str) -> list[tuple[float, float]]:
    """Return the intervals of thresholds in which a rule's responses stay the same."""
    if rule == "lossless":
        return [(-INFINITY, INFINITY)]
    ends = (0.0,) if rule in ("oracle", "always") else THRESHOLDS
    return list(zip((-INFINITY, *ends), (*ends, INFINITY), strict=True))


def toy_tables(pair: str = "toy", tolerance: float = 4.0, **given: object) -> dict[str, pd.DataFrame]:
    """Return the tables of a toy sweep by name, for which a draft call costs 0.1 of a target call."""
    sweep = toy_sweep(**given)
    kinds = {rule: KINDS.get(rule, "training-free") for rule in sweep["rule"].unique()}
    costs = {MEASURED_COST: 0.1, "0.02": 0.02, "0.5": 0.5}
    return summarise_sweep(
        sweep, pair, Comparison({"judge": [0.5, 1.5], "always": [1.0]}, kinds, costs, tolerance, seed=0)
    )
