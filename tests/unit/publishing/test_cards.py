"""Both staged folders are whole, and their cards hold the Hub's metadata and what a reader wants to know."""

import json
import re
from pathlib import Path

import pytest
import yaml
from mined import write_mined

from autojudge.judging.artifact import Judge, load_judge
from autojudge.publishing.hub import list_files
from autojudge.reporting.label_kinds import LabelKinds, count_kinds
from autojudge.reporting.model_card import build_card
from autojudge.workflow.configuration import public_source
from autojudge.workflow.fingerprints import identify_models
from conftest import make_point, make_record
from publish_preview import publish_preview
from stage_publication import stage_publication

REPOS = {"model": "me/judge", "dataset": "me/judge-labels"}
HUB_PAIR = {
    "draft": {"model": "them/small", "revision": None, "dtype": "bfloat16"},
    "target": {"model": "them/large", "revision": "v1", "dtype": "bfloat16"},
}


@pytest.fixture
def export(tmp_path, judge) -> Path:
    """An exported judge of models of the Hub."""
    known = {"threshold": 0.25, "operating_point": make_point(), "models": HUB_PAIR, "provenance": {"commit": "abc"}}
    record = make_record(columns=judge.record.columns, sizes=judge.record.sizes, **known)
    folder = tmp_path / "export"
    Judge(judge.tensors, record).save(folder)
    (folder / "README.md").write_text(build_card(record, LabelKinds(160, 0, 0, 0), None, None, None))
    (folder / "custom_generate/__pycache__").mkdir(parents=True)
    (folder / "custom_generate/generate.py").write_text("pass")
    (folder / "custom_generate/__pycache__/generate.pyc").write_bytes(b"")
    return folder


def staged(tmp_path, export, pair, mining=None, origin=None, **settings):
    """Stage and return both folders."""
    source = public_source({"train": "/home/a person/train.jsonl", "test": {"hub": "them/problems"}})
    known = {"dataset": "arith", "pair": "small", "task": "arith", "source": source, "max_new_tokens": 192, "seed": 0}
    known |= {"agreement": None, "likelihood": None, "samples": None, "models": identify_models(pair)} | (mining or {})
    outputs = {kind: str(tmp_path / "publish" / kind) for kind in REPOS}
    settings = {"repos": REPOS, "texts": False, "licence": None} | settings
    stage_publication(write_mined(tmp_path / "mined"), export, origin, pair, known, settings, outputs)
    return {kind: Path(folder) for kind, folder in outputs.items()}


