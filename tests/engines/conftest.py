"""Judges of the embedded pair, and what this project's decoder does with them.

Engines run in an environment of their own, `.venv-engines` (make test-engines) or that of the Python that
AUTOJUDGE_ENGINES names, each in its own process. The judge is that of a run of the workflow, in this folder or where
AUTOJUDGE_RUN says.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from served import LIMIT, RUN, WINDOW, run_driver
from sklearn.linear_model import LogisticRegression

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import Points
from autojudge.judging.artifact import Judge, load_judge
from autojudge.rules import load_rule


@pytest.fixture(scope="session")
def drive(tmp_path_factory):
    """Run vLLM in a process of its own."""
    return lambda spec: run_driver(tmp_path_factory.mktemp("drive"), spec)


@pytest.fixture(scope="session")
def prompts() -> list[list[int]]:
    """Prompts of the run's test problems."""
    assert (RUN / "export/judge.json").exists(), f"no judge in {RUN}: run `make test-engines`"
    rows = pq.read_table(RUN / "problems.parquet").to_pylist()
    return [row["prompt_tokens"] for row in rows if row["split"] == "test"]


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """Fit a linear judge of some columns on the run's mismatches, save it, and return its folder."""
    features = pq.read_table(RUN / "features.parquet").to_pandas()
    important = pq.read_table(RUN / "labels.parquet").to_pandas()["important"].to_numpy()
    whole = load_judge(RUN / "export").record

    def fit(*columns: str, threshold: float = 0.2) -> Path:
        parts = [np.stack(features[c]) if features[c].dtype == object else features[[c]].to_numpy() for c in columns]
        x = np.concatenate(parts, axis=1).astype(np.float64)
        mean, scale = x.mean(0), x.std(0) + 1e-6
        model = LogisticRegression(C=0.1, max_iter=1000).fit((x - mean) / scale, important)
        weight = model.coef_[0] / scale
        tensors = {
            "weight": torch.tensor(weight, dtype=torch.float32),
            "bias": torch.tensor(float(model.intercept_[0] - weight @ mean)),
        }
        known = {"columns": list(columns), "sizes": [part.shape[1] for part in parts], "threshold": threshold}
        folder = tmp_path_factory.mktemp("judge")
        Judge(tensors, replace(whole, classifier="logistic_regression", **known)).save(folder)
        return folder

    return fit


@pytest.fixture(scope="session")
def own(pair):
    """Decode with this project's decoder, started like vLLM by a token of the target's; tokens and cycles."""

    def decode(prompts, judge: Path | None, threshold: float | None = None) -> list[tuple[list[int], int]]:
        loaded = load_judge(judge) if judge else None
        rule = load_rule("judge" if judge else "lossless")
        chosen = threshold if threshold is not None else loaded.record.threshold if loaded else 0.0
        decoder = Decoder(pair, loaded, WINDOW, LIMIT, 16, target_first=True)
        found = dict(decoder.decode([Job(prompt, {rule: Points((chosen,))}) for prompt in prompts]))
        return [(found[i][0].tokens, found[i][0].cycles) for i in range(len(prompts))]

    return decode
