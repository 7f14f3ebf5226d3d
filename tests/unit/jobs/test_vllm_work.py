"""Measuring in vLLM, for which a small program stands in: what is asked of it, kept, and told where it fails."""

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autojudge.engine.endings import Ending
from autojudge.errors import InputError
from autojudge.jobs.store import Store
from autojudge.jobs.vllm_process import ask_vllm, check_python
from autojudge.jobs.vllm_work import VllmWork
from autojudge.registry import LIBRARY
from autojudge.serving.measuring.methods import Served
from conftest import model_settings

STANDIN = Path(__file__).parent / "vllm_standin.py"
FACTS = {
    "vllm": "0.32.0",
    "is_cpu": True,
    "hardware": "2 cores of a CPU",
    "head_sizes": [32, 64],
    "models": {role: {"head_dim": 64, "vocabulary": 265} for role in ("draft", "target")},
}
PAIR = {role: model_settings(f"models/{role}") for role in ("draft", "target")}
SETTINGS = {"batches": [1, 4], "tensor_parallel_size": 1, "engine": {"gpu_memory_utilization": 0.5}}
SERVED = Served(PAIR, "judge", [0.0, 0.2], 8, Ending(16, frozenset({4}), (), str), 3, SETTINGS)
WORK = VllmWork(SERVED, {"target": {"contents": "t"}}, "judge digest", {"process": "p", "plugin": "q"}, rounds=2)
PROMPTS = [[1], [2], [3]]
SETTING_COUNT = 2 + 2 + 4  # of target, lossless and judge


class Bench:
    """A stand-in for vLLM's Python, and the store of what it measured."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.folder, self.python = folder, folder / "python"
        run = shlex.quote(sys.executable)
        lines = ["#!/bin/sh", '[ "$1" = -c ] && exit $NO_VLLM', f'exec {run} {shlex.quote(str(STANDIN))} "$3"']
        self.python.write_text("\n".join(lines) + "\n")
        self.python.chmod(0o755)
        monkeypatch.setenv("STANDIN", str(folder / "state.json"))
        monkeypatch.setenv("NO_VLLM", "0")
        self.set()

    def set(self, **state) -> None:
        (self.folder / "state.json").write_text(json.dumps({"facts": FACTS} | state))

    def measure(self, work: VllmWork = WORK):
        with Store(self.folder / "store", "measured") as store:
            return work.measure(PROMPTS, store, str(self.python), self.folder / "vllm.log", 8192)

    def asked(self, ask: str = "measure") -> list[dict]:
        lines = (self.folder / "requests.jsonl").read_text().splitlines()
        return [request for request in map(json.loads, lines) if request["ask"] == ask]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


def test_each_method_has_an_engine_that_measures_its_settings(bench):
    facts, measured = bench.measure()
    assert facts == FACTS and "vLLM prints much" in (bench.folder / "vllm.log").read_text()
    assert [(row["method"], row["batch"], row["threshold"]) for row in measured] == [
        *(("target", 1, None), ("target", 4, None), ("lossless", 1, None), ("lossless", 4, None)),
        *(("judge", 1, 0.0), ("judge", 1, 0.2), ("judge", 4, 0.0), ("judge", 4, 0.2)),
    ]
    assert measured[-1]["responses"] == [[n, 8, 8, 4] for n in (1, 2, 3)] != measured[-2]["responses"]
    target, lossless, judge = bench.asked()
    assert all(request["plugins"] == ["autojudge.serving:register"] for request in (target, lossless, judge))
    assert all(request["bind"] == "nobind" for request in bench.asked() + bench.asked("facts"))
    assert [request["counts_judge"] for request in (target, lossless, judge)] == [False, False, True]
    assert judge["engine"]["additional_config"]["autojudge"]["judge"] == "judge" and judge["rounds"] == 2


def test_what_is_measured_is_kept_and_a_setting_more_measures_that_one_alone(bench):
    first = bench.measure()
    assert bench.measure() == first and len(bench.asked()) == 3
    bench.measure(replace(WORK, served=replace(SERVED, thresholds=[0.0, 0.1, 0.2])))
    assert [setting["extra_args"] for setting in bench.asked()[-1]["settings"]] == 2 * [{"autojudge_threshold": 0.1}]
    assert len(bench.asked()) == 4
    bench.measure(replace(WORK, judge="another"))
    assert len(bench.asked()) == 5 and bench.asked()[-1]["counts_judge"]


@pytest.mark.parametrize("changed", ["code", "engine", "hardware", "window", "rounds"])
def test_what_a_measurement_depends_on_measures_all_again(bench, changed):
    bench.measure()
    other = {
        "code": replace(WORK, code={"process": "other", "plugin": "q"}),
        "engine": replace(WORK, served=replace(SERVED, settings=SETTINGS | {"engine": {}})),
        "window": replace(WORK, served=replace(SERVED, window=4)),
        "rounds": replace(WORK, rounds=1),
    }
    if changed == "hardware":
        bench.set(facts=FACTS | {"hardware": "another CPU"})
    bench.measure(other.get(changed, WORK))
    assert sum(len(request["settings"]) for request in bench.asked()) == 2 * SETTING_COUNT


def test_a_failed_run_keeps_what_was_measured_and_goes_on(bench):
    bench.set(fail_after=1, says="RuntimeError: out of memory")
    with pytest.raises(InputError, match=r"status 1\): RuntimeError: out of memory.*vllm\.log"):
        bench.measure()
    bench.set()
    bench.measure()
    assert [len(request["settings"]) for request in bench.asked()] == [2, 1, 2, 4]


def test_of_a_long_log_the_plugins_refusal_is_told(bench):
    says = "ValueError: autojudge refuses to start: another pair\nRuntimeError: Engine failed. See root cause above."
    bench.set(fail_after=0, says=says)
    with pytest.raises(InputError, match="autojudge refuses to start: another pair"):
        bench.measure()


SLOW_VLLM = """
import os, pathlib, time
SamplingParams = None
def LLM(**_):
    pathlib.Path(os.environ["STARTED"]).write_text(str(os.getpid()))
    time.sleep(600)
