"""The summary as a table that a paper could print, in Markdown and LaTeX."""

from typing import Any

import pandas as pd
from tabulate import tabulate

from autojudge.reporting.names import name_rule

ORDER = {"reference": 0, "judge": 1, "oracle": 2, "training-free": 3}
HEADER = ["pair", "rule", "threshold", "accuracy, %", "drop, points (95 %)", "accepted", "emitted", "area, %"]


def format_markdown(summary: pd.DataFrame, dataset: str, tolerance: float) -> str:
    """Return table `summary` of a dataset as Markdown, with a note that begins with the dataset's title."""
    return f"{_tabulate(summary, 'github')}\n\n{_describe(summary, dataset, tolerance)}\n"


def format_latex(summary: pd.DataFrame, dataset: str, tolerance: float) -> str:
    """Return the same as LaTeX (booktabs), the note as a comment and as the macro `summarynote`."""
    note = _describe(summary, dataset, tolerance)
    escaped = note.replace("%", r"\%").replace("_", r"\_")
    body = _tabulate(summary, "latex_booktabs")
    return f"{body}\n\n% {note}\n\\newcommand{{\\summarynote}}{{{escaped}}}\n"


def _tabulate(summary: pd.DataFrame, form: str) -> str:
    rows = [_format_row(row) for row in _in_order(summary).to_dict("records")]
    return str(tabulate(rows, HEADER, form, disable_numparse=True))


def _describe(summary: pd.DataFrame, dataset: str, tolerance: float) -> str:
    """Return what the reader needs to judge the numbers."""
    sizes = ", ".join(f"{n} ({pair})" for pair, n in summary.groupby("pair", sort=False)["problems"].first().items())
    return (
        f"{dataset}; test problems: {sizes}. Each rule at the fastest threshold that loses at most {tolerance:g} "
        "points on validation, by the upper end of the 95 % interval. Accuracy with its Wilson interval, drop against "
        "lossless with a paired bootstrap interval; accepted and emitted tokens per cycle. Area: mean of the best "
        "accuracy at or above a speed, between lossless and the draft alone. * best training-free rule on validation."
    )


def _in_order(summary: pd.DataFrame) -> pd.DataFrame:
    """Order by pair, kind and area, the best first."""
    keyed = summary.assign(kind_order=summary["kind"].map(ORDER), pair_order=pd.factorize(summary["pair"])[0])
    by = ["pair_order", "kind_order", "area", "accuracy"]
    return keyed.sort_values(by, ascending=[True, True, False, False], kind="stable", na_position="first")


def _format_row(row: dict[Any, Any]) -> list[str]:
    low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
    return [
        row["pair"],
        name_rule(row["rule"]) + (" *" if row["best"] else ""),
        "" if row["kind"] == "reference" else f"{row['threshold']:.3g}",
        f"{100 * row['accuracy']:.1f} ({low:.1f} to {high:.1f})",
        f"{row['drop']:.1f} ({row['drop_low']:.1f} to {row['drop_high']:.1f})",
        _number(row["accepted_per_cycle"], 2),
        _number(row["emitted_per_cycle"], 2),
        _number(100 * row["area"], 1),
    ]


def _number(value: float, digits: int) -> str:
    return "" if pd.isna(value) else f"{value:.{digits}f}"
