"""Timing keeps to its time, each method at its own window, and goes on where transformers fails."""

import logging
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from autojudge.decoding import speed
from autojudge.decoding.speed import (
    ASSISTED,
    DYNAMIC,
    TARGET,
    Method,
    Run,
    Setting,
    choose_methods,
    run_method,
    time_methods,
)
from autojudge.engine.models import load_pair
from autojudge.rules import load_rule
from autojudge.tables.files import read_table, write_table
from autojudge.tables.mining import PROBLEMS
from autojudge.tables.reporting import SPEED, SUMMARY
from measure_speed import measure_speed

METHODS = [Method(TARGET), Method(ASSISTED, window=4), Method("lossless", load_rule("lossless"), window=4)]
EARLY = Method(DYNAMIC, threshold=0.4, window=20)


@pytest.fixture
def setting(pair):
    return Setting(pair, limit=12)


@pytest.fixture
def prompts(problems):
    return [list(row["prompt_tokens"]) for row in problems[:3]]


@pytest.fixture
def slow_machine(monkeypatch):
    """A machine on which a method takes 1 s per prompt at any batch; what it decoded."""
    clock, done = SimpleNamespace(now=100.0), []

    def run(setting, prompts, method, batch):
        clock.now += len(prompts)
        done.append((method.name, method.window, batch, len(prompts)))
        return Run(float(len(prompts)), 0.0, {"tokens": 10, "target_calls": 5, "draft_calls": 5})

    monkeypatch.setattr(speed, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(speed, "run_method", run)
    return SimpleNamespace(clock=clock, done=done)


# Three methods at batch 1, two of them at 4 too; the trial takes 2 prompts, 10 s
@pytest.mark.parametrize(
    ("seconds", "problems", "rounds"),
    [
        (math.inf, 8, 3),
        (10 + 3 * 40, 8, 3),
        (10 + 3 * 40 - 1, 8, 2),
        (10 + 40, 8, 1),
        (10 + 39, 7, 1),
        (10 + 12, 2, 1),
        (10 + 5, 1, 1),
        (10 + 4, 1, 1),
        (3, 1, 1),
    ],
)
def test_rounds_stop_where_the_time_is_up_and_every_method_has_as_many(
    setting, slow_machine, seconds, problems, rounds
):
    rows = time_methods(setting, [[5]] * 8, METHODS, [1, 4], rounds=3, seconds=seconds)
    assert {(row["method"], row["batch"]) for row in rows} == {
        (TARGET, 1), (TARGET, 4), (ASSISTED, 1), ("lossless", 1), ("lossless", 4),
    }  # fmt: skip
    assert {(row["problems"], row["rounds"]) for row in rows} == {(problems, rounds)}
    assert slow_machine.clock.now - 100 <= max(seconds, 10 + 5)
    assert [done[3] for done in slow_machine.done] == [2] * 5 + [problems] * 5 * rounds


def test_a_single_prompt_is_its_own_trial(setting, slow_machine):
    rows = time_methods(setting, [[5]], METHODS, [1], rounds=2, seconds=9)
    assert {(row["problems"], row["rounds"]) for row in rows} == {(1, 2)}


def test_each_method_keeps_its_own_window_and_transformers_take_prompts_one_by_one(setting, slow_machine):
    methods = [*METHODS, EARLY, Method("top_k", load_rule("top_k"), 4.0, 16)]
    rows = time_methods(setting, [[5]] * 3, methods, [1, 4], rounds=2)
    windows = {TARGET: 0, ASSISTED: 4, DYNAMIC: 20, "lossless": 4, "top_k": 16}
    assert {(row["method"], row["window"]) for row in rows} == set(windows.items())
    assert {(name, window) for name, window, *_ in slow_machine.done} == set(windows.items())
    assert {row["method"] for row in rows if row["batch"] == 4} == {TARGET, "lossless", "top_k"}


SUMMARY_ROWS = [  # rule, kind, best, threshold, window
    ("always", "reference", False, 1.0, 32),
    ("judge", "judge", False, 0.3, 16),
    ("kl_divergence", "training-free", False, 0.5, 8),
    ("lossless", "reference", False, 0.0, 4),
    ("oracle", "oracle", False, 1.0, 32),
    ("top_k", "training-free", True, 8.0, 2),
]


def summary_of(rows):
    return pd.DataFrame(rows, columns=["rule", "kind", "best", "threshold", "window"])


@pytest.mark.parametrize("drafts", [True, False])
@pytest.mark.parametrize("lossless_window", [4, 32])
def test_methods_take_their_points_from_the_summary(drafts, lossless_window):
    summary = summary_of(SUMMARY_ROWS)
    summary.loc[summary["rule"] == "lossless", "window"] = lossless_window
    found = [(m.name, m.threshold, m.window) for m in choose_methods(summary, drafts, {})]
    assisted = [(ASSISTED, 0.0, lossless_window), (DYNAMIC, 0.4, 20)] if drafts else []
    rules = [("lossless", 0.0, lossless_window), ("judge", 0.3, 16), ("top_k", 8.0, 2)]
    assert found == [(TARGET, 0.0, 0), *assisted, *rules]


@pytest.mark.parametrize(
    ("fault", "call"),  # the call is one of the trial, of the first and of the second round
    [(ValueError("unlike\nsizes"), 1), (RuntimeError("memory"), 3), (AttributeError("no cache"), 6)],
)
def test_the_run_goes_on_without_assisted_generation_where_it_fails(setting, prompts, monkeypatch, caplog, fault, call):
    calls = []

    def fail(pair, prompt, window, limit, stop, confidence):
        calls.append(prompt)
        if len(calls) >= call:
            raise fault
        return [5] * 4

    monkeypatch.setattr(speed, "assist", fail)
    with caplog.at_level(logging.INFO, "autojudge"):
        rows = time_methods(setting, prompts, METHODS, [1], rounds=2)
    had = [row["rounds"] for row in rows if row["method"] == ASSISTED]
    assert had == ([1] if call == 6 else [])
    assert {row["rounds"] for row in rows if row["method"] != ASSISTED} == {2}
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "assisted generation is left out" in warning.getMessage() and type(fault).__name__ in warning.getMessage()
    assert "\n" not in warning.getMessage()


def test_one_way_of_assisting_may_fail_without_the_other(setting, prompts, monkeypatch, caplog):
    def fail(pair, prompt, window, limit, stop, confidence):
        if confidence:
            raise ValueError("no confidence")
        return [5] * 4

    monkeypatch.setattr(speed, "assist", fail)
    rows = time_methods(setting, prompts, [*METHODS, EARLY], [1], rounds=1)
    assert {row["method"] for row in rows} == {TARGET, ASSISTED, "lossless"}
    assert "assisted generation, dynamic is left out" in caplog.text


def test_a_failure_of_ours_is_not_hidden(setting, prompts, monkeypatch):
    monkeypatch.setattr(speed, "Decoder", None)
    with pytest.raises(TypeError):
        time_methods(setting, prompts, METHODS, [1], rounds=1)


@pytest.mark.parametrize("stop", [(), (" count",), ("nowhere", "s")])
def test_every_method_does_the_same_work(pair, prompts, stop):
    setting, methods = Setting(pair, limit=20, stop=stop), [*METHODS, EARLY]
    assert len({run_method(setting, prompts, method, 1).counts["tokens"] for method in methods}) == 1


@pytest.mark.parametrize("method", [*METHODS, EARLY], ids=lambda method: method.name)
def test_time_in_forward_passes_is_counted_once_where_draft_and_target_share_layers(pair_settings, prompts, method):
    pair = load_pair({"target": pair_settings["target"], "draft": {"first_layers": 2}})
    run = run_method(Setting(pair, 12), prompts, method, 1)
    assert 0 < run.outside < run.seconds


def test_the_script_times_a_pair_within_its_minutes(pair_settings, problems, tmp_path):
    rows = [problem | {"split": "test"} for problem in problems[:4]]
    write_table(
        PROBLEMS, [{name: row[name] for name in PROBLEMS.columns} for row in rows], tmp_path / "problems.parquet"
    )
    recommended = pd.DataFrame({name: [np.nan, np.nan] for name in SUMMARY.columns}).astype(object)
    recommended[["pair", "rule", "kind", "best", "threshold", "window"]] = [
        ["p", "lossless", "reference", False, 0.0, 2],
        ["p", "top_k", "training-free", True, 4.0, 8],
    ]
    write_table(SUMMARY, recommended, tmp_path / "summary.csv")
    (tmp_path / "call_cost.json").write_text('{"ratio": 0.125}')
    measure_speed(
        problems=str(tmp_path / "problems.parquet"),
        summary=str(tmp_path / "summary.csv"),
        cost=str(tmp_path / "call_cost.json"),
        judge_folder=None,
        name="p",
        pair=pair_settings,
        models={},
        task="arith",
        settings={"problems": 4, "rounds": 9, "batches": [1, 2], "max_new_tokens": 8, "minutes": 1e-4}
        | {"rules": {"top_k": {"thresholds": [4]}}},
        output=str(tmp_path / "speed.csv"),
    )
    table = read_table(SPEED, tmp_path / "speed.csv")
    windows = {TARGET: 0, ASSISTED: 2, DYNAMIC: 20, "lossless": 2, "top_k": 8}
    assert dict(zip(table["method"], table["window"], strict=True)) == windows and len(table) == 8
    assert set(table["rounds"]) == {1} and set(table["problems"]) == {1} and set(table["call_cost_ratio"]) == {0.125}
