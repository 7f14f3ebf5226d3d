"""The figure of sources of labels: what labels cost against what a judge of them is worth."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autojudge.reporting.judge_style import COLOURS, SMALL
from autojudge.reporting.label_placement import Label, place_labels, trace_line
from autojudge.reporting.style import COLUMN_WIDTH, GRID_COLOUR, LABEL_SIZE, LOSSLESS_COLOUR, begin_figure

Point = tuple[float, float]
HEIGHT = 2.4  # inches
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
ROOM = 0.18  # of an axis beyond its points, for names


def draw_label_sources(table: pd.DataFrame, title: str) -> Figure:
    """Draw the area of each source's judge against the target tokens that its labels took, by those of exact labels.

    A bar is the paired interval of the difference from exact labels' area, about which it stands.

    Parameters
    ----------
    table : DataFrame
        Table `label_sources`.
    """
    with matplotlib.rc_context(SMALL):
        figure = begin_figure(COLUMN_WIDTH, HEIGHT)
        axes = figure.subplots()
        labels, markers, bars = list[Label](), list[Point](), list[list[Point]]()
        exact = 100 * table["area"].iloc[0]
        axes.axhline(exact, color=GRID_COLOUR, lw=0.8, zorder=0)
        for number, row in enumerate(table.to_dict("records")):
            colour = LOSSLESS_COLOUR if number == 0 else COLOURS[(number - 1) % (len(COLOURS) - 1)]
            at = (row["relative_tokens"], 100 * row["area"])
            axes.plot(*at, MARKERS[number % len(MARKERS)], color=colour, ms=4)
            ends = [(at[0], exact + 100 * row[f"area_gain_{end}"]) for end in ("low", "high")]
            axes.plot(*zip(*ends, strict=True), "-", color=colour, lw=0.9)
            labels.append(Label(row["source"], colour, [at], distances=(7, 16, 26)))
            markers.append(at)
            bars.append(ends)
        across, up = np.array(markers + [end for ends in bars for end in ends]).T
        axes.set_xlim(0, (1 + ROOM) * across.max())
        room = max(ROOM * np.ptp(up), 0.5)
        axes.set_ylim(up.min() - room, up.max() + room)
        axes.set(
            xlabel="target tokens, by those of exact labels",
            ylabel="area, %\n(bar: paired 95 % against exact)",
            title=title,
        )
        figure.canvas.draw()  # settles the layout
        lines = [trace_line(axes.transData.transform(ends)) for ends in bars]
        lines += [_box(at) for at in axes.transData.transform(markers)]
        place_labels(axes, labels, np.concatenate(lines), np.empty((0, 2)))
        return figure


def _box(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points of a marker that labels stay off, shape (9, 2), in pixels; `at` is its middle, shape (2,)."""
    steps = np.array([-1, 0, 1]) * LABEL_SIZE / 2
    return at + np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
