"""A shard killed at random moments ends with the tables of an undisturbed run, and mines no finished problem twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from autojudge.tables.dictionary import TABLES
from autojudge.tables.feature_names import BLOCKS
from autojudge.tables.files import read_table, write_table
from autojudge.tables.mining import PROBLEMS
from conftest import ROOT

KILLS = 10
N_PROBLEMS = 16
CHILD = """
import json, sys
sys.path.insert(0, sys.argv[2])
import torch
from autojudge.tasks import load_task
from autojudge.scoring.scorer import Scorer
from autojudge.workflow.work import mining_work
from mine_labels import mine_labels
torch.set_num_threads(1)
work = mining_work("arith", 160, {"draft": {}, "target": {}})
mine_labels(work=work, scorer=Scorer(load_task("arith")), **json.loads(sys.argv[1]))
"""


@pytest.fixture
def job(tmp_path, problems, pair_settings):
    """Arguments of a shard, by the folder that it writes to."""
    to_mine = [p for p in problems if p["split"] != "test"][:N_PROBLEMS]
    write_table(PROBLEMS, to_mine, tmp_path / "problems.parquet")

    def arguments(folder):
        return {
            "problems": str(tmp_path / "problems.parquet"),
            "shard": "1-of-1",
            "pair": pair_settings,
            "batch": 6,
            "memory_mb": 4000,
            "splits": ["train", "validation"],
            "outputs": {t: str(tmp_path / folder / t / "1.parquet") for t in ("labels", "features", "responses")},
        }

    return arguments


def start(arguments) -> subprocess.Popen:
    command = [sys.executable, "-c", CHILD, json.dumps(arguments), str(ROOT / "workflow_scripts")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finished(pieces) -> list[str]:
    """Keys of the problems whose line in the store is whole."""
    lines = pieces.read_bytes().splitlines(keepends=True) if pieces.exists() else []
    return [line.split()[0].decode() for line in lines if line.endswith(b"\n")]


def test_ten_kills_change_nothing_and_lose_only_problems_in_flight(tmp_path, job):
    undisturbed, killed = job("undisturbed"), job("killed")
    assert start(undisturbed).wait() == 0
    pieces = tmp_path / "killed/store/mining/1-of-1.pieces"
    rng, kills, known = random.Random(0), 0, []
    while kills < KILLS:
        child = start(killed)
        while len(finished(pieces)) <= len(known) and child.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.15))
        assert child.poll() is None, f"the shard ended after {kills} kills; give it more problems"
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        kills += 1
        now = finished(pieces)
        assert now[: len(known)] == known and len(set(now)) == len(now), "no finished problem is lost or mined again"
        known = now
    assert start(killed).wait() == 0 and len(finished(pieces)) == N_PROBLEMS
    for table in ("labels", "responses", "features"):
        ours, theirs = (read_table(TABLES[table], a["outputs"][table]) for a in (killed, undisturbed))
        keys = [c for c in ("problem_id", "position") if c in ours]
        assert ours[keys].equals(theirs[keys])
        for column in set(ours) - {"seconds", "target_evaluated", "draft_evaluated"}:
            for a, b in zip(ours[column], theirs[column], strict=True):
                if column in BLOCKS or isinstance(a, float):
                    np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-3, err_msg=column)
                else:
                    assert np.array_equal(a, b), column
