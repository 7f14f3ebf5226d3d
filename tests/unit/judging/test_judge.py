"""Judges: fits equal those of scikit-learn, artifacts predict what was fitted, choices use validation alone."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autojudge.errors import InputError
from autojudge.judging.artifact import Judge, load_judge
from autojudge.judging.choice import (
    calibrate,
    candidate_thresholds,
    choose_point,
    fit_judge,
    judge_scores,
    recall_threshold,
)
from autojudge.judging.classifiers import CLASSIFIERS, check_classifier, features_read, fit_grid, predict
from autojudge.judging.grid import measure_grid
from autojudge.judging.inner_folds import best_line
from autojudge.judging.learning_curve import learning_curve
from autojudge.judging.linear import line_tensors
from autojudge.judging.logistic import LogisticPath
from autojudge.judging.metrics import compare, draw_weights, estimate, measure
from autojudge.judging.mismatches import Mismatches, Sources, fold_of, load_features
from autojudge.judging.needs import TARGET_SCALARS
from autojudge.mining.shard import EXACT_LABEL
from autojudge.reporting.label_kinds import LabelKinds
from autojudge.reporting.model_card import build_card
from autojudge.tables import judging as tables_of_judging
from autojudge.tables.feature_names import BLOCKS, SCALARS, expand_blocks
from autojudge.tables.files import read_table, write_table
from autojudge.tables.folds import split_in
from autojudge.tables.mining import FEATURES, LABELS, RESPONSES
from conftest import ROOT, make_point, make_record
from train_judge import train_judge

SETS = {"all": ["draft_at_draft", "target_at_draft", "scalars"], "blocks": ["draft_at_draft", "target_at_draft"]}
COLUMNS = expand_blocks(SETS["all"])
SELECT = {"feature_sets": ["all", "blocks"], "classifiers": CLASSIFIERS.names(), "recall": 0.9}
SELECT |= {"thresholds": 26, "serves": "any"}
MODELS = {"draft": {"model": "small", "dtype": "float32"}, "target": {"model": "large", "dtype": "float32"}}
ORIGIN = {"dataset": "made_up", "task": "arith", "models": MODELS, "provenance": {"commit": "abc"}}
GRID = {
    "logistic_regression": {"C": [0.001, 0.1]},
    "sparse_regression": {"features": [4]},
    "boosting": {"n_estimators": [20]},
    "mlp": {"hidden_units": [8]},
    "random_forest": {"n_estimators": [16]},
}


BY_ANSWERS = LabelKinds(90, by_likelihood=0, stopped=0, sampled=0)
WORKFLOW_ONLY = "numpy,pandas,pyarrow,sklearn,scipy,transformers,yaml,snakemake"


@pytest.fixture
def tables(tmp_path):
    """Labels that depend on one number of a block and on a scalar; five mismatches per problem."""

    def write_tables(important_of=None, n=900, near_tie=lambda i: False):
        rng = np.random.default_rng(0)
        labels, features = [], []
        for i in range(n):
            x, scalar = rng.normal(size=6).astype(np.float16), float(rng.normal())
            key = {"problem_id": f"p{i // 5}", "position": i % 5}
            important = bool(x[0] + scalar + 0.5 * rng.normal() > 0.5) if important_of is None else important_of(i)
            split = ("train", "train", "validation", "test")[i // 5 % 4]
            tokens = {"target_token": 1, "draft_token": 2, "alternative_answer": None, "alternative_tokens": [2]}
            tokens |= {"margin": 0.5, "least_margin": 0.5, "near_tie": near_tie(i), "cut_off": i % 10 == 0}
            labels.append(key | {"split": split, "important": important} | tokens | EXACT_LABEL)
            features.append(key | dict.fromkeys(BLOCKS, x) | dict.fromkeys(SCALARS, scalar))
        write_table(LABELS, labels, tmp_path / "labels.parquet")
        write_table(FEATURES, features, tmp_path / "features.parquet")
        return str(tmp_path / "labels.parquet"), str(tmp_path / "features.parquet")

    return write_tables


@pytest.fixture
def train(tables):
    return Mismatches(*tables()).of_split("train")


def fit(classifier, value, part, columns=COLUMNS):
    """Fit one grid point and return its tensors."""
    ((_, tensors),) = fit_grid(classifier, [value], part, part.features(columns), columns, seed=0)
    return tensors


def predicted(classifier, value, train, test):
    """Fit one grid point and return its p(important) of other mismatches."""
    return predict(classifier, fit(classifier, value, train), torch.from_numpy(test.features(COLUMNS))).numpy()


@pytest.mark.parametrize("C", [1e-6, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_path_solves_scikit_learns_problem(C, weighted):
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(30, 30)) * 0.6 ** np.arange(30)[:, None]
    x = (rng.normal(size=(800, 30)) @ mixing + 5 * rng.normal(size=30)).astype(np.float32)
    y = rng.random(800) < 1 / (1 + np.exp(-(x - x.mean(0))[:, 0]))
    weights = rng.integers(0, 3, 800).astype(float) if weighted else None
    lines = list(LogisticPath(x, y, weights).fit([1e-7, C]))
    assert [line.C for line in lines] == [1e-7, C] and lines[-1].converged
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C, tol=1e-8, max_iter=10_000))
    model.fit(x, y, logisticregression__sample_weight=weights)
    np.testing.assert_allclose(lines[-1].logit(x), model.decision_function(x), atol=0.02)
    if C < 10:  # beyond, the data hardly determine single weights
        np.testing.assert_allclose(lines[-1].weight * x.std(0), model[-1].coef_[0], atol=0.01)

    def objective(logit, weight):
        losses = np.logaddexp(0, np.where(y, -logit, logit).astype(float))
        return C * np.sum(losses if weights is None else weights * losses) + weight @ weight / 2

    ours = objective(lines[-1].logit(x), lines[-1].weight.astype(float) * x.std(0))
    assert ours < objective(model.decision_function(x), model[-1].coef_[0]) * (1 + 1e-4)


def test_weights_with_folded_scaling_equal_the_pipeline():
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(500, 8)) * 3 + 7).astype(np.float32)
    y = rng.random(500) < 1 / (1 + np.exp(-(x[:, 0] - 7)))
    path = LogisticPath(x, y)
    (line,) = path.fit([0.1])
    z = StandardScaler().fit(x)
    np.testing.assert_allclose(path.mean.numpy(), z.mean_, rtol=1e-6)
    np.testing.assert_allclose(path.scale.numpy(), z.scale_, rtol=1e-6)
    standardised = line.weight * path.scale.numpy()
    bias = line.bias + float(path.mean.numpy() @ line.weight)
    tensors = line_tensors(line.weight, line.bias)
    expected = 1 / (1 + np.exp(-(z.transform(x.astype(np.float64)) @ standardised + bias)))
    found = predict("logistic_regression", tensors, torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_trees_of_an_artifact_predict_what_scikit_learns_do(train):
    x = train.features(COLUMNS)
    forest = RandomForestClassifier(16, min_samples_leaf=2, random_state=0).fit(x, train.important, train.weight)
    found = predicted("random_forest", 16, train, train)
    np.testing.assert_allclose(found, np.clip(forest.predict_proba(x)[:, 1], 1e-6, 1 - 1e-6), atol=1e-6)
    boosting = fit("boosting", 20, train)
    scalars = x[:, -len(SCALARS) :]
    score = x @ boosting["line_weight"].numpy() + boosting["line_bias"].numpy()
    _, _, unseen = best_line(train, x)
    settings = {"max_depth": 3, "learning_rate": 0.1, "subsample": 0.5, "min_samples_leaf": 5, "random_state": 0}
    model = GradientBoostingClassifier(n_estimators=20, **settings)
    model.fit(np.column_stack([unseen, scalars]), train.important, train.weight)
    expected = model.predict_proba(np.column_stack([score, scalars]))[:, 1]
    np.testing.assert_allclose(predict("boosting", boosting, torch.from_numpy(x)).numpy(), expected, atol=1e-6)


def test_the_trees_of_boosting_see_linear_scores_of_unseen_problems_alone(train):
    x = train.features(COLUMNS)
    _, _, unseen = best_line(train, x)
    changed = train.important.copy()
    first = train.problem_id == train.problem_id[0]
    train.important = np.where(first, ~changed, changed)
    _, _, other = best_line(train, x)
    np.testing.assert_array_equal(unseen[first], other[first])
    assert not np.array_equal(unseen[~first], other[~first])


@pytest.mark.parametrize("classifier", GRID)
def test_every_classifier_learns_and_on_shuffled_labels_does_not(tables, classifier):
    (values,) = GRID[classifier].values()
    data = Mismatches(*tables())
    test = data.of_split("test")
    assert measure(predicted(classifier, values[-1], data.of_split("train"), test), test.important)["auc"] > 0.8
    rng = np.random.default_rng(3)
    shuffled = Mismatches(*tables(lambda i: bool(rng.random() < 0.4)))
    test = shuffled.of_split("test")
    score = predicted(classifier, values[-1], shuffled.of_split("train"), test)
    found = estimate(score, test.important, draw_weights(test.problem_id, 0))["auc"]
    assert found.low < 0.5 < found.high


def test_problems_never_cross_splits_or_folds(tables):
    data = Mismatches(*tables())
    train, unseen = data.of_fold("validation")
    parts = [set(train.problem_id), *(set(part.problem_id) for part in unseen.values())]
    assert list(unseen) == ["validation", "test"]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    held_out = []
    for fold in ("1-of-3", "2-of-3", "3-of-3"):
        fitted, measured = data.of_fold(fold)
        (part,) = measured.values()
        assert not set(fitted.problem_id) & set(part.problem_id)
        assert set(fitted.problem_id) | set(part.problem_id) == parts[0] | parts[1], "test problems take no part"
        held_out += sorted(set(part.problem_id))
    assert sorted(held_out) == sorted(parts[0] | parts[1]), "each problem is in one fold"
    folds = {purpose: fold_of(data.rows["problem_id"], 5, purpose) for purpose in ("fold", "inner")}
    assert len(set(folds["inner"][folds["fold"] == 1])) == 5, "inner folds cut an outer one"


def test_folds_of_few_problems_hold_equally_many():
    problems = pd.Series([f"p{i % 17}" for i in range(100)])
    folds = fold_of(problems, 10, "stopping")
    assert sorted(pd.Series(folds).groupby(problems).first().value_counts()) == [1] * 3 + [2] * 7
    assert pd.Series(folds).groupby(problems).nunique().eq(1).all()


def test_metrics_are_scikit_learns_with_ties_and_weights():
    rng = np.random.default_rng(4)
    important = rng.random(400) < 0.2
    score = np.round(rng.normal(size=400) + important, 1)
    problems = [f"p{i // 4}" for i in range(400)]
    weights = draw_weights(problems, seed=0, resamples=5)
    found = measure(score, important, weights)
    for i, rows in enumerate(weights):
        assert found["auc"][i] == pytest.approx(roc_auc_score(important, score, sample_weight=rows))
        assert found["average_precision"][i] == pytest.approx(
            average_precision_score(important, score, sample_weight=rows)
        )
    for percent in (90, 95):
        threshold = recall_threshold(score, important, percent / 100)
        assert (score[important] >= threshold).mean() >= percent / 100
        assert measure(score, important)[f"accepted_at_{percent}"][0] == pytest.approx(
            (score[~important] < threshold).mean()
        )


def test_intervals_resample_problems_and_differences_are_paired():
    rng = np.random.default_rng(5)
    important = np.repeat(rng.random(60) < 0.5, 10)  # a problem's mismatches are all alike
    score = np.repeat(rng.normal(size=60), 10) + important
    by_problem = draw_weights([f"p{i // 10}" for i in range(600)], seed=0)
    by_row = draw_weights([f"p{i}" for i in range(600)], seed=0)
    assert (by_problem.sum(1) == 600).all()
    wide, narrow = (estimate(score, important, weights)["auc"] for weights in (by_problem, by_row))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert compare(score, score, important, by_problem)["auc"].error == 0


def test_calibration_turns_scores_into_frequencies_and_keeps_their_order():
    rng = np.random.default_rng(6)
    truth = rng.random(20_000)
    important = rng.random(20_000) < truth
    logit = np.log(truth / (1 - truth))
    overconfident = (1 / (1 + np.exp(-(3 * logit + 1)))).astype(np.float32)
    slope, shift = calibrate(overconfident, important).tolist()
    assert slope == pytest.approx(1 / 3, rel=0.05) and shift == pytest.approx(-1 / 3, abs=0.05)
    assert calibrate(1 - overconfident, important).tolist() == [1.0, 0.0], "a ranking is never turned round"


@pytest.fixture
def grid(tables, tmp_path):
    """Grid and scores of both feature sets, validation and two folds."""
    data, parts = Mismatches(*tables()), {"grid": [], "scores": []}
    for name, blocks in SETS.items():
        for fold in ("validation", "1-of-2", "2-of-2"):
            outputs = {table: str(tmp_path / f"{table}-{name}-{fold}.parquet") for table in parts}
            train_judge(data, name, blocks, GRID, fold, 0, outputs)
            parts["grid"].append(read_table(tables_of_judging.GRID, outputs["grid"]))
            parts["scores"].append(read_table(tables_of_judging.SCORES, outputs["scores"]))
    return data, *(pd.concat(frames, ignore_index=True) for frames in parts.values())


def test_a_cheap_judge_that_is_level_at_the_recall_alone_is_not_taken():
    """Both accept the same at 90 %; one of them ranks what it does not accept above all important mismatches."""
    rng, rows = np.random.default_rng(0), []
    important = np.arange(600) % 6 == 0
    hard = ~important & (rng.random(600) < 0.15)  # unimportant, refused by both
    noise = rng.random(600)
    good = np.where(important, 2 + noise, np.where(hard, 2.15 + 0.1 * noise, noise))
    scores = {"dear": good, "cheap": np.where(hard, 5 + noise, good), "level": good + 0.05 * rng.random(600)}
    keys = {"feature_set": "all", "classifier": "mlp", "value": 1.0, "fold": "validation"}
    shared = {"split": "validation", "problem_id": [f"p{i // 10}" for i in range(600)], "important": important}
    found = pd.concat([pd.DataFrame(keys | shared | {"feature_set": n, "score": x}) for n, x in scores.items()])
    for name, features in (("dear", 9), ("cheap", 1), ("level", 5)):
        values = {metric: x[0] for metric, x in measure(scores[name], important).items()}
        rows.append(keys | values | {"feature_set": name, "features_read": features})
    table, select = pd.DataFrame(rows), SELECT | {"classifiers": ["mlp"], "feature_sets": list(scores)}
    assert table["accepted_at_90"].max() - table["accepted_at_90"].min() < 0.05
    assert choose_point(table, found, dict.fromkeys(scores, ["scalars"]), select, seed=0)["feature_set"] == "level"


def test_the_choice_uses_validation_alone_and_takes_the_cheapest_that_is_level(grid):
    data, rows, scores = grid
    point = choose_point(rows, scores, SETS, SELECT, seed=0)
    assert point["feature_set"] == "all", "the blocks alone lack the scalar"
    turned = scores.assign(important=np.where(scores["split"] == "test", ~scores["important"], scores["important"]))
    turned.loc[turned["split"] == "test", "score"] *= -1
    assert choose_point(rows, turned, SETS, SELECT, seed=0).equals(point)
    validation = rows[rows["fold"] == "validation"]
    assert point["accepted_at_90"] > validation["accepted_at_90"].max() - 0.1
    only = SELECT | {"classifiers": ["logistic_regression"], "feature_sets": ["blocks"]}
    assert choose_point(rows, scores, SETS, only, seed=0)[["classifier", "feature_set"]].tolist() == [
        "logistic_regression",
        "blocks",
    ]


def test_a_judge_for_an_engine_reads_no_more_than_that_has(grid):
    data, rows, scores = grid
    with pytest.raises(
        InputError, match="has only target_logits .*can give a judge none of these sets; add `target_sc"
    ):
        choose_point(rows, scores, SETS, SELECT | {"serves": "target_scalars"}, seed=0)
    of_target = {"all": ["target_at_draft", *TARGET_SCALARS], "blocks": SETS["blocks"]}
    for serves, sets in (("target", of_target), ("target_scalars", SETS | {"all": list(TARGET_SCALARS)})):
        dear = rows.assign(accepted_at_90=np.where(rows["feature_set"] == "blocks", 1.0, 0.0))
        assert choose_point(dear, scores, sets, SELECT | {"serves": serves}, seed=0)["feature_set"] == "all"


def test_the_grid_measures_what_was_not_fitted(grid):
    data, rows, scores = grid
    assert set(rows["fold"]) == {"validation", "1-of-2", "2-of-2"}
    assert not ((rows["classifier"] == "boosting") & (rows["feature_set"] == "blocks")).any(), "it needs scalars"
    for (_, row), part in zip(rows.iterrows(), rows.index, strict=True):
        mine = scores[
            (
                scores[["feature_set", "classifier", "value", "fold"]]
                == row[["feature_set", "classifier", "value", "fold"]]
            ).all(axis=1)
        ]
        own = mine[mine["split"] != "test"]
        assert row["auc"] == pytest.approx(roc_auc_score(own["important"], own["score"])), part
        assert row["n_fold"] == len(own)
        assert set(mine["split"]) == (
            {"validation", "test"} if row["fold"] == "validation" else {"train", "validation"}
        )


def test_a_classifier_that_a_feature_set_cannot_serve_is_left_out_aloud(tables, caplog):
    grid = {name: GRID[name] for name in ("logistic_regression", "boosting")}
    with caplog.at_level("INFO", "autojudge"):
        rows, _ = measure_grid(Mismatches(*tables()), "blocks", SETS["blocks"], grid, "validation", seed=0)
    assert {row["classifier"] for row in rows} == {"logistic_regression"}
    assert "boosting is left out: it needs a feature set that ends with scalars, and blocks does not" in caplog.text


@pytest.mark.parametrize("classifier", GRID)
def test_an_artifact_predicts_what_was_chosen(tables, tmp_path, classifier):
    data = Mismatches(*tables())
    (values,) = GRID[classifier].values()
    point = {"feature_set": "all", "classifier": classifier, "value": values[-1]}
    judge = fit_judge(data, point | {"hyperparameter": next(iter(GRID[classifier]))}, SETS, SELECT, ORIGIN, seed=0)
    judge.save(tmp_path / "judge")
    loaded, validation = load_judge(tmp_path / "judge"), data.of_split("validation")
    found = judge_scores(loaded, validation)
    np.testing.assert_allclose(found, judge_scores(judge, validation), atol=1e-6)
    named = {c: torch.from_numpy(validation.features([c])) for c in COLUMNS}
    named |= {c: named[c][:, 0] for c in SCALARS}
    torch.testing.assert_close(loaded.probability(named).numpy(), found)
    record = loaded.record
    assert record == judge.record and loaded.digest() == judge.digest()
    assert record.sizes == [6, 6, *[1] * len(SCALARS)] and record.point.items() >= point.items()
    place = record.thresholds.index(record.recall_threshold)
    assert record.recall_at_thresholds[place] == record.validation.recall >= 0.9
    assert (found[validation.important] >= record.recall_threshold).mean() == record.validation.recall
    assert record.threshold is None and record.operating_point is None, "no sweep was made"
    assert record.validation.auc.low < record.validation.auc.value < record.validation.auc.high
    assert record.models["target"]["model"] in build_card(record, BY_ANSWERS, None, None, None)


def test_a_card_tells_of_folds_and_of_failing_targets():
    record = make_record(models=MODELS)
    sources = Sources(90, 30, 4, 20, 3, left_out=True)
    own, served = (build_card(record, BY_ANSWERS, sources, 5, fold) for fold in ("2-of-5", None))
    assert "The judge of fold 2-of-5: no problem of that fold" in own
    assert (
        "to be served. Accuracies in the dataset's figure are not of this judge but of those of its 5 folds" in served
    )
    assert "20 (3 important) of 90 mismatches (30 important)" in own and "these are left out" in own
    assert "fold" not in build_card(record, BY_ANSWERS, sources, None, None)


def test_an_operating_point_is_kept_with_the_judge_and_changes_nothing_of_its_verdicts(saved, tmp_path):
    judge = load_judge(saved)
    swept = replace(judge.record, threshold=0.01, operating_point=make_point(window=8))
    Judge(judge.tensors, swept).save(tmp_path / "export")
    loaded = load_judge(tmp_path / "export")
    assert loaded.record == swept and loaded.digest() == judge.digest()
    files = [(folder / "judge.safetensors").read_bytes() for folder in (saved, tmp_path / "export")]
    assert files[0] == files[1]


def test_a_card_tells_the_operating_point_and_how_engines_are_given_it():
    record = make_record(models=MODELS, columns=["draft_token_rank"])
    swept = replace(record, threshold=0.0123, operating_point=make_point(window=8, drop=0.7, drop_high=2.1))
    before, after = (build_card(known, BY_ANSWERS, None, None, None) for known in (record, swept))
    assert "keep a draft token when p(important) < 0.0123" in after and "| target alone: logits |" in after
    assert "8 draft tokens per cycle" in after and "0.7 points lost against lossless decoding (0.5 to 2.1)" in after
    assert "| chosen | the fastest |" in after and '"num_speculative_tokens": 8' in after and "window=8\n" in after
    assert "vllm serve large --dtype float32" in after and '{"method": "draft_model", "model": "small"' in after
    assert '{"judge": "FOLDER"}}' in after and "< judge.record.threshold" in after
    assert "none here" in before and '"threshold": THRESHOLD' in before and "p(important) < 0.5: 90.0%" in before
    assert "vllm" not in build_card(
        replace(swept, models=MODELS | {"draft": {"first_layers": 2}}), BY_ANSWERS, None, None, None
    )


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder of the library as `pip install .` leaves it."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    shutil.copytree(
        ROOT / "workflow_scripts", source / "workflow_scripts", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    return folder


SERVING = """
import sys

