"""The small experiment that is disturbed: started, watched, struck, and compared with an undisturbed run."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from clone import RESULTS, Clone

from autojudge.tables.dictionary import TABLES
from autojudge.tables.files import read_table

SMALL = """
datasets: {arith: {problems: {train: 24, validation: 12, test: 12}}}
pairs: {testbed: {gpus: 1, mem_mb: 1500, runtime: 10}}
mining: {batch: 4}
judge:
  feature_sets: {all_tokens: null, target_tokens: null, draft_at_draft: null, target_at_draft: null,
                 target_at_draft+scalars: null, draft_at_draft+target_at_draft+scalars: null,
                 target_scalars: null, target_at_draft+target_scalars: null}
  classifiers: {logistic_regression: {C: [0.001, 0.01]}, sparse_regression: {features: [4]},
                boosting: {n_estimators: [8]}, mlp: {hidden_units: [8]}, random_forest: {n_estimators: [8]}}
  select: {thresholds: 5, feature_sets: [draft_at_draft+target_at_draft, scalars]}
  mem_mb: 1500
decoding: {windows: [8], rules: [lossless, always, kl_divergence, judge, oracle]}
speed: {threads: 1}
tracking: {mode: disabled}
"""
QUICK = "slurm-init-seconds-before-status-checks: 2\n"
SHARDS = ("1-of-2", "2-of-2")
MINED = f"{RESULTS}/labels.parquet"
FIGURE = "results/arith_pareto.pdf"
KEYS = {"labels": ["problem_id", "position"], "sweep": ["problem_id", "rule", "threshold"]}
COMPARED = ("problem_id", "important", "alternative_answer", "rule", "correct", "answer", "cycles")
LIMIT = 600  # seconds for a run


class Experiment(Clone):
    """A clone with the small config; its site has edited slurm/config.yaml.

    Parameters
    ----------
    folder : Path
        Where the clone is made.
    slurm : bool
        Whether jobs are submitted to Slurm, with a GPU each, or run by snakemake itself.
    pair, mining : dict of int, optional
        Entries that differ from the small config's.
    """

    def __init__(
        self, folder: Path, slurm: bool, pair: dict[str, int] | None = None, mining: dict[str, int] | None = None
    ) -> None:
        super().__init__(folder)
        self.slurm = slurm
        profile = folder / "slurm/config.yaml"
        text = profile.read_text().replace("# slurm-status-command: squeue", "slurm-status-command: squeue")
        text = text.replace("measure_call_cost: 8", "measure_call_cost: 1")  # the node has two CPUs
        profile.write_text(text.replace("latency-wait: 30", "latency-wait: 5") + QUICK)
        config = yaml.safe_load(SMALL)
        config["pairs"]["testbed"] |= {"gpus": int(slurm)} | (pair or {})
        config["mining"] |= mining or {}
        (folder / "small.yaml").write_text(yaml.safe_dump(config))

    @property
    def log(self) -> str:
        """What snakemake printed so far, in all of its runs."""
        return (self.folder / "run.log").read_text()

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start snakemake in a process group of its own."""
        command = [sys.executable, "-m", "snakemake", "--cores", "all", *(["--profile", "slurm"] if self.slurm else [])]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        with (self.folder / "run.log").open("a") as log:
            return subprocess.Popen(
                [*command, *arguments, "--configfile", "small.yaml"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def end(self, child: subprocess.Popen) -> int:
        """Wait for a run; return its exit code."""
        try:
            return child.wait(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            kill(child)
            raise AssertionError(f"still running after {LIMIT} s: {self.log[-6000:]}") from None

    def finish(self, child: subprocess.Popen) -> None:
        """Wait for a run, which has to succeed."""
        assert self.end(child) == 0, self.log[-6000:]

    def run(self, *arguments: str) -> None:
        self.finish(self.start(*arguments))

    def fail(self, *arguments: str) -> None:
        """Run snakemake, which has to fail."""
        assert self.end(self.start(*arguments)) != 0, self.log[-6000:]

    def pieces(self, shard: str, stage: str = "mining") -> Path:
        """The store's file that a shard adds to."""
        return self.folder / RESULTS / "store" / stage / f"{shard}.pieces"

    def finished(self, shard: str, stage: str = "mining") -> list[str]:
        """Keys of the pieces whose line in a shard's file is whole, in order."""
        try:
            lines = self.pieces(shard, stage).read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        return [line.split()[0].decode() for line in lines if line.endswith(b"\n")]

    @property
    def resumed(self) -> int:
        """Finished problems that mining shards took from the store, by their last attempts."""
        return self.counted("mine_labels")[0]

    def jobs(self, script: str = "") -> list[psutil.Process]:
        """Processes that run a rule's script in this folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.cwd() == str(self.folder)
                if ours and any(arg.endswith(f"{script}.py") and "scripts/tmp" in arg for arg in process.cmdline()):
                    found.append(process)
        return found

    def stop_mining(self, finished: int) -> tuple[psutil.Process, str, list[str]]:
        """Stop a mining process (SIGSTOP) that has finished some problems; return it, its shard and those problems."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            for process in self.jobs("mine_labels"):
                with contextlib.suppress(psutil.Error):
                    paths = {file.path for file in process.open_files()}
                    for shard in SHARDS:
                        if str(self.pieces(shard)) in paths and len(self.finished(shard)) >= finished:
                            process.suspend()
                            return process, shard, self.finished(shard)
            time.sleep(0.05)
        raise AssertionError(self.log[-6000:])


def kill(process: psutil.Process | subprocess.Popen) -> None:
    """Kill a process (SIGKILL); of a run of snakemake its whole group, so all of its jobs."""
    if isinstance(process, subprocess.Popen):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def agree(ours: Path, theirs: Path) -> None:
    """Assert that two runs mined the same labels and, if ours went so far, decoded the same responses."""
    tables = [table for table in KEYS if (ours / RESULTS / f"{table}.parquet").exists()]
    assert "labels" in tables
    for table in tables:
        a, b = (read_table(TABLES[table], folder / RESULTS / f"{table}.parquet") for folder in (ours, theirs))
        a, b = (frame.sort_values(KEYS[table]).reset_index(drop=True) for frame in (a, b))
        for column in set(COMPARED) & set(a):
            assert a[column].equals(b[column]), (table, column)
    if (ours / FIGURE).exists():
        a, b = (pd.read_parquet(folder / "results/arith_curve.parquet") for folder in (ours, theirs))
        np.testing.assert_allclose(a["accuracy"], b["accuracy"])
