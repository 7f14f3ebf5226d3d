"""The figure of the experiment: accuracy against speed, each rule at its own best window."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from autojudge.decoding.sweep import TARGET
from autojudge.reporting.label_placement import NEAR, Label, choose_points, place_labels, trace_line
from autojudge.reporting.names import front_rules, name_rule
from autojudge.reporting.statistics import MEASURED_COST, trace_envelope
from autojudge.reporting.style import (
    COLUMN_WIDTH,
    GRID_COLOUR,
    JUDGE_COLOUR,
    LABEL_SIZE,
    LOSSLESS_COLOUR,
    NOTE_COLOUR,
    ORACLE_COLOUR,
    OTHER_COLOUR,
    PAGE_WIDTH,
    RC,
    SPARE,
    TARGET_COLOUR,
    TICK_SIZE,
    begin_figure,
)


class Style(NamedTuple):
    """How a rule in front looks: its name, whether it has a curve, and how its threshold is written."""

    label: str
    colour: str
    marker: str
    size: float = 3.5  # points
    curve: bool = True
    knob: str = "t={:.2g}"


class Panel(NamedTuple):
    """A pair's large panel: its axes, the rows of `summary` that it shows, and the envelopes of the rules with a curve.

    All values are as drawn: speed-ups, and accuracies in percent.
    """

    axes: Axes
    points: pd.DataFrame
    lines: dict[str, pd.DataFrame]


STYLES = {  # by kind; training-free rules take the next spare one
    "reference": Style("lossless", LOSSLESS_COLOUR, "D", curve=False),
    "judge": Style("judge", JUDGE_COLOUR, "o"),
    "oracle": Style("oracle (one path of mined labels)", ORACLE_COLOUR, "*", 8, curve=False),
}
KNOBS = {"top_k": "K={:.0f}"}
PAPER = RC | {"font.size": 7, "axes.titlesize": 8, "axes.labelsize": LABEL_SIZE, "legend.fontsize": LABEL_SIZE}
RECOMMENDED = "recommended on validation"
RING_SIZE = 8  # points
LABELS_PER_CURVE = 4
DEPTH = 15.0  # points of accuracy below the lowest recommended one that a large panel shows
WINDOW_COLUMNS, SMALL_COLUMNS = 2, 7  # at most
LARGE_HEIGHT, SMALL_HEIGHT, FRAME_HEIGHT = 2.3, 0.66, 0.9  # inches: of panels, and of title and note


def draw_pareto(curve: pd.DataFrame, summary: pd.DataFrame, windows: pd.DataFrame, title: str) -> Figure:
    """Draw accuracy against speed on the test split, for a page's width, a block of panels for each pair.

    In front the judge, the best training-free rule, the oracle and lossless decoding, each at its own best window, with
    intervals, windows and thresholds; beside them the same rules at each window against accepted tokens per cycle, the
    axis of the paper; below them a small panel for every training-free rule, over the judge's curve.

    Parameters
    ----------
    curve, summary, windows : DataFrame
        The tables of those names; of `curve` both splits, for windows are chosen on validation.
    title : str
        Title over all panels.

    Returns
    -------
    Figure
        7 inches wide.
    """
    with matplotlib.rc_context(PAPER):
        pairs, styles = list(dict.fromkeys(summary["pair"])), _choose_styles(summary)
        small = _list_small(summary)
        height = LARGE_HEIGHT + SMALL_HEIGHT * -(-len(small) // SMALL_COLUMNS)
        figure = begin_figure(PAGE_WIDTH, len(pairs) * height + FRAME_HEIGHT)
        blocks, panels = figure.add_gridspec(len(pairs), 1), []
        for number, pair in enumerate(pairs):
            of_pair, found, tried = (table[table["pair"] == pair] for table in (curve, summary, windows))
            heights = [LARGE_HEIGHT, height - LARGE_HEIGHT] if small else [1]
            block = blocks[number].subgridspec(len(heights), 1, height_ratios=heights)
            top = block[0].subgridspec(1, 2, width_ratios=[1.1, 1])
            envelopes = {rule: trace_envelope(of_pair, rule, "test") for rule in found["rule"]}
            panels.append(_draw_large_panel(figure.add_subplot(top[0]), pair, found, envelopes, styles))
            _draw_windows(figure, top[1], panels[-1], of_pair[of_pair["split"] == "test"], tried, styles)
            if small:
                _draw_small_panels(figure, block[1], small, found, envelopes)
        _finish(figure, panels, styles, title, _describe_figure(summary, [panel.axes for panel in panels], bool(small)))
        return figure


def draw_column(curve: pd.DataFrame, summary: pd.DataFrame, title: str) -> Figure:
    """Draw the large panels of `draw_pareto` alone, one below the other, for a column's width (3.4 inches)."""
    with matplotlib.rc_context(PAPER):
        pairs, styles, panels = list(dict.fromkeys(summary["pair"])), _choose_styles(summary), []
        figure = begin_figure(COLUMN_WIDTH, 2.6 * len(pairs) + FRAME_HEIGHT)
        for axes, pair in zip(figure.subplots(len(pairs), squeeze=False)[:, 0], pairs, strict=True):
            of_pair, found = curve[curve["pair"] == pair], summary[summary["pair"] == pair]
            envelopes = {rule: trace_envelope(of_pair, rule, "test") for rule in front_rules(found).values()}
            panels.append(_draw_large_panel(axes, pair, found, envelopes, styles))
        _finish(figure, panels, styles, title, _describe_sizes(summary))
        return figure


