"""A journal loses no finished problem, survives a torn end, and belongs to one config and one process."""

import numpy as np
import pytest

from autojudge.errors import InputError
from autojudge.jobs.journal import Journal, describe_work
from autojudge.mining.miner import Mined
from autojudge.tables.feature_names import BLOCKS

IDENTITY = {"task": "arith", "limit": 9}


def mined(name: str) -> Mined:
    states = {block: np.arange(4, dtype=np.float16) / 3 for block in BLOCKS}
    return Mined({"problem_id": name}, [{"margin": 0.1}], [states | {"kl_divergence": 1 / 3}])


@pytest.fixture
def written(tmp_path):
    """A journal of two problems, closed as a killed process leaves it."""
    journal = Journal(tmp_path / "1-of-2.jsonl", IDENTITY)
    journal.append(mined("a").to_json())
    journal.append(mined("b").to_json())
    journal._file.close()
    return journal.path


def test_what_was_appended_comes_back_exactly(written):
    first, second = map(Mined.from_json, Journal(written, IDENTITY).finished)
    assert (first.response, second.response) == ({"problem_id": "a"}, {"problem_id": "b"})
    assert first.labels == mined("a").labels
    for block in BLOCKS:
        np.testing.assert_array_equal(first.features[0][block], mined("a").features[0][block])
    assert first.features[0]["kl_divergence"] == 1 / 3


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_torn_end_is_cut_off_and_written_over(written, cut):
    written.write_bytes(written.read_bytes()[:-cut])
    journal = Journal(written, IDENTITY)
    assert [entry["response"]["problem_id"] for entry in journal.finished] == ["a"]
    journal.append(mined("c").to_json())
    journal._file.close()
    assert [entry["response"]["problem_id"] for entry in Journal(written, IDENTITY).finished] == ["a", "c"]


def test_a_journal_torn_in_its_first_line_starts_anew(written):
    written.write_bytes(written.read_bytes()[:10])
    assert Journal(written, IDENTITY).finished == []


def test_a_journal_of_another_config_is_refused_and_left_alone(written):
    before = written.read_bytes()
    with pytest.raises(InputError, match=r"1-of-2\.jsonl: left by a run with other limit; delete it"):
        Journal(written, IDENTITY | {"limit": 10})
    assert written.read_bytes() == before


def test_a_journal_without_a_finished_problem_starts_anew(tmp_path):
    Journal(tmp_path / "j.jsonl", IDENTITY)._file.close()
    journal = Journal(tmp_path / "j.jsonl", IDENTITY | {"limit": 10})
    journal.append(mined("a").to_json())
    journal._file.close()
    assert len(Journal(tmp_path / "j.jsonl", IDENTITY | {"limit": 10}).finished) == 1


def test_a_second_owner_is_refused(written):
    owner = Journal(written, IDENTITY)
    with pytest.raises(InputError, match="another process works on this shard"):
        Journal(written, IDENTITY)
    assert len(owner.finished) == 2


@pytest.mark.parametrize("changed", ["code", "answer", "order"])
def test_other_code_problems_or_order_are_other_work(tmp_path, pair_settings, changed):
    code = tmp_path / "code.py"
    code.write_text("a = 1")
    problems = [{"problem_id": name, "split": "test", "gold": "1", "prompt_tokens": [1, 2]} for name in "ab"]

    def open_journal():
        return Journal(tmp_path / "j.jsonl", describe_work("arith", 9, pair_settings, problems, [str(code)]))

    journal = open_journal()
    journal.append({"job": 1})
    journal._file.close()
    assert open_journal().finished == [{"job": 1}]
    if changed == "code":
        code.write_text("a = 2")
    elif changed == "answer":
        problems[1]["gold"] = "2"
    else:
        problems.reverse()
    name = "code" if changed == "code" else "problems"
    with pytest.raises(InputError, match=f"left by a run with other {name}; delete it"):
        open_journal()


@pytest.mark.parametrize("number, lost", [(1, "the file"), (2, "that line")])
def test_a_damaged_line_is_named(written, number, lost):
    lines = written.read_bytes().splitlines(keepends=True)
    lines[number - 1] = b"#" + lines[number - 1]
    written.write_bytes(b"".join(lines))
    with pytest.raises(InputError, match=rf"1-of-2\.jsonl: line {number} is damaged; delete {lost}"):
        Journal(written, IDENTITY)
    assert written.read_bytes() == b"".join(lines)


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("autojudge.jobs.journal.fcntl.flock", refuse)
    with pytest.raises(InputError, match="no lock on this file system .*link results to one with locks"):
        Journal(tmp_path / "j.jsonl", IDENTITY)
