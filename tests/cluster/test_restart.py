"""Slurm's controller is restarted during a run; a pytest run of its own, as it would disturb every other test."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from experiment import LIMIT, MINED, Experiment, agree

pytestmark = pytest.mark.skipif("AUTOJUDGE_SLURM" not in os.environ, reason="run `make test-cluster`")


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_restarted_controller_disturbs_nothing(tmp_path):
    undisturbed = Experiment(tmp_path / "undisturbed", slurm=False)
    undisturbed.run(MINED)
    experiment = Experiment(tmp_path / "disturbed", slurm=True)
    child = experiment.start(MINED, "--verbose")
    process, _, _ = experiment.stop_mining(4)
    pid = int(Path("/run/slurmctld.pid").read_text())
    os.kill(pid, 15)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    process.resume()
    wait_until(lambda: "SLURM query command failed" in experiment.log)
    time.sleep(10)  # several more questions without an answer
    subprocess.run(["slurmctld"], check=True, timeout=30)
    experiment.finish(child)
    agree(experiment.folder, undisturbed.folder)
