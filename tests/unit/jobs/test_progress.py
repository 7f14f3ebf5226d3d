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
    assert "100 of 100 problems, 0.50 per second" in caplog.text


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


def test_the_screen_shows_warnings_and_progress_with_the_name_of_the_job(tmp_path, capsys, monkeypatch):
    now = iter([0.0, 5.0, 25.0, 50.0, 90.0, 95.0])
    monkeypatch.setattr("autojudge.jobs.progress.time.monotonic", lambda: next(now))
    log = tmp_path / "logs/mine_labels/arith/pair/1-of-2.log"
    with job_log(log):
        logging.getLogger("autojudge").info("72 problems")
        logging.getLogger("autojudge").warning("near ties")
        progress = Progress(5, "problem")
        for _ in range(5):
            progress.advance()
    shown = capsys.readouterr().err.splitlines()
    assert all(" mine_labels arith pair 1-of-2: " in line for line in shown)
    told = [line.split(": ")[1].split(",")[0] for line in shown]
    assert told == ["near ties", "2 of 5 problems", "4 of 5 problems"], "after 20 seconds, then every minute"
    logged = log.read_text()
    assert all(text in logged for text in ("72 problems", "near ties", "3 of 5 problems", "5 of 5 problems"))
