"""Small real runs with other sources of labels: prompts without answers up to the judges' page, and soft labels."""

import json

import pandas as pd
import pytest
import yaml
from clone import ROOT, Clone

from autojudge.testbed.problems import generate_problems

PLACE = "results/prompts/testbed"
DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())["judge"]
COUNTS = {"train": 12, "validation": 6, "test": 1}
SETTINGS = {
    "datasets": {
        "prompts": {
            "task": "questions",
            "source": {"train": "train.jsonl", "test": "test.jsonl"},
            "problems": COUNTS,
            "max_new_tokens": 96,
        },
        "arith": {"problems": COUNTS},
    },
    "mining": {"shards": 1},
    "judge": {
        "folds": 0,
        "feature_sets": dict.fromkeys(DEFAULT["feature_sets"]) | {"scalars": ["scalars"]},
        "classifiers": dict.fromkeys(DEFAULT["classifiers"]) | {"logistic_regression": {"C": [0.01, 0.1]}},
        "select": {"feature_sets": ["scalars"], "classifiers": ["logistic_regression"]},
    },
    "decoding": {"rules": ["lossless", "judge"]},
    "speed": {"threads": 1},
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository with questions that have no answers."""
    clone = Clone(tmp_path_factory.mktemp("sources"))
    (clone.folder / "small.yaml").write_text(yaml.safe_dump(SETTINGS))
    for part, seed in (("train", 1), ("test", 2)):
        problems, rows = generate_problems(seed, experiment=True), []
        for problem, _ in zip(problems, range(60), strict=False):
            rows.append(json.dumps({"question": problem.question}))
        (clone.folder / f"{part}.jsonl").write_text("\n".join(rows))
    return clone


def told(result):
    return result.stdout + result.stderr


def test_prompts_without_answers_are_mined_by_likelihood_up_to_the_judges_page(clone):
    refused = clone.snakemake("--cores", "1", f"{PLACE}/judges.md")
    assert refused.returncode != 0 and "`mining.likelihood`: dataset `prompts` has only questions" in told(refused)
    likelihood = ("--config", "mining={likelihood: {threshold: 2}}")
    result = clone.snakemake("--cores", "1", f"{PLACE}/judges.md", f"{PLACE}/mining.md", *likelihood)
    assert result.returncode == 0, told(result)
    labels = pd.read_parquet(clone.folder / f"{PLACE}/labels.parquet")
    assert (labels["important"] == (labels["likelihood_change"] < -2)).all()
    assert set(labels["important"]) == {True, False} and labels["kept_share"].isna().all()
    assert pd.read_parquet(clone.folder / f"{PLACE}/problems.parquet")["gold"].isna().all()
    assert "wrong" not in (clone.folder / f"{PLACE}/judges.md").read_text(), "answers mean nothing there"
    assert "nats" in (clone.folder / f"{PLACE}/mining.md").read_text()
    decoded = clone.snakemake("-n", f"{PLACE}/sweep.parquet", *likelihood)
    assert decoded.returncode != 0 and "dataset `prompts` has only questions" in told(decoded)


def test_samples_are_drawn_of_mined_problems_and_shown(clone):
    figure, log = "results/arith/testbed/label_stability.pdf", "logs/mine_labels/arith/testbed/1-of-1.log"
    refused = clone.snakemake("-n", figure)
    assert refused.returncode != 0 and "`mining.samples`: is null" in told(refused)
    labels = clone.folder / "results/arith/testbed/labels.parquet"
    assert clone.snakemake("--cores", "1", "results/arith/testbed/labels.parquet").returncode == 0
    exact = pd.read_parquet(labels)
    result = clone.snakemake("--cores", "1", figure, "--config", "mining={samples: {count: 2}}")
    assert result.returncode == 0, told(result)
    assert "store: 18 taken, 0 computed" in (clone.folder / log).read_text()
    soft = pd.read_parquet(labels)
    columns = [name for name in exact.columns if name != "kept_share"]
    pd.testing.assert_frame_equal(exact[columns], soft[columns])
    assert set(soft["kept_share"]) <= {0, 0.5, 1} and soft["kept_share"].nunique() > 1
    assert (clone.folder / figure).read_bytes().startswith(b"%PDF")
