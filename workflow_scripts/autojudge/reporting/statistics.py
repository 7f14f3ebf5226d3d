"""From single decoded problems to curves and tables of accuracy against speed, with intervals."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from autojudge.decoding.sweep import LOSSLESS, TARGET
from autojudge.decoding.truncation import truncated_by
from autojudge.errors import InputError
from autojudge.tables.decoding import COUNTS
from autojudge.tables.reporting import CURVE, PARETO, SUMMARY, WINDOWS

RESAMPLES = 2000
RATIOS = {  # sums over sums: the mean over cycles and tokens, not over problems
    "accepted_per_cycle": ("accepted", "cycles"),
    "emitted_per_cycle": ("emitted", "cycles"),
    "target_calls_per_token": ("target_calls", "tokens"),
    "draft_calls_per_token": ("draft_calls", "tokens"),
}
SHARES = {"differing": "differs", "cut_off": "cut_off", "looping": "loops"}  # of responses, by column of `sweep`
ENVELOPE = "envelope"  # rows of `curve` of each rule at its own best window
DECODED = ["problem_id", "repeat"]  # a decoding of a problem
MEASURED_COST = "measured"  # name of the pair's own cost ratio, beside those that the config names


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


def _by_repeat(values: ArrayLike) -> NDArray[np.bool_]:  # (n_problems, repeats)
    """Return what is true of problems, or of problems and repeats, as the latter."""
    found = np.asarray(values, dtype=bool)
    return found.reshape(len(found), -1)


def _resample(kinds: Sequence[int], seed: int) -> NDArray[np.int64]:  # (RESAMPLES, kinds)
    """Return how many problems of each kind there are where problems are drawn anew, by their numbers in the sample."""
    n = sum(kinds)
    return np.random.default_rng(seed).multinomial(n, [kind / n for kind in kinds], size=RESAMPLES)


def _ends(sample: NDArray[Any], level: float) -> tuple[float, float]:
    low, high = np.nanquantile(sample, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def accuracy_interval(correct: ArrayLike, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of an accuracy: Wilson's, or where problems are decoded several times the bootstrap's.

    Where all are solved alike the latter is a point.

    Parameters
    ----------
    correct : array_like of bool, shape (n_problems, repeats)
        Whether each is solved; all repeats of a problem are drawn together.
    seed : int
        Of the bootstrap.
    """
    solved = np.asarray(correct, dtype=bool)
    n, repeats = solved.shape
    if repeats == 1:
        return wilson_interval(int(solved.sum()), n, level)
    draws = _resample(np.bincount(solved.sum(1), minlength=repeats + 1).tolist(), seed)
    return _ends(draws @ np.arange(repeats + 1) / solved.size, level)


def list_drops(repeats: int) -> dict[str, int]:
    """Return what a problem of so many repeats can lose or win against the reference, by name: `lost` is one repeat."""
    names = {1: ""} | {count: f"_{count}" for count in range(2, repeats + 1)}
    return {f"{what}{name}": sign * count for count, name in names.items() for what, sign in (("lost", 1), ("won", -1))}


