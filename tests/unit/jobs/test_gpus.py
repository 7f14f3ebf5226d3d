"""Jobs that run side by side on one node take different GPUs; only the claims are tested here, not the GPUs."""

import os
import subprocess
import sys
import threading

import pytest

from autojudge.errors import InputError
from autojudge.jobs import gpus
from autojudge.jobs.gpus import VISIBLE, claim_gpus


@pytest.fixture(autouse=True)
def node(monkeypatch, tmp_path):
    """A node of three GPUs, outside of Slurm."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv(VISIBLE, "3,5,7")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(gpus, "POLL", 0.01)


def test_claims_held_at_a_time_differ_and_what_was_visible_comes_back():
    with claim_gpus(2):
        assert os.environ[VISIBLE] == "3,5"
        os.environ[VISIBLE] = "3,5,7"  # what another job starts with
        with claim_gpus(1):
            assert os.environ[VISIBLE] == "7"
        assert os.environ[VISIBLE] == "3,5,7"
    with claim_gpus(3):
        assert os.environ[VISIBLE] == "3,5,7"


def test_a_job_waits_until_a_killed_one_has_let_go(tmp_path, caplog):
    hold = (
        f"import tempfile, time; tempfile.tempdir = {str(tmp_path)!r}\n"
        "from autojudge.jobs.gpus import claim_gpus\n"
        "with claim_gpus(2): print('held', flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True, env=environment)
    assert holder.stdout.readline() == "held\n"
    threading.Timer(0.5, holder.kill).start()
    with caplog.at_level("INFO", logger="autojudge"), claim_gpus(2):
        assert holder.wait() == -9
        assert os.environ[VISIBLE] == "3,5"
    assert "waits for 2 of 3 GPUs" in caplog.text


def test_more_gpus_than_there_are_is_an_error():
    with pytest.raises(InputError, match="asks for 4 GPUs a job .*, 3 are visible here"), claim_gpus(4):
        pass


@pytest.mark.parametrize("count, slurm", [(0, None), (2, "17")])
def test_nothing_changes_without_gpus_or_under_slurm(monkeypatch, count, slurm):
    if slurm:
        monkeypatch.setenv("SLURM_JOB_ID", slurm)
    with claim_gpus(count):
        assert os.environ[VISIBLE] == "3,5,7"


@pytest.mark.parametrize("variable", ["LOGNAME", "USER", "HOME"])
def test_a_user_with_a_number_and_no_name_claims_gpus(monkeypatch, tmp_path, variable):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "somebody")  # what is set there does not share the locks of a user
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    with claim_gpus(1):
        assert (tmp_path / f"autojudge-gpus-{os.getuid()}/3.lock").is_file()
