"""Intervals, paired drops and the summary of a sweep."""

import numpy as np
import pandas as pd
import pytest

from autojudge.errors import InputError
from autojudge.schemas import arrow_schema
from autojudge.statistics import paired_drop, summarise_sweep, wilson_interval

RECOMMENDED = 0.3


def decode(rule: str, threshold: float, correct: list[bool], cycles: list[int], window: int = 8) -> pd.DataFrame:
    """Return sweep rows of problems p0, p1, ... of 12 tokens each."""
    n = len(correct)
    return pd.DataFrame(
        {
            "problem_id": [f"p{i}" for i in range(n)],
            "rule": rule,
            "threshold": float(threshold),
            "window": window,
            "correct": correct,
            "tokens": 12,
            "cycles": cycles,
            "accepted": [10 if c else 0 for c in cycles],
            "emitted": [12 if c else 0 for c in cycles],
            "target_calls": [c + 1 if c else 12 for c in cycles],
            "draft_calls": [8 * c for c in cycles],
        }
    )


@pytest.fixture
def sweep() -> pd.DataFrame:
    """Return a small sweep, rows in no useful order."""
    groups = [
        decode("judge", 0.9, [True, False, False, False], [1, 1, 1, 1]),
        decode("judge", RECOMMENDED, [True, True, True, False], [2, 2, 2, 2]),
        decode("lossless", 0, [True, True, True, True], [3, 3, 3, 1]),
        decode("target", 0, [True, True, True, True], [0, 0, 0, 0], window=0),
    ]
    return pd.concat(groups).sample(frac=1, random_state=1)


def test_wilson_interval_is_the_published_one():
    # Newcombe 1998, table I: 81 of 263.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_wilson_interval_of_all_correct_ends_at_one_but_is_not_a_point():
    low, high = wilson_interval(10, 10)
    assert high == pytest.approx(1)
    assert 0.6 < low < 0.8


def test_drop_is_reference_minus_method_in_points():
    drop, low, high = paired_drop([True, False, False, False], [True, True, True, False], seed=0)
    assert drop == pytest.approx(50)
    assert low <= drop <= high


def test_drop_interval_is_the_bootstrap_over_problems():
    rng = np.random.default_rng(5)
    reference = rng.random(200) < 0.8
    correct = np.where(rng.random(200) < 0.1, ~reference, reference)
    _, low, high = paired_drop(correct, reference, seed=0, resamples=4000)
    problems = rng.integers(0, 200, (4000, 200))
    drops = 100 * (reference[problems].mean(axis=1) - correct[problems].mean(axis=1))
    assert (low, high) == pytest.approx(tuple(np.quantile(drops, [0.025, 0.975])), abs=0.51)  # one problem is 0.5


def test_pairing_makes_the_interval_narrower_than_independent_samples():
    half = np.arange(100) < 50
    assert paired_drop(half, half, seed=0) == (0, 0, 0)
    _, low, high = paired_drop(half, half[::-1], seed=0)
    assert high - low > 20


def test_same_seed_gives_the_same_interval_and_another_seed_another():
    correct, reference = np.arange(300) % 3 == 0, np.arange(300) % 2 == 0
    assert paired_drop(correct, reference, seed=1) == paired_drop(correct, reference, seed=1)
    assert any(paired_drop(correct, reference, seed=1) != paired_drop(correct, reference, seed=s) for s in range(2, 6))


def test_arrays_of_different_problems_cannot_be_paired():
    with pytest.raises(ValueError, match=r"\(1,\), \(3,\)"):
        paired_drop([True], [True, False, True], seed=0)


def test_summary_has_the_columns_of_pareto_ordered_by_rule_and_threshold(sweep):
    table = summarise_sweep(sweep, "toy", RECOMMENDED, seed=0)
    assert list(table.columns) == arrow_schema("pareto").names
    keys = list(zip(table["rule"], table["threshold"], strict=True))
    assert keys == [("judge", RECOMMENDED), ("judge", 0.9), ("lossless", 0), ("target", 0)]
    assert set(table["pair"]) == {"toy"}
    assert set(table["problems"]) == {4}