def _choose_styles(summary: pd.DataFrame) -> dict[str, Style]:
    """Return a style for each rule that is in front of any pair."""
    free = summary.loc[summary["kind"] == "training-free", "rule"].nunique()
    spare, styles = cycle(SPARE), {}
    for _, found in summary.groupby("pair", sort=False):
        kinds = found.set_index("rule")["kind"]
        for rule in front_rules(found).values():
            if rule not in styles and kinds[rule] in STYLES:
                styles[rule] = STYLES[kinds[rule]]
            elif rule not in styles:
                label, (colour, marker) = f"{name_rule(rule)}, best of {free}", next(spare)
                styles[rule] = Style(label, colour, marker, knob=KNOBS.get(rule, "t={:.2g}"))
    return styles


def _draw_large_panel(
    axes: Axes, pair: str, summary: pd.DataFrame, envelopes: Mapping[str, pd.DataFrame], styles: Mapping[str, Style]
) -> Panel:
    """Draw a pair's target, the envelopes of the rules in front, and their recommended points with rings."""
    front = front_rules(summary).values()
    points = _in_percent(summary[summary["rule"].isin([*front, TARGET])])
    lines = {rule: _in_percent(envelopes[rule]).sort_values("speedup") for rule in front if styles[rule].curve}
    panel = Panel(axes, points, lines)
    _draw_target(axes, points)
    alone = points[points["rule"] == TARGET]
    axes.plot(alone["speedup"], alone["accuracy"], color=TARGET_COLOUR, marker="|", ms=8, mew=1.5, ls="")
    _draw_rules(axes, points, lines, "speedup", styles)
    cost = f"(a draft call at {summary['cost_ratio'].iloc[0]:.2g} of a target call, measured)"
    axes.set(title=pair, ylabel="accuracy, %", xlabel=f"projected speed-up over the target alone\n{cost}")
    _zoom(panel)
    return panel


def _in_percent(table: pd.DataFrame) -> pd.DataFrame:
    columns = [column for column in ("accuracy", "accuracy_low", "accuracy_high") if column in table]
    return table.assign(**{column: 100 * table[column] for column in columns})


def _draw_target(axes: Axes, points: pd.DataFrame) -> None:
    """Draw the target's accuracy as a line with its interval."""
    for row in points[points["rule"] == TARGET].to_dict("records"):
        axes.axhspan(row["accuracy_low"], row["accuracy_high"], color=TARGET_COLOUR, alpha=0.1, lw=0)
        axes.axhline(row["accuracy"], color=TARGET_COLOUR, linestyle="--", linewidth=0.8)


