"""The figure of wall-clock speed, and of what the counted calls promise elsewhere."""

from itertools import cycle, pairwise, product
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from autojudge.reporting.names import name_rule
from autojudge.reporting.style import (
    GRID_COLOUR,
    JUDGE_COLOUR,
    LABEL_SIZE,
    LOSSLESS_COLOUR,
    NOTE_COLOUR,
    PAGE_WIDTH,
    RC,
    SPARE,
    TARGET_COLOUR,
    TICK_SIZE,
    begin_figure,
)

PAPER_PAIRS = {"1B/8B": 1.24 / 8.03, "8B/70B": 8.03 / 70.6, "8B/405B": 8.03 / 406}  # of parameters
ASSISTED, DYNAMIC = "assisted generation", "assisted generation, dynamic"
COSTS = (0.01, 0.6)  # least and largest that are drawn
COST_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
NAME_HEIGHT, BATCH_HEIGHT = 0.29, 0.15  # inches: of a method's name, of a measurement
AXIS_HEIGHT, PROJECTION_HEIGHT, FRAME_HEIGHT = 0.6, 2.4, 0.7  # inches: of an axis, a panel, and title and note


def draw_speed(table: pd.DataFrame, windows: pd.DataFrame, title: str) -> Figure:
    """Draw measured tokens per second, and below it the speed-up that the calls promise at other costs of a draft call.

    Parameters
    ----------
    table : DataFrame
        Table `speed`.
    windows : DataFrame
        Rows of table `windows` of the same pair. Of its rules those of `table` are drawn.
    title : str
        Title over both panels.

    Returns
    -------
    Figure
        7 inches wide, higher with more methods and batches.
    """
    with matplotlib.rc_context(RC | {"font.size": LABEL_SIZE, "axes.labelsize": LABEL_SIZE}):
        row = max(NAME_HEIGHT, BATCH_HEIGHT * table["batch"].nunique())
        heights = [row * table["method"].nunique() + AXIS_HEIGHT, PROJECTION_HEIGHT]
        figure = begin_figure(PAGE_WIDTH, sum(heights) + FRAME_HEIGHT)
        figure.suptitle(title, fontsize=8)
        upper, lower = figure.subplots(2, 1, height_ratios=heights)
        _draw_measured(upper, table)
        timed = windows["rule"].isin(table["method"]) & (windows["window"] > 0)
        _draw_projection(lower, windows[timed], float(table["call_cost_ratio"].iloc[0]))
        figure.supxlabel(_note(table), fontsize=TICK_SIZE, color=NOTE_COLOUR)
        return figure


