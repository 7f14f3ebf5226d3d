"""Fixtures that several tests share: the embedded pair and its problems."""

from pathlib import Path

import pytest
import torch
import yaml

from autojudge.engine.models import Pair, load_pair
from autojudge.judging.artifact import Judge
from autojudge.mining.problems import prepare_problems
from autojudge.tasks import load_task

ROOT = Path(__file__).parent.parent


def model_settings(folder: str) -> dict:
    """Settings of a model, as the schema's defaults complete them."""
    options = {"revision": None, "dtype": "float32", "device": "cpu", "device_map": None, "trust_remote_code": False}
    return {"model": str(folder)} | options


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
    """The problems of the default config."""
    dataset = config["datasets"]["arith"] | {"source": None}
    return prepare_problems(arith, dataset, pair.tokenizer, context=512, seed=config["seed"])


@pytest.fixture(scope="session")
def judge(pair):
    """A judge of random weights: its scores lie in (0, 1)."""
    torch.manual_seed(0)
    sizes = [model.config.hidden_size for model in (pair.draft, pair.target)]
    tensors = {"weight": 0.1 * torch.randn(1, sum(sizes))[0], "bias": torch.tensor(0.0)}
    columns = ["draft_at_draft", "target_at_draft"]
    return Judge(tensors, {"columns": columns, "sizes": sizes, "classifier": "logistic_regression"})
