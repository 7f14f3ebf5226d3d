"""The figure of the experiment: accuracy against accepted tokens per cycle."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from autojudge.reporting.label_placement import NEAR, Label, choose_points, place_labels, trace_line
from autojudge.reporting.names import name_rule
from autojudge.reporting.style import (
    GRID_COLOUR,
    JUDGE_COLOUR,
    LABEL_SIZE,
    LOSSLESS_COLOUR,
    NOTE_COLOUR,
    ORACLE_COLOUR,
    OTHER_COLOUR,
    RC,
    SPARE,
    TARGET_COLOUR,
    begin_figure,
)


class Style(NamedTuple):
    """How a rule of a large panel looks."""

    label: str
    colour: str
    marker: str
    threshold_format: str = "{:.2g}"


class Panel(NamedTuple):
    """A pair's large panel: its axes, the rows of `pareto` that it shows, and the style of each rule."""

    axes: Axes
    points: pd.DataFrame
    styles: dict[str, Style]


STYLES = {  # a rule without an entry takes the next spare style
    "judge": Style("judge", JUDGE_COLOUR, "o"),
    "oracle": Style("oracle (mined labels)", ORACLE_COLOUR, "*"),
    "lossless": Style("lossless", LOSSLESS_COLOUR, "D"),
}
FORMATS = {"top_k": "K={:.0f}"}
SINGLE_POINTS = ("lossless", "oracle")  # rules without a curve
RECOMMENDED = "recommended on validation"
RING_SIZE = 10.5  # points
LABELS_PER_CURVE = 8
SMALL_COLUMNS = 5  # at most


def draw_pareto(pareto: pd.DataFrame, curve: pd.DataFrame, summary: pd.DataFrame, title: str) -> Figure:
    """Draw accuracy against accepted tokens per cycle on the test split, a row of panels for each pair.

    In front the judge, the best training-free rule, the oracle and lossless decoding, with intervals and thresholds;
    beside them a small panel for every training-free rule, over the judge's curve.

    Parameters
    ----------
    pareto, curve, summary : DataFrame
        The tables of those names. Rule `target` becomes a horizontal line, for it has no cycles.
    title : str
        Title over all panels.

    Returns
    -------
    Figure
        11 inches wide (6 without training-free rules), 4.2 inches per pair and more for title and note.
    """
    with matplotlib.rc_context(RC):
        pairs, curve = list(dict.fromkeys(pareto["pair"])), curve[curve["split"] == "test"]
        free = sorted(summary.loc[summary["kind"] == "training-free", "rule"].unique())
        figure = begin_figure(11.0 if free else 6.0, 4.2 * len(pairs) + 0.6)
        grid = figure.add_gridspec(len(pairs), 2 if free else 1, width_ratios=[1.05, 1] if free else None)
        panels = []
        for number, pair in enumerate(pairs):
            of_pair = [frame[frame["pair"] == pair] for frame in (pareto, curve, summary)]
            axes = figure.add_subplot(grid[number, 0])
            panels.append(_draw_large_panel(axes, pair, *of_pair))
            if free:
                _draw_small_panels(figure, grid[number, 1], axes, free, *of_pair[1:])
        note = _describe_figure(pareto, cut=panels[0].axes.get_ylim()[0] > 0, small=bool(free))
        figure.supxlabel(note, fontsize=LABEL_SIZE, color=NOTE_COLOUR)
        _add_legend(figure, [panel.axes for panel in panels], title)
        figure.draw_without_rendering()  # labels are placed in pixels, so the layout must be settled
        for panel in panels:
            place_labels(panel.axes, _choose_labels(panel), _trace_lines(panel), _trace_bars(panel))
        return figure


