"""From single decoded problems to a table of accuracy against speed, with intervals."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from autojudge.errors import InputError
from autojudge.schemas import arrow_schema


def wilson_interval(correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share.

    Parameters
    ----------
    correct : int
        Number of successes.
    n : int
        Number of trials, at least 1.
    level : float
        Confidence level.

    Returns
    -------
    low, high : float
        Shares between 0 and 1.
    """
    interval = binomtest(int(correct), int(n)).proportion_ci(confidence_level=level, method="wilson")
    return float(interval.low), float(interval.high)


def paired_drop(
    correct: ArrayLike, reference: ArrayLike, seed: int, resamples: int = 2000, level: float = 0.95
) -> tuple[float, float, float]:
    """Return how many percentage points of accuracy a method loses, with a paired bootstrap percentile interval.

    Parameters
    ----------
    correct : array of bool, shape (n_problems,)
        Whether the method solved each problem.
    reference : array of bool, shape (n_problems,)
        Whether the reference solved the same problem.
    seed : int
        Seed of the resampling.
    resamples : int
        Number of bootstrap samples of the problems.
    level : float
        Confidence level.

    Returns
    -------
    drop, low, high : float
        Reference minus method in percentage points; positive is a loss. Where both agree on every problem, the
        interval is the single point 0: the bootstrap knows no more than the sample.

    Raises
    ------
    ValueError
        The arrays are empty or not of one shape (n_problems,).
    """
    correct, reference = np.asarray(correct, dtype=bool), np.asarray(reference, dtype=bool)
    if correct.ndim != 1 or correct.shape != reference.shape or not correct.size:
        raise ValueError(f"a paired drop needs two arrays of one shape (n,), got {correct.shape}, {reference.shape}")
    n = len(correct)
    lost, won = np.sum(reference & ~correct), np.sum(correct & ~reference)
    # A problem's difference is 1, -1 or 0, so resampling problems is the same as drawing these three counts.
    draws = np.random.default_rng(seed).multinomial(n, [lost / n, won / n, (n - lost - won) / n], size=resamples)
    tail = (1 - level) / 2
    low, high = np.quantile(100 * (draws[:, 0] - draws[:, 1]) / n, [tail, 1 - tail])
    return float(100 * (lost - won) / n), float(low), float(high)


def summarise_sweep(sweep: pd.DataFrame, pair: str, recommended: float, seed: int) -> pd.DataFrame:
    """Return the accuracy and speed of every rule and threshold of a pair.

    Parameters
    ----------
    sweep : DataFrame
        Table `sweep` of the pair, all shards; its columns `answer` and `response` are not needed.
    pair : str
        Name of the pair.
    recommended : float
        The judge's threshold chosen on validation; nan: none.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        Table `pareto`, ordered by rule and threshold.

    Raises
    ------
    InputError
        There are no lossless rows, a group's problems are not those of lossless, or the judge was swept without the
        recommended threshold.
    """
    reference = sweep[sweep["rule"] == "lossless"].set_index("problem_id")["correct"]
    if reference.empty:
        raise InputError(
            f"pair {pair}: the sweep has no rows of rule `lossless`, which drops are measured against; "
            "list lossless in decoding.rules, delete the sweep and run again"
        )
    rows = []
    for (rule, threshold, window), group in sweep.groupby(["rule", "threshold", "window"]):
        key = {"pair": pair, "rule": rule, "threshold": threshold, "window": window}
        name = f"{pair}, rule {rule} at threshold {threshold:g}"
        rows.append(key | _summarise_group(group.set_index("problem_id"), reference, seed, name))
    table = pd.DataFrame(rows)
    table["recommended"] = _mark_recommended(table, pair, recommended)
    return table[arrow_schema("pareto").names]


def _summarise_group(group: pd.DataFrame, reference: pd.Series, seed: int, name: str) -> dict[str, float]:
    """Return the measured columns of one row of `pareto`; both tables are indexed by problem."""
    if sorted(group.index) != sorted(reference.index) or not group.index.is_unique:
        raise InputError(
            f"pair {name}, was not decoded on exactly the problems of lossless, once each; "
            "delete the pair's sweep and its shards and run again"
        )
    n, correct = len(group), int(group["correct"].sum())
    low, high = wilson_interval(correct, n)
    drop, drop_low, drop_high = paired_drop(group["correct"], reference.loc[group.index], seed)
    # Sums over sums: the mean over cycles and tokens, not over problems.
    total = group[["tokens", "cycles", "accepted", "emitted", "target_calls", "draft_calls"]].sum().astype(float)
    return {
        "problems": n,
        "accuracy": correct / n,
        "accuracy_low": low,
        "accuracy_high": high,
        "drop": drop,
        "drop_low": drop_low,
        "drop_high": drop_high,
        "accepted_per_cycle": _ratio(total["accepted"], total["cycles"]),
        "emitted_per_cycle": _ratio(total["emitted"], total["cycles"]),
        "target_calls_per_token": _ratio(total["target_calls"], total["tokens"]),
        "draft_calls_per_token": _ratio(total["draft_calls"], total["tokens"]),
    }


def _ratio(count: float, per: float) -> float:
    """Return a ratio; nan where nothing was counted, as for the cycles of the target alone."""
    return count / per if per else float("nan")


def _mark_recommended(table: pd.DataFrame, pair: str, recommended: float) -> pd.Series:
    """Return which rows are the judge's at the recommended threshold."""
    judge = table["rule"] == "judge"
    if np.isnan(recommended) or not judge.any():
        return pd.Series(False, index=table.index)
    swept = table.loc[judge, "threshold"].to_numpy(dtype=float)
    # The nearest one only: thresholds are quantiles and may lie closer together than np.isclose tells apart.
    nearest = swept[np.argmin(np.abs(swept - recommended))]
    if not np.isclose(nearest, recommended):
        raise InputError(
            f"pair {pair}: the judge's recommended threshold {recommended:g} is not among the swept ones "
            f"(nearest {nearest:g}); the sweep belongs to another judge, so delete it and run again"
        )
    return judge & (table["threshold"] == nearest)
