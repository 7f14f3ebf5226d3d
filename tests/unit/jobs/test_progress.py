"""Progress lines give the rate of this run, and a job's fault is one message."""

import logging

import pytest

from autojudge.errors import InputError
from autojudge.jobs.progress import Progress, job_log


def test_a_resumed_job_does_not_count_what_was_done_before(monkeypatch, caplog):
    now = iter([0.0, 10.0])
    monkeypatch.setattr("autojudge.jobs.progress.time.monotonic", lambda: next(now))
    with caplog.at_level(logging.INFO, "autojudge"):
        Progress(100, "problem", resumed=95).advance(5)
    assert "100 of 100 problems, 0.50 a second" in caplog.text


def test_an_input_error_ends_the_job_with_its_message_alone(tmp_path, capsys):
    with pytest.raises(SystemExit), job_log(tmp_path / "job.log"):
        raise InputError("row 3 has no answer; drop it")
    text = (tmp_path / "job.log").read_text()
    assert "row 3 has no answer; drop it" in text and "Traceback" not in text
    assert "row 3 has no answer" in capsys.readouterr().err


def test_another_fault_leaves_its_traceback_in_the_log(tmp_path):
    with pytest.raises(SystemExit), job_log(tmp_path / "job.log"):
        raise ZeroDivisionError
    assert "Traceback" in (tmp_path / "job.log").read_text()
