"""The workflow on a real Slurm: the literal command runs it, each shard sees its GPU, faults lose nothing."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from experiment import FIGURE, MINED, SHARDS, Experiment, agree, kill

pytestmark = pytest.mark.skipif("AUTOJUDGE_SLURM" not in os.environ, reason="run `make test-cluster`")


def slurm(*command: str) -> str:
    """Run a command of Slurm's."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def queued(experiment: Experiment) -> list[str]:
    """An experiment's jobs that wait or run."""
    lines = slurm("squeue", "-h", "-o", "%A %Z").splitlines()
    return [line.split()[0] for line in lines if line.endswith(f" {experiment.folder}")]


def mining_jobs(experiment: Experiment, shard: str) -> list[dict[str, str]]:
    """What Slurm tells of the jobs that mined a shard, in order of submission."""
    text = experiment.log
    numbers = re.findall(rf"submitted with SLURM jobid (\d+) \(log: \S*rule_mine_labels/\S*{shard}", text)
    return [dict(re.findall(r"(\w+)=(\S*)", slurm("scontrol", "-o", "show", "job", number))) for number in numbers]


def end_resumed(experiment: Experiment, child: subprocess.Popen, finished: list[str], undisturbed: Path) -> None:
    """Assert that a run succeeds, that finished problems were not mined again, and that nothing else is different."""
    experiment.finish(child)
    assert experiment.resumed >= len(finished)
    agree(experiment.folder, undisturbed)


@pytest.fixture
def experiment(tmp_path):
    """A small experiment on Slurm; what a failed test leaves in the queue is cancelled."""
    experiment = Experiment(tmp_path, slurm=True)
    yield experiment
    for job in queued(experiment):
        slurm("scancel", job)


def test_the_literal_command_runs_the_experiment_as_slurm_jobs(experiment, undisturbed):
    child = experiment.start(FIGURE)
    first, _, _ = experiment.stop_mining(1)
    while len(experiment.jobs("mine_labels")) < len(SHARDS):
        assert child.poll() is None, experiment.log[-6000:]
        time.sleep(0.2)
    first.resume()
    experiment.finish(child)
    assert len(re.findall("has been submitted with SLURM jobid", experiment.log)) >= 8
    logs = [(experiment.folder / f"logs/mine_labels/arith/testbed/{shard}.log").read_text() for shard in SHARDS]
    gpus = [re.search(r"CUDA_VISIBLE_DEVICES (\S+)", log)[1] for log in logs]
    assert sorted(gpus) == ["0", "1"], "each of two shards side by side sees a GPU of its own"
    assert (experiment.folder / FIGURE).stat().st_size > 1000
    agree(experiment.folder, undisturbed)


def test_preflight_leaves_gpus_to_the_scheduler(experiment):
    experiment.run("preflight")
    assert "1 per job, given by the scheduler" in experiment.log


def test_a_cancelled_shard_is_resumed(experiment, undisturbed):
    child = experiment.start(MINED)
    _, shard, finished = experiment.stop_mining(4)
    slurm("scancel", mining_jobs(experiment, shard)[0]["JobId"])
    end_resumed(experiment, child, finished, undisturbed)


def test_a_killed_mining_process_is_resumed_with_more_memory(experiment, undisturbed):
    child = experiment.start(MINED)
    process, shard, finished = experiment.stop_mining(4)
    kill(process)
    end_resumed(experiment, child, finished, undisturbed)
    first, second = mining_jobs(experiment, shard)
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("1500M", "3000M")


def test_a_shard_out_of_time_goes_on_with_more(tmp_path, undisturbed):
    experiment = Experiment(tmp_path, slurm=True, pair={"runtime": 1})
    child = experiment.start(MINED)
    _, shard, finished = experiment.stop_mining(4)  # it stands still until its time is over
    end_resumed(experiment, child, finished, undisturbed)
    first, second = mining_jobs(experiment, shard)
    assert (first["JobState"], second["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert (first["TimeLimit"], second["TimeLimit"]) == ("00:01:00", "00:02:00")


def test_a_shard_out_of_memory_goes_on_with_more(tmp_path, undisturbed):
    experiment = Experiment(tmp_path, slurm=True, pair={"mem_mb": 600}, mining={"memory_mb": 1500})
    experiment.run(MINED)
    for shard in SHARDS:
        *killed, last = mining_jobs(experiment, shard)
        assert killed and last["JobState"] == "COMPLETED"
        for job in killed:
            (log,) = (experiment.folder / "logs/slurm").rglob(f"{job['JobId']}.log")
            assert f"StepId={job['JobId']}.0 exceeded memory limit" in log.read_text()
        assert int(last["MinMemoryNode"].strip("M")) > int(killed[0]["MinMemoryNode"].strip("M"))
    agree(experiment.folder, undisturbed)


def test_a_killed_snakemake_goes_on_where_it_was(experiment, undisturbed):
    child = experiment.start(MINED)
    process, _, finished = experiment.stop_mining(4)
    kill(child)
    experiment.fail(MINED)
    assert "--unlock" in experiment.log, "the error tells what to do"
    process.resume()
    slurm("scancel", "--name=" + re.findall(r"SLURM run ID: (\S+)", experiment.log)[0])
    while queued(experiment):
        time.sleep(0.5)
    experiment.run("--unlock")
    end_resumed(experiment, experiment.start(MINED), finished, undisturbed)
