"""The figure of wall-clock speed, and of what the counted calls promise elsewhere."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autojudge.reporting.names import name_rule
from autojudge.reporting.style import (
    GRID_COLOUR,
    JUDGE_COLOUR,
    LABEL_SIZE,
    LOSSLESS_COLOUR,
    NOTE_COLOUR,
    OTHER_COLOUR,
    RC,
    SPARE,
    TARGET_COLOUR,
    begin_figure,
)

PAPER_PAIRS = {"1B/8B": 1.24 / 8.03, "8B/70B": 8.03 / 70.6, "8B/405B": 8.03 / 406}  # of parameters
WINDOW_DASHES = ("-", "--", ":", "-.")
COST_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def draw_speed(table: pd.DataFrame, window: int, title: str) -> Figure:
    """Draw measured tokens per second, and the speed-up that the counted calls promise at other costs of a draft call.

    Parameters
    ----------
    table : DataFrame
        Table `speed`.
    window : int
        Of the left panel.
    title : str
        Title over both panels.
    """
    with matplotlib.rc_context(RC):
        figure = begin_figure(11.0, 4.4)
        figure.suptitle(title, fontsize=10)
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
        _draw_measured(left, table[table["window"].isin([window, 0])])
        _draw_projection(right, table)
        figure.supxlabel(_note(table), fontsize=LABEL_SIZE, color=NOTE_COLOUR)
        return figure


def _note(table: pd.DataFrame) -> str:
    """Return what the panels show, of how many measurements, and what is left out."""
    note = (
        f"Test problems: {table['problems'].iloc[0]}; rounds: {table['rounds'].max()}. Left: medians, bars from the "
        "slowest to the fastest round. Right: 1 / (target calls + ratio x draft calls) per token, as if a\ncall cost "
        "the same whatever the number of tokens (memory-bound, batch 1). Dotted verticals: the paper's pairs by "
        "parameters, and this pair as timed."
    )
    asked_for = table["call_cost_ratio"].iloc[0] > 0 and 1 in set(table["batch"])  # with a draft model, one by one
    if asked_for and "assisted generation" not in set(table["method"]):
        note += "\nWithout assisted generation: transformers fails with this pair (the log of measure_speed tells why)."
    return note


def _draw_measured(axes: Axes, table: pd.DataFrame) -> None:
    """Draw a point for each method and batch."""
    methods = list(dict.fromkeys(table["method"]))[::-1]
    batches = sorted(table["batch"].unique())
    for number, batch in enumerate(batches):
        rows = table[table["batch"] == batch]
        y = [methods.index(m) + 0.15 * (len(batches) - 1 - 2 * number) for m in rows["method"]]
        x = rows["tokens_per_second"].to_numpy()
        spread = np.stack([x - rows["tokens_per_second_low"], rows["tokens_per_second_high"] - x])
        colour, marker = SPARE[number % len(SPARE)]
        axes.errorbar(x, y, xerr=np.maximum(spread, 0), fmt=marker, ms=5, color=colour, label=f"batch {batch}")
        for value, place in zip(x, y, strict=True):
            axes.annotate(f"{value:,.1f}", (value, place), (6, 3), textcoords="offset points", size=LABEL_SIZE)
    axes.set_yticks(range(len(methods)), [name_rule(method) for method in methods])
    axes.set(xlabel="tokens per second, all responses together", xlim=(0, 1.18 * table["tokens_per_second_high"].max()))
    axes.set_ylim(-0.6, len(methods) - 0.4)
    axes.grid(axis="x", color=GRID_COLOUR, linewidth=0.5)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _draw_projection(axes: Axes, table: pd.DataFrame) -> None:
    """Draw each rule's speed-up against the cost of a draft call, for every window at its largest batch."""
    costs = np.geomspace(0.01, 0.6, 200)
    rules = table[~table["method"].isin(["target", "assisted generation"])]
    rules = rules.sort_values(["window", "batch"]).drop_duplicates(["method", "window"], keep="last")
    windows = sorted(rules["window"].unique())
    for method, rows in rules.groupby("method", sort=False):
        colour = {"lossless": LOSSLESS_COLOUR, "judge": JUDGE_COLOUR}.get(str(method), OTHER_COLOUR)
        for row in rows.to_dict("records"):
            speed = 1 / (row["target_calls_per_token"] + costs * row["draft_calls_per_token"])
            dashes = WINDOW_DASHES[windows.index(row["window"]) % len(WINDOW_DASHES)]
            label = f"{name_rule(str(method))}, window {row['window']}"
            axes.plot(costs, speed, dashes, color=colour, lw=1.2, label=label)
    _mark_costs(axes, PAPER_PAIRS | {"this pair": float(table["call_cost_ratio"].iloc[0])}, least=costs[0])
    axes.axhline(1, color=TARGET_COLOUR, lw=0.8, ls="--")
    axes.set(
        xscale="log", xlabel="time of a draft call / time of a target call", ylabel="speed-up over the target alone"
    )
    axes.set_xticks(COST_TICKS, [str(cost) for cost in COST_TICKS])
    axes.set_ylim(0, None)
    axes.grid(axis="y", color=GRID_COLOUR, linewidth=0.5)
    axes.legend(framealpha=1, edgecolor="none", loc="upper right", fontsize=LABEL_SIZE)


def _mark_costs(axes: Axes, costs: dict[str, float], least: float) -> None:
    """Draw a named vertical line at each cost that is not below the least."""
    for name, cost in costs.items():
        if cost >= least:
            axes.axvline(cost, color=TARGET_COLOUR, lw=0.7, ls=":")
            axes.annotate(
                name,
                (cost, 0.0),
                (2, 4),
                ("data", "axes fraction"),
                "offset points",
                size=LABEL_SIZE,
                rotation=90,
                va="bottom",
            )
