"""The page that compares judges."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from tabulate import tabulate

from autojudge.judging.comparison import RULE
from autojudge.judging.mismatches import Sources
from autojudge.tables.files import records

HEADER = ["judge", "reads", "an engine needs", "on validation: accepted, AUC", "AUC, folds", "AUC", "average precision"]
HEADER += ["accepted at 90 %", "minus KL", "accepted at 95 %"]


def write_markdown(
    table: pd.DataFrame, near_ties: pd.DataFrame, sources: Sources | None, title: str, recall: float
) -> str:
    """Return the comparison as Markdown, with where the labels come from, if that is known."""
    split, rows = table["split"].iloc[0], []
    for row in records(table):
        rows.append(
            [
                name_judge(row) + (" **(selected)**" if row["selected"] else ""),
                str(row["features_read"]),
                row["needs"],
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
        else "the validation split, which chose the judge: take it as optimistic"
    )
    note = (
        f"AUC, average precision and acceptance on {used}; intervals of 95 % by resampling problems. Accepted at 90 %: "
        "share of the unimportant mismatches that are kept where 90 % of the important ones are refused; minus KL: the "
        "difference from KL divergence alone, paired. Each candidate at the value that accepts most on validation at a "
        f"recall of {100 * recall:g} %. AUC, folds: of scores by fits on the other folds of the train and validation "
        "problems. Reads: numbers of a mismatch that the judge reads. An engine needs: what it has to keep of the "
        "models to serve the judge; sets of states at the target's token (`*_at_target`) cannot be served. "
        "Selected: of those within one standard error of "
        "the best on validation, in acceptance and in AUC, the one that reads fewest."
    )
    origin = f"## Labels\n\n{describe_sources(sources)}\n\n" if sources else ""
    ties = tabulate(near_ties.to_dict("records"), "keys", "github", disable_numparse=True)
    return (
        f"# {title}: judges compared\n\n{tabulate(rows, HEADER, 'github', disable_numparse=True)}\n\n{note}\n\n"
        f"{origin}## Near ties\n\nThe selected judge fitted with labels that rest on a near tie weighted down "
        f"(`judge.near_tie_weight`), and left out:\n\n{ties}\n"
    )


def describe_sources(sources: Sources) -> str:
    """Return a sentence on how many labels come from problems that the target fails."""
    use = (
        "these are left out of training and choice (`judge.only_correct`)"
        if sources.left_out
        else "these are used like any other (`judge.only_correct: true` leaves them out)"
    )
    return (
        f"{sources.failing_mismatches} ({sources.failing_important} important) of {sources.mismatches} mismatches "
        f"({sources.important} important) of training and validation problems come from the {sources.failing_problems} "
        f"problems whose target's answer is wrong; {use}. Two wrong answers may be equal for no reason, as failing "
        "programs are, and the label then says unimportant."
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