def trace_speedup(points: pd.DataFrame, costs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the speed-up of the fastest of a rule's points at each cost of a draft call, and that point's window.

    Parameters
    ----------
    points : DataFrame
        Rows of table `windows`; `speedup` at `cost_ratio` tells the target's own calls.
    costs : array of shape (n,)
        Times of a draft call over that of a target call.

    Returns
    -------
    speedup, window : arrays of shape (n,)
    """
    target, draft = (points[f"{name}_calls_per_token"].to_numpy(dtype=float) for name in ("target", "draft"))
    alone = points["speedup"].to_numpy(dtype=float) * (target + points["cost_ratio"].to_numpy(dtype=float) * draft)
    speedup = alone / (target + costs[:, None] * draft)
    return speedup.max(axis=1), points["window"].to_numpy(dtype=int)[speedup.argmax(axis=1)]


def _note(table: pd.DataFrame) -> str:
    """Return what the panels show, of how many measurements, and what is left out."""
    paragraphs = [
        f"Test problems: {table['problems'].iloc[0]}; rounds: {table['rounds'].max()}. Above: medians, bars from the "
        "slowest to the fastest round, times the target alone at that batch; every rule at its recommended window and "
        "threshold.",
        "Below: calls of the target alone / (target calls + ratio x draft calls) on the test split, as if a call cost "
        "the same whatever the number of tokens (memory-bound, batch 1); each rule at the fastest of the points that "
        "validation recommends; a dot where its window (the number at the line) changes. Dotted verticals: the paper's "
        "pairs, by parameters.",
    ]
    asked_for = table["call_cost_ratio"].iloc[0] > 0 and 1 in set(table["batch"])  # with a draft model, one by one
    missing = [name for name in (ASSISTED, DYNAMIC) if asked_for and name not in set(table["method"])]
    if missing:
        paragraphs.append(f"Without {' and '.join(missing)}: transformers fails with this pair (log of measure_speed).")
    return "\n".join(fill(paragraph, 140) for paragraph in paragraphs)


def _name_method(method: str, window: int) -> str:
    """Return what the axis calls a method: name and window."""
    if window == 0:
        return name_rule(method)
    return f"{name_rule(method)}\n{'up to' if method == DYNAMIC else 'window'} {window}"


def _draw_measured(axes: Axes, table: pd.DataFrame) -> None:
    """Draw a point for each method and batch."""
    names = dict(zip(table["method"], table["window"], strict=True))
    methods = list(names)[::-1]
    batches = sorted(table["batch"].unique())
    for number, batch in enumerate(batches):
        rows = table[table["batch"] == batch]
        y = [methods.index(m) + 0.8 * ((len(batches) - 1) / 2 - number) / len(batches) for m in rows["method"]]
        x = rows["tokens_per_second"].to_numpy()
        spread = np.stack([x - rows["tokens_per_second_low"], rows["tokens_per_second_high"] - x])
        colour, marker = SPARE[number % len(SPARE)]
        axes.errorbar(x, y, xerr=np.maximum(spread, 0), fmt=marker, ms=4, color=colour, label=f"batch {batch}")
        alone = rows.loc[rows["method"] == "target", "tokens_per_second"].sum()
        for value, end, place in zip(x, rows["tokens_per_second_high"], y, strict=True):
            text = f"{value:,.1f}" if value == alone else f"{value:,.1f}, {value / alone:.2f}x"
            axes.annotate(text, (end, place), (5, 0), textcoords="offset points", size=LABEL_SIZE, va="center")
    axes.set_yticks(range(len(methods)), [_name_method(method, int(names[method])) for method in methods])
    axes.set(xlabel="tokens per second, all responses together", xlim=(0, 1.25 * table["tokens_per_second_high"].max()))
    axes.set_ylim(-0.6, len(methods) - 0.4)
    axes.grid(axis="x", color=GRID_COLOUR, linewidth=0.5)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize=LABEL_SIZE, borderpad=0)


def _draw_projection(axes: Axes, windows: pd.DataFrame, own_cost: float) -> None:
    """Draw each rule's speed-up at its best window against the cost of a draft call."""
    costs = np.geomspace(COSTS[0], max(COSTS[1], 1.2 * own_cost), 400)
    rules = list(windows.groupby("rule", sort=False))
    spare = cycle(product(("-", "--"), (colour for colour, _ in SPARE)))
    for number, (rule, points) in enumerate(rules):
        known = {"lossless": ("-", LOSSLESS_COLOUR), "judge": ("-", JUDGE_COLOUR)}
        dashes, colour = known.get(str(rule)) or next(spare)
        speedup, window = trace_speedup(points, costs)
        axes.plot(costs, speedup, dashes, color=colour, lw=1.2, label=name_rule(str(rule)))
        _mark_windows(axes, costs, speedup, window, colour, place=(number + 1) / (len(rules) + 1))
    _mark_costs(axes, own_cost, costs)
    axes.axhline(1, color=TARGET_COLOUR, lw=0.8, ls="--")
    axes.set(
        xscale="log", xlabel="time of a draft call / time of a target call", ylabel="speed-up over the target alone"
    )
    axes.set_xticks([tick for tick in COST_TICKS if tick <= costs[-1]], minor=False)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, None)
    axes.grid(axis="y", color=GRID_COLOUR, linewidth=0.5)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize=LABEL_SIZE)


def _mark_windows(
    axes: Axes,
    costs: NDArray[np.float64],  # (n,)
    speedup: NDArray[np.float64],  # (n,)
    window: NDArray[np.intp],  # (n,)
    colour: str,
    place: float,
) -> None:
    """Put a dot where a line's window changes, and the window at that place of each stretch, a share of it."""
    changes = np.flatnonzero(np.diff(window)) + 1
    axes.plot(costs[changes], speedup[changes], "o", ms=4, color=colour)
    for first, end in pairwise([0, *changes, len(costs)]):
        middle = first + int(place * (end - first))
        text = axes.text(costs[middle], speedup[middle], str(window[middle]), size=LABEL_SIZE, color=colour)
        text.set(ha="center", va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})


def _mark_costs(axes: Axes, own_cost: float, costs: NDArray[np.float64]) -> None:
    """Draw named vertical lines at the paper's pairs, and above the panel at this pair if its cost is in it."""
    at: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "size": LABEL_SIZE}
    for name, cost in PAPER_PAIRS.items():
        axes.axvline(cost, color=TARGET_COLOUR, lw=0.7, ls=":")
        text = axes.annotate(name, (cost, 0.0), (2, 4), rotation=90, va="bottom", **at)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    if own_cost >= costs[0]:
        axes.axvline(own_cost, color=TARGET_COLOUR, lw=1.0)
        axes.annotate(f"this pair, {own_cost:.2g}", (own_cost, 1.0), (0, 2), ha="center", va="bottom", **at)
