"""The judge artifact predicts what the fitted pipeline predicts, and its thresholds keep their promise."""

import json

import numpy as np
import pytest
import torch

from autojudge.errors import InputError
from autojudge.grid import (
    CLASSIFIERS,
    Mismatches,
    build_classifier,
    candidate_thresholds,
    fit_judge,
    fit_quietly,
    recommended_threshold,
    to_tensors,
)
from autojudge.judge import FORMAT, Judge, load_judge
from autojudge.schemas import BLOCKS, SCALARS, write_table

COLUMNS = ["draft_at_draft", "target_at_draft", "kl_divergence"]


@pytest.fixture
def tables(tmp_path):
    """Labels that depend on one feature; write_tables(split_of, important_of) makes the two files."""

    def write_tables(important_of=None, n=300):
        rng = np.random.default_rng(0)
        labels, features = [], []
        for i in range(n):
            x = rng.normal(size=6).astype(np.float16)
            key = {"problem_id": f"p{i // 5}", "position": i % 5}
            important = bool(x[0] + 0.3 * rng.normal() > 0) if important_of is None else important_of(i)
            split = "train" if i // 5 % 3 else "validation"
            tokens = {"target_token": 1, "draft_token": 2, "alternative_answer": None}
            tokens |= {"margin": 0.5, "least_margin": 0.5, "near_tie": False, "cut_off": i % 10 == 0}
            labels.append(key | {"split": split, "important": important, "alternative_tokens": [2]} | tokens)
            features.append(key | dict.fromkeys(BLOCKS, x) | dict.fromkeys(SCALARS, float(x[1])))
        write_table("labels", labels, tmp_path / "labels.parquet")
        write_table("features", features, tmp_path / "features.parquet")
        return str(tmp_path / "labels.parquet"), str(tmp_path / "features.parquet")

    return write_tables


@pytest.mark.parametrize("classifier, value", [("logistic_regression", 0.1), ("random_forest", 16), ("mlp", 8)])
def test_the_artifact_predicts_what_the_pipeline_predicts(tables, tmp_path, classifier, value):
    train = Mismatches(*tables(), "train")
    x = train.features(COLUMNS)
    pipeline = fit_quietly(build_classifier(classifier, value, seed=0), x, train.important)
    info = {"format": FORMAT, "columns": COLUMNS, "classifier": classifier}
    Judge(to_tensors(pipeline, classifier), info).save(tmp_path / "judge")
    actual = load_judge(tmp_path / "judge").predict(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(actual, pipeline.predict_proba(x)[:, 1], atol=2e-6)
    assert set(CLASSIFIERS) == {"logistic_regression", "random_forest", "mlp"}


def test_labels_of_cut_off_responses_can_be_left_out(tables):
    whole, part = (Mismatches(*tables(), "train", exclude) for exclude in (False, True))
    assert len(part.important) == len(whole.important) - 20
    cut_off = np.array([i % 10 == 0 for i in range(300) if i // 5 % 3])
    np.testing.assert_array_equal(part.features(COLUMNS), whole.features(COLUMNS)[~cut_off])


def test_a_judge_reads_its_columns_by_name_and_in_order(tables):
    labels, features = tables()
    judge = fit_judge(
        Mismatches(labels, features, "train"),
        Mismatches(labels, features, "validation"),
        COLUMNS, "logistic_regression", 0.1, seed=0, recall=0.9, n_thresholds=26,
    )  # fmt: skip
    validation = Mismatches(labels, features, "validation")
    named = {c: torch.from_numpy(validation.features([c])) for c in COLUMNS}
    named["kl_divergence"] = named["kl_divergence"][:, 0]
    together = judge.predict(torch.from_numpy(validation.features(COLUMNS)))
    torch.testing.assert_close(judge.probability(named), together)
    assert judge.info["sizes"] == [6, 6, 1]
    assert judge.info["validation"]["auc"] > 0.8
    assert judge.info["validation"]["recall"] >= 0.9
    assert len(judge.info["thresholds"]) == 26
    assert judge.info["threshold"] in judge.info["thresholds"]


def test_the_recommended_threshold_is_the_largest_that_keeps_the_recall():
    probability = np.arange(1, 21) / 20
    important = np.ones(20, dtype=bool)
    threshold = recommended_threshold(probability, important, 0.9)
    assert (probability >= threshold).mean() == 0.9
    assert (probability >= threshold + 1e-9).mean() < 0.9


def test_candidates_run_from_lossless_to_always_accept():
    probability = np.random.default_rng(0).random(1000)
    levels = candidate_thresholds(probability, 26, 0.3)
    assert levels[0] == 0 and levels[-1] > 1 and 0.3 in levels
    assert levels == sorted(levels) and len(levels) == 26


@pytest.mark.parametrize("only", [True, False])
def test_labels_of_one_class_are_refused_with_the_remedy(tables, only):
    with pytest.raises(InputError, match=r"labels.parquet.*a judge needs both classes; mine more problems"):
        Mismatches(*tables(lambda i: only), "train")


def test_too_few_mismatches_for_a_classifier_are_refused(tables):
    train = Mismatches(*tables(lambda i: i == 7), "train")
    with pytest.raises(
        InputError, match=r"mlpclassifier cannot be fitted on 200 training mismatches, 1 of them important"
    ):
        fit_quietly(build_classifier("mlp", 8, seed=0), train.features(COLUMNS), train.important)


def test_an_empty_split_is_refused(tables):
    with pytest.raises(InputError, match="split train holds no mismatch"):
        Mismatches(*tables(n=5), "train")


def test_a_damaged_or_foreign_artifact_is_refused(tmp_path):
    with pytest.raises(InputError, match="no readable judge"):
        load_judge(tmp_path)
    judge = Judge({"mean": torch.zeros(1)}, {"format": FORMAT, "columns": [], "classifier": "mlp"})
    judge.save(tmp_path)
    (tmp_path / "judge.json").write_text(json.dumps(judge.info | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        load_judge(tmp_path)
    judge.save(tmp_path)
    (tmp_path / "judge.safetensors").write_bytes((tmp_path / "judge.safetensors").read_bytes()[:5])
    with pytest.raises(InputError, match="no readable judge"):
        load_judge(tmp_path)