"""
ASK = """
import pathlib, sys
from autojudge.jobs.vllm_process import ask_vllm
request = {"engine": {}, "prompts": [], "settings": []}
list(ask_vllm(sys.executable, "measure", request, pathlib.Path("vllm.log"), 4096))
"""


def wait_for(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("nothing came in 30 seconds")


def has_ended(number):
    try:
        return "\nState:\tZ" in Path(f"/proc/{number}/status").read_text()
    except FileNotFoundError:
        return True


def test_a_killed_job_leaves_no_vllm_behind(tmp_path):
    (tmp_path / "vllm.py").write_text(SLOW_VLLM)
    started, paths = tmp_path / "started", os.pathsep.join([str(LIBRARY.parent), str(tmp_path)])
    environment = os.environ | {"STARTED": str(started), "PYTHONPATH": paths}
    with subprocess.Popen([sys.executable, "-c", ASK], cwd=tmp_path, env=environment) as job:
        wait_for(lambda: started.exists() and started.read_text())
        assert not has_ended(int(started.read_text()))
        job.kill()
    wait_for(lambda: has_ended(int(started.read_text())))


def test_its_input_stays_open_until_it_has_ended(tmp_path):
    lines = ["import os, select, sys, time", "sys.stdin.readline()", "print('{}', flush=True)", "os.close(1)"]
    lines += ["time.sleep(0.5)", "os._exit(3 if select.select([0], [], [], 0)[0] else 0)"]
    python = tmp_path / "python"
    python.write_text("\n".join([f"#!{sys.executable}", *lines]))
    python.chmod(0o755)
    assert list(ask_vllm(str(python), "facts", {}, tmp_path / "vllm.log", 4096)) == [{}]


def test_a_python_that_is_not_there_or_has_no_vllm_is_told_with_the_remedy(bench, monkeypatch):
    with pytest.raises(
        InputError, match=r"`vllm.python`: /no/python cannot be run.*--software-deployment-method conda"
    ):
        check_python("/no/python")
    monkeypatch.setenv("NO_VLLM", "1")
    with pytest.raises(InputError, match=r"has no vLLM.*docs/serving.md"):
        bench.measure()


def test_an_unknown_version_and_models_that_cannot_be_served_are_refused_before_any_engine(bench):
    wide = {"draft": {"head_dim": 64, "vocabulary": 265}, "target": {"head_dim": 40, "vocabulary": 265}}
    padded = {"draft": {"head_dim": 64, "vocabulary": 265}, "target": {"head_dim": 64, "vocabulary": 320}}
    refused = {"does not know": {"vllm": "0.99.1"}, "heads of 40": {"models": wide}, "320": {"models": padded}}
    for message, facts in refused.items():
        bench.set(facts=FACTS | facts)
        with pytest.raises(InputError, match=message):
            bench.measure()
    assert bench.asked() == []
