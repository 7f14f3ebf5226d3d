"""Every candidate judge at its best value beside the rules that need no training, and what weighing near ties does."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from autojudge.judging.choice import at_point, best_values, scores_of
from autojudge.judging.classifiers import fit_grid, predict
from autojudge.judging.label_sources import soften
from autojudge.judging.metrics import compare, draw_weights, estimate
from autojudge.judging.mismatches import VALIDATION, Mismatches, Part
from autojudge.judging.needs import describe_needs, needs_of_columns
from autojudge.tables.feature_names import expand_blocks
from autojudge.tables.judging import POINT

SCALAR_RULES = {  # scalars that order mismatches without training, and the sign of importance
    "kl_divergence": 1.0,
    "js_divergence": 1.0,
    "draft_token_probability": -1.0,
    "draft_token_rank": 1.0,
}
RULE = "rule"  # stands for the classifier of a scalar that is used as it is
REFERENCE = "kl_divergence"
NEAR_TIE_WEIGHTS = (1.0, 0.5, 0.0)


def report_split(scores: pd.DataFrame) -> str:
    """Return the split that the report measures on: test where it was mined, else validation, which chose."""
    return "test" if (scores["split"] == "test").any() else VALIDATION


def compare_judges(
    grid: pd.DataFrame,
    scores: pd.DataFrame,
    part: Part,
    feature_sets: Mapping[str, list[str]],
    metric: str,
    chosen: Mapping[str, Any],
    seed: int,
) -> pd.DataFrame:
    """Return table `judges`: one row per candidate, in order of acceptance on validation, then the training-free rules.

    Parameters
    ----------
    part : Part
        The mismatches of the report's split.
    feature_sets : mapping of str to list of str
        `judge.feature_sets` of the config.
    metric : str
        Of METRICS, the one that chooses values on validation.
    chosen : mapping
        `feature_set`, `classifier` and `value` of the judge.
    """
    split = report_split(scores)
    weights, folds = draw_weights(part.problem_id, seed), scores[scores["fold"] != VALIDATION]
    reference = part.features([REFERENCE])[:, 0] if part.has(REFERENCE) else None
    rows = []
    for _, point in best_values(grid, metric).iterrows():
        found = scores_of(scores, point, split)["score"].to_numpy()
        pooled = folds[at_point(folds, point)]
        named = {name: point[name] for name in (*POINT, "features_read")}
        named["needs"] = describe_needs(needs_of_columns(expand_blocks(feature_sets[point["feature_set"]])))
        named["selected"] = all(point[name] == chosen[name] for name in chosen)
        named |= {"auc_validation": point["auc"], "accepted_validation": point[metric], "split": split}
        rows.append(named | _across_folds(pooled, seed) | _measured(found, reference, part.important, weights))
    for scalar, sign in SCALAR_RULES.items() if reference is not None else ():
        found = sign * part.features([scalar])[:, 0]
        named = {"feature_set": scalar, "classifier": RULE, "hyperparameter": "", "value": np.nan, "features_read": 1}
        named |= {"needs": describe_needs(needs_of_columns([scalar]))}
        named |= {"selected": False, "auc_validation": np.nan, "accepted_validation": np.nan, "split": split}
        rows.append(named | _across_folds(folds.iloc[:0], seed) | _measured(found, reference, part.important, weights))
    return pd.DataFrame(rows)


def _across_folds(pooled: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return the AUC of scores that are each of a fit without their fold, with its interval; none without folds."""
    if pooled.empty:
        return dict.fromkeys(("auc_folds", "auc_folds_low", "auc_folds_high"), np.nan)
    # Scores of different fits share no scale, so mismatches are ranked within their fold.
    rank = pooled.groupby("fold")["score"].rank(pct=True).to_numpy()
    found = estimate(
        rank, pooled["important"].to_numpy(dtype=bool), draw_weights(pooled["problem_id"].to_numpy(), seed)
    )["auc"]
    return {"auc_folds": found.value, "auc_folds_low": found.low, "auc_folds_high": found.high}


def _measured(
    score: NDArray[np.floating],  # (n,)
    reference: NDArray[np.floating] | None,  # (n,)
    important: NDArray[np.bool_],  # (n,)
    weights: NDArray[np.floating],  # (m, n)
) -> dict[str, float]:
    row: dict[str, float] = {}
    for name, found in estimate(score, important, weights).items():
        row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    if reference is None:
        return row | dict.fromkeys(("gain", "gain_low", "gain_high"), np.nan)
    gap = compare(score, reference, important, weights)["accepted_at_90"]
    return row | {"gain": gap.value, "gain_low": gap.low, "gain_high": gap.high}


def weigh_near_ties(
    mismatches: Mismatches, point: Mapping[str, Any], blocks: list[str], part: Part, seed: int
) -> pd.DataFrame:
    """Return the metrics of a grid point fitted with near ties weighted by each of NEAR_TIE_WEIGHTS."""
    columns, weights, rows = expand_blocks(blocks), draw_weights(part.problem_id, seed), []
    train = mismatches.of_split("train")
    x, tie = train.features(columns), train.rows["near_tie"].to_numpy(dtype=bool)
    for weight in NEAR_TIE_WEIGHTS:
        train.weight = np.where(tie, weight, 1.0)
        fitted = soften(mismatches, train, x)
        ((_, tensors),) = fit_grid(point["classifier"], [point["value"]], *fitted, columns, seed)
        found = predict(point["classifier"], tensors, torch.from_numpy(part.features(columns))).numpy()
        rows.append(
            {"weight of near ties": f"{weight:g}", "near ties": int(tie.sum()), "mismatches": len(train)}
            | {name: str(value) for name, value in estimate(found, part.important, weights).items()}
        )
    return pd.DataFrame(rows)
