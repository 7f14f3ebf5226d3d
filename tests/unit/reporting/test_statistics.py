"""Intervals, paired drops and the summary of a sweep."""

import numpy as np
import pandas as pd
import pytest
from toy import toy_tables

from autojudge.errors import InputError
from autojudge.reporting.statistics import (
    MEASURED_COST,
    RESAMPLES,
    Comparison,
    Point,
    accuracy_interval,
    best_choices,
    best_points,
    compare_points,
    envelope_of,
    list_drops,
    mcnemar_p,
    measure_area,
    paired_drop,
    project_speedup,
    recommend_point,
    retention,
    summarise_sweep,
    trace_curve,
    wilson_interval,
)
from autojudge.tables.dictionary import TABLES

INFINITY = float("inf")
GIVEN = {"lossless": [0.0], "always": [1.0], "judge": [0.3, 0.9]}
KINDS = {"target": "reference", "lossless": "reference", "always": "reference", "judge": "judge", "kl": "training-free"}
COSTS = {MEASURED_COST: 0.25, "0.02": 0.02}


def decode(rule, low, high, correct, cycles, split="test", window=8, problems=None) -> pd.DataFrame:
    """Return sweep rows of problems p0, p1, ... of 12 tokens each, which hold from one threshold to another."""
    n = len(correct)
    return pd.DataFrame(
        {
            "problem_id": problems or [f"{split[0]}{i}" for i in range(n)],
            "repeat": 0,
            "fold": None,
            "split": split,
            "rule": rule,
            "threshold_low": float(low),
            "threshold": float(high),
            "exact": True,
            "window": window,
            "correct": correct,
            "tokens": 12,
            "cycles": cycles,
            "accepted": [10 if c else 0 for c in cycles],
            "emitted": [12 if c else 0 for c in cycles],
            "target_calls": [c + 1 if c else 12 for c in cycles],
            "draft_calls": [window * c for c in cycles],
            "cut_off": [not c for c in correct],
            "differs": [not c for c in correct],
            "loops": False,
            "kept_at": [[c, c // 2] if c else [] for c in cycles],
        }
    )


def of_split(split: str) -> pd.DataFrame:
    groups = [
        decode("judge", 0.5, INFINITY, [True, False, False, False], [1, 1, 1, 1], split),
        decode("judge", -INFINITY, 0.5, [True, True, True, True], [2, 2, 2, 2], split),
        decode("always", -INFINITY, 0, [True] * 4, [3, 3, 3, 1], split),
        decode("always", 0, INFINITY, [False, False, False, False], [1, 1, 1, 1], split),
        decode("lossless", -INFINITY, INFINITY, [True, True, True, True], [3, 3, 3, 1], split),
        decode("target", -INFINITY, INFINITY, [True, True, True, True], [0, 0, 0, 0], split, window=0),
    ]
    return pd.concat(groups)


@pytest.fixture
def sweep() -> pd.DataFrame:
    """Return a small sweep, rows in no useful order."""
    return pd.concat([of_split("validation"), of_split("test")]).sample(frac=1, random_state=1)


def summarise(sweep, tolerance=1.0, given=GIVEN, kinds=KINDS):
    return summarise_sweep(sweep, "toy", Comparison(given, kinds, COSTS, tolerance, seed=0))


def test_wilson_interval_is_the_published_one():
    # Newcombe 1998, table I: 81 of 263.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_wilson_interval_of_all_correct_ends_at_one_but_is_not_a_point():
    low, high = wilson_interval(10, 10)
    assert high == pytest.approx(1)
    assert 0.6 < low < 0.8


def test_drop_is_reference_minus_method_in_points():
    found = paired_drop([True, False, False, False], [True, True, True, False], seed=0)
    assert found["drop"] == pytest.approx(50)
    assert found["drop_low"] <= found["drop"] <= found["drop_high"]


def test_drop_interval_is_the_bootstrap_over_problems():
    rng = np.random.default_rng(5)
    reference = rng.random(200) < 0.8
    correct = np.where(rng.random(200) < 0.1, ~reference, reference)
    found = paired_drop(correct, reference, seed=0)
    problems = rng.integers(0, 200, (4000, 200))
    drops = 100 * (reference[problems].mean(axis=1) - correct[problems].mean(axis=1))
    wanted = tuple(np.quantile(drops, [0.025, 0.975]))
    assert (found["drop_low"], found["drop_high"]) == pytest.approx(wanted, abs=0.51)  # one problem is 0.5


def test_pairing_makes_the_interval_narrower_than_independent_samples():
    half = np.arange(100) < 50
    same, other = paired_drop(half, half, seed=0), paired_drop(half, half[::-1], seed=0)
    assert (same["drop_low"], same["drop"], same["drop_high"]) == (0, 0, 0)
    assert other["drop_high"] - other["drop_low"] > 20


def test_mcnemars_exact_test_is_the_binomial_test_of_the_pairs_that_differ():
    assert mcnemar_p(0, 0) == 1
    assert mcnemar_p(5, 0) == pytest.approx(2 * 0.5**5)
    assert mcnemar_p(1, 4) == pytest.approx(2 * (1 + 5) / 32)
    assert mcnemar_p(3, 3) == 1


def test_same_seed_gives_the_same_interval_and_another_seed_another():
    correct, reference = np.arange(300) % 3 == 0, np.arange(300) % 2 == 0
    assert paired_drop(correct, reference, seed=1) == paired_drop(correct, reference, seed=1)
    assert any(paired_drop(correct, reference, seed=1) != paired_drop(correct, reference, seed=s) for s in range(2, 6))


def test_arrays_of_different_problems_cannot_be_paired():
    with pytest.raises(ValueError, match=r"\(1,\), \(3,\)"):
        paired_drop([True], [True, False, True], seed=0)


def test_a_curve_is_what_each_threshold_alone_gives():
    rng = np.random.default_rng(3)
    reference = pd.Series({(f"t{i}", 0): bool(rng.random() < 0.8) for i in range(30)})
    reference.index.names = ["problem_id", "repeat"]
    parts = []
    for name, _ in reference.index:
        ends = [-INFINITY, *np.sort(rng.choice(np.arange(1, 9) / 10, rng.integers(0, 5), replace=False)), INFINITY]
        for low, high in zip(ends, ends[1:], strict=False):
            solved, cycles = [bool(rng.random() < 0.7)], [int(rng.integers(1, 6))]
            parts.append(decode("kl", low, high, solved, cycles, problems=[name]))
    rows = pd.concat(parts).sample(frac=1, random_state=0)
    curve = trace_curve(rows, reference, 100, "toy")
    assert curve["threshold"].is_monotonic_increasing and curve["threshold"].iloc[-1] == INFINITY
    for point in curve.itertuples():
        alone = rows[(rows["threshold_low"] < point.threshold) & (point.threshold <= rows["threshold"])]
        wanted = alone["problem_id"].map(reference.droplevel("repeat"))
        assert len(alone) == 30
        assert point.accuracy == pytest.approx(alone["correct"].mean())
        assert point.lost == (wanted & ~alone["correct"]).sum() and point.won == (alone["correct"] & ~wanted).sum()
        assert point.accepted_per_cycle == pytest.approx(alone["accepted"].sum() / alone["cycles"].sum())
        assert point.target_calls_per_token == pytest.approx(alone["target_calls"].sum() / alone["tokens"].sum())
        assert point.draft_calls == pytest.approx(alone["draft_calls"].sum() / 100)


def curve_of(points, window=8, **columns) -> pd.DataFrame:
    """Return a curve of (threshold, accuracy, projected speed-up, lost)."""
    table = pd.DataFrame(points, columns=["threshold", "accuracy", "speedup", "lost"])
    return table.assign(won=0, target_calls=1 / table["speedup"], draft_calls=0.0, window=window, **columns)


def test_the_recommended_point_is_the_fastest_whose_drop_stays_within_the_tolerance():
    curve = curve_of([(0.1, 0.9, 4, 0), (0.2, 0.9, 5, 0), (0.3, 0.89, 6, 1), (0.4, 0.8, 7, 10), (0.5, 0.9, 4.5, 0)])

    def recommend(curve, tolerance):
        return recommend_point(curve, 0.1, 100, tolerance).threshold

    assert recommend(curve, 0) == recommend(curve, 0.9) == 0.2
    assert recommend(curve, 1) == recommend(curve, 9) == 0.3
    assert recommend(curve.assign(won=[0, 0, 1, 10, 0]), 0) == 0.4, "what is won counts against what is lost"
    assert recommend(curve, 50) == 0.4
    assert recommend(curve.assign(lost=50), 1) == 0.1


def test_the_window_is_recommended_with_the_threshold_by_what_a_draft_call_costs():
    short = curve_of([(0.1, 0.9, 2, 0)], window=4).assign(target_calls=0.4, draft_calls=1.0)
    long = curve_of([(0.3, 0.9, 2, 0)], window=16).assign(target_calls=0.2, draft_calls=2.0)
    both = pd.concat([short, long])
    assert recommend_point(both, 0.05, 100, 1) == Point(16, 0.3)
    assert recommend_point(both, 0.5, 100, 1) == Point(4, 0.1)
    assert project_speedup(0.4, 1.0, 1.0, 0.05) == pytest.approx(1 / 0.45)


def test_the_best_points_are_those_that_no_other_is_both_faster_and_more_accurate_than():
    chosen = pd.concat(
        [
            curve_of([(0.1, 0.9, 2.0, 0), (0.2, 0.7, 2.5, 0)], window=4, split="validation", rule="kl"),
            curve_of([(0.1, 0.8, 3.0, 0), (0.2, 0.75, 2.2, 0)], window=8, split="validation", rule="kl"),
        ]
    )
    assert best_points(chosen) == [Point(8, 0.1), Point(4, 0.1)], "each other one is slower and no better"


def test_points_of_folds_that_lose_equally_much_on_validation_stand_together():
    one = curve_of([(0.1, 0.9, 2.0, 0), (0.2, 0.7, 3.0, 0)], rule="kl", split="validation")
    other = curve_of([(0.3, 1.0, 2.5, 0), (0.4, 0.9, 4.0, 0)], window=4, rule="kl", split="validation")
    assert best_choices([one]) == [(Point(8, 0.2),), (Point(8, 0.1),)]
    assert best_choices([one, other]) == [
        (Point(8, 0.2), Point(4, 0.4)),  # one loses 0.2, the other 0.1
        (Point(8, 0.1), Point(4, 0.4)),  # 0.1: the first one has no point that loses it
        (Point(8, 0.1), Point(4, 0.3)),
    ]


def of_fold(fold: str, good: bool) -> pd.DataFrame:
    """Return a fold's rows: above 0.5 its judge is faster, and if not good, wrong on validation and once."""
    parts = []
    for split, fast in (("validation", [good, good]), ("test", [good, True])):
        rows = [
            ("judge", -INFINITY, 0.5, [True, True], [2, 2]),
            ("judge", 0.5, INFINITY, fast, [1, 1]),
            ("lossless", -INFINITY, INFINITY, [True, True], [4, 4]),
            ("target", -INFINITY, INFINITY, [True, True], [0, 0]),
        ]
        names = ["v0", "v1"] if split == "validation" else [f"{fold} a", f"{fold} b"]
        for rule, low, high, correct, cycles in rows:
            parts.append(decode(rule, low, high, correct, cycles, split, 8 if cycles[0] else 0, names))
    return pd.concat(parts).assign(fold=fold)


@pytest.fixture
def folded() -> pd.DataFrame:
    """Two folds of two test problems each; the first one's validation allows its judge every threshold."""
    return pd.concat([of_fold("1-of-2", True), of_fold("2-of-2", False)]).sample(frac=1, random_state=1)


def test_folds_choose_for_themselves_and_are_measured_together(folded):
    summary = summarise(folded, given={"judge": [0.3]})["summary"].set_index("rule")
    row = summary.loc["judge"]
    # Fold 1 takes infinity, at which both of its problems are solved in a cycle; fold 2 takes 0.5: both in two cycles.
    assert row["problems"] == 4 and row["folds"] == 2
    assert row["accuracy"] == 1 and row["drop"] == 0
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(wilson_interval(4, 4))
    assert row["accepted_per_cycle"] == pytest.approx(40 / 6)
    assert row["target_calls_per_token"] == pytest.approx((2 + 2 + 3 + 3) / 48)
    assert row["speedup"] == pytest.approx(48 / (10 + 0.25 * 8 * 6))
    assert row["window"] == 8 and row["threshold"] == 0.5, "the lower median"
    both = summarise(folded, tolerance=100, given={"judge": [0.3]})["summary"].set_index("rule").loc["judge"]
    assert both["threshold"] == INFINITY and both["accuracy"] == 3 / 4 and both["drop"] == 25
    assert both["speedup"] == pytest.approx(48 / (8 + 0.25 * 8 * 4))


def test_given_thresholds_of_folds_are_measured_together(folded):
    pareto = summarise(folded, given={"judge": [0.3, 0.9]})["pareto"].query("rule == 'judge'")
    rows = pareto[~pareto["recommended"]].set_index("threshold")
    assert rows["accuracy"].to_dict() == {0.3: 1, 0.9: 0.75} and set(rows["problems"]) == {4}
    curve = summarise(folded)["curve"]
    test = curve[(curve["rule"] == "judge") & (curve["split"] == "test")].set_index("threshold")
    assert test["accuracy"].to_dict() == {0.5: 1, INFINITY: 0.75}
    assert not (curve["split"] == "validation").any()


def test_the_envelope_of_folds_is_of_their_own_points(folded):
    envelope = envelope_of(summarise(folded)["curve"], "judge")
    # Nothing lost on validation: infinity in fold 1, 0.5 in fold 2; all lost: infinity in both.
    assert envelope["accuracy"].tolist() == [0.75, 1.0]
    assert envelope["speedup"].tolist() == pytest.approx([48 / (8 + 8), 48 / (10 + 12)])


def test_the_test_problems_of_a_fold_choose_nothing_in_it(folded):
    of_judge = (folded["split"] == "test") & (folded["rule"] == "judge")
    damaged = folded.assign(correct=folded["correct"] & ~of_judge)
    once, again = (summarise(rows)["summary"].set_index("rule") for rows in (folded, damaged))
    assert once["threshold"].equals(again["threshold"]) and once["speedup"].equals(again["speedup"])
    assert once.loc["judge", "accuracy"] == 1 and again.loc["judge", "accuracy"] == 0


def test_the_area_is_the_mean_of_the_best_accuracy_at_or_above_a_speed():
    ends = curve_of([(0, 0.9, 4, 0), (1, 0.5, 8, 0)])
    slowest, fastest = 4.0, ends.iloc[1]
    assert measure_area(ends, slowest, fastest) == pytest.approx(0.5)
    good = curve_of([(0, 0.9, 4, 0), (0.5, 0.8, 6, 0), (1, 0.5, 8, 0)])
    assert measure_area(good, slowest, fastest) == pytest.approx((0.8 * 2 + 0.5 * 2) / 4)
    detour = curve_of([(0, 0.9, 4, 0), (0.4, 0.2, 5, 0), (0.5, 0.8, 6, 0), (1, 0.5, 8, 0)])
    assert measure_area(detour, slowest, fastest) == pytest.approx(0.65), "a worse and slower point takes nothing away"
    assert measure_area(good.iloc[:2], slowest, fastest) == pytest.approx(0.65), "it can give way to the draft alone"


def test_retention_is_a_share_of_the_reference_with_the_bootstrap_over_problems():
    rng = np.random.default_rng(5)
    reference = rng.random(200) < 0.8
    correct = np.where(rng.random(200) < 0.1, ~reference, reference)
    found = retention(correct, reference, seed=0)
    assert found["retention"] == pytest.approx(correct.sum() / reference.sum())
    problems = rng.integers(0, 200, (4000, 200))
    shares = correct[problems].sum(axis=1) / reference[problems].sum(axis=1)
    wanted = tuple(np.quantile(shares, [0.025, 0.975]))
    assert (found["retention_low"], found["retention_high"]) == pytest.approx(wanted, abs=0.01)
    assert np.isnan(retention([True, False], [False, False], seed=0)["retention"])
    assert retention(reference, reference, seed=0)["retention_low"] == 1


def test_the_tables_have_their_columns(sweep):
    found = summarise(sweep)
    assert set(found) == {"pareto", "curve", "summary", "windows"}
    for name, table in found.items():
        assert list(table.columns) == list(TABLES[name].columns)
        assert set(table["pair"]) == {"toy"}


def test_pareto_has_given_and_recommended_thresholds_in_order(sweep):
    table = summarise(sweep)["pareto"].sort_values(["rule", "threshold"])
    keys = [(rule, threshold) for rule, threshold in zip(table["rule"], table["threshold"], strict=True)]
    assert keys == [
        ("always", 1.0), ("judge", 0.3), ("judge", 0.5), ("judge", 0.9), ("lossless", 0.0), ("target", 0.0),
    ]  # fmt: skip
    assert table.loc[table["rule"] == "judge", "recommended"].tolist() == [False, True, False]
    assert set(table["problems"]) == {4}


def test_ratios_are_sums_over_sums_not_means_of_problems(sweep):
    row = summarise(sweep)["pareto"].set_index("rule").loc["lossless"]
    assert row["accepted_per_cycle"] == pytest.approx(40 / 10)  # the mean over problems would be 5
    assert row["emitted_per_cycle"] == pytest.approx(48 / 10)
    assert row["target_calls_per_token"] == pytest.approx(14 / 48)
    assert row["draft_calls_per_token"] == pytest.approx(80 / 48)
    assert row["speedup"] == pytest.approx(48 / (14 + 0.25 * 80)) and row["cost_ratio"] == 0.25
    assert row["kept_at"] == "1.000 0.300"


def test_target_alone_has_no_tokens_per_cycle_and_no_area(sweep):
    found = summarise(sweep)
    pareto, summary = found["pareto"], found["summary"]
    row = pareto.set_index("rule").loc["target"]
    assert np.isnan(row["accepted_per_cycle"]) and row["target_calls_per_token"] == row["speedup"] == 1
    assert np.isnan(summary.set_index("rule").loc["target", "area"])


def test_drop_of_each_row_is_against_lossless_by_problem_not_by_row_order():
    # Both solve two problems; only pairing by name shows that one is lost and one is won.
    other = [
        decode("lossless", -INFINITY, INFINITY, [True, True, False, False], [1] * 4),
        decode("judge", -INFINITY, INFINITY, [True, False, True, False], [1] * 4).iloc[[0, 2, 1, 3]],
        decode("lossless", -INFINITY, INFINITY, [True] * 4, [1] * 4, "validation"),
        decode("judge", -INFINITY, INFINITY, [True] * 4, [1] * 4, "validation"),
    ]
    row = summarise(pd.concat(other), given={"judge": [0.5]})["pareto"].set_index("rule").loc["judge"].iloc[0]
    assert row["drop"] == 0 and row["drop_low"] < 0 < row["drop_high"] and row["mcnemar_p"] == 1


def test_the_test_split_chooses_nothing(sweep):
    damaged = sweep.copy()
    damaged.loc[damaged["split"] == "test", "correct"] = False
    once, again = summarise(sweep)["summary"], summarise(damaged)["summary"]
    for column in ("window", "threshold", "best"):
        assert once[column].equals(again[column])
    assert not once["accuracy"].equals(again["accuracy"])


def test_the_best_training_free_rule_is_the_one_fastest_on_validation_at_its_point():
    tables = toy_tables(tolerance=20)
    summary = tables["summary"]
    free = summary[summary["kind"] == "training-free"]
    curve = tables["curve"].query("split == 'validation'")
    speeds = {}
    for row in free.itertuples():
        held = curve[(curve["rule"] == row.rule) & (curve["window"] == row.window)]
        speeds[row.rule] = held.loc[held["threshold"] >= row.threshold, "speedup"].iloc[0]
    assert len(set(speeds.values())) == len(speeds) == 3
    assert summary.loc[summary["best"], "rule"].tolist() == [max(speeds, key=speeds.get)]


def test_rules_are_compared_with_the_best_training_free_one_on_the_same_problems():
    def rows(correct, calls):
        index = pd.Index(list("abcd"))
        return pd.DataFrame({"correct": correct, "target_calls": calls, "draft_calls": [10] * 4}, index=index)

    best, judge = rows([True] * 4, [9, 9, 19, 19]), rows([True, True, True, False], [4, 4, 9, 9])
    found = compare_points(judge.iloc[::-1], best, 0.1, seed=0)
    assert found["speed_ratio"] == found["speed_ratio_low"] == found["speed_ratio_high"] == 2
    assert found["accuracy_gain"] == -25
    draws = np.random.default_rng(0).integers(4, size=(RESAMPLES, 4))
    wanted = np.quantile(-100 * (draws == 0).mean(1), [0.025, 0.975])  # the order is that of the rows
    assert [found["accuracy_gain_low"], found["accuracy_gain_high"]] == pytest.approx(wanted)


def test_a_summary_tells_each_rule_against_the_best_training_free_one():
    tables = toy_tables(tolerance=20)
    summary = tables["summary"].set_index("rule")
    best, judge = summary[summary["best"]].iloc[0], summary.loc["judge"]
    assert judge["speed_ratio"] == pytest.approx(judge["speedup"] / best["speedup"])
    assert judge["accuracy_gain"] == pytest.approx(100 * (judge["accuracy"] - best["accuracy"]))
    for name in ("speed_ratio", "accuracy_gain"):
        assert judge[f"{name}_low"] <= judge[name] <= judge[f"{name}_high"]
        assert best[f"{name}_low"] == best[name] == best[f"{name}_high"] == (name == "speed_ratio")
    alone = toy_tables(free={})["summary"]
    assert not alone["best"].any() and alone[["speed_ratio", "accuracy_gain_low"]].isna().all(axis=None)


def test_problems_that_are_not_exact_are_counted(sweep):
    judge = (sweep["rule"] == "judge") & (sweep["problem_id"] == "t1")
    table = summarise(sweep.assign(exact=~judge))["pareto"]
    assert table.groupby("rule")["inexact"].max().to_dict() == {"always": 0, "judge": 1, "lossless": 0, "target": 0}


def test_problems_decoded_at_given_thresholds_only_change_nothing_where_those_hold(sweep):
    lossless = (sweep["rule"] == "lossless") & (sweep["problem_id"].isin(["t1", "v2"]))
    low = sweep[lossless].assign(threshold=0.0, exact=False)
    high = sweep[lossless].assign(threshold_low=0.0, exact=False)
    capped = summarise(pd.concat([sweep[~lossless], low, high]))
    columns = ["rule", "threshold", "accuracy", "drop", "accepted_per_cycle"]
    pd.testing.assert_frame_equal(capped["pareto"][columns], summarise(sweep)["pareto"][columns])


def test_sweep_without_lossless_is_refused_with_the_remedy(sweep):
    with pytest.raises(InputError, match=r"pair toy.*decoding\.rules"):
        summarise(sweep[sweep["rule"] != "lossless"])


@pytest.mark.parametrize("fault", ["missing", "twice", "a gap"])
def test_a_rule_on_other_problems_than_lossless_is_refused(sweep, fault):
    one = (sweep["rule"] == "judge") & (sweep["threshold"] == 0.5) & (sweep["problem_id"] == "t2")
    problem = (sweep["rule"] == "judge") & (sweep["problem_id"] == "t2")
    damaged = {"missing": sweep[~problem], "a gap": sweep[~one], "twice": pd.concat([sweep, sweep[one]])}[fault]
    with pytest.raises(InputError, match="pair toy, test, rule judge, window 8: not decoded on exactly.*run again"):
        summarise(damaged)


def test_shard_gathered_twice_is_refused(sweep):
    with pytest.raises(InputError, match="twice"):
        summarise(pd.concat([sweep, sweep]))


def test_each_window_is_compared_with_lossless_at_that_window_and_a_rule_is_told_at_its_own_best(sweep):
    """At window 4 the judge keeps what it solves and calls the draft half as often, but the target more often."""
    short = sweep[sweep["window"] == 8].assign(window=4, draft_calls=lambda rows: rows["draft_calls"] / 4)
    short = short.assign(target_calls=lambda rows: rows["target_calls"] + 1)
    found = summarise(pd.concat([sweep, short]))
    windows = found["windows"]
    assert set(windows["cost"]) == set(COSTS) and windows.groupby(["rule", "cost"])["best"].sum().eq(1).all()
    judge = windows[(windows["rule"] == "judge") & windows["best"]].set_index("cost")
    assert judge["window"].to_dict() == {MEASURED_COST: 4, "0.02": 8}, "a dear draft call asks for a short window"
    assert judge["speedup"].iloc[0] == pytest.approx(48 / (16 + 0.25 * 16))
    summary = found["summary"].set_index("rule")
    assert summary.loc["judge", "window"] == summary.loc["lossless", "window"] == 4
    chosen = found["pareto"][found["pareto"]["recommended"]].set_index("rule")
    assert chosen["window"].to_dict() == summary["window"].to_dict()
    assert set(found["curve"]["window"]) == {0, 4, 8}


def test_effects_are_shares_of_responses_and_lengths_by_those_of_lossless(sweep):
    longer = sweep.assign(tokens=lambda rows: rows["tokens"] + 6 * (rows["rule"] == "always"))
    row = summarise(longer)["pareto"].set_index("rule").loc["always"]
    assert (row["length_ratio"], row["differing"], row["cut_off"], row["looping"]) == (1.5, 1.0, 1.0, 0.0)
    assert row["retention"] == 0


def repeated(n=150, repeats=4, seed=2):
    """Return what a method and a reference solve, (n, repeats); a problem's repeats are alike."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 1, (n, 1))
    return rng.random((n, repeats)) < 0.85 * chance, rng.random((n, repeats)) < chance


def resampled(values, seed=1):
    """Return the ends of the interval of a statistic of problems, these being drawn anew by their numbers."""
    draws = np.random.default_rng(seed).integers(0, 150, (4000, 150))
    return tuple(np.quantile([values(problems) for problems in draws], [0.025, 0.975]))


@pytest.mark.parametrize("repeats", [2, 4, 7])
def test_with_repeats_all_intervals_resample_problems_with_their_repeats(repeats):
    correct, reference = repeated(repeats=repeats)
    found = paired_drop(correct, reference, seed=0) | retention(correct, reference, seed=0)
    assert found["drop"] == pytest.approx(100 * (reference.mean() - correct.mean()))
    wanted = resampled(lambda problems: 100 * (reference[problems].mean() - correct[problems].mean()))
    assert (found["drop_low"], found["drop_high"]) == pytest.approx(wanted, abs=0.6)
    assert found["retention"] == pytest.approx(correct.mean() / reference.mean())
    wanted = resampled(lambda problems: correct[problems].mean() / reference[problems].mean())
    assert (found["retention_low"], found["retention_high"]) == pytest.approx(wanted, abs=0.012)
    low, high = accuracy_interval(correct, seed=0)
    assert (low, high) == pytest.approx(resampled(lambda problems: correct[problems].mean()), abs=0.006)
    alike = wilson_interval(int(correct.sum()), correct.size)
    assert high - low > 1.1 * (alike[1] - alike[0]), "repeats of a problem are no further problems"


@pytest.mark.parametrize("repeats", [2, 3, 5])
def test_repeats_that_are_all_the_same_tell_no_more_than_one(repeats):
    correct, reference = (part[:, :1] for part in repeated())
    once = paired_drop(correct, reference, seed=0) | retention(correct, reference, seed=0)
    again = [np.repeat(part, repeats, axis=1) for part in (correct, reference)]
    found = paired_drop(*again, seed=0) | retention(*again, seed=0)
    assert found["mcnemar_p"] == once["mcnemar_p"]
    for name in once:
        assert found[name] == pytest.approx(once[name], abs=0.8 if "drop" in name else 0.015)
    flat = paired_drop(correct[:, 0], reference[:, 0], seed=0) | retention(correct[:, 0], reference[:, 0], seed=0)
    assert flat == once and accuracy_interval(correct, seed=0) == wilson_interval(int(correct.sum()), 150)


def test_the_sign_test_counts_problems_not_repeats():
    correct, reference = np.zeros((5, 9), bool), np.zeros((5, 9), bool)
    reference[:4] = True
    correct[4, :2] = True
    assert paired_drop(correct, reference, seed=0)["mcnemar_p"] == mcnemar_p(4, 1)


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_a_curve_counts_how_many_repeats_each_problem_loses_at_each_threshold(repeats):
    rng, parts, solved = np.random.default_rng(repeats), [], {}
    for name in (f"t{i}" for i in range(12)):
        for repeat in range(repeats):
            solved[name, repeat] = bool(rng.random() < 0.6)
            ends = [-INFINITY, *np.sort(rng.choice(np.arange(1, 9) / 10, rng.integers(0, 5), replace=False)), INFINITY]
            for low, high in zip(ends, ends[1:], strict=False):
                row = decode("kl", low, high, [bool(rng.random() < 0.5)], [2], problems=[name])
                parts.append(row.assign(repeat=repeat))
    reference = pd.Series(solved)
    reference.index.names = ["problem_id", "repeat"]
    rows = pd.concat(parts).sample(frac=1, random_state=0)
    curve = trace_curve(rows, reference, 100, "toy")
    assert len(curve) > 5 and [column for column in curve if column in list_drops(9)] == [*list_drops(repeats)]
    for point in curve.to_dict("records"):
        alone = rows[(rows["threshold_low"] < point["threshold"]) & (point["threshold"] <= rows["threshold"])]
        correct = alone.set_index(["problem_id", "repeat"])["correct"].loc[reference.index]
        drops = (reference.astype(int) - correct.astype(int)).groupby("problem_id").sum()
        for name, size in list_drops(repeats).items():
            assert point[name] == (drops == size).sum()
        assert point["accuracy"] == pytest.approx(correct.mean())


def test_the_recommended_point_counts_a_problem_lost_in_every_repeat_as_one():
    """Of 100 problems of two repeats each: `lost` counts those that lose one repeat more than they win."""
    curve = curve_of([(0.1, 0.9, 4, 0), (0.2, 0.9, 5, 3), (0.3, 0.9, 6, 0)])
    curve = curve.assign(lost_2=[0, 0, 3], won_2=0)
    assert recommend_point(curve, 0.1, 100, 1).threshold == 0.1
    assert recommend_point(curve, 0.1, 100, 1.5).threshold == 0.2
    assert recommend_point(curve, 0.1, 100, 3).threshold == 0.3


def test_rules_are_compared_on_the_same_repeats_and_problems_are_drawn_with_all_of_theirs():
    index = pd.MultiIndex.from_product([list("abcdef"), range(3)], names=["problem_id", "repeat"])
    rng = np.random.default_rng(4)
    best, judge = (
        pd.DataFrame(
            {"correct": rng.random(18) < 0.6, "target_calls": rng.integers(5, 30, 18), "draft_calls": 10}, index=index
        )
        for _ in range(2)
    )
    found = compare_points(judge, best.iloc[::-1], 0.1, seed=3)
    gains = (judge["correct"].astype(float) - best["correct"]).to_numpy().reshape(6, 3)
    times = [(part["target_calls"] + 1).to_numpy().reshape(6, 3).sum(1) for part in (judge, best)]
    assert found["accuracy_gain"] == pytest.approx(100 * gains.mean())
    assert found["speed_ratio"] == pytest.approx(times[1].sum() / times[0].sum())
    draws = np.random.default_rng(3).integers(6, size=(RESAMPLES, 6))
    for name, sample in (
        ("accuracy_gain", 100 * gains[draws].mean((1, 2))),
        ("speed_ratio", times[1][draws].sum(1) / times[0][draws].sum(1)),
    ):
        wanted = np.quantile(sample, [0.025, 0.975])
        assert [found[f"{name}_low"], found[f"{name}_high"]] == pytest.approx(wanted)


def test_a_sweep_with_repeats_has_the_means_of_its_repeats(sweep):
    worse = sweep.assign(repeat=1, correct=sweep["correct"] & (sweep["problem_id"].str[1] != "3"))
    found, once = summarise(pd.concat([sweep, worse])), summarise(sweep)
    row, before = (table["pareto"].set_index("rule").loc["lossless"] for table in (found, once))
    assert (row["problems"], row["repeats"], before["repeats"]) == (4, 2, 1)
    assert row["accuracy"] == 7 / 8 and row["accuracy_low"] < 7 / 8 < row["accuracy_high"] == 1
    assert row["drop"] == row["drop_high"] == 0 and row["speedup"] == pytest.approx(before["speedup"])
    judge = found["pareto"].query("rule == 'judge' and threshold == 0.9").iloc[0]
    assert judge["drop"] == pytest.approx(100 * (7 - 2) / 8)
    assert set(found["curve"]["accuracy"]) >= {7 / 8, 2 / 8}


def test_repeats_that_are_missing_are_refused(sweep):
    lacking = sweep.assign(repeat=1)[sweep["problem_id"] != "t2"]
    with pytest.raises(InputError, match="pair toy: some problems lack repeats.*run again"):
        summarise(pd.concat([sweep, lacking]))


def test_a_truncated_target_is_a_reference_at_each_given_threshold_and_in_the_summary_at_its_rules(sweep):
    def cut(split):
        ends = [-INFINITY, 0.3, 0.7, 0.9]
        solved = ([True] * 4, [True, True, True, False], [True, False, False, False])
        return [
            decode("target_judge", low, high, right, [0] * 4, split, window=0).assign(exact=False)
            for low, high, right in zip(ends, ends[1:], solved, strict=False)
        ]

    given = GIVEN | {"judge": [0.3, 0.7, 0.9], "target_judge": [0.3, 0.7, 0.9]}
    kinds = KINDS | {"target_judge": "reference"}
    found = summarise(pd.concat([sweep, *cut("validation"), *cut("test")]), given=given, kinds=kinds)
    rows = found["pareto"][found["pareto"]["rule"] == "target_judge"].set_index("threshold")
    assert rows["drop"].to_dict() == {0.3: 0, 0.7: 25, 0.9: 75}
    assert rows["recommended"].to_dict() == {0.3: False, 0.7: True, 0.9: False}
    summary = found["summary"].set_index("rule")
    assert summary.loc["judge", "threshold"] == 0.5 and summary.loc["target_judge", "threshold"] == 0.7
    row = summary.loc["target_judge"]
    assert (row["kind"], row["window"], row["inexact"]) == ("reference", 0, 4)
    assert not row["best"] and np.isnan(row["area"])
    pd.testing.assert_frame_equal(
        summary.drop("target_judge"), summarise(sweep, given=given)["summary"].set_index("rule"), check_like=True
    )
