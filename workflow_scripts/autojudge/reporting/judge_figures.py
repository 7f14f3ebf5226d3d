"""Figures of judges at a column's width: ablation, learning curve, transfer."""

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
from autojudge.reporting.style import RC, save_figure

COLUMN = 3.5  # inches
SMALL = RC | {"font.size": 7, "axes.titlesize": 7.5, "legend.fontsize": 5.8, "axes.labelsize": 7}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINEAR = "logistic_regression"
LEAST_SPAN = 0.2  # of a learning curve's axis: noise is not to look like a trend
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
    calibrated: tuple[NDArray, NDArray, NDArray[np.bool_]],
    split: str,
    title: str,
    outputs: Mapping[str, str],
) -> None:
    """Draw ROC curves by C, token source, model source, feature set and classifier, and the reliability.

    Parameters
    ----------
    calibrated : (array, array, array)
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
        sets = {_short(str(name)): scores_of(scores, point, split) for name, point in linear.iterrows()}
        _draw_roc(panels[1, 1], "by feature set", sets)
        of_set = best[best["feature_set"] == chosen["feature_set"]]
        kinds = {p["classifier"].replace("_", " "): scores_of(scores, p, split) for _, p in of_set.iterrows()}
        _draw_roc(panels[2, 0], "by classifier", kinds)
        _draw_reliability(panels[2, 1], *calibrated)
        figure.suptitle(f"{title}, {split} split", fontsize=8)
        note = "logistic regression, but by classifier; by C and by classifier:\n"
        note += f"{_short(chosen['feature_set'])}. dd: draft_at_draft, td: target_at_draft"
        figure.supxlabel(note, fontsize=6, color="#444444")
        save_figure(figure, outputs["pdf"], outputs["png"], dpi=300)


def _short(name: str) -> str:
    return name.replace("draft_at_draft", "dd").replace("target_at_draft", "td").replace("_", " ")


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


def _draw_reliability(axes: Axes, before: NDArray, after: NDArray, important: NDArray[np.bool_]) -> None:
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.7)
    bins = max(3, min(10, len(important) // 40))
    for label, colour, probability in (("before", COLOURS[1], before), ("calibrated", COLOURS[0], after)):
        share, mean = calibration_curve(important, probability, n_bins=bins, strategy="quantile")
        axes.plot(mean, share, "o-", color=colour, linewidth=1, markersize=2.5, label=label)
    axes.set(
        title="reliability of the judge", xlabel="p(important)", ylabel="share important", xlim=(0, 1), ylim=(0, 1)
    )
    _put_legend_below(axes)


def plot_learning_curve(table: pd.DataFrame, title: str, outputs: Mapping[str, str]) -> None:
    """Draw acceptance at 90 % and AUC on validation against mined training problems, a dot a draw, a line a judge."""
    with matplotlib.rc_context(SMALL):
        figure = Figure(figsize=(COLUMN, 2.9), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, 2)
        for axes, metric, label in zip(
            panels, ("accepted_at_90", "auc"), ("accepted at 90 % recall", "AUC"), strict=True
        ):
            for colour, (name, rows) in zip(COLOURS, table.groupby(_title(table), sort=False), strict=False):
                mean = rows.groupby("problems")[metric].mean()
                axes.plot(rows["problems"], rows[metric], "o", color=colour, alpha=0.3, markersize=2)
                axes.plot(mean.index, mean, color=colour, linewidth=1, label=name)
            axes.set_xscale("log", base=2)
            axes.set_xticks(mean.index, [str(n) for n in mean.index], rotation=45)
            axes.minorticks_off()
            low, high = table[metric].min(), table[metric].max()
            spare = max(0.0, LEAST_SPAN - (high - low)) / 2 + 0.02
            axes.set(
                xlabel="training problems", ylabel=f"{label}, validation", ylim=(low - spare, min(1.01, high + spare))
            )
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, frameon=False, loc="outside lower center", title="mean over draws (dots)")
        figure.suptitle(title, fontsize=8)
        save_figure(figure, outputs["pdf"], outputs["png"], dpi=300)


def _title(table: pd.DataFrame) -> pd.Series:
    """Return a name of each row's judge."""
    return table["feature_set"].map(_short) + ", " + table["classifier"].str.replace("_", " ")


def plot_transfer(table: pd.DataFrame, title: str, outputs: Mapping[str, str]) -> None:
    """Draw the acceptance at 90 % recall of each dataset's judge on each dataset, with its interval."""
    with matplotlib.rc_context(SMALL):
        names = list(dict.fromkeys(table["trained_on"]))
        size = max(COLUMN, 1.2 * len(names) + 1.2)
        figure = Figure(figsize=(size, 0.8 * size), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        matrix = table.pivot(index="trained_on", columns="tested_on", values="accepted_at_90").loc[names, names]
        image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        for row in table.to_dict("records"):
            at = names.index(row["tested_on"]), names.index(row["trained_on"])
            text = (
                f"{row['accepted_at_90']:.2f}\n({row['accepted_at_90_low']:.2f} to {row['accepted_at_90_high']:.2f})\n"
                f"AUC {row['auc']:.2f}"
            )
            axes.text(*at, text, ha="center", va="center", color="white" if row["accepted_at_90"] > 0.55 else "black")
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="tested on", ylabel="trained on")
        figure.colorbar(image, ax=axes, shrink=0.8, label="accepted at 90 % recall")
        figure.suptitle(title, fontsize=8)
        save_figure(figure, outputs["pdf"], outputs["png"], dpi=300)