def _draw_large_panel(axes: Axes, pair: str, pareto: pd.DataFrame, curve: pd.DataFrame, summary: pd.DataFrame) -> Panel:
    """Draw a pair's target, the curves of the rules in front, with points at given thresholds, and rings."""
    front = _front_rules(summary)
    panel = Panel(axes, pareto[pareto["rule"].isin([*front, "target"])], _choose_styles(front))
    _draw_target(panel)
    _draw_rules(panel, curve)
    _draw_rings(panel)
    axes.grid(axis="y", color=GRID_COLOUR, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set(title=pair, xlabel="accepted tokens per cycle", ylabel="accuracy, %")
    return panel


def _front_rules(summary: pd.DataFrame) -> list[str]:
    """Return the rules of a pair's large panel, the best training-free one first, which takes the first style."""
    front = summary["kind"].isin(["judge", "oracle"]) | (summary["rule"] == "lossless")
    return [*summary.loc[summary["best"], "rule"], *summary.loc[front, "rule"]]


def _choose_styles(rules: Sequence[str]) -> dict[str, Style]:
    """Return a style for each rule."""
    spare = cycle(SPARE)
    known = {rule: STYLES[rule] for rule in rules if rule in STYLES}
    return known | {
        rule: Style(name_rule(rule), *next(spare), FORMATS.get(rule, "{:.2g}")) for rule in rules if rule not in known
    }


def _draw_target(panel: Panel) -> None:
    """Draw the target's accuracy as a line with its interval."""
    for row in panel.points[panel.points["rule"] == "target"].to_dict("records"):
        low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
        panel.axes.axhspan(low, high, color=TARGET_COLOUR, alpha=0.1, lw=0)
        panel.axes.axhline(100 * row["accuracy"], color=TARGET_COLOUR, linestyle="--", linewidth=1)


def _draw_rules(panel: Panel, curve: pd.DataFrame) -> None:
    """Draw each rule's curve, and points with intervals at given thresholds."""
    axes, points = panel.axes, panel.points
    for rule, rows in points[points["rule"] != "target"].groupby("rule"):
        style, line = panel.styles[str(rule)], curve[curve["rule"] == rule]
        x, y = rows["accepted_per_cycle"], 100 * rows["accuracy"]
        spread = np.stack([y - 100 * rows["accuracy_low"], 100 * rows["accuracy_high"] - y])
        front = {"lossless": 6, "oracle": 5}.get(str(rule), 4)
        axes.errorbar(x, y, np.maximum(spread, 0), fmt="none", ecolor=style.colour, elinewidth=0.7, alpha=0.35)
        if rule in SINGLE_POINTS:
            x, y = x.iloc[-1:], y.iloc[-1:]
        else:
            axes.plot(line["accepted_per_cycle"], 100 * line["accuracy"], color=style.colour, lw=1.2, zorder=front)
        size = 9 if rule == "oracle" else 4
        axes.plot(x, y, color=style.colour, marker=style.marker, ms=size, ls="", label=style.label, zorder=front)


def _draw_rings(panel: Panel) -> None:
    """Draw a ring around the recommended point of each curve."""
    points = panel.points
    chosen = points[points["recommended"] & ~points["rule"].isin(["target", *SINGLE_POINTS])]
    if len(chosen):
        x, y = chosen["accepted_per_cycle"], 100 * chosen["accuracy"]
        colours = [panel.styles[rule].colour for rule in chosen["rule"]]
        panel.axes.scatter(x, y, RING_SIZE**2, "none", edgecolors=colours, linewidths=1.6, zorder=7, label=RECOMMENDED)


def _draw_small_panels(
    figure: Figure, place: Any, large: Axes, rules: Sequence[str], curve: pd.DataFrame, summary: pd.DataFrame
) -> None:
    """Draw each rule's exact curve over the judge's, on the axes of the large panel."""
    columns = min(SMALL_COLUMNS, len(rules))
    grid, judge = place.subgridspec(-(-len(rules) // columns), columns), curve[curve["rule"] == "judge"]
    for number, rule in enumerate(rules):
        axes = figure.add_subplot(grid[divmod(number, columns)], sharey=large)
        own, row = curve[curve["rule"] == rule], summary[summary["rule"] == rule].iloc[0]
        axes.plot(judge["accepted_per_cycle"], 100 * judge["accuracy"], color=JUDGE_COLOUR, lw=0.9, alpha=0.6)
        axes.plot(own["accepted_per_cycle"], 100 * own["accuracy"], color=OTHER_COLOUR, lw=1.3)
        axes.plot(row["accepted_per_cycle"], 100 * row["accuracy"], "o", mfc="none", mec=OTHER_COLOUR, ms=6, mew=1.2)
        axes.set_title(f"{name_rule(rule)}\narea {100 * row['area']:.1f} %", fontsize=LABEL_SIZE)
        axes.set_xlim(large.get_xlim())
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.tick_params(labelsize=6, labelleft=number % columns == 0)
        axes.tick_params(labelbottom=number + columns >= len(rules))
        axes.grid(axis="y", color=GRID_COLOUR, linewidth=0.5)


def _describe_figure(pareto: pd.DataFrame, cut: bool, small: bool) -> str:
    """Return the note under the figure: what the reader needs to judge the numbers."""
    counts = pareto.groupby("pair", sort=False)["problems"].first()
    if counts.nunique() == 1:
        sizes = f"n = {counts.iloc[0]} test problems"
    else:
        sizes = "Test problems: " + ", ".join(f"n = {n} ({pair})" for pair, n in counts.items())
    lines = [f"{sizes}. Lines: all swept thresholds. Bars, grey band: 95 % Wilson intervals. Labels: thresholds."]
    lines.append("Accepted tokens: draft tokens kept and corrections, without the bonus token.")
    if cut:
        lines[-1] += " The accuracy axis does not start at 0."
    if small:
        lines.append(
            "Small panels: training-free rules (orange) over the judge (blue). Area: mean of the best accuracy at or "
            "above a speed, between lossless and the draft alone."
        )
    return "\n".join(lines)


def _add_legend(figure: Figure, panels: Sequence[Axes], title: str) -> None:
    """Put the figure's title and one legend for all panels above them.

    The title is the legend's, as constrained layout would print a suptitle over a legend outside the axes.
    """
    handles = {label: h for axes in panels for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    names = sorted(handles)
    figure.legend(
        [handles[name] for name in names],
        names,
        title=title,
        title_fontsize=10,
        loc="outside upper center",
        ncols=len(names),
        frameon=False,
    )


def _choose_labels(panel: Panel) -> list[Label]:
    """Return the name of the target's line and thresholds of some points of each curve, the recommended ones first."""
    labels, table = [], panel.points
    left, right = panel.axes.get_xlim()
    for accuracy in 100 * table.loc[table["rule"] == "target", "accuracy"]:
        anchors = [(x, accuracy) for x in np.linspace(right, left, 26)[3:-3]]
        labels.append(Label(f"target alone {accuracy:.1f} %", TARGET_COLOUR, anchors, (NEAR,), ((0, 1), (0, -1))))
    for (rule, _), curve in table[~table["rule"].isin(["target", *SINGLE_POINTS])].groupby(["rule", "window"]):
        style, curve = panel.styles[str(rule)], curve.sort_values("threshold")
        chosen, points = curve["recommended"].to_numpy(), _points(curve)
        for index in choose_points(panel.axes.transData.transform(points), chosen, LABELS_PER_CURVE):
            text, anchor = style.threshold_format.format(curve["threshold"].iloc[index]), tuple(points[index])
            if chosen[index]:  # before all others, and clear of its ring
                labels.insert(0, Label(text, style.colour, [anchor], (13, 18, 24)))
            else:
                labels.append(Label(text, style.colour, [anchor]))
    return labels


def _points(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return points in data units, shape (n, 2)."""
    return np.stack([rows["accepted_per_cycle"], 100 * rows["accuracy"]], axis=1)


def _trace_lines(panel: Panel) -> NDArray[np.float64]:
    """Return points along the target's line, the curves and the rings, shape (n, 2), in pixels."""
    axes, table = panel.axes, panel.points
    to_pixels = axes.transData.transform
    lines = []
    for accuracy in 100 * table.loc[table["rule"] == "target", "accuracy"]:
        lines.append(trace_line(to_pixels([(x, accuracy) for x in axes.get_xlim()])))
    table = table[table["rule"] != "target"].sort_values("threshold")
    for _, curve in table.groupby(["rule", "window"]):
        lines.append(trace_line(to_pixels(_points(curve))))
    angles = np.linspace(0, 2 * np.pi, 24)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) * RING_SIZE / 2 * axes.figure.dpi / 72
    lines += [to_pixels(centre) + circle for centre in _points(table[table["recommended"]])]
    return np.concatenate(lines)


def _trace_bars(panel: Panel) -> NDArray[np.float64]:
    """Return points along the error bars, shape (n, 2), in pixels."""
    rows = panel.points[panel.points["rule"] != "target"]
    ends = rows[["accepted_per_cycle", "accuracy_low", "accuracy_high"]].to_numpy(dtype=float)
    to_pixels = panel.axes.transData.transform
    return np.concatenate([trace_line(to_pixels([(x, 100 * low), (x, 100 * high)])) for x, low, high in ends])
