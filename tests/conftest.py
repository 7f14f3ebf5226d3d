"""Fixtures that several tests share: the embedded pair and its problems."""

import os
from pathlib import Path

import pytest
import torch
import yaml

from autojudge.engine.models import Pair, load_pair
from autojudge.errors import InputError
from autojudge.judging.artifact import Judge
from autojudge.judging.record import Estimate, OperatingPoint, Record, Validation
from autojudge.mining.problems import prepare_problems
from autojudge.sandbox import Sandbox
from autojudge.tasks import load_task

ROOT = Path(__file__).parent.parent
DEVICE = os.environ.get("AUTOJUDGE_TEST_DEVICE", "cpu")  # where tests put the models that they load: cpu or cuda
on_cpu = pytest.mark.skipif(DEVICE != "cpu", reason="about a CPU alone")


def model_settings(folder: str) -> dict:
    """Settings of a model, as the schema's defaults complete them."""
    options = {"revision": None, "dtype": "float32", "device": DEVICE, "device_map": None, "trust_remote_code": False}
    return {"model": str(folder)} | options


def make_record(**known) -> Record:
    """A record of a linear judge; what is not given is made up."""
    metrics = dict.fromkeys(
        ("auc", "average_precision", "accepted_at_90", "accepted_at_95"), Estimate(0.9, 0.8, 1, 0.1)
    )
    return Record(
        **{
            "columns": ["kl_divergence"],
            "sizes": [1],
            "features_read": 1,
            "feature_set": "made up",
            "classifier": "logistic_regression",
            "hyperparameter": "C",
            "value": 0.1,
            "recall_threshold": 0.5,
            "threshold": None,
            "operating_point": None,
            "thresholds": [0.0, 0.5, 1.0],
            "recall_at_thresholds": [1.0, 0.9, 0.0],
            "accepted_at_thresholds": [0.0, 0.5, 1.0],
            "validation": Validation(0.9, 0.9, 0.5, 100, 10, **metrics),
            "dataset": "arith",
            "task": "arith",
            "models": {},
            "provenance": {},
        }
        | known
    )


def make_point(**known) -> OperatingPoint:
    """An operating point; what is not given is made up."""
    names = ("drop", "drop_low", "drop_high", "accepted_per_cycle", "emitted_per_cycle", "speedup")
    return OperatingPoint(
        **{"rule": "judge", "window": 16, "chosen_by": "the fastest", "tolerance": 1.0}
        | {"cost_ratio": 0.2, "measured_on": "validation", "problems": 140, "provenance": {"commit": "abc"}}
        | dict.fromkeys(names, 0.5)
        | known
    )


@pytest.fixture(scope="session")
def config() -> dict:
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.fixture(scope="session")
def pair_settings() -> dict:
    return {role: model_settings(ROOT / "resources/testbed" / role) for role in ("draft", "target")}


@pytest.fixture(scope="session")
def pair(pair_settings: dict) -> Pair:
    torch.set_num_threads(1)
    return load_pair(pair_settings)


@pytest.fixture(scope="session")
def arith():
    return load_task("arith")


@pytest.fixture(scope="session")
def problems(pair, arith, config) -> list[dict]:
    """The problems of the default config, the shortest first: tests that take a few take those."""
    dataset = config["datasets"]["arith"] | {"source": None}
    rows = prepare_problems(arith, dataset, pair.tokenizer, context=512, seed=config["seed"])
    return sorted(rows, key=lambda row: len(row["prompt_tokens"]))


@pytest.fixture(scope="session")
def judge(pair):
    """A judge of random weights: its scores lie in (0, 1)."""
    torch.manual_seed(0)
    sizes = [model.config.hidden_size for model in (pair.draft, pair.target)]
    tensors = {"weight": 0.1 * torch.randn(1, sum(sizes))[0], "bias": torch.tensor(0.0)}
    return Judge(tensors, make_record(columns=["draft_at_draft", "target_at_draft"], sizes=sizes))


@pytest.fixture(scope="session")
def sandbox():
    """A sandbox of one worker, for tests of programs that do no harm."""
    opened = Sandbox(1)
    try:
        opened.__enter__()
    except InputError as fault:
        pytest.skip(str(fault))
    yield opened
    opened.close()
