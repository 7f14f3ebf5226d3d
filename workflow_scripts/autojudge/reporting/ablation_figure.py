"""The ablation figure: judges by what they read and by how they decide, and reliability.

ROC curves tell where judges differ, and the rows beside them by how much: curves that lie together are told apart, or
not, by the intervals of their differences.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from autojudge.judging.choice import best_values, scores_of
from autojudge.judging.metrics import compare, draw_weights, measure
from autojudge.judging.record import Estimate
from autojudge.reporting.judge_style import COLOURS, SMALL, short_name
from autojudge.reporting.style import NOTE_COLOUR, PAGE_WIDTH, TARGET_COLOUR, TICK_SIZE, begin_figure

LINEAR = "logistic_regression"
OF_DRAFT_TOKEN, OF_TARGET_TOKEN = ["draft_at_draft", "target_at_draft"], ["draft_at_target", "target_at_target"]
SOURCES = {  # the paper's appendix: what a judge reads, in groups
    "token": {
        "draft's token": OF_DRAFT_TOKEN,
        "target's token": OF_TARGET_TOKEN,
        "both": OF_DRAFT_TOKEN + OF_TARGET_TOKEN,
    },
    "model": {"draft": ["draft_at_draft"], "target": ["target_at_draft"], "both": OF_DRAFT_TOKEN},
}
STRENGTHS = 5  # values of C that are drawn
RECALL = 0.9  # of important mismatches, at which judges are compared
STARTS = (0.5, 0.8)  # least and largest share at which an axis of a ROC panel begins, if not at 0
LEAST_SPAN = 1.0  # points, of differences of AUC: noise is not to look like a gap
MARGIN = 0.04  # of an axis
WIDTHS = (1.5, 1)  # of ROC curves and of rows
PANEL_HEIGHT, ROW_HEIGHT, FRAME_HEIGHT = 1.9, 0.14, 0.7  # inches: of panels, of a judge's row, of title and note


class Judged(NamedTuple):
    """A judge of a panel: labels of the split's mismatches and its scores, its AUC, and by how much that leads."""

    important: NDArray[np.bool_]  # (n,)
    score: NDArray[np.floating]  # (n,)
    auc: float
    gain: Estimate | None  # over the panel's first judge on validation; None: it is that one


def draw_ablation(
    grid: pd.DataFrame,
    scores: pd.DataFrame,
    feature_sets: Mapping[str, Sequence[str]],
    chosen: Mapping[str, Any],
    calibrated: tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.bool_]],
    split: str,
    title: str,
    seed: int,
) -> Figure:
    """Draw judges by C, token source, model source, feature set and classifier, and the reliability of the chosen one.

    Each comparison has the ROC curves, zoomed to their corner, and a row per judge with the difference of its AUC from
    that of the judge which is best on validation, with the interval over problems, both judges on the same ones.

    Parameters
    ----------
    grid, scores : DataFrame
        The tables of those names.
    feature_sets : mapping of str to sequence of str
        That entry of `judge` in the config.
    chosen : mapping
        `feature_set` of the judge.
    calibrated : three arrays of shape (n,)
        p(important) of the judge before and after calibration, and labels, on the split.
    split : str
        That all panels show.
    title : str
        Title over all panels.
    seed : int
        Of the resampling of problems.

    Returns
    -------
    Figure
        7 inches wide.
    """
    compared = {
        name: _judge(points, scores, split, seed)
        for name, points in _list_comparisons(grid, feature_sets, chosen["feature_set"]).items()
    }
    with matplotlib.rc_context(SMALL):
        names = list(compared)
        most = [max(len(compared[name]) for name in names[start : start + 2]) for start in range(0, len(names), 2)]
        heights = [max(PANEL_HEIGHT, 0.7 + ROW_HEIGHT * rows) for rows in most]
        figure = begin_figure(PAGE_WIDTH, sum(heights) + FRAME_HEIGHT)
        parts = figure.subfigures(len(heights), 2, height_ratios=heights, squeeze=False).ravel()
        drawn = [_draw_comparison(part, name, compared[name]) for part, name in zip(parts, names, strict=False)]
        _draw_reliability(parts[-1], *calibrated)
        figure.suptitle(f"{title}, {split} split", fontsize=8)
        cut = any(axes.get_xlim()[0] > 0 for axes in drawn if axes)
        note = _describe(short_name(chosen["feature_set"]), len(calibrated[2]), cut)
        figure.supxlabel(fill(note, 145), fontsize=TICK_SIZE, color=NOTE_COLOUR)
        return figure


