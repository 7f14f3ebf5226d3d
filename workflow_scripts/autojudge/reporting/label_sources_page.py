"""The page that compares sources of labels."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from tabulate import tabulate

from autojudge.reporting.statistics import wilson_interval

Row = Mapping[Any, Any]


def write_markdown(table: pd.DataFrame, title: str, tolerance: float, cost: float) -> str:
    """Return table `label_sources` as Markdown: the labels, the judges trained on them, and how to read both.

    Parameters
    ----------
    tolerance : float
        Percentage points that a recommended point may lose on validation.
    cost : float
        Time of a draft call over that of a target call.
    """
    parts = [f"# {title}: sources of labels compared", "## The labels", _format(table, LABELS)]
    parts += ["## The judges trained on them", _format(table, JUDGES)]
    settings = [
        f"- {row['source']}: `{row['settings']}`" for row in table.to_dict("records") if _known(row["settings"])
    ]
    split = table["split"].iloc[0]
    return "\n\n".join([*parts, _describe(split, tolerance, cost), "Settings:\n\n" + "\n".join(settings)]) + "\n"


def _known(value: Any) -> bool:
    return not pd.isna(value)


def _value(column: str, digits: int, factor: float = 1) -> Callable[[Row], str]:
    """Return a function that writes a column of a row; nothing where it has no value."""
    return lambda row: f"{factor * row[column]:z,.{digits}f}" if _known(row[column]) else ""


def _range(column: str, digits: int, factor: float = 1) -> Callable[[Row], str]:
    """Return a function that writes a column of a row with the ends of its interval."""
    value, low, high = (_value(name, digits, factor) for name in (column, f"{column}_low", f"{column}_high"))
    return lambda row: f"{value(row)} ({low(row)} to {high(row)})" if value(row) else ""


def _against_exact(write: Callable[[Row], str]) -> Callable[[Row], str]:
    """Return a function that writes nothing in the row of exact labels, which are what is compared with."""
    return lambda row: write(row) if _known(row["settings"]) else ""


def _write_audit(row: Row) -> str:
    """Write how many of the audited alternatives were important."""
    wrong, audited = int(row["audited_important"]), int(row["audited"])
    if not audited:
        return ""
    low, high = wilson_interval(wrong, audited)
    return f"{wrong} of {audited}: {100 * wrong / audited:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _format(table: pd.DataFrame, columns: Mapping[str, Callable[[Row], str]]) -> str:
    cells = [[write(row) for write in columns.values()] for row in table.to_dict("records")]
    return str(tabulate(cells, list(columns), "github", disable_numparse=True))


SOURCE = {"source": lambda row: str(row["source"])}
LABELS = SOURCE | {
    "problems": _value("problems", 0),
    "labels": _value("mismatches", 0),
    "important, %": _value("important", 1, 100),
    "target tokens per label": _value("target_tokens", 1),
    "tokens by those of exact": _value("relative_tokens", 2),
    "seconds per label": _value("seconds", 2),
    "stopped, %": _value("stopped", 1, 100),
    "audited: important, %": _write_audit,
    "shared with exact": _against_exact(_value("shared", 0)),
    "kappa": _against_exact(_range("kappa", 3)),
}
JUDGES = SOURCE | {
    "judge": lambda row: row["judge"],
    "AUC": _range("auc", 3),
    "window": lambda row: str(row["window"]),
    "threshold": lambda row: f"{row['threshold']:.3g}",
    "accuracy, %": _range("accuracy", 1, 100),
    "minus exact's, points": _against_exact(_range("accuracy_gain", 1)),
    "emitted": _value("emitted_per_cycle", 2),
    "speed-up": _value("speedup", 2),
    "over exact's": _against_exact(_range("speed_ratio", 3)),
    "area, %": _value("area", 1, 100),
    "area minus exact's": _against_exact(_range("area_gain", 1, 100)),
}


def _describe(split: str, tolerance: float, cost: float) -> str:
    """Return what the reader needs to judge the numbers."""
    used = "the test split" if split == "test" else "the validation split, which chose the judge: take it as optimistic"
    return (
        "Exact: every alternative continued to its end, its answer compared. Target tokens include prompts, refused "
        "proposals and what was mined in vain. Seconds in work, summed over problems: those of a batch overlap, so "
        "only the ratio of two sources means something, if one machine mined both at one batch. Audited: "
        "alternatives that would have been stopped and were continued; the share of important ones is what stopping "
        "gets wrong, with its Wilson interval. Shared: mismatches of the same problem, position and tokens that both "
        "have labelled; kappa is Cohen's, of their labels with the exact ones: 1 is full agreement, 0 what chance "
        f"gives. AUC: each judge on exact labels of {used}. Each judge at the fastest window and threshold that lose "
        f"at most {tolerance:g} points on validation, by the speed-up projected at {cost:.3g} target calls for a draft "
        "call; the rest is of the test problems. Emitted: tokens per cycle, the bonus token included. Area: mean of "
        "the best accuracy at or above a speed-up, over those from lossless decoding to the draft alone; differences "
        "are in points. Intervals of 95 %: Wilson's of accuracy; else problems are resampled, paired against the judge "
        "of exact labels, of which one that covers 0 (points, area) or 1 (speed-up) is a tie. They do not show how "
        "much a judge varies with the problems that it was trained on."
    )