class OfTheWorkflow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[2].split(","):
            raise ModuleNotFoundError(f"{name} is not there where a judge is served")

sys.meta_path.insert(0, OfTheWorkflow())
sys.path.insert(0, sys.argv[1])
import torch
import autojudge
from safetensors.torch import load_file
from autojudge.judging.artifact import Judge, load_judge
from autojudge.serving.export import custom_generate_files
from autojudge.serving.served_judge import settle_threshold

assert "generate.py" in custom_generate_files()
assert autojudge.__file__.startswith(sys.argv[1]), autojudge.__file__
x = load_file(sys.argv[3])["x"]
for folder in sys.argv[4:]:
    judge = load_judge(folder)
    features = {c: part if n > 1 else part[:, 0] for c, n, part in
                zip(judge.columns, judge.record.sizes, x.split(judge.record.sizes, dim=1))}
    open(f"{folder}/probability.json", "w").write(str(judge.probability(features).tolist()))
"""


def test_a_judge_of_every_classifier_is_served_with_torch_and_safetensors_alone(tables, installed, tmp_path):
    data, select = Mismatches(*tables()), SELECT | {"thresholds": 5}
    x, expected = torch.from_numpy(data.of_split("test").features(COLUMNS)), {}
    save_file({"x": x}, tmp_path / "x.safetensors")
    for classifier, ((hyperparameter, values),) in ((name, grid.items()) for name, grid in GRID.items()):
        point = {"feature_set": "all", "classifier": classifier, "hyperparameter": hyperparameter, "value": values[-1]}
        judge = fit_judge(data, point, SETS, select, ORIGIN, seed=0)
        judge.save(tmp_path / classifier)
        expected[str(tmp_path / classifier)] = judge.predict(x)
    command = [sys.executable, "-c", SERVING, str(installed), WORKFLOW_ONLY, str(tmp_path / "x.safetensors"), *expected]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for folder, probability in expected.items():
        served = torch.tensor(json.loads(Path(folder, "probability.json").read_text()))
        torch.testing.assert_close(served, probability)


def test_the_package_asks_for_torch_and_safetensors_and_holds_the_library_alone(installed):
    (metadata,) = installed.glob("autojudge-*.dist-info/METADATA")
    found = re.findall(r"^Requires-Dist: ([a-z0-9]+)(.*)", metadata.read_text(), re.MULTILINE)
    assert sorted(name for name, how in found if "extra ==" not in how) == ["safetensors", "torch"]
    assert sorted(name for name, how in found if "extra ==" in how) == ["jinja2", "transformers", "vllm"]
    assert {path.name for path in installed.iterdir()} == {"autojudge", metadata.parent.name}
    library = ROOT / "workflow_scripts/autojudge"
    kept = {
        path.relative_to(library) for path in library.rglob("*") if path.suffix in (".py", ".yaml", ".jinja", ".txt")
    }
    files = {path.relative_to(installed / "autojudge") for path in (installed / "autojudge").rglob("*.*")}
    assert {path for path in files if path.suffix != ".pyc"} == kept
    assert {Path("serving/custom_generate/generate.py"), Path("serving/custom_generate/requirements.txt")} < kept
    assert sum(path.stat().st_size for path in installed.rglob("*")) < 4_000_000  # no weights of the test bed


def test_every_classifier_of_the_library_is_one():
    for name in CLASSIFIERS.names():
        assert check_classifier(name).hyperparameter
    assert set(GRID) <= set(CLASSIFIERS.names())


def test_a_classifier_is_named_and_never_a_path(tmp_path):
    (tmp_path / "ridge.py").write_text("")
    with pytest.raises(InputError, match="put the module into workflow_scripts/autojudge/judging/classifiers"):
        check_classifier(str(tmp_path / "ridge.py"))


def test_a_judge_tells_how_many_numbers_it_reads(train):
    width = 12 + len(SCALARS)
    for classifier, ((_, values),) in ((name, grid.items()) for name, grid in GRID.items()):
        wanted = values[-1] if classifier == "sparse_regression" else width
        assert features_read(fit(classifier, values[-1], train), width) == wanted


def test_candidates_run_from_lossless_to_always_accept():
    probability = np.random.default_rng(0).random(1000)
    levels = candidate_thresholds(probability, 26, 0.3)
    assert levels[0] == 0 and levels[-1] > 1 and 0.3 in levels
    assert levels == sorted(levels) and len(levels) == 26


@pytest.fixture
def saved(tables, tmp_path):
    point = {"feature_set": "blocks", "classifier": "logistic_regression", "hyperparameter": "C", "value": 0.1}
    fit_judge(Mismatches(*tables()), point, SETS, SELECT, ORIGIN, seed=0).save(tmp_path / "judge")
    return tmp_path / "judge"


def test_a_damaged_or_foreign_artifact_is_refused(saved, tmp_path):
    with pytest.raises(InputError, match="not a readable judge"):
        load_judge(tmp_path / "nowhere")
    info, tensors = (saved / "judge.json").read_text(), (saved / "judge.safetensors").read_bytes()
    for text, message in (
        (json.dumps(json.loads(info) | {"format": 4}), "format 4 is not 5"),
        ("[1]", "format None is not 5"),
        (info[:50], "not a readable judge"),
        (json.dumps({k: v for k, v in json.loads(info).items() if k != "sizes"}), "`sizes` is missing"),
        (json.dumps(json.loads(info) | {"sizes": [6, 7]}), "are not of the same judge"),
        (json.dumps({k: v for k, v in json.loads(info).items() if k != "thresholds"}), "`thresholds` is missing"),
        (json.dumps(json.loads(info) | {"sizes": [6, 6.5]}), r"`sizes\[1\]` is missing or of another type"),
        (json.dumps(json.loads(info) | {"colour": "red"}), "unknown key `colour`"),
        (json.dumps(json.loads(info) | {"digest": None}), "`digest` is missing"),
        (info.replace('"recall_wanted"', '"recall_wished"'), "unknown key `validation.recall_wished`"),
        (info.replace('"low"', '"least"', 1), "unknown key `validation.auc.least`"),
        (json.dumps(json.loads(info) | {"classifier": "svm"}), "no classifier svm is known"),
        (json.dumps(json.loads(info) | {"classifier": str(saved / "svm.py")}), "no classifier .*svm.py is known"),
        (json.dumps(json.loads(info) | {"classifier": "mlp"}), "are not of the same judge"),
        (json.dumps(json.loads(info) | {"columns": json.loads(info)["columns"][::-1]}), "are not of the same judge"),
        (json.dumps(json.loads(info) | {"threshold": "high"}), "`threshold` is missing or of another type"),
        (info.replace('  "threshold": null,', ""), "`threshold` is missing or of another type"),
        (json.dumps(json.loads(info) | {"recall_threshold": None}), "`recall_threshold` is missing or of another"),
        (json.dumps(json.loads(info) | {"operating_point": {"window": 8}}), "`operating_point.rule` is missing"),
    ):
        (saved / "judge.json").write_text(text)
        with pytest.raises(InputError, match=message):
            load_judge(saved)
    (saved / "judge.json").write_text(info)
    (saved / "judge.safetensors").write_bytes(tensors[: len(tensors) // 2])
    with pytest.raises(InputError, match="not a readable judge"):
        load_judge(saved)
    save_file({"other": torch.zeros(1)}, saved / "judge.safetensors")
    with pytest.raises(InputError, match="are not of the same judge"):
        load_judge(saved)


def test_a_judge_for_other_models_or_sizes_is_refused(saved):
    judge = load_judge(saved)
    sizes = {"draft": 6, "target": 6}
    judge.check_pair(MODELS, sizes)
    with pytest.raises(InputError, match="trained for target large, not for huge"):
        judge.check_pair(MODELS | {"target": {"model": "huge"}}, sizes)
    of_folder = Judge(judge.tensors, replace(judge.record, models={"target": {"model": "a/b", "contents": "1"}}))
    of_folder.check_pair({"target": {"contents": "1"}}, sizes)
    with pytest.raises(InputError, match="trained for target a/b, not for the one here"):
        of_folder.check_pair({"target": {"contents": "2"}}, sizes)
    with pytest.raises(InputError, match="reads `draft_at_draft` of 6 numbers, and the draft here has states of 8"):
        judge.check_pair(MODELS, sizes | {"draft": 8})
    features = {column: torch.zeros(3, 6) for column in judge.columns}
    assert judge.probability(features).shape == (3,)
    for damaged in (features | {"draft_at_draft": torch.zeros(3, 8)}, {"target_at_draft": torch.zeros(3, 6)}):
        with pytest.raises(InputError, match=r"the judge reads `draft_at_draft` of shape \(n, 6\)"):
            judge.probability(damaged)


def test_labels_of_cut_off_responses_can_be_left_out(tables):
    paths = tables()
    whole, part = (Mismatches(*paths, exclude_cut_off=exclude).of_split("train") for exclude in (False, True))
    cut_off = np.array([i % 10 == 0 for i in range(900) if i // 5 % 4 < 2])
    assert len(part) == len(whole) - cut_off.sum() > 0
    np.testing.assert_array_equal(part.features(COLUMNS), whole.features(COLUMNS)[~cut_off])


def write_responses(folder, fails):
    row = {"split": "train", "target_tokens": [1], "draft_tokens": [2], "mined_tokens": [1], "target_answer": "1"}
    row |= {"draft_answer": None, "mined_answer": "1", "cut_off": False, "least_margin": 1.0, "seconds": 1.0}
    row |= {"mined_again": False}
    row |= {"target_evaluated": 1, "draft_evaluated": 1, "checked_by": None}
    rows = [row | {"problem_id": f"p{i}", "correct": not fails(i)} for i in range(180)]
    write_table(RESPONSES, rows, folder / "responses.parquet")


def test_labels_of_failing_targets_are_told_and_can_be_left_out(tables, tmp_path):
    paths = tables(lambda i: i % 3 == 0)
    assert Mismatches(*paths).sources is None, "imported labels have no responses"
    with pytest.raises(InputError, match=r"responses.parquet: is missing, and `judge.only_correct` needs it"):
        Mismatches(*paths, only_correct=True)
    write_responses(tmp_path, fails=lambda problem: problem % 3 == 1)
    whole, part = (Mismatches(*paths, only_correct=only) for only in (False, True))
    mined = [i for i in range(900) if i // 5 % 4 < 3]  # of train and validation
    failing = [i for i in mined if i // 5 % 3 == 1]
    counts = [len(mined), sum(i % 3 == 0 for i in mined), len({i // 5 for i in failing})]
    counts += [len(failing), sum(i % 3 == 0 for i in failing)]
    assert list(vars(whole.sources).values()) == [*counts, False]
    assert list(vars(part.sources).values()) == [*counts, True]
    for split in ("train", "validation", "test"):
        kept = np.array([int(name[1:]) % 3 != 1 for name in whole.of_split(split).problem_id])
        np.testing.assert_array_equal(part.of_split(split).problem_id, whole.of_split(split).problem_id[kept])
        np.testing.assert_array_equal(
            part.of_split(split).features(COLUMNS), whole.of_split(split).features(COLUMNS)[kept]
        )


def test_no_judge_sees_its_own_fold(tables):
    """Whatever labels a fold's own problems have, its grid, choice, calibration and thresholds stay the same."""
    grid = {"logistic_regression": GRID["logistic_regression"], "boosting": GRID["boosting"]}

    def train(held_out, important_of):
        data = Mismatches(*tables(important_of), held_out=held_out)
        rows, scores = measure_grid(data, "all", SETS["all"], grid, "validation", seed=0)
        found = scores.to_pandas()
        point = choose_point(pd.DataFrame(rows), found, SETS, SELECT, seed=0)
        judge = fit_judge(data, point, SETS, SELECT, ORIGIN, seed=0)
        chosen_on = found[found["split"] == "validation"]
        return judge.digest(), judge.record, chosen_on.to_dict("list"), {row["value"]: row["auc"] for row in rows}

    plain = np.random.default_rng(1).random(900) < 0.3

    def own(fold):
        return lambda i: bool(plain[i] ^ (split_in(fold, f"p{i // 5}", "train") == "test"))  # labels turned round

    def as_mined(i):
        return bool(plain[i])

    for held_out in ("1-of-3", "3-of-3"):
        assert train(held_out, own(held_out)) == train(held_out, as_mined)
    assert train("1-of-3", own("2-of-3"))[0] != train("1-of-3", as_mined)[0]
    assert train(None, own("1-of-3"))[0] != train(None, as_mined)[0]


