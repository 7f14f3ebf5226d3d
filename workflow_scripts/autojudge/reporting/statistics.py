"""From single decoded problems to curves and tables of accuracy against speed, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from autojudge.errors import InputError
from autojudge.tables.decoding import COUNTS
from autojudge.tables.reporting import CURVE, PARETO, SUMMARY

RESAMPLES = 2000
RATIOS = {  # sums over sums: the mean over cycles and tokens, not over problems
    "accepted_per_cycle": ("accepted", "cycles"),
    "emitted_per_cycle": ("emitted", "cycles"),
    "target_calls_per_token": ("target_calls", "tokens"),
    "draft_calls_per_token": ("draft_calls", "tokens"),
}


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


def mcnemar_p(lost: int, won: int) -> float:
    """Return the p-value of McNemar's exact test: the two-sided binomial test of the pairs that differ (1 for none)."""
    return float(binomtest(int(lost), int(lost + won)).pvalue) if lost + won else 1.0


def drop_interval(lost: int, won: int, n: int, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Return the bootstrap interval of a paired drop in percentage points, problems being resampled.

    Parameters
    ----------
    lost, won : int
        Of n problems, those that only the reference solves, and those that only the method solves. Where both are 0
        the interval is the point 0: the bootstrap knows no more than the sample.
    seed : int
        The same seed gives the same interval.
    """
    # A problem's difference is 1, -1 or 0, so resampling problems is the same as drawing these three counts.
    draws = np.random.default_rng(seed).multinomial(n, [lost / n, won / n, (n - lost - won) / n], size=RESAMPLES)
    low, high = np.quantile(100 * (draws[:, 0] - draws[:, 1]) / n, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_drop(correct: ArrayLike, reference: ArrayLike, seed: int) -> dict[str, float]:
    """Compare a method with a reference on the same problems.

    Parameters
    ----------
    correct, reference : array_like of bool, shape (n_problems,)
        Whether each problem is solved, by the method and by the reference.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str to float
        `drop`, the percentage points lost against the reference, `drop_low` and `drop_high`, `mcnemar_p`.

    Raises
    ------
    ValueError
        The arrays are empty or not of one shape (n_problems,).
    """
    correct, reference = np.asarray(correct, dtype=bool), np.asarray(reference, dtype=bool)
    if correct.ndim != 1 or correct.shape != reference.shape or not correct.size:
        raise ValueError(f"a paired drop needs two arrays of one shape (n,), got {correct.shape}, {reference.shape}")
    n, lost, won = len(correct), int(np.sum(reference & ~correct)), int(np.sum(correct & ~reference))
    low, high = drop_interval(lost, won, n, seed)
    drop = float(100 * (lost - won) / n)
    return {"drop": drop, "drop_low": low, "drop_high": high, "mcnemar_p": mcnemar_p(lost, won)}


def trace_curve(rows: pd.DataFrame, reference: pd.Series, name: str) -> pd.DataFrame:
    """Return what holds between the breakpoints of a rule, of all problems together.

    Parameters
    ----------
    rows : DataFrame
        Rows of `sweep` of one pair, split and rule.
    reference : Series of bool, indexed by problem
        Whether lossless decoding solves each.
    name : str
        Of pair, split and rule, for messages.

    Returns
    -------
    DataFrame
        One row per breakpoint, ascending: `threshold`, up to which it holds from the one before, `accuracy`, the ratios
        of tables `curve` and `pareto`, and how many problems are `lost` and `won` against lossless.

    Raises
    ------
    InputError
        The problems are not those of lossless, each exactly once at every threshold.
    """
    ends = np.unique(rows["threshold"].to_numpy(dtype=float))
    first = np.searchsorted(ends, rows["threshold_low"].to_numpy(dtype=float), side="right")
    last = np.searchsorted(ends, rows["threshold"].to_numpy(dtype=float)) + 1
    solved, wanted = rows["correct"].to_numpy(dtype=bool), rows["problem_id"].map(reference)
    known = wanted.notna().to_numpy()
    by_lossless = wanted.fillna(False).to_numpy(dtype=bool)
    columns = {"problems": known, "correct": solved, "lost": by_lossless & ~solved, "won": solved & ~by_lossless}
    columns |= {count: rows[count].to_numpy(dtype=float) for count in COUNTS}
    sums = {column: _sum_over(values, first, last, len(ends)) for column, values in columns.items()}
    every = rows["problem_id"].nunique() == len(reference) and known.all()
    if not every or not np.array_equal(sums["problems"], np.full(len(ends), len(reference))):
        raise InputError(
            f"{name}: not decoded on exactly the problems of lossless, once each; delete the pair's sweep and its "
            "shards and run again"
        )
    curve = {"threshold": ends, "accuracy": sums["correct"] / len(reference), "lost": sums["lost"], "won": sums["won"]}
    curve |= {ratio: _ratio(sums[count], sums[per]) for ratio, (count, per) in RATIOS.items()}
    return pd.DataFrame(curve)


def _sum_over(
    values: NDArray[Any],  # (n,) of bool or float
    first: NDArray[np.intp],  # (n,)
    last: NDArray[np.intp],  # (n,)
    length: int,
) -> NDArray[np.float64]:  # (length,)
    """Return the sums at places 0 to length - 1 of values that each hold from one place up to before another."""
    changes = np.zeros(length + 1)
    np.add.at(changes, first, values)
    np.subtract.at(changes, last, values)
    return np.round(changes.cumsum()[:-1])


def _ratio(counts: ArrayLike, per: ArrayLike) -> NDArray[np.float64]:
    """Return ratios, of the shape of both; nan where nothing was counted, as for the cycles of the target alone."""
    counts, per = np.asarray(counts, dtype=float), np.asarray(per, dtype=float)
    ratios: NDArray[np.float64] = np.full(counts.shape, np.nan)
    np.divide(counts, per, out=ratios, where=per > 0)
    return ratios


def recommend_threshold(curve: pd.DataFrame, problems: int, tolerance: float, seed: int) -> float:
    """Return the fastest threshold whose drop stays within a tolerance by the upper end of its interval.

    Parameters
    ----------
    curve : DataFrame
        Of `trace_curve`, on validation.
    problems : int
        Their number.
    tolerance : float
        Percentage points.
    seed : int
        Of the bootstrap.

    Returns
    -------
    float
        The lowest threshold, where none is within the tolerance.
    """
    counts = [(int(lost), int(won)) for lost, won in zip(curve["lost"], curve["won"], strict=True)]
    upper = {(lost, won): drop_interval(lost, won, problems, seed)[1] for lost, won in set(counts)}
    within = np.array([upper[pair] <= tolerance for pair in counts])
    if not within.any():
        return float(curve["threshold"].min())
    allowed = curve[within].sort_values(["target_calls_per_token", "threshold"], kind="stable")
    return float(allowed["threshold"].iloc[0])


def measure_area(curve: pd.DataFrame, slowest: pd.Series, fastest: pd.Series) -> float:
    """Return the mean, over speeds from lossless to the draft alone, of the best accuracy at or above each speed.

    Speed is accepted tokens per cycle. The draft alone belongs to every rule, as each can give way to it.

    Parameters
    ----------
    curve : DataFrame
        Of a rule.
    slowest, fastest : Series
        Rows of the curves of lossless and of the draft alone.
    """
    low, high = slowest["accepted_per_cycle"], fastest["accepted_per_cycle"]
    if not high > low:
        return float(fastest["accuracy"])
    speed = np.append(curve["accepted_per_cycle"].to_numpy(dtype=float).clip(low, high), high)
    accuracy = np.append(curve["accuracy"].to_numpy(dtype=float), fastest["accuracy"])
    order = np.argsort(-speed, kind="stable")
    best = np.maximum.accumulate(accuracy[order])
    return float(np.sum(best * -np.diff(speed[order], append=low)) / (high - low))


def summarise_sweep(
    sweep: pd.DataFrame,
    pair: str,
    thresholds: Mapping[str, Sequence[float]],
    kinds: Mapping[str, str],
    tolerance: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return a pair's tables `pareto`, `curve` and `summary`.

    Parameters
    ----------
    sweep : DataFrame
        Table `sweep` of the pair, all shards; its columns `answer` and `response` are not needed.
    pair : str
        Name of the pair.
    thresholds : mapping of rule to floats
        The rows of `pareto`, beside the recommended thresholds.
    kinds : mapping of rule to str
        "training-free", "judge", "oracle" or "reference".
    tolerance : float
        Percentage points that a recommended threshold may lose on validation.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        There are no lossless rows, or a rule's problems are not those of lossless.
    """
    curves, parts, summaries = [], [], []
    splits = {split: _trace_split(sweep[sweep["split"] == split], pair, split) for split in ("validation", "test")}
    for rule, validation in splits["validation"].items():
        test = splits["test"][rule]
        curves += [curve.assign(pair=pair) for curve in (validation, test)]
        problems = sweep.loc[sweep["split"] == "validation", "problem_id"].nunique()
        given = thresholds.get(rule, [0.0])
        reference = kinds[rule] == "reference"
        chosen = max(given) if reference else recommend_threshold(validation, problems, tolerance, seed)
        rows = sweep[(sweep["split"] == "test") & (sweep["rule"] == rule)]
        table = _summarise_rule(sweep, rows, sorted({*given, chosen}), seed)
        table = table.assign(pair=pair, rule=rule, recommended=table["threshold"].eq(chosen))
        parts.append(table)
        areas = {
            name: np.nan if reference else measure_area(traced[rule], traced["lossless"].iloc[0], _fast_end(traced))
            for name, traced in (("area", splits["test"]), ("area_validation", splits["validation"]))
        }
        summaries.append(table[table["recommended"]].assign(kind=kinds[rule], **areas))
    summary = pd.concat(summaries, ignore_index=True)
    free = summary["kind"] == "training-free"
    summary["best"] = free & (summary["area_validation"] == summary.loc[free, "area_validation"].max())
    return (
        pd.concat(parts, ignore_index=True)[list(PARETO.columns)],
        pd.concat(curves, ignore_index=True)[list(CURVE.columns)],
        summary[list(SUMMARY.columns)],
    )


def _trace_split(sweep: pd.DataFrame, pair: str, split: str) -> dict[str, pd.DataFrame]:
    """Return the curve of every rule on a split, whose rows are given."""
    reference = _solved_by_lossless(sweep)
    if reference.empty:
        raise InputError(
            f"pair {pair}: the sweep has no rows of rule `lossless` on {split}, which drops are measured against; "
            "list lossless in decoding.rules, delete the sweep and run again"
        )
    if not reference.index.is_unique:
        raise InputError(f"pair {pair}: a problem was decoded twice; delete the pair's sweep and run again")
    return {
        str(rule): trace_curve(rows, reference, f"pair {pair}, {split}, rule {rule}").assign(
            split=split, rule=rule, window=int(rows["window"].iloc[0])
        )
        for rule, rows in sweep.groupby("rule")
    }


def _solved_by_lossless(sweep: pd.DataFrame) -> pd.Series:
    """Return whether lossless decoding solves each problem; a problem that is not exact has several such rows."""
    rows = sweep[(sweep["rule"] == "lossless") & np.isposinf(sweep["threshold"].to_numpy(dtype=float))]
    return rows.set_index("problem_id")["correct"]


def _fast_end(curves: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Return the fast end of all curves: the draft alone, or the fastest point there is."""
    if "always" in curves:
        return curves["always"].iloc[-1]
    points = pd.concat(curves.values(), ignore_index=True)
    return points.iloc[int(points["accepted_per_cycle"].argmax())]


def _summarise_rule(sweep: pd.DataFrame, rows: pd.DataFrame, thresholds: list[float], seed: int) -> pd.DataFrame:
    """Return the measured columns of `pareto` for a rule's rows at some thresholds."""
    lossless = _solved_by_lossless(sweep[sweep["split"] == "test"])
    table = []
    for threshold in thresholds:
        group = rows[(rows["threshold_low"] < threshold) & (threshold <= rows["threshold"])].set_index("problem_id")
        n, correct = len(group), int(group["correct"].sum())
        low, high = wilson_interval(correct, n)
        row = {"threshold": threshold, "window": int(group["window"].iloc[0]), "problems": n, "accuracy": correct / n}
        row |= {"accuracy_low": low, "accuracy_high": high, "inexact": int((~group["exact"]).sum())}
        row |= paired_drop(group["correct"], lossless.loc[group.index], seed)
        sums = group[list(COUNTS)].sum()
        table.append(row | {ratio: float(_ratio(sums[a], sums[b])) for ratio, (a, b) in RATIOS.items()})
    return pd.DataFrame(table)
