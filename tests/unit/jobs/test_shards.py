"""Journals go once their shards are gathered; one that cannot be deleted is told, as another config would refuse it."""

import pytest

from autojudge.jobs import shards


@pytest.fixture
def journals(tmp_path):
    folder = tmp_path / "journal/mine"
    folder.mkdir(parents=True)
    (folder / "1-of-2.jsonl").write_text("{}\n")
    return folder


def test_journals_are_deleted(journals, caplog):
    shards.remove_journals(str(journals))
    assert not journals.exists() and not caplog.records


def test_journals_that_stay_are_told(journals, caplog, monkeypatch):
    monkeypatch.setattr(shards.shutil, "rmtree", lambda *_, **__: None)
    shards.remove_journals(str(journals))
    assert f"{journals} cannot be deleted" in caplog.text