def test_a_fold_is_tested_on_its_own_problems_and_trained_by_problem(tables):
    paths = tables()
    for held_out in ("1-of-3", "2-of-3", "3-of-3"):
        data = Mismatches(*paths, held_out=held_out)
        of = {split: set(data.of_split(split).problem_id) for split in ("train", "validation", "test")}
        assert {name for name in of["test"] if name in {f"p{i}" for i in range(180) if i % 4 < 3}} == {
            f"p{i}" for i in range(180) if i % 4 < 3 and split_in(held_out, f"p{i}", "train") == "test"
        }
        assert not of["train"] & of["validation"] and not (of["train"] | of["validation"]) & of["test"]


def test_near_ties_can_be_weighted_down_and_left_out_of_a_fit(tables):
    paths = tables(lambda i: i % 3 == 0 if i % 2 else i % 5 == 0, near_tie=lambda i: i % 2 == 1)
    half, none, whole = (Mismatches(*paths, near_tie_weight=w).of_split("train") for w in (0.5, 0.0, 1.0))
    assert set(half.weight) == {0.5, 1.0} and set(whole.weight) == {1.0}
    without = whole.thin(~whole.rows["near_tie"].to_numpy(dtype=bool))
    left_out, thinned = fit("logistic_regression", 0.1, none), fit("logistic_regression", 0.1, without)
    torch.testing.assert_close(left_out, thinned)
    assert not torch.equal(fit("logistic_regression", 0.1, half)["weight"], left_out["weight"])


