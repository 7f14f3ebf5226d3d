"""The ablation figure: ROC curves of judges by what they read and by how they decide, and reliability."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score, roc_curve

from autojudge.judging.choice import best_values, scores_of
from autojudge.reporting.judge_style import COLOURS, COLUMN, SMALL, short_name
from autojudge.reporting.style import save_figure

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


def plot_ablation(
    grid: pd.DataFrame,
    scores: pd.DataFrame,
    feature_sets: Mapping[str, Sequence[str]],
    chosen: Mapping[str, Any],
    calibrated: tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.bool_]],
    split: str,
    title: str,
    outputs: Mapping[str, str],
) -> None:
    """Draw ROC curves by C, token source, model source, feature set and classifier, and the reliability.

    Parameters
    ----------
    calibrated : three arrays of shape (n,)
        p(important) of the chosen judge before and after calibration, and labels, on the split.
    split : str
        That all panels show.
    """
    with matplotlib.rc_context(SMALL):
        figure = Figure(figsize=(COLUMN, 7.2), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(3, 2)
        best = best_values(grid, "auc")
        linear = best[best["classifier"] == LINEAR].set_index("feature_set", drop=False)
        by_blocks = {frozenset(blocks): name for name, blocks in feature_sets.items()}
        _draw_roc(panels[0, 0], "by C", _by_strength(grid, scores, chosen["feature_set"], split))
        for axes, (source, groups) in zip((panels[0, 1], panels[1, 0]), SOURCES.items(), strict=True):
            known = {label: by_blocks.get(frozenset(blocks)) for label, blocks in groups.items()}
            rows = {str(name): row for name, row in linear.iterrows()}
            points = {label: rows[name] for label, name in known.items() if name in rows}
            _draw_roc(axes, f"by {source}", {k: scores_of(scores, p, split) for k, p in points.items()})
        sets = {short_name(str(name)): scores_of(scores, point, split) for name, point in linear.iterrows()}
        _draw_roc(panels[1, 1], "by feature set", sets)
        of_set = best[best["feature_set"] == chosen["feature_set"]]
        kinds = {p["classifier"].replace("_", " "): scores_of(scores, p, split) for _, p in of_set.iterrows()}
        _draw_roc(panels[2, 0], "by classifier", kinds)
        _draw_reliability(panels[2, 1], *calibrated)
        figure.suptitle(f"{title}, {split} split", fontsize=8)
        note = "logistic regression, but by classifier; by C and by classifier:\n"
        note += f"{short_name(chosen['feature_set'])}. dd: draft_at_draft, td: target_at_draft"
        figure.supxlabel(note, fontsize=6, color="#444444")
        save_figure(figure, outputs["pdf"], outputs["png"], dpi=300)


def _by_strength(grid: pd.DataFrame, scores: pd.DataFrame, feature_set: str, split: str) -> dict[str, pd.DataFrame]:
    rows = grid[(grid["feature_set"] == feature_set) & (grid["classifier"] == LINEAR) & (grid["fold"] == "validation")]
    rows = rows.sort_values("value")
    shown = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, 5).round().astype(int))] if len(rows) else rows
    return {f"C = {point['value']:.0e}": scores_of(scores, point, split) for _, point in shown.iterrows()}


def _draw_roc(axes: Axes, title: str, curves: Mapping[str, pd.DataFrame]) -> None:
    """Draw share of important mismatches refused against share of unimportant ones accepted."""
    axes.plot([0, 1], [1, 0], color="#BBBBBB", linewidth=0.7)
    aucs = []
    for number, (label, rows) in enumerate(curves.items()):
        colour, dashes = COLOURS[number % len(COLOURS)], "-" if number < len(COLOURS) else "--"
        important = rows["important"].to_numpy(dtype=bool)
        wrong, right, _ = roc_curve(important, rows["score"])
        auc = roc_auc_score(important, rows["score"])
        aucs.append(auc)
        axes.plot(1 - wrong, right, dashes, color=colour, linewidth=1, label=f"{label}: {auc:.3f}")
    axes.axhline(0.9, color="#BBBBBB", linewidth=0.7, linestyle=":")
    axes.set(title=f"{title} (AUC)", xlim=(0, 1), xlabel="unimportant accepted", ylabel="important refused")
    axes.set_ylim(0.6 if min(aucs, default=0) > 0.93 else 0, 1.01)  # where all is near the corner, look closer
    axes.set_xticks([0, 0.5, 1])
    if curves:
        _put_legend_below(axes)


def _put_legend_below(axes: Axes) -> None:
    """Name the curves under the axis label, where they hide none."""
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.4, -0.3), handlelength=1, labelspacing=0.25)


def _draw_reliability(
    axes: Axes,
    before: NDArray[np.floating],  # (n,)
    after: NDArray[np.floating],  # (n,)
    important: NDArray[np.bool_],  # (n,)
) -> None:
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.7)
    bins = max(3, min(10, len(important) // 40))
    for label, colour, probability in (("before", COLOURS[1], before), ("calibrated", COLOURS[0], after)):
        share, mean = calibration_curve(important, probability, n_bins=bins, strategy="quantile")
        axes.plot(mean, share, "o-", color=colour, linewidth=1, markersize=2.5, label=label)
    axes.set(
        title="reliability of the judge", xlabel="p(important)", ylabel="share important", xlim=(0, 1), ylim=(0, 1)
    )
    _put_legend_below(axes)
