"""How well scores tell important mismatches from unimportant ones, with intervals that resample problems.

Mismatches of one problem resemble one another, so the bootstrap draws problems, each with all of its mismatches.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autojudge.judging.record import Estimate

RESAMPLES = 1000
CHUNK = 2**22  # weights that are held at a time
METRICS = ("auc", "average_precision", "accepted_at_90", "accepted_at_95")


def measure(
    score: NDArray[np.floating], important: NDArray[np.bool_], weights: NDArray[np.floating] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return each of METRICS for one or several weightings of the same mismatches.

    Parameters
    ----------
    score : array of shape (n,)
        Higher: more probably important.
    important : array of shape (n,)
        Labels, of both classes.
    weights : array of shape (m, n) or None
        Weightings; None: all 1.

    Returns
    -------
    dict of str to array of shape (m,)
        `auc` and `average_precision` for the label important, as scikit-learn has them; `accepted_at_90` (`_95`): share
        of the unimportant ones below the largest threshold that refuses (score >= threshold) 90 % (95 %) of the
        important ones.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each group of equal scores
    rows = np.ones((1, len(score))) if weights is None else weights
    parts = [_measure_sorted(part[:, order], important[order], ends) for part in _chunks(rows, len(score))]
    return {name: np.concatenate([part[name] for part in parts]) for name in METRICS}


def _chunks(
    rows: NDArray[np.floating],  # (m, width)
    width: int,
) -> list[NDArray[np.floating]]:
    step = max(1, CHUNK // max(width, 1))
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _measure_sorted(
    weights: NDArray[np.floating],  # (m, n)
    important: NDArray[np.bool_],  # (n,)
    ends: NDArray[np.intp],  # (groups,)
) -> dict[str, NDArray[np.float64]]:
    """Return METRICS of mismatches sorted by falling score; `ends` are the last places of equal scores."""
    hits = np.cumsum(weights * important, axis=1, dtype=np.float64)[:, ends]  # refused and important
    falls = np.cumsum(weights * ~important, axis=1, dtype=np.float64)[:, ends]
    recall = hits / np.maximum(hits[:, -1:], 1e-300)
    fall_out = falls / np.maximum(falls[:, -1:], 1e-300)
    zero = np.zeros((len(weights), 1))
    steps = np.diff(recall, axis=1, prepend=zero)
    heights = np.diff(fall_out, axis=1, prepend=zero)
    found = {
        "auc": (heights * (recall - steps / 2)).sum(1),
        "average_precision": (steps * hits / np.maximum(hits + falls, 1e-300)).sum(1),
    }
    for percent in (90, 95):
        first = (recall >= percent / 100 - 1e-9).argmax(1)
        found[f"accepted_at_{percent}"] = 1 - fall_out[np.arange(len(weights)), first]
    return found


def draw_weights(
    problem_id: Sequence[str] | NDArray[np.object_],  # (n,)
    seed: int,
    resamples: int = RESAMPLES,
) -> NDArray[np.float32]:
    """Return how often each mismatch is drawn when problems are resampled, float32 of shape (resamples, n)."""
    problems, of = np.unique(np.asarray(problem_id, dtype=str), return_inverse=True)
    shares = np.full(len(problems), 1 / len(problems))
    counts = np.random.default_rng(seed).multinomial(len(problems), shares, size=resamples)
    return counts.astype(np.float32)[:, of]


def estimate(
    score: NDArray[np.floating],  # (n,)
    important: NDArray[np.bool_],  # (n,)
    weights: NDArray[np.floating],  # (m, n)
) -> dict[str, Estimate]:
    """Return each metric with its interval over weightings of `draw_weights`."""
    point, drawn = measure(score, important), measure(score, important, weights)
    return {name: _summarise(float(point[name][0]), drawn[name]) for name in METRICS}


def compare(
    score: NDArray[np.floating],  # (n,)
    other: NDArray[np.floating],  # (n,)
    important: NDArray[np.bool_],  # (n,)
    weights: NDArray[np.floating],  # (m, n)
) -> dict[str, Estimate]:
    """Return how much `score` is better than `other` in each metric, problem by problem the same draws for both."""
    point, drawn = measure(score, important), measure(score, important, weights)
    other_point, other_drawn = measure(other, important), measure(other, important, weights)
    return {n: _summarise(float((point[n] - other_point[n])[0]), drawn[n] - other_drawn[n]) for n in METRICS}


def _summarise(
    value: float,
    drawn: NDArray[np.float64],  # (m,)
) -> Estimate:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high), float(drawn.std()))
