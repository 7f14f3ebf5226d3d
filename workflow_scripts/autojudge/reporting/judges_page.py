"""How judges compare: every candidate at its best value, the rules that need no training, the paper's choice."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tabulate import tabulate

from autojudge.errors import InputError
from autojudge.judging.artifact import Judge
from autojudge.judging.choice import at_point, best_values, judge_scores, scores_of
from autojudge.judging.classifiers import fit_grid
from autojudge.judging.metrics import METRICS, compare, draw_weights, estimate, measure
from autojudge.judging.mismatches import VALIDATION, Mismatches, Part
from autojudge.tables.feature_names import expand_blocks
from autojudge.tables.files import records
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
HEADER = ["judge", "reads", "on validation: accepted, AUC", "AUC, folds", "AUC", "average precision"]
HEADER += ["accepted at 90 %", "minus KL", "accepted at 95 %"]


def report_split(scores: pd.DataFrame) -> str:
    """Return the split that the report measures on: test where it was mined, else validation, which chose."""
    return "test" if (scores["split"] == "test").any() else VALIDATION


def compare_judges(
    grid: pd.DataFrame, scores: pd.DataFrame, part: Part, metric: str, chosen: Mapping[str, Any], seed: int
) -> pd.DataFrame:
    """Return table `judges`: one row a candidate, in order of acceptance on validation, then the training-free rules.

    Parameters
    ----------
    part : Part
        The mismatches of the report's split.
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
        named["selected"] = all(point[name] == chosen[name] for name in chosen)
        named |= {"auc_validation": point["auc"], "accepted_validation": point[metric], "split": split}
        rows.append(named | _across_folds(pooled, seed) | _measured(found, reference, part.important, weights))
    for scalar, sign in SCALAR_RULES.items() if reference is not None else ():
        found = sign * part.features([scalar])[:, 0]
        named = {"feature_set": scalar, "classifier": RULE, "hyperparameter": "", "value": np.nan, "features_read": 1}
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
    score: NDArray, reference: NDArray | None, important: NDArray[np.bool_], weights: NDArray
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
        ((_, tensors),) = fit_grid(point["classifier"], [point["value"]], train, x, columns, seed)
        found = judge_scores(Judge(tensors, {"columns": columns, "classifier": point["classifier"]}), part)
        rows.append(
            {"weight of near ties": f"{weight:g}", "near ties": int(tie.sum()), "mismatches": len(train)}
            | {name: str(value) for name, value in estimate(found, part.important, weights).items()}
        )
    return pd.DataFrame(rows)


def learning_curve(
    mismatches: Mismatches, point: Mapping[str, Any], blocks: list[str], seed: int, draws: int
) -> Iterator[dict[str, Any]]:
    """Yield rows of table `learning_curve`: a grid point fitted on random halves, quarters, ... of the problems.

    Measured on validation, as it is to tell whether to go on mining. A part without both classes is left out.
    """
    columns, train, validation = expand_blocks(blocks), mismatches.of_split("train"), mismatches.of_split(VALIDATION)
    x, x_validation = train.features(columns), validation.features(columns)
    problems, of = np.unique(train.problem_id.astype(str), return_inverse=True)
    unseen = validation.important
    for halvings in range(6):
        count = len(problems) >> halvings
        for draw in range(draws if halvings else 1):
            kept = np.random.default_rng([seed, draw]).permutation(len(problems))[:count]
            inside = np.isin(of, kept)
            part = train.thin(inside)
            if count == 0 or part.important.all() or not part.important.any():
                continue
            try:
                ((_, tensors),) = fit_grid(point["classifier"], [point["value"]], part, x[inside], columns, seed)
            except InputError:  # too few for this classifier
                continue
            judge = Judge(tensors, {"columns": columns, "classifier": point["classifier"]})
            found = measure(judge.predict(torch.from_numpy(x_validation)).numpy(), unseen)
            counts = {"problems": count, "mismatches": int(inside.sum()), "draw": draw}
            yield {name: point[name] for name in POINT} | counts | {name: float(found[name][0]) for name in METRICS}


def write_markdown(table: pd.DataFrame, near_ties: pd.DataFrame, title: str, recall: float) -> str:
    """Return the comparison as Markdown."""
    split, rows = table["split"].iloc[0], []
    for row in records(table):
        rows.append(
            [
                name_judge(row) + (" **(selected)**" if row["selected"] else ""),
                str(row["features_read"]),
                "" if row["classifier"] == RULE else f"{row['accepted_validation']:.3f}, {row['auc_validation']:.3f}",
                _range(row, "auc_folds"),
                *(_range(row, name) for name in ("auc", "average_precision", "accepted_at_90")),
                _range(row, "gain", sign=True),
                _range(row, "accepted_at_95"),
            ]
        )
    used = (
        "the test split, which chose nothing"
        if split == "test"
        else "the validation split, which chose: take it as optimistic"
    )
    note = (
        f"AUC, average precision and acceptance on {used}; intervals of 95 % by resampling problems. Accepted at 90 %: "
        "share of the unimportant mismatches that are kept where 90 % of the important ones are refused; minus KL: the "
        "difference to KL divergence alone, paired. Each candidate at the value that accepts most on validation at a "
        f"recall of {100 * recall:g} %. AUC, folds: of scores by fits on the other folds of the train and validation "
        "problems. Reads: numbers of a mismatch that the judge reads. Selected: of those within one standard error of "
        "the best on validation, the one that reads fewest."
    )
    ties = tabulate(near_ties.to_dict("records"), "keys", "github", disable_numparse=True)
    return (
        f"# {title}: judges compared\n\n{tabulate(rows, HEADER, 'github', disable_numparse=True)}\n\n{note}\n\n"
        "## Near ties\n\nThe selected judge fitted with labels that rest on a near tie weighted down "
        f"(`judge.near_tie_weight`), and left out:\n\n{ties}\n"
    )


def name_judge(row: Mapping[str, Any]) -> str:
    """Return a candidate's name for people."""
    if row["classifier"] == RULE:
        return f"{row['feature_set'].replace('_', ' ')} alone"
    return f"{row['feature_set']}, {row['classifier'].replace('_', ' ')}, {row['hyperparameter']} {row['value']:.3g}"


def _range(row: Mapping[str, Any], name: str, sign: bool = False) -> str:
    if pd.isna(row[name]):
        return ""
    form = "{:+.3f}" if sign else "{:.3f}"
    return " ".join(
        [form.format(row[name]), f"({form.format(row[f'{name}_low'])} to {form.format(row[f'{name}_high'])})"]
    )
