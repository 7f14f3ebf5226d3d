"""Where a judge is to be served: window and threshold as its sweep, and so the dataset's summary, recommends them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from autojudge.decoding.sweep import LOSSLESS, TARGET
from autojudge.judging.artifact import Judge
from autojudge.judging.record import OperatingPoint
from autojudge.reporting.statistics import MEASURED_COST, Comparison, TestSplit, ValidationSplit

CHOSEN_BY = (
    "the fastest window and threshold, by the speed-up projected at {cost:.3g} target calls for a draft call, that "
    "lose at most {tolerance:g} percentage points against lossless decoding on validation"
)
MEASURES = ("drop", "drop_low", "drop_high", "accepted_per_cycle", "emitted_per_cycle", "speedup")


def with_operating_point(
    judge: Judge,
    sweep: pd.DataFrame,
    pair: str,
    rule: str,
    cost_ratio: float,
    tolerance: float,
    seed: int,
    provenance: Mapping[str, Any],
) -> Judge:
    """Return a judge with the threshold to use, and where and by what that was found.

    Parameters
    ----------
    sweep : DataFrame
        Table `sweep` of its pair. Of a dataset with folds, the medians of the folds' points are taken, and what is told
        of them is measured on each fold's own problems: the judge to serve has no problems left that chose nothing.
    pair : str
        Its name, for messages.
    rule : str
        The one of the sweep that asks the judge and is not modified.
    cost_ratio : float
        Time of a draft call over that of a target call.
    tolerance : float
        Percentage points that the point may lose on validation.
    seed : int
        Of the bootstrap.
    provenance : mapping
        `describe_run` of what calls this.

    Raises
    ------
    InputError
        There are no lossless rows, or the rule's problems are not those of lossless.
    """
    compared = sweep[sweep["rule"].isin([TARGET, LOSSLESS, rule])]
    comparison = Comparison({}, {rule: "judge"}, {MEASURED_COST: cost_ratio}, tolerance, seed)
    choice = ValidationSplit(compared, pair, comparison).choose(rule, cost_ratio)
    measured_on, split = ("validation", "validation") if len(choice) == 1 else ("folds", "test")
    row = TestSplit(compared[compared["split"] == split], seed).measure(rule, [choice], cost_ratio).iloc[0]
    every = max(judge.record.thresholds)  # no p(important) is as large; infinity is none of JSON's numbers
    point = OperatingPoint(
        rule=rule,
        window=int(row["window"]),
        chosen_by=CHOSEN_BY.format(cost=cost_ratio, tolerance=tolerance),
        tolerance=float(tolerance),
        cost_ratio=float(cost_ratio),
        measured_on=measured_on,
        problems=int(row["problems"]),
        provenance=dict(provenance),
        **{name: float(row[name]) for name in MEASURES},
    )
    return replace(
        judge, record=replace(judge.record, threshold=min(float(row["threshold"]), every), operating_point=point)
    )