def _list_comparisons(
    grid: pd.DataFrame, feature_sets: Mapping[str, Sequence[str]], feature_set: str
) -> dict[str, dict[str, pd.Series]]:
    """Return the rows of the grid that each comparison has, by name, each the best of its kind on validation."""
    best = best_values(grid, "auc")
    linear = {str(point["feature_set"]): point for _, point in best[best["classifier"] == LINEAR].iterrows()}
    by_blocks = {frozenset(blocks): name for name, blocks in feature_sets.items()}
    compared = {"C": _by_strength(grid, feature_set)}
    for source, groups in SOURCES.items():
        known = {label: by_blocks.get(frozenset(blocks)) for label, blocks in groups.items()}
        compared[source] = {label: linear[name] for label, name in known.items() if name in linear}
    compared["feature set"] = {short_name(name): point for name, point in linear.items()}
    of_set = best[best["feature_set"] == feature_set]
    compared["classifier"] = {point["classifier"].replace("_", " "): point for _, point in of_set.iterrows()}
    return compared


def _by_strength(grid: pd.DataFrame, feature_set: str) -> dict[str, pd.Series]:
    rows = grid[(grid["feature_set"] == feature_set) & (grid["classifier"] == LINEAR) & (grid["fold"] == "validation")]
    rows = rows.sort_values("value")
    shown = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, STRENGTHS).round().astype(int))] if len(rows) else rows
    return {f"C = {point['value']:.0e}": point for _, point in shown.iterrows()}


def _judge(points: Mapping[str, pd.Series], scores: pd.DataFrame, split: str, seed: int) -> dict[str, Judged]:
    """Return each judge's AUC on the split, and its lead over the one of the largest AUC on validation."""
    if not points:
        return {}
    found = {name: scores_of(scores, point, split) for name, point in points.items()}
    first = max(points, key=lambda name: points[name]["auc"])
    of_first = found[first]["score"].to_numpy()
    important = found[first]["important"].to_numpy(dtype=bool)
    weights = draw_weights(found[first]["problem_id"].to_numpy(), seed)
    judged = {}
    for name, rows in found.items():
        score = rows["score"].to_numpy()
        gain = None if name == first else compare(score, of_first, important, weights)["auc"]
        judged[name] = Judged(important, score, float(measure(score, important)["auc"][0]), gain)
    return judged


def _draw_comparison(part: SubFigure, name: str, judges: Mapping[str, Judged]) -> Axes | None:
    """Draw ROC curves, and beside them a row for each with its name, AUC and lead; return the former's panel."""
    part.suptitle(f"by {name}" if judges else f"by {name}: not fitted", fontsize=SMALL["axes.titlesize"])
    if not judges:
        return None
    looks = dict(zip(judges, zip(cycle(COLOURS), _repeat_dashes(), strict=False), strict=False))
    roc: Axes
    roc, rows = part.subplots(1, 2, width_ratios=WIDTHS, squeeze=False)[0]
    _draw_roc(roc, judges, looks)
    _draw_gains(rows, judges, looks)
    return roc


def _repeat_dashes() -> Any:
    """Yield a line style for each of COLOURS, then the next."""
    for dashes in cycle(("-", "--", ":")):
        yield from [dashes] * len(COLOURS)


