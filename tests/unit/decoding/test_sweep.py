"""A sweep that is stopped goes on where it was: no response tree is decoded twice, and the table is the same."""

import pytest

import sweep_thresholds as script
from autojudge.errors import InputError
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, write_table
from autojudge.tables.mining import PROBLEMS


class StoppedError(Exception):
    """Raised to end a run."""


@pytest.fixture
def run(tmp_path, problems, pair_settings):
    rows = [p for p in problems if p["split"] == "test"][:6]
    write_table(PROBLEMS, rows, tmp_path / "problems.parquet")
    decoding = {"window": 8, "branches": 512, "temperature": 0, "top_p": 1}

    def run(name, rules=None, limit=160):
        rules = rules or {"lossless": {"thresholds": [0]}, "kl_divergence": {"thresholds": [0.3]}}
        thresholds = {rule: settings["thresholds"] for rule, settings in rules.items()}
        output, journal = str(tmp_path / f"{name}.parquet"), str(tmp_path / f"{name}.jsonl")
        script.sweep_thresholds(
            str(tmp_path / "problems.parquet"),
            "1-of-1",
            None,
            None,
            pair_settings,
            "arith",
            limit,
            thresholds,
            decoding,
            4,
            [],
            journal,
            output,
        )
        return read_table(SWEEP, output)

    return run


def test_a_stopped_sweep_resumes_and_ends_with_the_same_table(run, monkeypatch):
    undisturbed = run("undisturbed")
    decoded, advance, sweep = [], script.Progress.advance, script.sweep

    def counted(*arguments):
        for job, rows in sweep(*arguments):
            decoded.append(job)
            yield job, rows

    def stop(progress, count=1):
        advance(progress, count)
        if len(decoded) in (3, 7):
            decoded.append(None)
            raise StoppedError

    monkeypatch.setattr(script, "sweep", counted)
    monkeypatch.setattr(script.Progress, "advance", stop)
    for _ in range(2):
        with pytest.raises(StoppedError):
            run("stopped")
    resumed = run("stopped")
    jobs = [job for job in decoded if job is not None]
    assert sorted(jobs) == list(range(12)), "each of two trees a problem once"
    keys = ["problem_id", "rule", "threshold"]
    ours, theirs = (t.sort_values(keys).reset_index(drop=True) for t in (resumed, undisturbed))
    for column in set(theirs) - {"response", "threshold", "threshold_low"}:
        assert ours[column].equals(theirs[column]), column
    assert ours["response"].map(list).equals(theirs["response"].map(list))
    assert ours["threshold"].to_numpy() == pytest.approx(theirs["threshold"].to_numpy(), rel=2e-3)


def test_the_journal_of_another_sweep_is_refused(run, monkeypatch):
    def stop(progress, count=1):
        raise StoppedError

    monkeypatch.setattr(script.Progress, "advance", stop)
    with pytest.raises(StoppedError):
        run("stopped")
    rules = {"lossless": {"thresholds": [0]}, "kl_divergence": {"thresholds": [0.4]}}
    for changed, name in (({"rules": rules}, "rules"), ({"limit": 99}, "max_new_tokens")):
        with pytest.raises(InputError, match=rf"stopped\.jsonl: left by a run with other {name}; delete it"):
            run("stopped", **changed)


def test_a_response_at_the_token_limit_is_cut_off(run):
    assert run("short", limit=12)["cut_off"].all()
    assert not run("long", limit=160)["cut_off"].any()