def test_ratios_are_sums_over_sums_not_means_of_problems(sweep):
    row = summarise_sweep(sweep, "toy", RECOMMENDED, seed=0).set_index("rule").loc["lossless"]
    assert row["accepted_per_cycle"] == pytest.approx(40 / 10)  # the mean over problems would be 5
    assert row["emitted_per_cycle"] == pytest.approx(48 / 10)
    assert row["target_calls_per_token"] == pytest.approx(14 / 48)
    assert row["draft_calls_per_token"] == pytest.approx(80 / 48)


def test_target_alone_has_no_tokens_per_cycle(sweep):
    row = summarise_sweep(sweep, "toy", RECOMMENDED, seed=0).set_index("rule").loc["target"]
    assert np.isnan(row["accepted_per_cycle"])
    assert row["target_calls_per_token"] == 1


def test_drop_of_each_row_is_against_lossless_by_problem_not_by_row_order(sweep):
    # Both solve two problems; only pairing by name shows that one is lost and one is won.
    other = [
        decode("lossless", 0, [True, True, False, False], [1] * 4),
        decode("judge", RECOMMENDED, [True, False, True, False], [1] * 4).iloc[[0, 2, 1, 3]],
    ]
    table = summarise_sweep(pd.concat(other), "toy", RECOMMENDED, seed=0).set_index("rule")
    assert table.loc["judge", "drop"] == 0
    assert table.loc["judge", "drop_low"] < 0 < table.loc["judge", "drop_high"]
    drops = summarise_sweep(sweep, "toy", RECOMMENDED, seed=0)["drop"]
    assert drops.tolist() == pytest.approx([25, 75, 0, 0])


def test_only_the_judge_at_the_chosen_threshold_is_recommended(sweep):
    same_threshold = decode("top_k", RECOMMENDED, [True] * 4, [2] * 4)
    neighbour = decode("judge", RECOMMENDED * (1 + 1e-7), [True] * 4, [2] * 4)
    table = summarise_sweep(pd.concat([sweep, same_threshold, neighbour]), "toy", RECOMMENDED, seed=0)
    marked = table.loc[table["recommended"], ["rule", "threshold"]]
    assert marked.to_numpy().tolist() == [["judge", RECOMMENDED]]


def test_nothing_is_recommended_without_a_judge(sweep):
    table = summarise_sweep(sweep, "toy", float("nan"), seed=0)
    assert table["recommended"].dtype == bool
    assert not table["recommended"].any()


def test_recommended_threshold_of_another_judge_is_refused(sweep):
    with pytest.raises(InputError, match=r"pair toy.*0\.5.*delete it"):
        summarise_sweep(sweep, "toy", 0.5, seed=0)


def test_sweep_without_lossless_is_refused_with_the_remedy(sweep):
    with pytest.raises(InputError, match=r"pair toy.*decoding\.rules"):
        summarise_sweep(sweep[sweep["rule"] != "lossless"], "toy", RECOMMENDED, seed=0)


@pytest.mark.parametrize("fault", ["missing", "twice"])
def test_group_on_other_problems_than_lossless_is_refused(sweep, fault):
    one = (sweep["rule"] == "judge") & (sweep["threshold"] == 0.9) & (sweep["problem_id"] == "p2")
    damaged = sweep[~one] if fault == "missing" else pd.concat([sweep, sweep[one]])
    with pytest.raises(InputError, match=r"rule judge at threshold 0\.9.*run again"):
        summarise_sweep(damaged, "toy", RECOMMENDED, seed=0)


def test_shard_gathered_twice_is_refused(sweep):
    with pytest.raises(InputError, match="once each"):
        summarise_sweep(pd.concat([sweep, sweep]), "toy", RECOMMENDED, seed=0)
