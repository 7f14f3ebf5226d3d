"""Faults without a scheduler: whatever ends a run, the same command ends with the tables of an undisturbed one."""

import contextlib
import os
import random
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from experiment import FIGURE, MINED, RESULTS, SHARDS, Experiment, agree, kill

from autojudge.tables.files import read_table
from autojudge.tables.mining import RESPONSES

pytestmark = pytest.mark.skipif("AUTOJUDGE_SLURM" not in os.environ, reason="run `make test-cluster`")

KILLS = 30


@pytest.fixture
def experiment(tmp_path):
    return Experiment(tmp_path, slurm=False)


def kill_mining(experiment: Experiment) -> tuple[str, list[str]]:
    """Kill a whole run while a shard is mined; return the shard and its finished problems."""
    child = experiment.start(MINED)
    _, shard, finished = experiment.stop_mining(4)
    kill(child)
    return shard, finished


def test_a_killed_mining_process_is_resumed(experiment, undisturbed):
    child = experiment.start(MINED)
    process, shard, finished = experiment.stop_mining(4)
    kill(process)
    assert experiment.end(child) != 0
    assert experiment.finished(shard)[: len(finished)] == finished
    experiment.run(MINED)
    assert experiment.resumed >= len(finished)
    agree(experiment.folder, undisturbed)


def test_a_torn_store_loses_its_torn_problem_only(experiment, undisturbed):
    shard, _ = kill_mining(experiment)
    pieces = experiment.pieces(shard)
    pieces.write_bytes(pieces.read_bytes()[:-20])
    whole = len(experiment.finished(shard))
    experiment.run("--unlock")
    experiment.run(MINED)
    log = (experiment.folder / f"logs/mine_labels/arith/testbed/{shard}.log").read_text()
    assert f"store: {whole} taken" in log
    agree(experiment.folder, undisturbed)


def test_a_second_run_in_one_folder_is_refused(experiment, undisturbed):
    child = experiment.start(MINED)
    process, _, _ = experiment.stop_mining(1)
    experiment.fail(MINED)
    assert "cannot be locked" in experiment.log
    process.resume()
    experiment.finish(child)
    agree(experiment.folder, undisturbed)


def test_a_full_disk_loses_no_finished_problem(experiment, undisturbed):
    folder = experiment.pieces(SHARDS[0]).parent
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", folder], check=True)
    try:
        experiment.fail(MINED)
        assert "No space left on device" in experiment.log
        finished = {shard: experiment.finished(shard) for shard in SHARDS}
        assert any(finished.values())
        subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
        experiment.run(MINED)
    finally:
        subprocess.run(["umount", folder], check=True)
    for shard, problems in finished.items():
        log = (experiment.folder / f"logs/mine_labels/arith/testbed/{shard}.log").read_text()
        assert f"store: {len(problems)} taken" in log
    agree(experiment.folder, undisturbed)


def test_a_truncated_shard_is_named_at_gather(experiment, undisturbed):
    experiment.run(MINED)
    shard = experiment.folder / RESULTS / "features" / f"{SHARDS[1]}.parquet"
    shard.write_bytes(shard.read_bytes()[:-200])
    experiment.fail(FIGURE)
    assert f"{RESULTS}/features/{SHARDS[1]}.parquet" in experiment.job_logs("gather_labels")
    assert not (experiment.folder / RESULTS / "judge").exists(), "nothing is trained on it"
    shard.unlink()
    experiment.run(MINED)
    agree(experiment.folder, undisturbed)


def test_a_shard_whose_end_was_not_seen_is_not_mined_again(experiment, undisturbed):
    shard = [
        experiment.folder / RESULTS / table / f"{SHARDS[0]}.parquet" for table in ("labels", "features", "responses")
    ]
    experiment.run(f"{RESULTS}/labels/{SHARDS[0]}.parquet")
    mined = experiment.finished(SHARDS[0])
    for file in shard:
        file.unlink()  # as snakemake does with the outputs of a job whose end it did not see
    experiment.run(MINED)
    assert experiment.finished(SHARDS[0]) == mined
    assert len(mined) == len(read_table(RESPONSES, shard[-1])) == experiment.resumed
    agree(experiment.folder, undisturbed)


def test_a_comment_between_two_runs_costs_no_finished_problem(experiment, undisturbed):
    _, finished = kill_mining(experiment)
    code = experiment.folder / "workflow_scripts/autojudge/engine/endings.py"
    code.write_text(code.read_text() + "\n# a comment\n")
    experiment.run("--unlock")
    experiment.run(MINED)
    assert experiment.resumed >= len(finished)
    agree(experiment.folder, undisturbed)


def steps(experiment: Experiment) -> int:
    """Pieces of the store and files of results: what a run has finished."""
    count = 0
    for folder, _, names in os.walk(experiment.folder / "results"):
        count += len(names)
        for name in names:
            if name.endswith(".pieces"):
                count += Path(folder, name).read_bytes().count(b"\n")
    return count


def test_thirty_random_kills_over_a_whole_run_lose_no_finished_problem(experiment, undisturbed):
    rng, restarts = random.Random(0), 0
    known = {(stage, shard): [] for stage in ("mining", "sweep") for shard in SHARDS}
    child = experiment.start(FIGURE, "--retries", str(KILLS))
    for count in range(KILLS):
        begin, wanted = steps(experiment), rng.randint(0, 4)
        while not (jobs := experiment.jobs()) or steps(experiment) in range(begin, begin + wanted):
            assert child.poll() is None, f"the run ended after {count} kills: {experiment.log[-6000:]}"
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.2))
        if rng.random() < 0.3:
            kill(child)
            restarts += 1
        else:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself since
                kill(rng.choice(jobs))
        for (stage, shard), before in known.items():
            now = experiment.finished(shard, stage)
            assert now[: len(before)] == before, "nothing finished is lost"
            assert len(set(now)) == len(now), "or done again"
            known[stage, shard] = now
        if child.poll() is not None:
            child = experiment.start(FIGURE, "--retries", str(KILLS), "--nolock")
    experiment.finish(child)
    assert restarts >= 5
    agree(experiment.folder, undisturbed)
