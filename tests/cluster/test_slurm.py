"""The workflow on a real Slurm: the literal command runs it, each shard sees its GPU, faults lose nothing."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from test_workflow import Clone

from autojudge.schemas import read_table

pytestmark = pytest.mark.skipif("AUTOJUDGE_SLURM" not in os.environ, reason="no Slurm: run `make test-cluster`")
SMALL = """
datasets: {arith: {problems: {train: 48, validation: 24, test: 24}}}
pairs: {testbed: {gpus: 1, mem_mb: 1500, runtime: 10}}
judge:
  feature_sets: {all_tokens: null, target_tokens: null, draft_at_draft: null, target_at_draft: null,
                 target_at_draft+scalars: null, draft_at_draft+target_at_draft+scalars: null}
  classifiers: {logistic_regression: {C: [0.001, 0.01]}, sparse_regression: {features: [4]},
                boosting: {n_estimators: [8]}, mlp: {hidden_units: [8]}, random_forest: {n_estimators: [8]}}
  select: {thresholds: 5, feature_sets: [draft_at_draft+target_at_draft, scalars]}
  mem_mb: 1500
decoding: {rules: [lossless, always, kl_divergence, judge, oracle]}
tracking: {mode: disabled}
"""
TABLES = "results/arith/testbed"
KEYS = {"labels": ["problem_id", "position"], "sweep": ["problem_id", "rule", "threshold"]}
LIMIT = 900  # seconds for a whole run


class Cluster(Clone):
    """A clone whose site has edited slurm/config.yaml: no accounting database, quick status checks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        profile = folder / "slurm/config.yaml"
        text = profile.read_text().replace("# slurm-status-command: squeue", "slurm-status-command: squeue")
        profile.write_text(text.replace("latency-wait: 30", "latency-wait: 5") + QUICK)
        (folder / "small.yaml").write_text(SMALL)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "all", *arguments, "--configfile", "small.yaml"]

    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def start(self, *arguments: str) -> subprocess.Popen:
        log = (self.folder / "run.log").open("a")
        command = self.command("--profile", "slurm", *arguments)
        return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, env=self.environment())

    def run(self, *arguments: str) -> str:
        child = self.start(*arguments)
        code = child.wait(timeout=LIMIT)
        log = (self.folder / "run.log").read_text()
        assert code == 0, log[-6000:]
        return log

    def wait_for_mining(self, finished: int) -> tuple[str, int]:
        """Wait until a shard in work has finished some problems; return its Slurm job and that number."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            for journal in (self.folder / TABLES / "journal/mine").glob("*.jsonl"):
                lines = max(0, len(journal.read_bytes().splitlines()) - 1)
                if lines >= finished:
                    jobs = [job for job in squeue() if journal.stem in job[1]]
                    if jobs:
                        return jobs[0][0], lines
            time.sleep(0.2)
        raise AssertionError((self.folder / "run.log").read_text()[-4000:])


QUICK = "slurm-init-seconds-before-status-checks: 2\n"


def squeue() -> list[tuple[str, str]]:
    """Return (job id, comment) of the jobs that are queued or running."""
    text = subprocess.run(["squeue", "-h", "-o", "%A|%k"], capture_output=True, text=True, timeout=20).stdout
    return [tuple(line.split("|", 1)) for line in text.splitlines() if line]


def agree(ours: Path, theirs: Path) -> None:
    """Assert that two runs mined the same labels and decoded the same responses."""
    for table, keys in KEYS.items():
        a, b = (read_table(table, folder / TABLES / f"{table}.parquet") for folder in (ours, theirs))
        a, b = (frame.sort_values(keys).reset_index(drop=True) for frame in (a, b))
        for column in ("problem_id", "important", "alternative_answer", "rule", "correct", "answer", "cycles"):
            if column in a:
                assert a[column].equals(b[column]), (table, column)
    a, b = (pd.read_csv(folder / "results/arith_pareto.csv") for folder in (ours, theirs))
    np.testing.assert_allclose(a["accuracy"], b["accuracy"])


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """The folder of an undisturbed run without Slurm."""
    clone = Cluster(tmp_path_factory.mktemp("local"))
    (clone.folder / "small.yaml").write_text(SMALL.replace("gpus: 1", "gpus: 0"))
    command = clone.command("results/arith_pareto.pdf")
    result = subprocess.run(command, cwd=clone.folder, capture_output=True, text=True, env=clone.environment())
    assert result.returncode == 0, result.stdout + result.stderr
    return clone.folder


def test_the_literal_command_runs_the_experiment_as_slurm_jobs(tmp_path, local):
    clone = Cluster(tmp_path)
    log = clone.run("results/arith_pareto.pdf")
    submitted = re.findall(r"has been submitted with SLURM jobid", log)
    assert len(submitted) >= 8
    seen = {}
    for shard in ("1-of-2", "2-of-2"):
        text = (clone.folder / f"logs/mine_labels/arith/testbed/{shard}.log").read_text()
        seen[shard] = re.search(r"CUDA_VISIBLE_DEVICES (\S+)", text)[1]
    assert set(seen.values()) <= {"0", "1"}, "each shard sees one GPU"
    assert (clone.folder / "results/arith_pareto.pdf").stat().st_size > 1000
    agree(clone.folder, local)


def test_a_cancelled_shard_is_resumed_and_mines_nothing_twice(tmp_path, local):
    clone = Cluster(tmp_path)
    child = clone.start("results/arith_pareto.pdf")
    job, finished = clone.wait_for_mining(4)
    subprocess.run(["scancel", job], check=True, timeout=20)
    assert child.wait(timeout=LIMIT) == 0, (clone.folder / "run.log").read_text()[-6000:]
    logs = "".join(path.read_text() for path in (clone.folder / "logs/mine_labels/arith/testbed").glob("*.log"))
    assert any(int(n) >= finished for n in re.findall(r"resumes with (\d+) finished", logs))
    agree(clone.folder, local)


def test_a_killed_snakemake_goes_on_where_it_was(tmp_path, local):
    clone = Cluster(tmp_path)
    child = clone.start("results/arith_pareto.pdf")
    clone.wait_for_mining(2)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    second = clone.start("results/arith_pareto.pdf")
    assert second.wait(timeout=60) != 0, "the folder is locked"
    log = (clone.folder / "run.log").read_text()
    assert "--unlock" in log, "the error tells what to do"
    for job, _ in squeue():
        subprocess.run(["scancel", job], check=True, timeout=20)
    while squeue():
        time.sleep(0.5)
    subprocess.run([*clone.command(), "--unlock"], cwd=clone.folder, check=True, env=clone.environment())
    clone.run("results/arith_pareto.pdf")
    agree(clone.folder, local)
