"""Timing keeps to its time, and goes on where transformers' assisted generation fails."""

import logging
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from autojudge.decoding import speed
from autojudge.decoding.speed import ASSISTED, TARGET, Method, Run, Setting, run_method, time_methods
from autojudge.engine.models import load_pair
from autojudge.rules import load_rule
from autojudge.tables.files import read_table, write_table
from autojudge.tables.mining import PROBLEMS
from autojudge.tables.reporting import SPEED, SUMMARY
from measure_speed import measure_speed

METHODS = [Method(TARGET), Method(ASSISTED), Method("lossless", load_rule("lossless"))]


@pytest.fixture
def setting(pair):
    return Setting(pair, window=4, limit=12)


@pytest.fixture
def prompts(problems):
    return [list(row["prompt_tokens"]) for row in problems[:3]]


@pytest.fixture
def slow_machine(monkeypatch):
    """A machine on which a method takes 1 s per prompt at any batch; what it decoded."""
    clock, done = SimpleNamespace(now=100.0), []

    def run(setting, prompts, method, batch):
        clock.now += len(prompts)
        done.append((method.name, setting.window, batch, len(prompts)))
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


def test_rules_are_measured_once_at_further_windows_within_the_same_time(setting, slow_machine):
    rows = time_methods(setting, [[5]] * 4, METHODS, [1, 4], rounds=2, windows=[2, 4, 16], seconds=14 + 28 + 20)
    rounds = {(row["method"], row["window"], row["batch"]): row["rounds"] for row in rows}
    own = {(TARGET, 0, 1), (TARGET, 0, 4), (ASSISTED, 4, 1), ("lossless", 4, 1), ("lossless", 4, 4)}
    assert rounds == dict.fromkeys(own, 2) | {("lossless", 2, 4): 1, ("lossless", 16, 4): 1}


@pytest.mark.parametrize(
    ("fault", "call"),  # the call is one of the trial, of the first and of the second round
    [(ValueError("unlike\nsizes"), 1), (RuntimeError("memory"), 3), (AttributeError("no cache"), 6)],
)
def test_the_run_goes_on_without_assisted_generation_where_it_fails(setting, prompts, monkeypatch, caplog, fault, call):
    calls = []

    def fail(pair, prompt, window, limit, stop):
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


def test_a_failure_of_ours_is_not_hidden(setting, prompts, monkeypatch):
    monkeypatch.setattr(speed, "Decoder", None)
    with pytest.raises(TypeError):
        time_methods(setting, prompts, METHODS, [1], rounds=1)


@pytest.mark.parametrize("stop", [(), (" count",), ("nowhere", "s")])
def test_every_method_does_the_same_work(pair, prompts, stop):
    setting = Setting(pair, window=4, limit=20, stop=stop)
    assert len({run_method(setting, prompts, method, 1).counts["tokens"] for method in METHODS}) == 1


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_time_in_forward_passes_is_counted_once_where_draft_and_target_share_layers(pair_settings, prompts, method):
    pair = load_pair({"target": pair_settings["target"], "draft": {"first_layers": 2}})
    run = run_method(Setting(pair, 4, 12), prompts, method, 1)
    assert 0 < run.outside < run.seconds


def test_the_script_times_a_pair_within_its_minutes(pair_settings, problems, tmp_path):
    rows = [problem | {"split": "test"} for problem in problems[:4]]
    write_table(
        PROBLEMS, [{name: row[name] for name in PROBLEMS.columns} for row in rows], tmp_path / "problems.parquet"
    )
    recommended = pd.DataFrame({name: [np.nan, np.nan] for name in SUMMARY.columns}).astype(object)
    recommended[["pair", "rule", "kind", "best", "threshold"]] = [
        ["p", "lossless", "reference", False, 0.0],
        ["p", "top_k", "training-free", True, 4.0],
    ]
    write_table(SUMMARY, recommended, tmp_path / "summary.csv")
    measure_speed(
        problems=str(tmp_path / "problems.parquet"),
        summary=str(tmp_path / "summary.csv"),
        judge_folder=None,
        name="p",
        pair=pair_settings,
        models={},
        task="arith",
        settings={"problems": 4, "rounds": 9, "batches": [1, 2], "windows": [2, 4], "window": 4, "max_new_tokens": 8}
        | {"rules": {"top_k": {"thresholds": [4]}}},
        minutes=1e-4,
        output=str(tmp_path / "speed.csv"),
    )
    table = read_table(SPEED, tmp_path / "speed.csv")
    assert set(table["method"]) == {TARGET, ASSISTED, "lossless", "top_k"} and len(table) == 9
    assert set(table["rounds"]) == {1} and set(table["problems"]) == {1}
