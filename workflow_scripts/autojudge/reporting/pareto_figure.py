"""The figure of the experiment: accuracy against speed, each rule at its own best window."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from autojudge.decoding.sweep import TARGET
from autojudge.reporting.label_placement import NEAR, Label, choose_points, place_labels, trace_line
from autojudge.reporting.names import front_rules, name_rule
from autojudge.reporting.statistics import MEASURED_COST, envelope_of
from autojudge.reporting.style import (
    COLUMN_WIDTH,
    GRID_COLOUR,
    JUDGE_COLOUR,
    LABEL_SIZE,
    LOSSLESS_COLOUR,
    NOTE_COLOUR,
    ORACLE_COLOUR,
    OTHER_COLOUR,
    PAGE_HEIGHT,
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


class Block(NamedTuple):
    """A part of a page in its full width: a pair's large panel and those by window, or its small panels."""

    pair: str
    height: float  # inches
    rules: tuple[str, ...] = ()  # that have a small panel
    heading: bool = False  # whether small panels name their pair, as they are away from its large one


class Tables(NamedTuple):
    """The tables that are drawn; without `windows` there are no panels by window."""

    curve: pd.DataFrame
    summary: pd.DataFrame
    windows: pd.DataFrame | None

    def of_pair(self, pair: str) -> "Tables":
        """Return the rows of a pair."""
        windows = None if self.windows is None else self.windows[self.windows["pair"] == pair]
        curve, summary = (table[table["pair"] == pair] for table in (self.curve, self.summary))
        return Tables(curve, summary, windows)


STYLES = {  # by kind; training-free rules take the next spare one
    "reference": Style("lossless", LOSSLESS_COLOUR, "D", curve=False),
    "judge": Style("judge", JUDGE_COLOUR, "o"),
    "oracle": Style("oracle (one path of mined labels)", ORACLE_COLOUR, "*", 8, curve=False),
}
KNOBS = {"top_k": "K={:.0f}"}
PAPER = RC | {"font.size": 7, "axes.titlesize": 8, "axes.labelsize": LABEL_SIZE, "legend.fontsize": LABEL_SIZE}
RECOMMENDED = "recommended on validation"
RING_SIZE = 8  # points
LEGEND_WIDTH = 0.97  # of the figure's, at most
LABELS_PER_CURVE = 4
DEPTH = 15.0  # points of accuracy below the lowest recommended one that a large panel shows
LEAST_SMALL_COLUMNS, SMALL_COLUMNS = 6, 7
LARGE_HEIGHT, COLUMN_HEIGHT, WINDOW_HEIGHT, SMALL_HEIGHT = 2.25, 2.6, 0.8, 0.68  # inches, of panels
HEADING_HEIGHT, FRAME_HEIGHT = 0.2, 0.9  # inches: of a pair's name, and of title and note


def draw_pareto(curve: pd.DataFrame, summary: pd.DataFrame, windows: pd.DataFrame, title: str) -> list[Figure]:
    """Draw accuracy against speed on the test split, for a page's width, blocks of panels for each pair.

    In front the judge, the best training-free rule, the oracle and lossless decoding, each at its own best window, with
    intervals, windows and thresholds; beside them the same rules at each window against accepted tokens per cycle, the
    axis of the paper; below them a small panel for every training-free rule, over the judge's curve.

    Parameters
    ----------
    curve, summary, windows : DataFrame
        The tables of those names.
    title : str
        Title over all panels.

    Returns
    -------
    list of Figure
        Pages, 7 inches wide and as high as a page at most. Where one is not enough, the first ones have what is
        compared between pairs, the last ones the small panels.
    """
    tables = Tables(curve, summary, windows)
    return _draw_pages(tables, _fill_pages(_list_blocks(summary, windows)), title, PAGE_WIDTH)


def draw_column(curve: pd.DataFrame, summary: pd.DataFrame, title: str) -> list[Figure]:
    """Draw the large panels of `draw_pareto` alone, one below the other, for a column's width (3.4 inches)."""
    blocks = [Block(pair, COLUMN_HEIGHT) for pair in summary["pair"].unique()]
    return _draw_pages(Tables(curve, summary, None), _fill_pages(blocks), title, COLUMN_WIDTH)