def test_features_are_read_by_column_and_row(tables):
    labels, features = tables(n=9000)  # more than are decoded at a time
    table = read_table(FEATURES, features)
    columns = ["kl_divergence", "target_at_draft"]
    whole = load_features(features, columns)
    np.testing.assert_array_equal(whole[:, 0], table["kl_divergence"].to_numpy(dtype=np.float32))
    np.testing.assert_array_equal(whole[:, 1:], np.stack(table["target_at_draft"]).astype(np.float32))
    places = np.array([0, 7, 4095, 4096, 8999])
    np.testing.assert_array_equal(load_features(features, columns, places), whole[places])


@pytest.mark.parametrize("only", [True, False])
def test_labels_of_one_class_are_refused_with_the_remedy(tables, only):
    with pytest.raises(
        InputError, match=r"labels.parquet: split train: all 450 mismatches are .*both classes; mine more"
    ):
        Mismatches(*tables(lambda i: only)).of_split("train")


@pytest.mark.parametrize("classifier", ["mlp", "boosting"])
def test_too_few_mismatches_for_a_classifier_are_refused(tables, classifier):
    train = Mismatches(*tables(lambda i: i == 7)).of_split("train")
    with pytest.raises(InputError, match=rf"{classifier} cannot be fitted on 450 mismatches, 1 of them important"):
        fit(classifier, 8, train)


