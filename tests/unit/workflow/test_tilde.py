"""Paths of the config that begin with ~ are expanded in one place, before anything reads them."""

import pytest

from autojudge.workflow.source import expand_paths, with_defaults
from conftest import ROOT


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return str(tmp_path)


def test_paths_of_models_templates_and_datasets_are_expanded(home):
    target = {"model": "~/models/large", "chat_template": "~/plain.jinja", "gguf_file": "a~b.gguf"}
    config = {
        "container": "~/image.sif",
        "pairs": {"mine": {"draft": {"model": "~/models/small"}, "target": target}},
        "datasets": {"mine": {"source": {"train": "~/train.jsonl", "test": {"path": "~/rows", "split": "test"}}}},
    }
    found = with_defaults(config, ROOT)
    assert found["container"] == f"{home}/image.sif"
    assert found["pairs"]["mine"]["draft"]["model"] == f"{home}/models/small"
    expected = {"model": f"{home}/models/large", "chat_template": f"{home}/plain.jinja", "gguf_file": "a~b.gguf"}
    assert found["pairs"]["mine"]["target"] == expected
    source = {"train": f"{home}/train.jsonl", "test": {"path": f"{home}/rows", "split": "test"}}
    assert found["datasets"]["mine"]["source"] == source
    assert config["container"] == "~/image.sif", "the config that was given is left as it is"


@pytest.mark.parametrize("value", ["owner/model", "a/~b", "~nobody-here/model", "~/rules/mine.py", None, 3, True])
def test_names_and_what_cannot_be_expanded_stay_as_they_are(home, value):
    assert expand_paths({"~/rules/mine.py": [value]}) == {"~/rules/mine.py": [value]}