def drop_interval(counts: tuple[int, ...], n: int, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Return the bootstrap interval of a paired drop in percentage points, problems being resampled.

    Parameters
    ----------
    counts : tuple of int
        Of n problems, how many lose or win how many repeats, in the order of `list_drops`. Where all are 0 the interval
        is the point 0: the bootstrap knows no more than the sample.
    seed : int
        The same seed gives the same interval.
    """
    # A problem's difference is one of a few numbers, so resampling problems is the same as drawing their counts.
    repeats = len(counts) // 2
    draws = _resample([*counts, n - sum(counts)], seed)
    return _ends(100 * (draws[:, :-1] @ list(list_drops(repeats).values())) / (n * repeats), level)


def paired_drop(correct: ArrayLike, reference: ArrayLike, seed: int) -> dict[str, float]:
    """Compare a method with a reference on the same problems.

    Parameters
    ----------
    correct, reference : array_like of bool, shape (n_problems,) or (n_problems, repeats)
        Whether each problem is solved, by the method and by the reference.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str to float
        `drop`, the percentage points lost against the reference, `drop_low` and `drop_high`, and `mcnemar_p`: with
        repeats the sign test of the problems' drops, which McNemar's is without.

    Raises
    ------
    ValueError
        The arrays are empty or not of one such shape.
    """
    ours, theirs = np.asarray(correct, dtype=bool), np.asarray(reference, dtype=bool)
    if ours.ndim not in (1, 2) or ours.shape != theirs.shape or not ours.size:
        raise ValueError(f"a paired drop needs two arrays of one shape, (n,) or (n, m): {ours.shape}, {theirs.shape}")
    drops = (_by_repeat(theirs).astype(int) - _by_repeat(ours)).sum(1)
    n, repeats = len(ours), ours.size // len(ours)
    low, high = drop_interval(tuple(int(np.sum(drops == size)) for size in list_drops(repeats).values()), n, seed)
    p = mcnemar_p(int(np.sum(drops > 0)), int(np.sum(drops < 0)))
    return {"drop": float(100 * drops.sum() / ours.size), "drop_low": low, "drop_high": high, "mcnemar_p": p}


def project_speedup(target_calls: Any, draft_calls: Any, alone: float, cost: float) -> Any:
    """Return how many times as fast as the target alone a method is, by the counted calls.

    All calls for the same problems count, so that a method whose responses are longer is slower by that. Every call of
    a model is taken to cost the same, whatever the number of tokens (memory-bound decoding).

    Parameters
    ----------
    target_calls, draft_calls : numbers or arrays
        Of the method, all problems together.
    alone : float
        Calls of the target alone for these problems.
    cost : float
        Time of a draft call over that of a target call.
    """
    return alone / (target_calls + cost * draft_calls)


def retention(correct: ArrayLike, reference: ArrayLike, seed: int, level: float = 0.95) -> dict[str, float]:
    """Return the accuracy of a method as a share of a reference's on the same problems, with its bootstrap interval.

    Parameters
    ----------
    correct, reference : array_like of bool, shape (n_problems,) or (n_problems, repeats)
        Whether each problem is solved, by the method and by the reference.

    Returns
    -------
    dict of str to float
        `retention`, `retention_low` and `retention_high`; nan where the reference solves nothing.
    """
    ours, theirs = (_by_repeat(values) for values in (correct, reference))
    most = range(ours.shape[1], -1, -1)
    kinds = [(theirs_solved, ours_solved) for theirs_solved in most for ours_solved in most]  # repeats of a problem
    counts = [int(np.sum((theirs.sum(1) == a) & (ours.sum(1) == b))) for a, b in kinds]
    solved = (_resample(counts, seed) @ kinds).T
    low, high = _ends(_ratio(solved[1], solved[0]), level) if theirs.any() else (np.nan, np.nan)
    return {
        "retention": float(_ratio(ours.sum(), theirs.sum())),
        "retention_low": low,
        "retention_high": high,
    }


GAINS = [f"{name}{end}" for name in ("speed_ratio", "accuracy_gain") for end in ("", "_low", "_high")]


def compare_points(rows: pd.DataFrame, reference: pd.DataFrame, cost: float, seed: int) -> dict[str, float]:
    """Compare a rule with another one, each at one point, on the same problems.

    Parameters
    ----------
    rows, reference : DataFrame
        Rows of `sweep`, one of each problem and repeat, indexed by problem, or by problem and repeat.
    cost : float
        Time of a draft call over that of a target call.
    seed : int
        Of the bootstrap over problems.

    Returns
    -------
    dict of str to float
        `speed_ratio`, the projected speed-up over the other one's, and `accuracy_gain` in percentage points, with the
        ends of their paired 95 % intervals.
    """
    reference = reference.loc[rows.index]
    gained = _by_problem(100 * (rows["correct"].astype(float) - reference["correct"].astype(float))).mean().to_numpy()
    calls = (part["target_calls"] + cost * part["draft_calls"] for part in (reference, rows))
    times = [_by_problem(of_part).sum().to_numpy(dtype=float) for of_part in calls]
    draws = np.random.default_rng(seed).integers(len(gained), size=(RESAMPLES, len(gained)))
    samples = {"speed_ratio": times[0][draws].sum(1) / times[1][draws].sum(1), "accuracy_gain": gained[draws].mean(1)}
    compared = {"speed_ratio": times[0].sum() / times[1].sum(), "accuracy_gain": gained.mean()}
    for name, sample in samples.items():
        compared[f"{name}_low"], compared[f"{name}_high"] = np.quantile(sample, [0.025, 0.975])
    return {name: float(compared[name]) for name in GAINS}


def _by_problem(values: pd.Series) -> Any:
    """Group what is indexed by problem, or by problem and repeat, by problem."""
    return values.groupby(level=0, sort=False)


def trace_curve(rows: pd.DataFrame, reference: pd.Series, alone: float, name: str) -> pd.DataFrame:
    """Return what holds between the breakpoints of a rule, of all problems together.

    Parameters
    ----------
    rows : DataFrame
        Rows of `sweep` of one pair, split, rule and window.
    reference : Series of bool, indexed by problem and repeat
        Whether lossless decoding solves each.
    alone : float
        Calls of the target alone for all of them.
    name : str
        Of pair, split, rule and window, for messages.

    Returns
    -------
    DataFrame
        One row per breakpoint, ascending: `threshold`, up to which it holds from the one before, `accuracy`, the ratios
        of tables `curve` and `pareto`, the calls of both models by one of the target alone, and how many problems lose
        and win how many repeats against lossless: `list_drops`.

    Raises
    ------
    InputError
        The problems and repeats are not those of lossless, each exactly once at every threshold.
    """
    ends = np.unique(rows["threshold"].to_numpy(dtype=float))
    first = np.searchsorted(ends, rows["threshold_low"].to_numpy(dtype=float), side="right")
    last = np.searchsorted(ends, rows["threshold"].to_numpy(dtype=float)) + 1
    decoded = pd.MultiIndex.from_frame(rows[DECODED])
    solved, wanted = rows["correct"].to_numpy(dtype=bool), reference.reindex(decoded)
    known = wanted.notna().to_numpy()
    drops = wanted.fillna(False).to_numpy(dtype=int) - solved
    columns = {"problems": known, "correct": solved} | {count: rows[count].to_numpy(dtype=float) for count in COUNTS}
    sums = {column: _sum_over(values, first, last, len(ends)) for column, values in columns.items()}
    every = decoded.nunique() == len(reference) and known.all()
    if not every or not np.array_equal(sums["problems"], np.full(len(ends), len(reference))):
        raise InputError(
            f"{name}: not decoded on exactly the problems of lossless, once each; delete the pair's sweep and its "
            "shards and run again"
        )
    curve = {"threshold": ends, "accuracy": sums["correct"] / len(reference)}
    problem, repeats = decoded.codes[0], reference.index.get_level_values("repeat").nunique()
    starts, stops, sizes = _add_up(problem, first, last, drops)
    for name, size in list_drops(repeats).items():
        there = sizes == size
        curve[name] = _sum_over(np.ones(there.sum()), starts[there], stops[there], len(ends))
    curve |= {ratio: _ratio(sums[count], sums[per]) for ratio, (count, per) in RATIOS.items()}
    curve |= {calls: sums[calls] / alone for calls in ("target_calls", "draft_calls")}
    return pd.DataFrame(curve)


def _add_up(
    problem: NDArray[Any],  # (n,) of int
    first: NDArray[np.intp],  # (n,)
    last: NDArray[np.intp],  # (n,)
    values: NDArray[np.int64],  # (n,)
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """Add up, problem by problem, values that each hold from one place up to before another.

    Returns
    -------
    starts, stops, sums : array, each (m,)
        A problem's sum holds from one place up to before another; which problem's is not told.
    """
    problem, places = np.tile(problem, 2), np.concatenate([first, last])
    order = np.lexsort((places, problem))
    problem, places, sums = problem[order], places[order], np.concatenate([values, -values])[order].cumsum()
    moves = np.append((np.diff(places) != 0) | (np.diff(problem) != 0), True)  # the last change at its place
    places, sums = places[moves], sums[moves]
    return places[:-1], places[1:], sums[:-1]  # after its last place a problem's sum is 0, and no interval follows


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


class Point(NamedTuple):
    """A window and a threshold of a rule."""

    window: int
    threshold: float


Choice = tuple[Point, ...]  # a point for each fold; of a dataset without folds one point


def recommend_point(curve: pd.DataFrame, cost: float, problems: int, tolerance: float) -> Point:
    """Return the fastest window and threshold that lose at most so many points.

    Parameters
    ----------
    curve : DataFrame
        Of `trace_curve`, on validation, of one or several windows (column `window`).
    cost : float
        Time of a draft call over that of a target call.
    problems : int
        Their number.
    tolerance : float
        Percentage points.

    Returns
    -------
    Point
        At the lowest threshold, where none is within the tolerance.
    """
    speed = project_speedup(curve["target_calls"], curve["draft_calls"], 1.0, cost)
    fastest = curve.assign(speed=-speed).sort_values(["speed", "window", "threshold"], kind="stable")
    sizes = list_drops(sum(str(column).startswith("lost") for column in curve))
    lost = 100 * (fastest[[*sizes]].to_numpy(dtype=int) @ list(sizes.values()))
    within = fastest[lost <= tolerance * problems * max(sizes.values())]
    allowed = within if len(within) else fastest[fastest["threshold"] == fastest["threshold"].min()]
    best = allowed.iloc[0]
    return Point(int(best["window"]), float(best["threshold"]))


def best_points(validation: pd.DataFrame) -> list[Point]:
    """Return the windows and thresholds that no other is both faster and more accurate than, the fastest first.

    Parameters
    ----------
    validation : DataFrame
        A rule's curves at every window, on validation.
    """
    by = ["speedup", "accuracy", "window"]
    rows = validation.sort_values(by, ascending=[False, False, True], kind="stable")
    best = rows[rows["accuracy"] > rows["accuracy"].cummax().shift(fill_value=-1.0)]
    return [Point(int(window), float(t)) for window, t in zip(best["window"], best["threshold"], strict=True)]


def best_choices(validation: Sequence[pd.DataFrame]) -> list[Choice]:
    """Return `best_points`, of folds those that lose equally much on validation together, the fastest first.

    Parameters
    ----------
    validation : sequence of DataFrame
        A rule's curves at every window on each fold's validation problems.

    Returns
    -------
    list of Choice
        For each loss of accuracy, against the rule's best on the fold, that one of the folds has a point of: of each
        fold the fastest point that loses no more.
    """
    points = [best_points(curves) for curves in validation]
    losses = [_lost_at(curves, best) for curves, best in zip(validation, points, strict=True)]
    return [
        tuple(best[int(np.argmax(lost <= level))] for best, lost in zip(points, losses, strict=True))
        for level in np.unique(np.concatenate(losses))[::-1]
    ]


def _lost_at(curves: pd.DataFrame, points: Sequence[Point]) -> NDArray[np.float64]:  # (points,)
    """Return how much less accurate a rule is at some points than at its best."""
    by_window, best = dict(iter(curves.groupby("window"))), float(curves["accuracy"].max())
    return np.array([best - _at_threshold(by_window[p.window], p.threshold)["accuracy"] for p in points], dtype=float)


def envelope_of(curve: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Return the rows of table `curve` of a rule at its own best window, the fastest on validation first."""
    return curve[(curve["split"] == ENVELOPE) & (curve["rule"] == rule)]


def measure_area(envelope: pd.DataFrame, slowest: float, fastest: pd.Series) -> float:
    """Return the mean, over speeds from lossless to the draft alone, of the best accuracy at or above each speed.

    Speed is the projected speed-up (column `speedup`). The draft alone belongs to every rule: each can give way to it.

    Parameters
    ----------
    envelope : DataFrame
        Of a rule.
    slowest : float
        Speed-up of lossless decoding at its own best window.
    fastest : Series
        The draft alone: `speedup` and `accuracy`.
    """
    low, high = slowest, float(fastest["speedup"])
    if not high > low:
        return float(fastest["accuracy"])
    speed = np.append(envelope["speedup"].to_numpy(dtype=float).clip(low, high), high)
    accuracy = np.append(envelope["accuracy"].to_numpy(dtype=float), fastest["accuracy"])
    order = np.argsort(-speed, kind="stable")
    best = np.maximum.accumulate(accuracy[order])
    return float(np.sum(best * -np.diff(speed[order], append=low)) / (high - low))


@dataclass(frozen=True)
class Comparison:
    """How the rules of a pair are compared.

    Attributes
    ----------
    thresholds : mapping of rule to floats
        The rows of `pareto`, beside the recommended thresholds.
    kinds : mapping of rule to str
        "training-free", "judge", "oracle" or "reference".
    costs : mapping of str to float
        Times of a draft call over that of a target call: the pair's own, under `MEASURED_COST`, and others.
    tolerance : float
        Percentage points that a recommended point may lose on validation.
    seed : int
        Of the bootstrap.
    """

    thresholds: Mapping[str, Sequence[float]]
    kinds: Mapping[str, str]
    costs: Mapping[str, float]
    tolerance: float
    seed: int

    def recommend(self, rule: str, curve: pd.DataFrame, cost: float, problems: int) -> Point:
        """Return the recommended window and threshold of a rule by its curves on validation; see `recommend_point`.

        That of a truncated target is the given threshold that stands for its rule's, of which the curves are.
        """
        if self.kinds[rule] != "reference":
            return recommend_point(curve, cost, problems, self.tolerance)
        if truncated_by(rule):
            threshold = recommend_point(curve, cost, problems, self.tolerance).threshold
            given = sorted(self.thresholds[rule])
            return Point(0, given[min(bisect_left(given, threshold), len(given) - 1)])
        top = max(self.thresholds.get(rule, [0.0]))
        return recommend_point(curve.assign(threshold=top), cost, problems, np.inf)


class ValidationSplit:
    """The validation problems of a pair's sweep, by which points are chosen: those of each fold, without folds one set.

    Parameters
    ----------
    sweep : DataFrame
        Table `sweep` of the pair.
    pair : str
        Its name.

    Attributes
    ----------
    curves : sequence of DataFrame
        Of every rule at every window, by fold.
    """

    def __init__(self, sweep: pd.DataFrame, pair: str, comparison: Comparison) -> None:
        folds = [part[part["split"] == "validation"] for _, part in sweep.groupby("fold", dropna=False)]
        self._comparison, self._sizes = comparison, [part["problem_id"].nunique() for part in folds]
        self.curves = [_trace_split(part, pair, "validation", comparison.costs[MEASURED_COST]) for part in folds]
        self._of_rule = [dict(iter(curves.groupby("rule", sort=False))) for curves in self.curves]

    def of_rule(self, rule: str) -> list[pd.DataFrame]:
        """Return a rule's curves at every window, by fold."""
        return [curves[rule] for curves in self._of_rule]

    def choose(self, rule: str, cost: float, window: int | None = None) -> Choice:
        """Return each fold's recommended point of a rule, at a window or at its best; see `Comparison.recommend`."""
        model, choice = truncated_by(rule) or rule, []
        for curves, size in zip(self.of_rule(model), self._sizes, strict=True):
            found = curves if window is None or model != rule else curves[curves["window"] == window]
            choice.append(self._comparison.recommend(rule, found, cost, size))
        return tuple(choice)

    def speed(self, rule: str, choice: Choice) -> float:
        """Return the projected speed-up of a rule at a choice, the mean of the folds."""
        rows = []
        for curves, point in zip(self.of_rule(rule), choice, strict=True):
            rows.append(_at_threshold(curves[curves["window"] == point.window], point.threshold))
        return fmean(row["speedup"] for row in rows)


def summarise_sweep(sweep: pd.DataFrame, pair: str, comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Return a pair's tables `pareto`, `curve`, `summary` and `windows`, by name.

    Parameters
    ----------
    sweep : DataFrame
        Table `sweep` of the pair, all shards; its columns `answer` and `response` are not needed.
    pair : str
        Name of the pair.

    Raises
    ------
    InputError
        There are no lossless rows, or a rule's problems are not those of lossless.
    """
    own, pareto, windows = comparison.costs[MEASURED_COST], [], []
    validation, tested = ValidationSplit(sweep, pair, comparison), sweep[sweep["split"] == "test"]
    curve, test = _trace_split(tested, pair, "test", own), TestSplit(tested, comparison.seed)
    chosen, envelopes = dict[str, Choice](), dict[str, pd.DataFrame]()
    for name, found in curve.groupby("rule", sort=False):
        rule, sizes = str(name), sorted(found["window"].unique())
        envelopes[rule] = test.trace(rule, best_choices(validation.of_rule(rule)), own)
        for cost, ratio in comparison.costs.items():
            best = validation.choose(rule, ratio)
            choices = list(dict.fromkeys([*(validation.choose(rule, ratio, window) for window in sizes), best]))
            rows = test.measure(rule, choices, ratio).assign(cost=cost, best=[choice == best for choice in choices])
            windows.append(rows.assign(kind=comparison.kinds[rule]))
            if cost == MEASURED_COST:
                chosen[rule] = best
                points = [Point(window, t) for window in sizes for t in comparison.thresholds.get(rule, [0.0])]
                every = sorted({*choices, *((point,) * len(best) for point in points)})
                pareto.append(test.measure(rule, every, ratio).assign(recommended=[c == best for c in every]))
    of_windows = pd.concat(windows, ignore_index=True)
    summary = of_windows[of_windows["best"] & (of_windows["cost"] == MEASURED_COST)].reset_index(drop=True)
    free = [rule for rule in chosen if comparison.kinds[rule] == "training-free"]
    best_free = max(free, key=lambda rule: validation.speed(rule, chosen[rule]), default=None)
    summary = summary.assign(area=_areas(summary, envelopes), best=summary["rule"] == best_free)
    summary = summary.assign(folds=len(validation.curves)).join(test.compare(chosen, best_free, own))
    traced = pd.concat([rows.assign(rule=rule) for rule, rows in envelopes.items()]).assign(split=ENVELOPE)
    of_validation = validation.curves if len(validation.curves) == 1 else []
    curve = pd.concat([*of_validation, curve, traced])
    tables = [(PARETO, pd.concat(pareto)), (CURVE, curve), (SUMMARY, summary), (WINDOWS, of_windows)]
    return {table.name: rows.assign(pair=pair)[list(table.columns)].reset_index(drop=True) for table, rows in tables}


def _trace_split(sweep: pd.DataFrame, pair: str, split: str, cost: float) -> pd.DataFrame:
    """Return the curves of every rule at every window on a split, with the projected speed-up."""
    sweep = sweep[sweep["split"] == split]
    alone = float(sweep.loc[sweep["rule"] == TARGET, "target_calls"].sum())
    curves = []
    for window, of_window in sweep.groupby("window"):
        reference = _solved_by_lossless(sweep if window == 0 else of_window)
        if reference.empty:
            raise InputError(
                f"pair {pair}: the sweep has no rows of rule `lossless` on {split}, which drops are measured against; "
                "list lossless in decoding.rules, delete the sweep and run again"
            )
        if not reference.index.is_unique:
            raise InputError(f"pair {pair}: a problem was decoded twice; delete the pair's sweep and run again")
        if reference.groupby("problem_id").size().nunique() > 1:
            raise InputError(f"pair {pair}: some problems lack repeats; delete the pair's sweep and run again")
        for rule, rows in of_window.groupby("rule", sort=False):
            name = f"pair {pair}, {split}, rule {rule}, window {window}"
            curves.append(trace_curve(rows, reference, alone, name).assign(rule=rule, window=window))
    curve = pd.concat(curves, ignore_index=True).assign(split=split)
    return curve.assign(speedup=project_speedup(curve["target_calls"], curve["draft_calls"], 1.0, cost))


def _solved_by_lossless(sweep: pd.DataFrame) -> pd.Series:
    """Return whether lossless decoding solves each problem and repeat, at the smallest of the rows' windows."""
    rows = sweep[(sweep["rule"] == LOSSLESS) & np.isposinf(sweep["threshold"].to_numpy(dtype=float))]
    solved: pd.Series = rows[rows["window"] == rows["window"].min()].set_index(DECODED)["correct"]
    return solved


def _areas(summary: pd.DataFrame, envelopes: Mapping[str, pd.DataFrame]) -> list[float]:
    """Return the area of each rule of a summary on test; nan for references."""
    slowest = envelopes[LOSSLESS]["speedup"].max()
    points = envelopes["always"] if "always" in envelopes else pd.concat(envelopes.values(), ignore_index=True)
    fastest = points.iloc[int(points["speedup"].argmax())]
    return [
        np.nan if kind == "reference" else measure_area(envelopes[rule], slowest, fastest)
        for rule, kind in zip(summary["rule"], summary["kind"], strict=True)
    ]


def _at_threshold(curve: pd.DataFrame, threshold: float) -> pd.Series:
    """Return the row of a rule's curve at one window that holds at a threshold."""
    ends = curve["threshold"].to_numpy(dtype=float)  # ascending
    return curve.iloc[min(int(np.searchsorted(ends, threshold)), len(ends) - 1)]


class TestSplit:
    """The test split of a pair's sweep, of all folds together, on which points chosen elsewhere are measured.

    Parameters
    ----------
    rows : DataFrame
        Of `sweep`.
    seed : int
        Of the bootstrap.
    """

    def __init__(self, rows: pd.DataFrame, seed: int) -> None:
        self._seed, self._alone = seed, float(rows.loc[rows["rule"] == TARGET, "target_calls"].sum())
        folds = rows.groupby("fold", dropna=False)
        self._rows: list[dict[Any, pd.DataFrame]] = [dict(iter(part.groupby(["rule", "window"]))) for _, part in folds]
        self._windows = sorted(rows.loc[rows["window"] > 0, "window"].unique())

    def measure(self, rule: str, choices: Sequence[Choice], cost: float) -> pd.DataFrame:
        """Return the measured columns of a rule at some choices, with the speed-up at a cost of a draft call.

        Of a choice of several folds, `window` and `threshold` are the medians.
        """
        return pd.DataFrame([self._measure(rule, choice, cost) for choice in choices])

    def trace(self, rule: str, choices: Sequence[Choice], cost: float) -> pd.DataFrame:
        """Return rows of `curve` of a rule at some choices."""
        return pd.DataFrame([self._add_up(self._at(rule, choice), choice, cost) for choice in choices])

    def compare(self, chosen: Mapping[str, Choice], best: str | None, cost: float) -> pd.DataFrame:
        """Compare rules with the best training-free one, each at its recommended point.

        Returns
        -------
        DataFrame
            A row for each of `chosen`: `speed_ratio` and `accuracy_gain`, with the ends of their intervals by the
            paired bootstrap over problems; nan where there is no training-free rule.
        """
        if best is None:
            return pd.DataFrame([{} for _ in chosen], columns=GAINS)
        with_best = self._at(best, chosen[best])
        groups = [self._at(rule, choice) for rule, choice in chosen.items()]
        return pd.DataFrame([compare_points(group, with_best, cost, self._seed) for group in groups])

    def _at(self, rule: str, choice: Choice) -> pd.DataFrame:
        """Return the rows of a rule that hold at each fold's point, by problem and repeat."""
        parts = []
        for of_fold, point in zip(self._rows, choice, strict=True):
            rows = of_fold[rule, point.window]
            parts.append(rows[(rows["threshold_low"] < point.threshold) & (point.threshold <= rows["threshold"])])
        return pd.concat(parts).set_index(DECODED)

    def _add_up(self, group: pd.DataFrame, choice: Choice, cost: float) -> dict[str, Any]:
        """Return what accuracy, calls and tokens of some rows come to."""
        sums = group[list(COUNTS)].sum()
        row = {name: median_low(getattr(point, name) for point in choice) for name in Point._fields}
        row |= {"accuracy": group["correct"].mean()}
        row |= {ratio: float(_ratio(sums[a], sums[b])) for ratio, (a, b) in RATIOS.items()}
        row |= {calls: float(_ratio(sums[calls], self._alone)) for calls in ("target_calls", "draft_calls")}
        return row | {"speedup": float(project_speedup(sums["target_calls"], sums["draft_calls"], self._alone, cost))}

    def _measure(self, rule: str, choice: Choice, cost: float) -> dict[str, Any]:
        group = self._at(rule, choice)
        lossless = self._at(LOSSLESS, tuple(Point(p.window or self._windows[0], np.inf) for p in choice))
        lossless = lossless.loc[group.index]
        correct, wanted = (part["correct"].unstack().to_numpy(dtype=bool) for part in (group, lossless))
        low, high = accuracy_interval(correct, self._seed)
        problems, repeats = correct.shape
        row = {"rule": rule, "cost_ratio": cost, "problems": problems, "repeats": repeats}
        row |= self._add_up(group, choice, cost) | {"accuracy_low": low, "accuracy_high": high}
        row |= paired_drop(correct, wanted, self._seed) | retention(correct, wanted, self._seed)
        row |= {share: float(group[column].mean()) for share, column in SHARES.items()}
        row["length_ratio"] = float(group["tokens"].sum() / lossless["tokens"].sum())
        row["kept_at"] = _kept_at(group)
        inexact = group.index[~group["exact"].to_numpy(dtype=bool)].get_level_values("problem_id").nunique()
        return row | {"inexact": inexact}


def _kept_at(group: pd.DataFrame) -> str:
    """Return the shares of cycles that kept the draft's token at each place of the window, as text."""
    counts = np.zeros(max(map(len, group["kept_at"]), default=0))
    for kept in group["kept_at"]:
        counts[: len(kept)] += kept
    return " ".join(f"{share:.3f}" for share in counts / max(1, group["cycles"].sum()))