def _list_blocks(summary: pd.DataFrame, windows: pd.DataFrame) -> list[Block]:
    """Return each pair's large panel and its small ones; all large ones first where they do not fit one page."""
    rows = {pair: -(-len(sizes) // _count_columns(sizes)) for pair, sizes in _list_windows(windows).items()}
    large = [Block(p, LARGE_HEIGHT + WINDOW_HEIGHT * max(0, rows[p] - 2)) for p in summary["pair"].unique()]
    names = _list_small(summary)
    height = SMALL_HEIGHT * -(-len(names) // SMALL_COLUMNS)
    small = [Block(block.pair, height, tuple(names)) for block in large if names]
    one = [block for both in zip(large, small, strict=False) for block in both] or large
    if len(_fill_pages(one)) == 1:
        return one
    return [*large, *(block._replace(height=height + HEADING_HEIGHT, heading=True) for block in small)]


def _fill_pages(blocks: Sequence[Block]) -> list[list[Block]]:
    """Return the blocks in order, by page."""
    pages: list[list[Block]] = [[]]
    for block in blocks:
        if pages[-1] and sum(b.height for b in (*pages[-1], block)) + FRAME_HEIGHT > PAGE_HEIGHT:
            pages.append([])
        pages[-1].append(block)
    return pages


def _draw_pages(tables: Tables, pages: Sequence[Sequence[Block]], title: str, width: float) -> list[Figure]:
    """Return a figure for each page; a rule looks the same on all."""
    with matplotlib.rc_context(PAPER):
        styles = _choose_styles(tables.summary)
        numbers = [f" ({n} of {len(pages)})" if len(pages) > 1 else "" for n in range(1, len(pages) + 1)]
        return [
            _draw_page(tables, blocks, styles, title + number, width)
            for blocks, number in zip(pages, numbers, strict=True)
        ]


def _draw_page(
    tables: Tables, blocks: Sequence[Block], styles: Mapping[str, Style], title: str, width: float
) -> Figure:
    """Draw blocks one below the other."""
    heights = [block.height for block in blocks]
    figure = begin_figure(width, sum(heights) + FRAME_HEIGHT)
    parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)[:, 0]
    panels: list[Panel] = []
    for part, block in zip(parts, blocks, strict=True):
        of_pair = tables.of_pair(block.pair)
        if block.rules:
            _draw_small_panels(part, of_pair, block)
        else:
            panels.append(_draw_large(part, of_pair, styles))
    found = tables.summary[tables.summary["pair"].isin([block.pair for block in blocks])]
    note = _describe_page(found, panels, any(block.rules for block in blocks), tables.windows is not None)
    _finish(figure, panels, styles, title, note)
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


def _draw_large(part: SubFigure, tables: Tables, styles: Mapping[str, Style]) -> Panel:
    """Draw a pair's large panel, and beside it those by window."""
    test = tables.curve[tables.curve["split"] == "test"]
    if tables.windows is None:
        return _draw_large_panel(part.subplots(), tables, styles)
    grid = part.add_gridspec(1, 2, width_ratios=[1.1, 1])
    panel = _draw_large_panel(part.add_subplot(grid[0]), tables, styles)
    _draw_windows(part, grid[1], panel, test, tables.windows, styles)
    return panel


def _draw_large_panel(axes: Axes, tables: Tables, styles: Mapping[str, Style]) -> Panel:
    """Draw a pair's target, the envelopes of the rules in front, and their recommended points with rings."""
    summary = tables.summary
    front = list(front_rules(summary).values())
    points = _in_percent(summary[summary["rule"].isin([*front, TARGET])])
    curves = [rule for rule in front if styles[rule].curve]
    lines = {r: _in_percent(envelope_of(tables.curve, r)).sort_values("speedup") for r in curves}
    panel = Panel(axes, points, lines)
    _draw_target(axes, points)
    alone = points[points["rule"] == TARGET]
    axes.plot(alone["speedup"], alone["accuracy"], color=TARGET_COLOUR, marker="|", ms=8, mew=1.5, ls="")
    _draw_rules(axes, points, lines, "speedup", styles)
    cost = f"(a draft call at {summary['cost_ratio'].iloc[0]:.2g} of a target call, measured)"
    axes.set(ylabel="accuracy, %", xlabel=f"projected speed-up over the target alone\n{cost}")
    axes.set_title(summary["pair"].iloc[0], fontweight="bold")
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


def _list_windows(windows: pd.DataFrame) -> dict[str, list[int]]:
    """Return the windows of each pair."""
    rows = windows[(windows["cost"] == MEASURED_COST) & (windows["window"] > 0)]
    return {str(pair): sorted(found["window"].unique()) for pair, found in rows.groupby("pair")}


def _count_columns(sizes: Sequence[int]) -> int:
    """Return how many panels by window stand side by side."""
    return min(len(sizes), 2 if len(sizes) <= 4 else 3)


def _draw_windows(
    part: SubFigure, place: Any, large: Panel, curve: pd.DataFrame, windows: pd.DataFrame, styles: Mapping[str, Style]
) -> None:
    """Draw the rules in front at each window against accepted tokens per cycle, on the large panel's accuracies."""
    windows = windows[(windows["cost"] == MEASURED_COST) & windows["rule"].isin(large.points["rule"])]
    windows = windows.drop_duplicates(["rule", "window"])  # without those of folds that chose different ones
    sizes = sorted(windows.loc[windows["window"] > 0, "window"].unique())
    columns, lowest = _count_columns(sizes), large.axes.get_ylim()[0]
    grid = place.subgridspec(-(-len(sizes) // columns), columns)
    for number, window in enumerate(sizes):
        axes = part.add_subplot(grid[divmod(number, columns)], sharey=large.axes)
        points, found = (_in_percent(table[table["window"] == window]) for table in (windows, curve))
        lines = {rule: found[found["rule"] == rule].sort_values("accepted_per_cycle") for rule in large.lines}
        _draw_target(axes, large.points)
        _draw_rules(axes, points, lines, "accepted_per_cycle", styles)
        shown = pd.concat([points, *(line[line["accuracy"] >= lowest] for line in lines.values())])
        _set_speeds(axes, shown["accepted_per_cycle"])
        axes.set_title(f"window {window}", fontsize=LABEL_SIZE, pad=3)
        axes.xaxis.set_major_locator(MaxNLocator(4 if columns < 3 else 3))
        axes.tick_params(labelsize=TICK_SIZE, labelleft=number % columns == 0)
        if number + columns >= len(sizes) and (columns < 3 or number % columns == 1):
            axes.set_xlabel("accepted tokens per cycle", fontsize=TICK_SIZE)


def _list_small(summary: pd.DataFrame) -> list[str]:
    """Return the rules that have a small panel, the training-free ones and variants of judge and oracle, by name."""
    fronts = [front_rules(found) for _, found in summary.groupby("pair")]
    large = {front[place] for front in fronts for place in ("judge", "oracle") if place in front}
    return sorted(
        set(summary.loc[summary["kind"] != "reference", "rule"]) - large, key=lambda rule: name_rule(rule).lower()
    )


def _draw_small_panels(part: SubFigure, tables: Tables, block: Block) -> None:
    """Draw each rule's whole envelope over the judge's, speed-ups and accuracies being the same in all panels."""
    summary, rows, first = tables.summary, -(-len(block.rules) // SMALL_COLUMNS), None
    columns = max(LEAST_SMALL_COLUMNS, -(-len(block.rules) // rows))
    rules = [rule for rule in block.rules if rule in set(summary["rule"])]
    judge = front_rules(summary).get("judge")
    envelopes = {rule: envelope_of(tables.curve, rule) for rule in (judge, *rules) if rule}
    grid = part.add_gridspec(rows, columns)
    for number, rule in enumerate(rules):
        axes = part.add_subplot(grid[divmod(number, columns)], sharex=first, sharey=first)
        first = first or axes
        _draw_small_panel(
            axes,
            _in_percent(summary[summary["rule"] == rule]),
            {name: envelopes[name] for name in (judge, rule) if name},
        )
        axes.tick_params(labelleft=number % columns == 0, labelbottom=number + columns >= len(rules))
    if block.heading:
        part.suptitle(block.pair, fontsize=PAPER["axes.titlesize"], fontweight="bold")


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
    """Return of how many problems the numbers are."""
    counts, folds = summary.groupby("pair", sort=False)["problems"].first(), int(summary["folds"].max())
    each = f", each decoded in one of {folds} folds, at points chosen in the others (w, t: medians)" * (folds > 1)
    if counts.nunique() == 1:
        return f"n = {counts.iloc[0]} test problems{each}."
    return "Test problems: " + ", ".join(f"n = {n} ({pair})" for pair, n in counts.items()) + f"{each}."


def _describe_page(summary: pd.DataFrame, panels: Sequence[Panel], small: bool, by_window: bool) -> str:
    """Return the note under a page."""
    parts = [_describe_sizes(summary)]
    if panels:
        intervals = "Wilson" if summary["repeats"].max() == 1 else "bootstrap"
        parts.append(
            "Lines: each rule at the windows (w) and thresholds that are best on validation. Bars, grey band: 95 % "
            f"{intervals} intervals. Best of: the training-free rule that is fastest at its recommended point on "
            "validation."
        )
    if any(panel.axes.get_ylim()[0] > 0 for panel in panels):
        parts.append("The accuracy axis does not start at 0.")
    if panels and by_window:
        parts.append("Accepted tokens: draft tokens kept and corrections, without the bonus token (the paper's count).")
    if small:
        rows = "Lowest rows: the other rules' whole curves" if panels else "The other rules' whole curves"
        parts.append(
            f"{rows} (orange) over the judge's (blue), accuracy (%) against the projected speed-up; area: mean of the "
            "best accuracy at or above a speed-up, over those from lossless to the draft alone."
        )
    return " ".join(parts)


def _finish(figure: Figure, panels: Sequence[Panel], styles: Mapping[str, Style], title: str, note: str) -> None:
    """Add note, title and legend, and write labels where there is room then."""
    width = figure.get_figwidth()
    figure.supxlabel(fill(note, int(21 * width)), fontsize=TICK_SIZE, color=NOTE_COLOUR)
    shown = set().union(*(panel.points["rule"] for panel in panels))
    _add_legend(figure, [style for rule, style in styles.items() if rule in shown], title)
    figure.draw_without_rendering()  # labels are placed in pixels, so the layout must be settled
    for panel in panels:
        place_labels(panel.axes, _choose_labels(panel, styles), _trace_lines(panel), _trace_bars(panel))


def _add_legend(figure: Figure, styles: Sequence[Style], title: str) -> None:
    """Put the figure's title and one legend for all panels above them.

    The title is the legend's, as constrained layout would print a suptitle over a legend outside the axes.
    """
    ring = Line2D([], [], marker="o", ms=RING_SIZE, mfc="none", mec=NOTE_COLOUR, mew=1.1, ls="", label=RECOMMENDED)
    shown = [
        Line2D([], [], color=s.colour, marker=s.marker, ms=s.size, ls="-" if s.curve else "", lw=1.1, label=s.label)
        for s in styles
    ]
    for columns, size in ((3, LABEL_SIZE), (2, LABEL_SIZE), (2, TICK_SIZE), (1, LABEL_SIZE)):
        legend = figure.legend(
            handles=[*shown, ring],
            title=title,
            title_fontsize=8,
            loc="outside upper center",
            ncols=columns,
            fontsize=size,
            frameon=False,
            handlelength=1.4,
            handletextpad=0.6,
            columnspacing=0.8,
            borderpad=0,
        )
        if columns == 1 or legend.get_window_extent().width < LEGEND_WIDTH * figure.bbox.width:
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
            chosen.insert(0, Label(text, TARGET_COLOUR, anchors, (NEAR, 13, 20), ((0, 1), (0, -1))))
        else:
            style = styles[row["rule"]]
            chosen.append(Label(_describe_point(row, style), style.colour, [anchor], (13, 20, 28, 40)))
    for rule, line in panel.lines.items():
        style, ring = styles[rule], panel.points.loc[panel.points["rule"] == rule, ["speedup", "accuracy"]].to_numpy()
        rows = line[line["accuracy"] > panel.axes.get_ylim()[0]].to_dict("records")
        points = np.array([*ring, *((row["speedup"], row["accuracy"]) for row in rows)], dtype=float)
        known = np.arange(len(points)) < len(ring)
        for index in choose_points(panel.axes.transData.transform(points), known, LABELS_PER_CURVE):
            if not known[index] and not np.any(np.all(np.isclose(points[known], points[index]), axis=1)):
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