def _draw_rules(
    axes: Axes, points: pd.DataFrame, lines: Mapping[str, pd.DataFrame], speed: str, styles: Mapping[str, Style]
) -> None:
    """Draw curves, and each rule's recommended point with its interval; a ring around those of rules with a curve."""
    for rule, line in lines.items():
        axes.plot(line[speed], line["accuracy"], color=styles[rule].colour, lw=1.1, zorder=3)
    for row in points[points["rule"] != TARGET].to_dict("records"):
        style, x, y = styles[row["rule"]], row[speed], row["accuracy"]
        if style.curve:
            axes.plot(x, y, "o", ms=RING_SIZE, mfc="none", mec=style.colour, mew=1.1, zorder=7)
        spread = [[max(0, y - row["accuracy_low"])], [max(0, row["accuracy_high"] - y)]]
        axes.errorbar(x, y, spread, fmt="none", ecolor=style.colour, elinewidth=0.8, alpha=0.5)
        axes.plot(x, y, color=style.colour, marker=style.marker, ms=style.size, ls="", zorder=4 + (style.size < 8))
    axes.grid(axis="y", color=GRID_COLOUR, linewidth=0.5)
    axes.set_axisbelow(True)


def _zoom(panel: Panel) -> None:
    """Show the upper part of the curves, where points are chosen."""
    shown = [line[line["accuracy"] >= panel.points["accuracy"].min() - DEPTH] for line in panel.lines.values()]
    accuracies = np.concatenate(
        [part["accuracy"] for part in shown] + [panel.points[["accuracy_low", "accuracy_high"]].to_numpy().ravel()]
    )
    low, high = accuracies.min(), accuracies.max()
    panel.axes.set_ylim(low - 0.04 * (high - low), high + 0.12 * (high - low))
    _set_speeds(panel.axes, pd.concat([panel.points["speedup"], *(part["speedup"] for part in shown)]))


def _set_speeds(axes: Axes, speeds: pd.Series) -> None:
    """Show these speeds, with a margin."""
    low, high = speeds.min(), speeds.max()
    margin = 0.07 * (high - low) or 0.5
    axes.set_xlim(low - margin, high + margin)


