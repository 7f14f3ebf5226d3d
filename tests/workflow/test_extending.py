"""Every example of docs/extending.md runs as written, in a copy of the repository whose own config is small."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from clone import ROOT, Clone

from autojudge.tables.files import read_table
from autojudge.tables.mining import PROBLEMS
from planted import merged

PAGE = (ROOT / "docs/extending.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
BLOCK = re.compile(r"(?:^`(?P<file>[^`\n]+)`\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
FEW = {
    "datasets": {"arith": {"problems": {"train": 32, "validation": 12, "test": 4}}},
    "mining": {"shards": 1},
    "judge": {
        "feature_sets": {
            "all_tokens": None, "target_tokens": None, "draft_at_draft": None, "target_at_draft": None,
            "target_at_draft+scalars": None, "draft_at_draft+target_at_draft+scalars": None,
            "target_scalars": None, "target_at_draft+target_scalars": None,
        },
        "classifiers": {
            "logistic_regression": {"C": [0.01]}, "sparse_regression": {"features": [8]},
            "boosting": {"n_estimators": [8]}, "mlp": {"hidden_units": [8]}, "random_forest": {"n_estimators": [8]},
        },
        "select": {"feature_sets": ["draft_at_draft+target_at_draft", "scalars"], "thresholds": 5},
    },
    "decoding": {"shards": 1},
    "speed": {"threads": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("extending"))
    path = clone.folder / "config/config.yaml"
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), FEW)))
    return clone


def follow(clone: Clone, section: str) -> None:
    """Write a section's files and run its commands, in their order."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for block in BLOCK.finditer(SECTIONS[section]):
        if block["file"]:
            path = clone.folder / block["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"])
        else:
            assert block["language"] == "bash", block["text"]
            command = ["bash", "-euo", "pipefail", "-c", block["text"]]
            result = subprocess.run(command, cwd=clone.folder, env=environment, capture_output=True, text=True)
            assert result.returncode == 0, result.stdout + result.stderr


def figure(clone: Clone, dataset: str) -> pd.DataFrame:
    assert (clone.folder / f"results/{dataset}_pareto.pdf").stat().st_size > 1000
    return pd.read_csv(clone.folder / f"results/{dataset}_pareto.csv")


def test_a_rule(clone):
    follow(clone, "An acceptance rule")
    pareto = figure(clone, "arith")
    assert set(pareto.loc[pareto["rule"] == "logit_gap", "threshold"]) >= {0.5, 1, 2, 4}
    default = yaml.safe_load((clone.folder / "config/config.yaml").read_text())["decoding"]["rules"]
    assert set(pareto["rule"]) == {*default, "logit_gap", "target"}, "the example names every default rule"
    assert set(clone.table("labels")["split"]) == {"train", "validation", "test"}


def test_a_task(clone):
    follow(clone, "A task")
    assert set(figure(clone, "even")["rule"]) == {"lossless", "always", "top_k", "target"}
    problems = read_table(PROBLEMS, clone.folder / "results/even/testbed/problems.parquet")
    assert len(problems) == 35 and set(problems["gold"]) == {"yes", "no"}
    assert {question.split()[0] for question in problems["question"]} == {"Is"}
    assert (clone.folder / "results/even/testbed/answers.md").exists()


def test_a_pair(clone):
    follow(clone, "A pair")
    assert set(figure(clone, "arith")["pair"]) == {"my_pair"}


def test_a_classifier(clone):
    follow(clone, "A classifier")
    judges = pd.read_csv(clone.folder / "results/arith/testbed/judges.csv")
    assert "naive_bayes" in set(judges["classifier"])
    given = yaml.safe_load((clone.folder / "naive_bayes.yaml").read_text())["judge"]["select"]["classifiers"]
    default = yaml.safe_load((clone.folder / "config/config.yaml").read_text())["judge"]["select"]["classifiers"]
    assert given == [*default, "naive_bayes"], "the example names every default classifier"


def test_a_figure(clone):
    follow(clone, "A figure")
    assert (clone.folder / "results/arith/testbed/positions.png").stat().st_size > 1000


def test_every_section_is_tested():
    assert list(SECTIONS) == ["An acceptance rule", "A task", "A pair", "A classifier", "A figure"]
