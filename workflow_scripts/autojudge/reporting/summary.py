"""The summary and what tuning the window gives, as tables that a paper could print, in Markdown and LaTeX."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
from tabulate import tabulate

from autojudge.decoding.truncation import name_truncated, truncated_by
from autojudge.reporting.names import front_rules, name_rule
from autojudge.reporting.statistics import MEASURED_COST

Row = Mapping[Any, Any]
ORDER = {"reference": 0, "judge": 1, "oracle": 2, "training-free": 3}
REFERENCES = {"target": 0, "lossless": 1, "always": 2}


def _number(column: str, digits: int, factor: float = 1) -> Callable[[Row], str]:
    """Return a function that writes a column of a row; nothing where it has no value."""
    return lambda row: "" if pd.isna(row[column]) else f"{factor * row[column]:z.{digits}f}"


def _with_interval(column: str, digits: int = 1, factor: float = 1) -> Callable[[Row], str]:
    """Return a function that writes a column of a row with the ends of its interval."""
    value, low, high = (_number(name, digits, factor) for name in (column, f"{column}_low", f"{column}_high"))
    return lambda row: f"{value(row)} ({low(row)} to {high(row)})" if value(row) else ""


def _write_rule(row: Row) -> str:
    return name_rule(row["rule"]) + (" *" if row["kind"] == "training-free" and row["best"] else "")


def _write_window(row: Row) -> str:
    return str(row["window"]) if row["window"] else ""


def _write_threshold(row: Row) -> str:
    knobless = row["kind"] in ("reference", "oracle") and not truncated_by(row["rule"])
    return "" if knobless else f"{row['threshold']:.3g}"


def _write_places(row: Row) -> str:
    """Write the share of cycles that kept the draft's token at places 1, 2, 4, ... of the window."""
    shares = [] if row["window"] == 0 else str(row["kept_at"]).split()
    return " ".join(f"{float(shares[2**n - 1]):.2f}" for n in range(len(shares).bit_length()))


POINT = {"rule": _write_rule, "window": _write_window, "threshold": _write_threshold}
ACCURACY = {"accuracy, %": _with_interval("accuracy", factor=100), "drop, points": _with_interval("drop")}
SPEED = {"speed-up": _number("speedup", 2)}
TOKENS = {"accepted": _number("accepted_per_cycle", 2), "emitted": _number("emitted_per_cycle", 2)}
COMPARISON = (
    POINT
    | ACCURACY
    | {"retention, %": _with_interval("retention", factor=100)}
    | SPEED
    | {"area, %": _number("area", 1, 100)}
)
AGAINST_BEST = POINT | {
    "speed-up over the best's": _with_interval("speed_ratio", 3),
    "accuracy over the best's, points": _with_interval("accuracy_gain"),
}
EFFECTS = (
    {"rule": _write_rule}
    | TOKENS
    | {
        "kept at 1, 2, 4, ...": _write_places,
        "differing, %": _number("differing", 1, 100),
        "length ratio": _number("length_ratio", 3),
        "cut off, %": _number("cut_off", 1, 100),
        "looping, %": _number("looping", 1, 100),
    }
)
TRUNCATED = {
    "rule": _write_rule,
    "threshold": _write_threshold,
    "window": _write_window,
    **ACCURACY,
    "target truncated, %": _with_interval("target_accuracy", factor=100),
    "its drop, points": _with_interval("target_drop"),
}
TUNED = {"rule": lambda row: name_rule(row["rule"]), "window": lambda row: f"{row['window']}{' *' * row['best']}"}
BY_WINDOW = TUNED | {"threshold": _write_threshold} | ACCURACY | TOKENS | SPEED
BY_COST = {
    "rule": TUNED["rule"],
    "a draft call costs": lambda row: f"{row['cost_ratio']:.3g}{' (measured)' * (row['cost'] == MEASURED_COST)}",
    "window": _write_window,
    "threshold": _write_threshold,
    **ACCURACY,
    **SPEED,
}


def format_markdown(
    summary: pd.DataFrame, windows: pd.DataFrame, pareto: pd.DataFrame, dataset: str, tolerance: float
) -> str:
    """Return tables `summary` and `windows` of a dataset as Markdown, a section for each pair, with a note.

    Where targets are truncated, each rule's points of `pareto` beside those of the target truncated by it.

    Parameters
    ----------
    dataset : str
        Title of the dataset.
    tolerance : float
        Percentage points that a recommended point may lose on validation.
    """
    parts = [f"# {dataset}"]
    for pair, tables in _tabulate(summary, windows, pareto, "github"):
        parts.append(f"## {pair}")
        parts += [text for caption, table in tables.items() for text in (f"**{caption}**", table)]
    return "\n\n".join([*parts, _describe(summary, tolerance)]) + "\n"


def format_latex(
    summary: pd.DataFrame, windows: pd.DataFrame, pareto: pd.DataFrame, dataset: str, tolerance: float
) -> str:
    """Return the same as LaTeX (booktabs), each table fit for a page's width; the note is the macro `summarynote`."""
    parts = [f"% {dataset}"]
    for pair, tables in _tabulate(summary, windows, pareto, "latex_booktabs"):
        parts += [
            f"\\begin{{table*}}\n\\centering\\footnotesize\\setlength{{\\tabcolsep}}{{3pt}}\n"
            f"\\caption{{{_escape(f'{pair}: {caption}')}}}\n{table}\n\\end{{table*}}"
            for caption, table in tables.items()
        ]
    note = _escape(f"{dataset}. {_describe(summary, tolerance)}")
    return "\n\n".join([*parts, f"\\newcommand{{\\summarynote}}{{{note}}}"]) + "\n"


def _escape(text: str) -> str:
    return text.replace("%", r"\%").replace("_", r"\_")


