"""Sets of thresholds for which a response holds; a mismatch's score splits them into those that refuse and keep it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from autojudge.errors import InputError

INFINITY = float("inf")


@dataclass(frozen=True)
class Interval:
    """All thresholds t with low < t <= high."""

    low: float = -INFINITY
    high: float = INFINITY

    def split(self, score: float) -> tuple["Interval | None", "Interval | None"]:
        """Return the thresholds that refuse a mismatch of that score (t <= score) and those that keep it, if any.

        Every threshold refuses a score that is not a number.
        """
        middle = self.high if isnan(score) else min(max(score, self.low), self.high)
        refusing = Interval(self.low, middle) if middle > self.low else None
        return refusing, Interval(middle, self.high) if middle < self.high else None


@dataclass(frozen=True)
class Points:
    """Some thresholds, at least one, in ascending order."""

    values: tuple[float, ...]

    def split(self, score: float) -> tuple["Points | None", "Points | None"]:
        """Return the thresholds that refuse a mismatch of that score and those that keep it, like `Interval.split`."""
        refusing = tuple(t for t in self.values if t <= score or isnan(score))
        keeping = self.values[len(refusing) :]
        return Points(refusing) if refusing else None, Points(keeping) if keeping else None

    def within(self, interval: Interval) -> "Points | None":
        """Return those in an interval, if any."""
        values = tuple(t for t in self.values if interval.low < t <= interval.high)
        return Points(values) if values else None


Thresholds = Interval | Points
EVERY = Interval()


def expand_thresholds(
    rules: Mapping[str, Mapping[str, Any]], of_judge: Sequence[float] | None
) -> dict[str, list[float]]:
    """Return the given thresholds of each rule, ascending.

    Parameters
    ----------
    rules : mapping of rule name to mapping
        Its entry of the config, whose `thresholds` are a list of numbers, or "judge".
    of_judge : sequence of float or None
        The judge's candidates, which "judge" stands for.

    Raises
    ------
    InputError
        Thresholds of a judge are asked for and there is none.
    """
    given = {}
    for rule, settings in rules.items():
        thresholds = settings["thresholds"]
        if isinstance(thresholds, str):
            if of_judge is None:
                raise InputError(f"rule `{rule}` wants the judge's thresholds, but there is no judge")
            thresholds = of_judge
        given[rule] = sorted({float(threshold) for threshold in thresholds})
    return given
