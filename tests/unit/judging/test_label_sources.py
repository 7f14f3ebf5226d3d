"""Judges are fitted on shares of kept answers where there are any, and measured on greedy labels."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from autojudge.judging.classifiers import CLASSIFIERS, fit_grid, predict
from autojudge.judging.grid import measure_grid
from autojudge.judging.label_sources import soften
from autojudge.judging.logistic import LogisticPath
from autojudge.judging.mismatches import Mismatches
from autojudge.mining.shard import EXACT_LABEL
from autojudge.tables.feature_names import BLOCKS, SCALARS, expand_blocks
from autojudge.tables.files import write_table
from autojudge.tables.label_sources import SOURCED_LABELS
from autojudge.tables.mining import FEATURES

SET = ["target_at_draft", "scalars"]
COLUMNS = expand_blocks(SET)
GRID = {
    "logistic_regression": {"C": [0.1]},
    "sparse_regression": {"features": [4]},
    "boosting": {"n_estimators": [20]},
    "mlp": {"hidden_units": [8]},
    "random_forest": {"n_estimators": [16]},
}


@pytest.fixture
def mismatches(tmp_path):
    """Mismatches whose samples contradict their greedy labels; `share_of` says how often the answer is kept."""

    def write(share_of, n=600):
        rng = np.random.default_rng(0)
        labels, features = [], []
        for i in range(n):
            x, scalar = rng.normal(size=6).astype(np.float16), float(rng.normal())
            key, high = {"problem_id": f"p{i // 5}", "position": i % 5}, bool(x[0] + scalar > 0)
            row = {"split": ("train", "train", "validation")[i // 5 % 3], "important": not high}
            row |= {"target_token": 1, "draft_token": 2, "alternative_answer": None, "alternative_tokens": [2]}
            row |= {"margin": 0.5, "least_margin": 0.5, "near_tie": False, "cut_off": False, "likelihood_change": None}
            labels.append(key | row | EXACT_LABEL | {"kept_share": share_of(high)})
            features.append(key | dict.fromkeys(BLOCKS, x) | dict.fromkeys(SCALARS, scalar))
        write_table(SOURCED_LABELS, labels, tmp_path / "labels.parquet")
        write_table(FEATURES, features, tmp_path / "features.parquet")
        return Mismatches(str(tmp_path / "labels.parquet"), str(tmp_path / "features.parquet"))

    return write


@pytest.mark.parametrize("classifier", CLASSIFIERS.names())
def test_every_classifier_follows_the_shares(mismatches, classifier):
    data = mismatches(lambda high: 0.125 if high else 0.875)
    train, unseen = data.of_split("train"), data.of_split("validation")
    part, x = soften(data, train, train.features(COLUMNS))
    ((_, tensors),) = fit_grid(classifier, next(iter(GRID[classifier].values())), part, x, COLUMNS, seed=0)
    score = predict(classifier, tensors, torch.from_numpy(unseen.features(COLUMNS))).numpy()
    assert roc_auc_score(~unseen.important, score) > 0.8, "the greedy labels say the contrary"


def test_the_grid_is_fitted_on_shares_and_measured_on_greedy_labels(mismatches):
    rows, _ = measure_grid(mismatches(lambda high: 0.25 if high else 1.0), "s", SET, GRID, "validation", 0)
    assert len(rows) == len(GRID) and all(row["auc"] < 0.2 for row in rows)


def test_a_mismatch_counts_for_both_classes_by_its_share(mismatches):
    data = mismatches(lambda high: 0.25 if high else None)
    train = data.of_split("train")
    x = train.features(COLUMNS)
    part, doubled = soften(data, train, x)
    sampled = ~train.important  # where the share is 0.25
    assert len(part) == len(doubled) == len(train) + sampled.sum()
    y = np.concatenate([np.ones(len(x), bool), np.zeros(len(x), bool)])
    weights = np.concatenate([np.where(sampled, 0.75, 1.0), np.where(sampled, 0.25, 0.0)])
    (ours,) = LogisticPath(doubled, part.important, part.weight).fit([0.1])
    rows = weights > 0
    (plain,) = LogisticPath(np.concatenate([x, x])[rows], y[rows], weights[rows]).fit([0.1])
    np.testing.assert_allclose(ours.logit(x), plain.logit(x), atol=1e-3)
    assert part.weight[part.important].sum() == pytest.approx(0.75 * sampled.sum() + (~sampled).sum())


def test_labels_without_samples_stay_what_they_are(mismatches):
    data = mismatches(lambda _: None)
    train = data.of_split("train")
    x = train.features(COLUMNS)
    part, same = soften(data, train, x)
    assert part is train and same is x
