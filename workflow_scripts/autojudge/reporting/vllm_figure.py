"""The figure of a pair in vLLM: accuracy against tokens emitted per cycle, and tokens per second by batch."""

import re
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from autojudge.reporting.style import (
    GRID_COLOUR,
    JUDGE_COLOUR,
    LABEL_SIZE,
    LOSSLESS_COLOUR,
    NOTE_COLOUR,
    OTHER_COLOUR,
    PAGE_WIDTH,
    RC,
    TARGET_COLOUR,
    TICK_SIZE,
    begin_figure,
)

HEIGHT = 3.4  # inches
STYLES = {  # colour and marker of each method
    "target": (TARGET_COLOUR, "D"),
    "lossless": (LOSSLESS_COLOUR, "o"),
    "fly": (OTHER_COLOUR, "s"),
    "judge": (JUDGE_COLOUR, "o"),
}
NAMES = {"target": "target alone", "lossless": "lossless speculation", "fly": "FLy of vLLM"}
LINES = (  # dashes and marker of each of the judge's thresholds
    ("-", "o"),
    ((0, (4, 1.5)), "^"),
    ((0, (5, 1.5, 1, 1.5)), "v"),
    ((0, (1, 1.5)), "s"),
    ((0, (9, 2)), "P"),
    ((0, (5, 1.5, 1, 1.5, 1, 1.5)), "X"),
)


def draw_vllm(table: pd.DataFrame, title: str) -> Figure:
    """Draw accuracy with its intervals at the smallest batch, and speed at every batch, slowest to fastest round.

    Parameters
    ----------
    table : DataFrame
        Table `vllm`.
    title : str
        Over both panels.

    Returns
    -------
    Figure
        As wide as a page.
    """
    with matplotlib.rc_context(RC | {"font.size": LABEL_SIZE, "axes.labelsize": LABEL_SIZE}):
        figure = begin_figure(PAGE_WIDTH, HEIGHT)
        figure.suptitle(title, fontsize=8)
        left, right = figure.subplots(1, 2)
        smallest = table[table["batch"] == table["batch"].min()]
        _draw_accuracy(left, smallest)
        _draw_speed(right, table)
        figure.supxlabel(_note(table, smallest), fontsize=TICK_SIZE, color=NOTE_COLOUR)
        return figure


def _note(table: pd.DataFrame, smallest: pd.DataFrame) -> str:
    """Return of how many problems, where and how it was measured."""
    first = table.iloc[0]
    cut = f", target over {first['tensor_parallel_size']} GPUs" if first["tensor_parallel_size"] > 1 else ""
    cpu = " Tokens per second on a CPU say nothing of a GPU." if re.search(r"\bcores? of ", first["hardware"]) else ""
    rounds = first["rounds"]
    told = "one round" if rounds == 1 else f"medians of {rounds} rounds, bars from the slowest to the fastest"
    text = (
        f"vLLM {first['vllm']}, {first['dtype']}, {first['hardware']}{cut}; {first['problems']} test problems, greedy, "
        f"window {table['window'].max()}. Left: batch {smallest['batch'].iloc[0]}, bars are 95 % Wilson intervals, "
        f"grey that of the target alone; ring: the recommended threshold. Right: {told}.{cpu}"
    )
    return fill(text, 140)


def _name(method: str, threshold: float) -> str:
    return NAMES.get(method) or f"judge, t = {threshold:.3g}" + (" (lossless)" if threshold == 0 else "")


def _draw_accuracy(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw each method's accuracy against its tokens per cycle, the judge's thresholds as a line."""
    target = rows[rows["method"] == "target"].iloc[0]
    axes.axhspan(target["accuracy_low"], target["accuracy_high"], color=TARGET_COLOUR, alpha=0.12, lw=0)
    axes.axhline(target["accuracy"], color=TARGET_COLOUR, lw=0.8, ls="--", label=NAMES["target"])
    for method in ("judge", "fly", "lossless"):
        points = rows[rows["method"] == method].sort_values("threshold")
        if points.empty:
            continue
        colour, marker = STYLES[method]
        x, y = points["emitted_per_cycle"].to_numpy(), points["accuracy"].to_numpy()
        spread = np.stack([y - points["accuracy_low"], points["accuracy_high"] - y])
        axes.errorbar(
            x, y, spread, fmt=f"{marker}-", ms=3.5, lw=1, elinewidth=0.7, color=colour, label=NAMES.get(method, method)
        )
        best = points[points["recommended"].astype(bool)]
        axes.plot(best["emitted_per_cycle"], best["accuracy"], "o", ms=8, mfc="none", color=colour)
        if method == "judge":
            _name_thresholds(axes, points)
    axes.set(xlabel="tokens emitted per cycle", ylabel="accuracy")
    axes.margins(x=0.12)
    axes.grid(color=GRID_COLOUR, linewidth=0.5)
    axes.legend(frameon=False, loc="lower left", fontsize=LABEL_SIZE)


def _name_thresholds(axes: Axes, points: pd.DataFrame) -> None:
    """Write each threshold beside its point, above and below in turn."""
    for number, row in enumerate(points.to_dict("records")):
        offset: dict[str, Any] = {"xytext": (4, 5) if number % 2 else (4, -9), "textcoords": "offset points"}
        at = (row["emitted_per_cycle"], row["accuracy"])
        axes.annotate(f"{row['threshold']:.3g}", at, size=TICK_SIZE, color=JUDGE_COLOUR, **offset)


def _draw_speed(axes: Axes, table: pd.DataFrame) -> None:
    """Draw tokens per second by batch: a line for each method, and of the judge for each threshold."""
    lines = iter(LINES * len(table))
    for _, rows in table.groupby(["method", table["threshold"].fillna(-1)], sort=False):
        rows, method = rows.sort_values("batch"), str(rows["method"].iloc[0])
        colour, marker = STYLES[method]
        is_judge, is_best = method == "judge", bool(rows["recommended"].any())
        y = rows["tokens_per_second"].to_numpy()
        spread = np.stack([y - rows["tokens_per_second_low"], rows["tokens_per_second_high"] - y])
        dashes, marker = next(lines) if is_judge else ("-", marker)
        line: dict[str, Any] = {"marker": marker, "color": colour, "ms": 3.5, "elinewidth": 0.7}
        line |= {"ls": dashes, "lw": 1.6 if is_best else 0.9}
        label = _name(method, float(rows["threshold"].iloc[0])) + (", recommended" if is_best else "")
        axes.errorbar(rows["batch"], y, np.maximum(spread, 0), label=label, **line)
    batches = sorted(table["batch"].unique())
    axes.set(xlabel="batch: most responses side by side", ylabel="tokens per second, all responses together")
    if len(batches) > 1:
        axes.set_xscale("log")
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1.15 * table["tokens_per_second_high"].max())
    axes.grid(axis="y", color=GRID_COLOUR, linewidth=0.5)
    axes.legend(frameon=False, loc="upper left", fontsize=TICK_SIZE, handlelength=4)