def _tabulate(
    summary: pd.DataFrame, windows: pd.DataFrame, pareto: pd.DataFrame, form: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each pair with its tables by caption."""
    for name, found in _in_order(summary).groupby("pair", sort=False):
        tried = windows[windows["pair"] == name].drop(columns="pair")
        front = {rule: place for place, rule in enumerate(front_rules(found).values())}
        tried = tried[tried["rule"].isin(front)].assign(place=tried["rule"].map(front))
        tried = tried.sort_values(["place", "cost_ratio", "window"], kind="stable")
        measured, beside = tried["cost"] == MEASURED_COST, _beside_targets(found, pareto[pareto["pair"] == name])
        tables = {
            "Accuracy and speed": (found, COMPARISON),
            _title_gains(found): (found, AGAINST_BEST),
            "Tokens per cycle, and what becomes of the responses": (found, EFFECTS),
            "What tuning the window alone gives": (tried[measured], BY_WINDOW),
            "Best window where a draft call costs another share of a target call": (tried[tried["best"]], BY_COST),
            "Beside the target that samples from what the rule keeps": (beside, TRUNCATED),
        }
        yield str(name), {cap: _format(rows, columns, form) for cap, (rows, columns) in tables.items() if len(rows)}


def _beside_targets(found: pd.DataFrame, pareto: pd.DataFrame) -> pd.DataFrame:
    """Return a pair's points of rules, at their recommended windows, where the target truncated by them has one too."""
    points = found[["rule", "window", "kind", "best"]].merge(pareto, on=["rule", "window"])
    measured = [f"{name}{end}" for name in ("accuracy", "drop") for end in ("", "_low", "_high")]
    targets = pareto[["rule", "threshold", *measured]].rename(columns={name: f"target_{name}" for name in measured})
    return points.assign(target=points["rule"].map(name_truncated)).merge(
        targets.rename(columns={"rule": "target"}), on=["target", "threshold"]
    )


def _title_gains(found: pd.DataFrame) -> str:
    best = [name_rule(rule) for rule in found.loc[found["best"], "rule"]]
    return f"Against the best training-free rule{''.join(f', {name}' for name in best)}, each at its point"


def _format(rows: pd.DataFrame, columns: Mapping[str, Callable[[Row], str]], form: str) -> str:
    cells = [[write(row) for write in columns.values()] for row in rows.to_dict("records")]
    return str(tabulate(cells, list(columns), form, disable_numparse=True))


def _in_order(summary: pd.DataFrame) -> pd.DataFrame:
    """Order by pair, kind and area, the best first; of the references the target alone before lossless."""
    keyed = summary.assign(
        pair_order=pd.factorize(summary["pair"])[0],
        kind_order=summary["kind"].map(ORDER),
        reference_order=summary["rule"].map(REFERENCES).fillna(len(REFERENCES)),
    )
    by = ["pair_order", "kind_order", "reference_order", "area", "accuracy"]
    return keyed.sort_values(by, ascending=[True, True, True, False, False], kind="stable")


def _describe(summary: pd.DataFrame, tolerance: float) -> str:
    """Return what the reader needs to judge the numbers."""
    first = summary.groupby("pair", sort=False)[["problems", "cost_ratio"]].first()
    sizes = ", ".join(f"{row.problems} ({row.Index})" for row in first.itertuples())
    costs = ", ".join(f"{row.cost_ratio:.3g} ({row.Index})" for row in first.itertuples())
    free = summary.loc[summary["kind"] == "training-free", "rule"].nunique()
    repeats, folds = int(summary["repeats"].max()), int(summary["folds"].max())
    again = f", each decoded {repeats} times by other random numbers" if repeats > 1 else ""
    interval = "bootstrap interval (problems are resampled with all repeats)" if repeats > 1 else "Wilson interval"
    cut = summary["rule"].map(truncated_by).notna().any()
    truncated = "; a truncated target (target, RULE) at the given threshold that stands for its rule's" if cut else ""
    return (
        f"Test problems: {sizes}{again}.{_describe_folds(folds)} Each rule at the fastest window and threshold that "
        f"lose at most {tolerance:g} points on validation{truncated}; on test it may be more. Accuracy with its "
        f"{interval}; drop "
        "against and share kept (retention) of lossless at the same window (of the target alone: at the smallest) with "
        "paired bootstrap intervals: one that "
        "covers 0 (100 %) is a tie with lossless; against the best training-free rule one that covers 1 (speed-up) or "
        "0 (accuracy) is. Intervals are of one comparison each, not corrected for the number of rules. "
        "Speed-up: calls of the target alone over target calls + c draft calls for the same problems, c being what a "
        f"draft call costs of a target call: {costs}, measured. Accepted: draft tokens kept and corrections per cycle, "
        "without the bonus token (the paper's count); emitted: with it (engines' mean acceptance length). Kept at: "
        "share of cycles that kept the draft's token at that place of the window. Differing: responses that are not "
        "lossless decoding's; length ratio: tokens of all responses over its; cut off: ended by the token limit; "
        "looping: while repeating the same tokens. Area: mean of the best accuracy at or above a speed-up, over those "
        "from lossless to the draft alone, each at its best window. The oracle is one path of mined labels, which "
        f"other rules may pass. * of a rule: best of {free} training-free ones, the fastest at its point on "
        "validation; of a window: the rule's best, chosen on validation."
    )


def _describe_folds(folds: int) -> str:
    """Return what was done with folds, if there are any."""
    if folds == 1:
        return ""
    return (
        f" They lie in {folds} folds, each decoded by its fold's judge at its fold's windows and thresholds, trained "
        "and chosen on problems of the other folds alone. The numbers are of all folds together, windows and "
        "thresholds the folds' medians (a second row of that window where folds chose different ones)."
    )