def test_a_perceptron_with_no_problem_left_to_fit_is_refused(tables):
    train = Mismatches(*tables()).of_split("train")
    mixed = pd.Series(train.important).groupby(train.problem_id).mean()
    part = train.thin(train.problem_id == mixed.index[(mixed > 0) & (mixed < 1)][0])
    with pytest.raises(InputError, match="mlp cannot be fitted on 5 mismatches"):
        fit("mlp", 8, part)


def test_an_empty_split_is_refused(tables):
    with pytest.raises(InputError, match="split validation holds no mismatch; mine more problems"):
        Mismatches(*tables(n=5)).of_split("validation")


def test_features_of_other_labels_are_refused(tables, tmp_path):
    labels, features = tables()
    rows = read_table(FEATURES, features).iloc[1:]
    write_table(FEATURES, rows.to_dict("records"), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="rows are not those of .*labels.parquet"):
        Mismatches(labels, str(tmp_path / "other.parquet"))


def test_a_learning_curve_has_the_whole_and_its_parts(tables):
    point = {"feature_set": "all", "classifier": "logistic_regression", "hyperparameter": "C", "value": 0.1}
    rows = pd.DataFrame(learning_curve(Mismatches(*tables()), point, SETS["all"], seed=0, draws=3))
    sizes = rows.groupby("problems").size()
    assert sizes.loc[90] == 1 and sizes.loc[45] == 3 and set(sizes.index) >= {90, 45, 22}
    assert (rows["mismatches"] == 5 * rows["problems"]).all()
    assert rows.loc[rows["problems"] == 90, "auc"].iloc[0] > 0.8