def _draw_windows(
    figure: Figure, place: Any, large: Panel, curve: pd.DataFrame, windows: pd.DataFrame, styles: Mapping[str, Style]
) -> None:
    """Draw the rules in front at each window against accepted tokens per cycle, on the large panel's accuracies."""
    windows = windows[(windows["cost"] == MEASURED_COST) & windows["rule"].isin(large.points["rule"])]
    sizes = sorted(windows.loc[windows["window"] > 0, "window"].unique())
    columns, lowest = min(WINDOW_COLUMNS, len(sizes)), large.axes.get_ylim()[0]
    grid = place.subgridspec(-(-len(sizes) // columns), columns)
    for number, window in enumerate(sizes):
        axes = figure.add_subplot(grid[divmod(number, columns)], sharey=large.axes)
        points, found = (_in_percent(table[table["window"] == window]) for table in (windows, curve))
        lines = {rule: found[found["rule"] == rule].sort_values("accepted_per_cycle") for rule in large.lines}
        _draw_target(axes, large.points)
        _draw_rules(axes, points, lines, "accepted_per_cycle", styles)
        shown = pd.concat([points, *(line[line["accuracy"] >= lowest] for line in lines.values())])
        _set_speeds(axes, shown["accepted_per_cycle"])
        axes.set_title(f"window {window}", fontsize=LABEL_SIZE, pad=3)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelsize=TICK_SIZE, labelleft=number % columns == 0)
        if number + columns >= len(sizes):
            axes.set_xlabel("accepted tokens per cycle")


def _list_small(summary: pd.DataFrame) -> list[str]:
    """Return the rules that have a small panel, the training-free ones and variants of judge and oracle, by name."""
    fronts = [front_rules(found) for _, found in summary.groupby("pair")]
    large = {front[place] for front in fronts for place in ("judge", "oracle") if place in front}
    return sorted(
        set(summary.loc[summary["kind"] != "reference", "rule"]) - large, key=lambda rule: name_rule(rule).lower()
    )


def _draw_small_panels(
    figure: Figure, place: Any, rules: Sequence[str], summary: pd.DataFrame, envelopes: Mapping[str, pd.DataFrame]
) -> None:
    """Draw each rule's whole envelope over the judge's, speed-ups and accuracies being the same in all panels."""
    columns, first, judge = min(SMALL_COLUMNS, len(rules)), None, front_rules(summary).get("judge")
    rules = [rule for rule in rules if rule in envelopes]
    grid = place.subgridspec(-(-len(rules) // columns), columns)
    for number, rule in enumerate(rules):
        axes = figure.add_subplot(grid[divmod(number, columns)], sharex=first, sharey=first)
        first = first or axes
        _draw_small_panel(
            axes,
            _in_percent(summary[summary["rule"] == rule]),
            {name: envelopes[name] for name in (judge, rule) if name},
        )
        axes.tick_params(labelleft=number % columns == 0, labelbottom=number + columns >= len(rules))


def _draw_small_panel(axes: Axes, points: pd.DataFrame, envelopes: Mapping[str, pd.DataFrame]) -> None:
    """Draw a rule's recommended point, and envelopes, the rule's own the last."""
    for (_, line), colour in zip(envelopes.items(), (JUDGE_COLOUR, OTHER_COLOUR)[-len(envelopes) :], strict=True):
        shown = _in_percent(line).sort_values("speedup")
        axes.plot(shown["speedup"], shown["accuracy"], color=colour, lw=1)
    for row in points.to_dict("records"):
        axes.plot(row["speedup"], row["accuracy"], "o", mfc="none", mec=OTHER_COLOUR, ms=4.5, mew=1, clip_on=False)
        axes.set_title(name_rule(row["rule"]), fontsize=TICK_SIZE, pad=2)
        where: dict[str, Any] = {
            "transform": axes.transAxes,
            "bbox": {"fc": "white", "ec": "none", "pad": 0.5, "alpha": 0.8},
        }
        axes.text(0.04, 0.07, f"area {100 * row['area']:.1f}", fontsize=TICK_SIZE, color=NOTE_COLOUR, **where)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.tick_params(labelsize=TICK_SIZE, pad=1.5, length=2)
    axes.grid(axis="y", color=GRID_COLOUR, linewidth=0.5)


def _describe_sizes(summary: pd.DataFrame) -> str:
    """Return what the reader needs to judge the numbers of a large panel."""
    counts = summary.groupby("pair", sort=False)["problems"].first()
    if counts.nunique() == 1:
        sizes = f"n = {counts.iloc[0]} test problems"
    else:
        sizes = "Test problems: " + ", ".join(f"n = {n} ({pair})" for pair, n in counts.items())
    intervals = "Wilson" if summary["repeats"].max() == 1 else "bootstrap"
    return (
        f"{sizes}. Lines: each rule at the windows (w) and thresholds that are best on validation. Bars, grey band: "
        f"95 % {intervals} intervals. Best of: the training-free rule that is fastest at its recommended point on "
        "validation."
    )


def _describe_figure(summary: pd.DataFrame, panels: Sequence[Axes], small: bool) -> str:
    """Return the note under the whole figure."""
    parts = [_describe_sizes(summary)]
    if any(axes.get_ylim()[0] > 0 for axes in panels):
        parts.append("The accuracy axis does not start at 0.")
    parts.append("Accepted tokens: draft tokens kept and corrections, without the bonus token (the paper's count).")
    if small:
        parts.append(
            "Lowest rows: the other rules' whole curves (orange) over the judge's (blue), against the speed-up; area: "
            "mean of the best accuracy (%) at or above a speed-up, over those from lossless to the draft alone."
        )
    return " ".join(parts)


def _finish(figure: Figure, panels: Sequence[Panel], styles: Mapping[str, Style], title: str, note: str) -> None:
    """Add note, title and legend, and write labels where there is room then."""
    width = figure.get_figwidth()
    figure.supxlabel(fill(note, int(21 * width)), fontsize=TICK_SIZE, color=NOTE_COLOUR)
    _add_legend(figure, styles, title)
    figure.draw_without_rendering()  # labels are placed in pixels, so the layout must be settled
    for panel in panels:
        place_labels(panel.axes, _choose_labels(panel, styles), _trace_lines(panel), _trace_bars(panel))


def _add_legend(figure: Figure, styles: Mapping[str, Style], title: str) -> None:
    """Put the figure's title and one legend for all panels above them.

    The title is the legend's, as constrained layout would print a suptitle over a legend outside the axes.
    """
    ring = Line2D([], [], marker="o", ms=RING_SIZE, mfc="none", mec=NOTE_COLOUR, mew=1.1, ls="", label=RECOMMENDED)
    shown = [
        Line2D([], [], color=s.colour, marker=s.marker, ms=s.size, ls="-" if s.curve else "", lw=1.1, label=s.label)
        for s in styles.values()
    ]
    for columns in (3, 2, 1):
        legend = figure.legend(
            handles=[*shown, ring],
            title=title,
            title_fontsize=8,
            loc="outside upper center",
            ncols=columns,
            frameon=False,
            handlelength=1.4,
            columnspacing=1,
            borderpad=0,
        )
        if columns == 1 or legend.get_window_extent().width < figure.bbox.width:
            return
        legend.remove()


def _choose_labels(panel: Panel, styles: Mapping[str, Style]) -> list[Label]:
    """Return the name of the target's line, and windows and thresholds of points, the recommended ones first."""
    chosen: list[Label] = []
    others: list[Label] = []
    for row in panel.points.to_dict("records"):
        anchor = (row["speedup"], row["accuracy"])
        if row["rule"] == TARGET:
            anchors = [(x, anchor[1]) for x in np.linspace(*panel.axes.get_xlim(), 101)[4:-12]]
            text = f"target alone {anchor[1]:.1f} %"
            chosen.insert(0, Label(text, TARGET_COLOUR, anchors, (NEAR,), ((0, 1), (0, -1))))
        else:
            style = styles[row["rule"]]
            chosen.append(Label(_describe_point(row, style), style.colour, [anchor], (13, 20, 28, 40)))
    for rule, line in panel.lines.items():
        style, ring = styles[rule], panel.points.loc[panel.points["rule"] == rule, ["speedup", "accuracy"]].to_numpy()
        rows = line[line["accuracy"] > panel.axes.get_ylim()[0]].to_dict("records")
        points = np.array([*ring, *((row["speedup"], row["accuracy"]) for row in rows)], dtype=float)
        known = np.arange(len(points)) < len(ring)
        for index in choose_points(panel.axes.transData.transform(points), known, LABELS_PER_CURVE):
            if not known[index] and not np.any(np.all(points[known] == points[index], axis=1)):
                text = _describe_point(rows[index - len(ring)], style)
                others.append(Label(text, style.colour, [tuple(points[index])]))
    return [*chosen, *others]


def _describe_point(row: Mapping[Any, Any], style: Style) -> str:
    """Return window and threshold of a row, the latter for rules with a curve."""
    window = f"w={row['window']}"
    return f"{window}, {style.knob.format(row['threshold'])}" if style.curve else window


def _trace_lines(panel: Panel) -> NDArray[np.float64]:
    """Return points along the target's line, the curves and the rings, shape (n, 2), in pixels."""
    axes, table = panel.axes, panel.points
    to_pixels = axes.transData.transform
    lines = []
    for accuracy in table.loc[table["rule"] == TARGET, "accuracy"]:
        lines.append(trace_line(to_pixels([(x, accuracy) for x in axes.get_xlim()])))
    for line in panel.lines.values():
        lines.append(trace_line(to_pixels(line[["speedup", "accuracy"]].to_numpy(dtype=float))))
    angles = np.linspace(0, 2 * np.pi, 24)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) * RING_SIZE / 2 * axes.figure.dpi / 72
    lines += [to_pixels(centre) + circle for centre in table[["speedup", "accuracy"]].to_numpy(dtype=float)]
    return np.concatenate(lines)


def _trace_bars(panel: Panel) -> NDArray[np.float64]:
    """Return points along the error bars, shape (n, 2), in pixels."""
    rows = panel.points[panel.points["rule"] != TARGET]
    ends = rows[["speedup", "accuracy_low", "accuracy_high"]].to_numpy(dtype=float)
    to_pixels = panel.axes.transData.transform
    return np.concatenate([trace_line(to_pixels([(x, low), (x, high)])) for x, low, high in ends])
