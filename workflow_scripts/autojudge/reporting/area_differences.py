"""How much areas of rules differ, with intervals: problems are drawn anew, the windows and thresholds stay."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autojudge.decoding.sweep import LOSSLESS, TARGET
from autojudge.reporting.statistics import (
    MEASURED_COST,
    RESAMPLES,
    Choice,
    Comparison,
    ValidationSplit,
    best_choices,
    project_speedup,
)

DRAFT_ALONE = "always"
SUMMED = ["correct", "target_calls", "draft_calls"]
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]  # speed-up and accuracy, (m, choices) each


class Resampled:
    """The test problems of a sweep, drawn anew many times.

    Parameters
    ----------
    sweep : DataFrame
        Table `sweep` of a pair, validation and test, with rules `target` and `lossless`.
    pair : str
        Its name, for messages.
    weights : array of shape (m, n) or None
        How often each test problem is drawn, in the order of their names; None: by the comparison's seed.

    Raises
    ------
    InputError
        There are no lossless rows, or a rule's problems are not those of lossless.
    """

    def __init__(
        self, sweep: pd.DataFrame, pair: str, comparison: Comparison, weights: NDArray[np.int64] | None = None
    ) -> None:
        self._validation, self._cost = ValidationSplit(sweep, pair, comparison), comparison.costs[MEASURED_COST]
        tested = sweep[sweep["split"] == "test"]
        self._folds = [part for _, part in tested.groupby("fold", dropna=False)]
        alone = tested[tested["rule"] == TARGET].groupby("problem_id")["target_calls"].sum()
        self._problems, n = alone.index, len(alone)
        if weights is None:
            weights = np.random.default_rng(comparison.seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
        self._weights, self._alone = weights, weights @ alone.to_numpy(dtype=float)
        self._decoded = weights.sum(1) * tested["repeat"].nunique()
        self._slowest = self.trace(LOSSLESS)[0].max(1)
        self._fastest = self._find_fastest(sorted(set(tested["rule"]) - {TARGET}))

    def _find_fastest(self, rules: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return speed-up and accuracy, (m,) each, of the draft alone; where it was not swept, of what is fastest."""
        curves = [self.trace(rule) for rule in ([DRAFT_ALONE] if DRAFT_ALONE in rules else rules)]
        speed, accuracy = (np.concatenate(parts, axis=1) for parts in zip(*curves, strict=True))
        best = speed.argmax(1)[:, None]
        return np.take_along_axis(speed, best, 1)[:, 0], np.take_along_axis(accuracy, best, 1)[:, 0]

    def trace(self, rule: str) -> Curve:
        """Return what a rule does at the points that no other of it beats on validation."""
        choices = best_choices(self._validation.of_rule(rule))
        sums = np.stack([self._sum(rule, choice) for choice in choices])  # (choices, problems, SUMMED)
        correct, target_calls, draft_calls = (self._weights @ sums).transpose(2, 1, 0)  # (m, choices) each
        speed = project_speedup(target_calls, draft_calls, self._alone[:, None], self._cost)
        return speed, correct / self._decoded[:, None]

    def _sum(self, rule: str, choice: Choice) -> NDArray[np.float64]:  # (problems, SUMMED)
        """Return what a rule counts of each problem at each fold's point, all repeats together."""
        parts = []
        for rows, point in zip(self._folds, choice, strict=True):
            held = (rows["threshold_low"] < point.threshold) & (point.threshold <= rows["threshold"])
            parts.append(rows[held & (rows["rule"] == rule) & (rows["window"] == point.window)])
        sums = pd.concat(parts).groupby("problem_id")[SUMMED].sum()
        return sums.loc[self._problems].to_numpy(dtype=float)

    def areas(self, rule: str) -> NDArray[np.float64]:  # (m,)
        """Return the area of a rule for each draw, as `measure_area` has it."""
        speed, accuracy = self.trace(rule)
        low, (high, last) = self._slowest, self._fastest
        high = np.maximum(low, high)
        speed = np.column_stack([speed.clip(low[:, None], high[:, None]), high])
        accuracy = np.column_stack([accuracy, last])
        order = np.argsort(-speed, axis=1, kind="stable")
        speed, best = (np.take_along_axis(values, order, 1) for values in (speed, accuracy))
        best = np.maximum.accumulate(best, axis=1)
        widths = -np.diff(np.column_stack([speed, low]), axis=1)
        span = high - low
        return np.where(span > 0, (best * widths).sum(1) / np.where(span > 0, span, 1), last)


def compare_areas(
    sweep: pd.DataFrame, pair: str, rules: Sequence[str], comparison: Comparison
) -> dict[str, dict[str, float]]:
    """Return how much larger the area of each rule is than the first one's, with the paired interval, by rule.

    Parameters
    ----------
    sweep : DataFrame
        Table `sweep` of a pair, validation and test, with rules `target`, `lossless` and these.
    rules : sequence of str

    Returns
    -------
    dict of str to dict
        `area_gain`, `area_gain_low` and `area_gain_high`, shares of accuracy.
    """
    n = sweep.loc[sweep["split"] == "test", "problem_id"].nunique()
    given = Resampled(sweep, pair, comparison, np.ones((1, n), dtype=np.int64))
    drawn, gains = Resampled(sweep, pair, comparison), dict[str, dict[str, float]]()
    reference = given.areas(rules[0]), drawn.areas(rules[0])
    for rule in rules:
        low, high = np.quantile(drawn.areas(rule) - reference[1], [0.025, 0.975])
        gain = float((given.areas(rule) - reference[0])[0])
        gains[rule] = {"area_gain": gain, "area_gain_low": float(low), "area_gain_high": float(high)}
    return gains
