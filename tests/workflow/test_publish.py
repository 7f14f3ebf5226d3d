"""A small real run is published to a stand-in for the Hub, and loaded back from there trains the same judge."""

import json

import pytest
import yaml
from clone import RESULTS

from autojudge.judging.artifact import load_judge
from hub_standin import OWNER, TOKEN, HubStandIn

REPO = f"{OWNER}/judge"
PUBLISH = ["--config", f"publish={{repo: {REPO}}}"]


@pytest.fixture
def standin():
    server = HubStandIn()
    yield server
    server.close()


def environment(standin, folder):
    """Variables by which the Hub's client asks the stand-in, with a cache of its own."""
    kept = {"HF_ENDPOINT": standin.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(folder / "hub"), "NO_PROXY": "127.0.0.1"}
    return kept | {"HF_HUB_OFFLINE": "0"}


def everything(folder):
    """The contents of every log, result and record of snakemake's."""
    files = (file for name in ("logs", "results", ".snakemake") for file in (folder / name).rglob("*"))
    return b"".join(file.read_bytes() for file in files if file.is_file())


def test_published_labels_train_the_same_judge_digest_for_digest(finished, fresh, standin, tmp_path):
    known = environment(standin, tmp_path)
    result = finished.snakemake("--cores", "1", "publish", *PUBLISH, **known)
    assert result.returncode == 0, result.stdout + result.stderr
    receipt = json.loads((finished.folder / RESULTS / "publish/published.json").read_text())
    assert {kind: made["repo"] for kind, made in receipt.items()} == {"model": REPO, "dataset": f"{REPO}-labels"}
    assert TOKEN not in result.stdout + result.stderr and TOKEN.encode() not in everything(finished.folder)
    assert finished.planned("publish", *PUBLISH) == {}, "a second time it uploads nothing"

    labels = {"testbed": {"hub": f"{REPO}-labels", "revision": receipt["dataset"]["commit"]}}
    given = {"datasets": {"arith": {"labels": labels}}}
    (fresh.folder / "loaded.yaml").write_text(yaml.safe_dump(given))
    options = ["--configfile", "small.yaml", "loaded.yaml"]
    wanted = f"{RESULTS}/judge/judge.json"
    result = fresh.snakemake("--cores", "all", wanted, *options, small=False, **known)
    assert result.returncode == 0, result.stdout + result.stderr
    assert not (fresh.folder / "logs/mine_labels").exists()
    origin = json.loads((fresh.folder / RESULTS / "labels_source.json").read_text())
    assert (origin["hub"], origin["revision"]) == (f"{REPO}-labels", receipt["dataset"]["commit"])
    ours, theirs = (load_judge(clone.folder / RESULTS / "judge") for clone in (fresh, finished))
    assert ours.digest() == theirs.digest()
    planned = fresh.planned("--cores", "all", *options, small=False)
    assert planned.keys().isdisjoint({"mine_labels", "gather_labels", "load_labels", "show_tokens", "train_judge"})
    assert planned["sweep_thresholds"] == 2 and planned["report_answers"] == 1


def test_the_preview_sends_nothing_and_needs_no_token(finished, standin, tmp_path):
    known = environment(standin, tmp_path) | {"HF_TOKEN": ""}
    result = finished.snakemake("--cores", "1", "publish_preview", *PUBLISH, **known)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "labels/train.parquet" in result.stdout and "# AutoJudge labels: arith" in result.stdout
    assert standin.requests == []


def test_what_is_lacking_is_told_before_any_job(finished, standin, tmp_path):
    known = environment(standin, tmp_path)
    result = finished.snakemake("--cores", "1", "publish", **known)
    assert result.returncode and "config key `publish.repo`: names no repository of the Hub" in result.stderr
    for path in (f"{RESULTS}/publish/dataset", f"{RESULTS}/publish/model", f"{RESULTS}/publish/published.json"):
        result = finished.snakemake("-n", path, **known)
        shown = result.stdout + result.stderr
        assert result.returncode and "`publish.repo`: names no repository of the Hub" in shown, path
        assert "AttributeError" not in shown
    result = finished.snakemake("--cores", "1", "publish", *PUBLISH, **known | {"HF_TOKEN": ""})
    assert result.returncode and "no token of the Hub; set HF_TOKEN" in result.stderr
    assert not (finished.folder / RESULTS / "publish").exists() and standin.requests == []
    assert finished.planned("publish", *PUBLISH)["upload_publication"] == 1
    standin.refuse["/api/repos/create"] = (403, "You have no right to this namespace")
    result = finished.snakemake("--cores", "1", "publish", *PUBLISH, **known)
    assert result.returncode and "You have no right to this namespace" in result.stdout + result.stderr
    assert (finished.folder / RESULTS / "publish/dataset/provenance.json").is_file(), "what is staged stays"