def _draw_roc(axes: Axes, judges: Mapping[str, Judged], looks: Mapping[str, tuple[str, str]]) -> None:
    """Draw share of important mismatches refused against share of unimportant ones accepted, around the best corner."""
    axes.plot([0, 1], [1, 0], color="#BBBBBB", linewidth=0.7)
    shown = 1.0
    for name, judge in judges.items():
        colour, dashes = looks[name]
        wrong, right, _ = roc_curve(judge.important, judge.score, drop_intermediate=False)
        axes.plot(1 - wrong, right, dashes, color=colour, linewidth=1)
        alike = float(np.maximum(wrong, 1 - right).min())  # where a judge errs alike on both sides
        shown = min(shown, 1 - 2 * alike, 1 - float(wrong[right >= RECALL].min()))
    axes.axhline(RECALL, color="#999999", linewidth=0.7, linestyle=":")
    least, largest = STARTS
    start = min(np.floor(10 * shown) / 10, largest) if shown >= least else 0.0
    margin = MARGIN * (1 - start)
    limits = (start - margin if start else 0, 1 + margin)
    axes.set(xlabel="unimportant accepted", ylabel="important refused", xlim=limits, ylim=limits)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))


def _draw_gains(axes: Axes, judges: Mapping[str, Judged], looks: Mapping[str, tuple[str, str]]) -> None:
    """Draw a row for each judge: its name, its AUC, and the difference from the first one's with the interval."""
    axes.axvline(0, color=TARGET_COLOUR, linewidth=0.7)
    ends = [-LEAST_SPAN / 2, LEAST_SPAN / 2]
    for place, (name, judge) in enumerate(judges.items()):
        colour, dashes = looks[name]
        value, low, high = (100 * getattr(judge.gain, part, 0.0) for part in ("value", "low", "high"))
        axes.plot([low, high], [place, place], dashes, color=colour, linewidth=1.2)
        axes.plot(value, place, "o" if judge.gain else "D", color=colour, markersize=3.5)
        ends += [low, high]
    names = [f"{name}  {judge.auc:.3f}" for name, judge in judges.items()]
    axes.set_yticks(range(len(names)), names, fontsize=TICK_SIZE)
    for tick, (colour, _) in zip(axes.get_yticklabels(), looks.values(), strict=True):
        tick.set_color(colour)
    margin = MARGIN * (max(ends) - min(ends))
    axes.set(xlim=(min(ends) - margin, max(ends) + margin), ylim=(len(judges) - 0.4, -0.6))
    axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("AUC - best, points", fontsize=TICK_SIZE)


def _draw_reliability(
    part: SubFigure,
    before: NDArray[np.floating],  # (n,)
    after: NDArray[np.floating],  # (n,)
    important: NDArray[np.bool_],  # (n,)
) -> None:
    """Draw the share of important mismatches against p(important), around the points."""
    axes, beside = part.subplots(1, 2, width_ratios=WIDTHS, squeeze=False)[0]
    beside.axis("off")
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.7)
    bins, ends = max(3, min(10, len(important) // 40)), []
    for label, colour, probability in (("before", COLOURS[1], before), ("calibrated", COLOURS[0], after)):
        share, mean = calibration_curve(important, probability, n_bins=bins, strategy="quantile")
        axes.plot(mean, share, "o-", color=colour, linewidth=1, markersize=2.5, label=label)
        ends += [*share, *mean]
    margin = MARGIN * (max(ends) - min(ends)) or MARGIN
    limits = (min(ends) - margin, max(ends) + margin)
    axes.set(xlabel="p(important)", ylabel="share important", xlim=limits, ylim=limits)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    beside.legend(*axes.get_legend_handles_labels(), frameon=False, loc="upper left", handlelength=1)
    part.suptitle("reliability of the judge", fontsize=SMALL["axes.titlesize"])


def _describe(feature_set: str, mismatches: int, cut: bool) -> str:
    """Return the note under the figure."""
    note = (
        f"{mismatches} mismatches. Left: ROC curves; right: a row for each. Logistic regression, but by classifier; by "
        f"C and by classifier: {feature_set}. dd: draft_at_draft, td: target_at_draft. AUC: of the whole curve; mark: "
        "its difference from that of the one which is best on validation (diamond), with the 95 % interval of the same "
        f"problems resampled, of one comparison each. Dotted: {100 * RECALL:.0f} % of the important mismatches refused."
    )
    return note + (" The axes of ROC curves do not all start at 0, and differ in scale." if cut else "")
