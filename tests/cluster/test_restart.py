"""Slurm's controller is restarted during a run; a pytest run of its own, as it would disturb every other test."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from experiment import MINED, Experiment, agree

pytestmark = pytest.mark.skipif("AUTOJUDGE_SLURM" not in os.environ, reason="run `make test-cluster`")


def test_a_restarted_controller_disturbs_nothing(tmp_path, undisturbed):
    experiment = Experiment(tmp_path, slurm=True)
    child = experiment.start(MINED, "--verbose")
    process, _, _ = experiment.stop_mining(4)
    pid = int(Path("/run/slurmctld.pid").read_text())
    os.kill(pid, 15)
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.1)
    process.resume()
    while "SLURM query command failed" not in experiment.log:
        assert child.poll() is None, experiment.log[-6000:]
        time.sleep(0.5)
    time.sleep(10)  # several more questions without an answer
    subprocess.run(["slurmctld"], check=True, timeout=30)
    experiment.finish(child)
    agree(experiment.folder, undisturbed)
