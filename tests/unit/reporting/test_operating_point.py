"""The operating point that is exported with a judge is the one that the summary recommends, measured on validation."""

import json

import pandas as pd
import pytest
import torch
from test_statistics import COSTS, GIVEN, INFINITY, KINDS, decode, of_split

from autojudge.judging.artifact import Judge
from autojudge.reporting.operating_point import with_operating_point
from autojudge.reporting.statistics import MEASURED_COST, Comparison, summarise_sweep
from conftest import make_record

JUDGE = Judge({"weight": torch.ones(1), "bias": torch.tensor(0.0)}, make_record())


def recommend(sweep, tolerance):
    found = with_operating_point(JUDGE, sweep, "toy", "judge", COSTS[MEASURED_COST], tolerance, 0, {"commit": "abc"})
    return found.record


def summarise(sweep, tolerance):
    tables = summarise_sweep(sweep, "toy", Comparison(GIVEN, KINDS, COSTS, tolerance, seed=0))
    return tables["summary"].set_index("rule").loc["judge"]


@pytest.fixture
def sweep():
    slower = [
        decode("judge", -INFINITY, INFINITY, [True] * 4, [4] * 4, split, window=4) for split in ("test", "validation")
    ]
    slower += [
        decode("lossless", -INFINITY, INFINITY, [True] * 4, [4] * 4, s, window=4) for s in ("test", "validation")
    ]
    return pd.concat([of_split("validation"), of_split("test"), *slower])


@pytest.mark.parametrize("tolerance, drop", [(1, 0), (75, 75)])
def test_it_is_the_summarys_and_measured_on_validation(sweep, tolerance, drop):
    easier = sweep["split"].eq("test") & sweep["rule"].eq("judge")
    record = recommend(sweep.assign(correct=sweep["correct"] | easier), tolerance)
    point, row = record.operating_point, summarise(sweep, tolerance)
    assert (
        (point.window, record.threshold) == (row["window"], min(row["threshold"], 1.0)) == (8, 0.5 if not drop else 1.0)
    )
    assert (point.drop, point.measured_on, point.problems) == (drop, "validation", 4)
    assert point.drop_low <= drop <= point.drop_high
    assert point.emitted_per_cycle == pytest.approx(12 / (1 if drop else 2))
    assert point.accepted_per_cycle == pytest.approx(10 / (1 if drop else 2))
    assert (point.rule, point.tolerance, point.cost_ratio) == ("judge", tolerance, COSTS[MEASURED_COST])
    assert "Infinity" not in json.dumps(record.threshold), "a number that JSON has"
    assert record.recall_threshold == JUDGE.record.recall_threshold


def test_of_folds_it_has_the_medians_and_is_measured_on_the_folds_own_problems(sweep):
    folds = [sweep.assign(fold=f"{i}-of-3", problem_id=sweep["problem_id"] + f" {i}") for i in (1, 2, 3)]
    lossy = folds[0]["rule"].eq("judge") & folds[0]["split"].eq("validation")
    folds[0] = folds[0].assign(correct=folds[0]["correct"] | lossy)  # the first fold takes the fastest point
    record, row = recommend(pd.concat(folds), 1), summarise(pd.concat(folds), 1)
    point = record.operating_point
    assert (point.measured_on, point.problems, point.window, record.threshold) == ("folds", 12, 8, 0.5)
    for name in ("drop", "drop_low", "drop_high", "emitted_per_cycle", "accepted_per_cycle", "speedup"):
        assert getattr(point, name) == pytest.approx(row[name])
    assert point.drop == pytest.approx(100 * 3 / 12)