def metadata(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_models_repository_is_the_export_with_the_hubs_metadata(tmp_path, export):
    folder = staged(tmp_path, export, HUB_PAIR, licence="apache-2.0")["model"]
    names = [name for name, _ in list_files(folder)]
    assert names == ["README.md", "custom_generate/generate.py", "judge.json", "judge.safetensors"]
    assert load_judge(folder).digest() == load_judge(export).digest()
    card = (folder / "README.md").read_text()
    data = metadata(card)
    assert data["base_model"] == ["them/large", "them/small"] and data["license"] == "apache-2.0"
    assert {"speculative-decoding", "custom_generate"} <= set(data["tags"])
    (found,) = data["model-index"]
    values = {metric["type"]: metric["value"] for result in found["results"] for metric in result["metrics"]}
    assert values == {"roc_auc": 0.9, "accepted_at_90": 0.9} | dict.fromkeys(
        ("accuracy_drop", "emitted_per_cycle", "accepted_per_cycle"), 0.5
    )
    assert 'custom_generate="me/judge"' in card and "FOLDER" not in card
    assert 'load_judge(snapshot_download("me/judge"))' in card
    assert "vllm serve them/large" in card and "datasets: {arith: {labels: {small: {hub: me/judge-labels}}}}" in card
    assert "Published under `apache-2.0`" in card and "at commit `abc`" in card.replace("\n", " ")


def test_the_data_sets_card_tells_columns_provenance_and_how_to_train(tmp_path, export, pair_settings):
    folder = staged(tmp_path, export, pair_settings)["dataset"]
    card, told = (folder / "README.md").read_text(), json.loads((folder / "provenance.json").read_text())
    data = metadata(card)
    assert data["license"] == "other" and "base_model" not in data
    for config in data["configs"]:
        for part in config["data_files"]:
            assert (folder / part["path"]).is_file()
    assert [config["config_name"] for config in data["configs"]] == ["labels", "features", "responses"]
    assert "small: {hub: me/judge-labels}" in card and "**No texts**" in card
    assert "| `draft_token`" in card and "(withheld)" in card and "| `row`" not in card
    assert r"KL(target \|\| draft)" in card, "pipes end a cell"
    assert re.search(r"\| labels +\| +160 \|", card) and told["task"].startswith("arith, scoring version")
    assert told["source"] == {"train": "train.jsonl", "test": {"hub": "them/problems"}}
    assert "a person" not in card and str(tmp_path) not in card + json.dumps(told)


KINDS = {
    "answers": ({}, "the probability that the token\nmatters for the final answer.", ""),
    "likelihood": (
        {"likelihood_change": lambda important: -12.0 if important else 0.0},
        "the probability that the token\nmakes the target's own next tokens much less likely.",
        "Labels are by likelihood (`mining.likelihood`",
    ),
    "agreement": (
        {"stopped": lambda important: not important},
        "the probability that the token\nmatters for the final answer.",
        "labels are inferred (`mining.agreement`)",
    ),
    "samples": (
        {"kept_share": lambda important: 0.25 if important else 1.0},
        "the probability that the token\nmatters for the final answer.",
        "Labels are soft (`mining.samples`): for 320 of the 320 mismatches",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_of_a_judge_tells_by_what_its_labels_were_made(kind, tmp_path):
    added, question, note = KINDS[kind]
    kinds = count_kinds(write_mined(tmp_path, **added)["labels"])
    card = build_card(make_record(models=HUB_PAIR), kinds, None, None, None)
    assert question in card and note in card
    assert [name for name in ("likelihood", "agreement", "samples") if f"mining.{name}" in card] == [
        name for name in KINDS if name == kind != "answers"
    ]


SOURCES = {
    "answers": ({}, ["change the final answer?", "| labels | by answers", "| no, all continued to their ends"]),
    "agreement": (
        {"agreement": {"tokens": 16, "audit": 0.05}},
        ["change the final answer?", "| labels | by answers", "| tokens 16, audit 0.05"],
    ),
    "likelihood": (
        {"likelihood": {"tokens": 20, "threshold": 11.5}, "pair": "small+likely"},
        ["own next 20 tokens less likely, by more than 11.5 nats", "| by likelihood, tokens 20, threshold 11.5"],
    ),
    "samples": (
        {"samples": {"count": 8, "temperature": 1.0, "seed": 0}, "pair": "small+soft"},
        ["change the final answer?", "Labels are soft, too: 8 continuations", "| count 8, temperature 1.0, seed 0"],
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_card_and_the_provenance_tell_the_source_of_the_labels(source, tmp_path, export, pair_settings):
    mining, words = SOURCES[source]
    folder = staged(tmp_path, export, pair_settings, mining)["dataset"]
    card = re.sub(" +", " ", (folder / "README.md").read_text())
    told = json.loads((folder / "provenance.json").read_text())
    assert told | mining == told and "| `kept_share` |" in card
    assert [word for word in words if word not in card] == []
    assert ("final answer?" in card) == ("stopped by agreement" in card) == ("likelihood" not in mining)
    assert ("Labels are soft" in card) == ("samples" in mining) and "small: {hub: me/judge-labels}" in card


def test_of_loaded_labels_the_source_is_that_by_which_they_were_mined(tmp_path, export, pair_settings):
    samples, origin = {"count": 8, "temperature": 1.0, "seed": 0}, tmp_path / "labels_source.json"
    origin.write_text(json.dumps({"hub": "them/labels", "provenance": {"texts": False, "samples": samples}}))
    folder = staged(tmp_path, export, pair_settings, {"agreement": {"tokens": 16}}, str(origin))["dataset"]
    told = json.loads((folder / "provenance.json").read_text())
    assert (told["samples"], told["agreement"], told["likelihood"]) == (samples, None, None)


def test_with_texts_problems_are_there_and_the_card_says_so(tmp_path, export, pair_settings):
    folder = staged(tmp_path, export, pair_settings, texts=True)["dataset"]
    card = (folder / "README.md").read_text()
    assert (folder / "problems/train.parquet").is_file() and "Texts are included" in card and "withheld" not in card


def test_the_preview_lists_every_file_and_shows_the_cards(tmp_path, export, pair_settings):
    folders = staged(tmp_path, export, pair_settings)
    text = publish_preview({kind: [folder] for kind, folder in folders.items()}, [REPOS])
    for folder in folders.values():
        assert (folder / "README.md").read_text() in text
        assert all(name in text for name, _ in list_files(folder))
    assert "# model me/judge, from" in text and text.endswith("`snakemake publish` does that.")
