"""The figure of the experiment: accuracy against accepted tokens per cycle."""

from itertools import cycle, product
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


class Style(NamedTuple):
    """How a rule looks; the marker tells rules apart in grey, too."""

    label: str
    colour: str
    marker: str
    threshold_format: str = "{:.2g}"


# Colours of Okabe and Ito, told apart with any colour vision. A rule without an entry takes the next spare style.
STYLES = {
    "judge": Style("judge", "#0072B2", "o"),
    "oracle": Style("oracle (mined labels)", "#009E73", "*", ""),
    "lossless": Style("lossless", "#000000", "D", ""),
}
SPARE = [("#D55E00", "s"), ("#CC79A7", "v"), ("#56B4E9", "P"), ("#E69F00", "X")]
LABELS = {
    "kl_divergence": "KL divergence",
    "js_divergence": "JS divergence",
    "tv_distance": "TV distance",
    "fly": "FLy",
    "top_k": "top-K",
    "chow": "Chow",
    "confidence_tv": "confidence TV",
}
FORMATS = {"top_k": "K={:.0f}"}
OTHER_COLOUR, SMALL_COLUMNS = "#D55E00", 5  # at most
RECOMMENDED = "recommended on validation"
TARGET_COLOUR = "#666666"
RC: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType: journals refuse matplotlib's default Type 3
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
LABEL_SIZE = 7  # points
RING_SIZE = 10.5  # points
NEAR = 5  # pixels between a point and its label; farther ones get a leader line
LABELS_PER_CURVE = 8
DIRECTIONS = ((0, 1), (1, 1), (-1, 1), (0, -1), (1, -1), (-1, -1), (1, 0), (-1, 0))


def save_figure(figure: Figure, path_pdf: str | Path, path_png: str | Path, dpi: int = 200) -> None:
    """Write a figure as PDF and PNG; the same figure gives the same bytes."""
    figure.savefig(path_pdf, format="pdf", metadata={"CreationDate": None})
    figure.savefig(path_png, format="png", dpi=dpi)


def plot_pareto(
    table: pd.DataFrame,
    curve: pd.DataFrame,
    summary: pd.DataFrame,
    title: str,
    path_pdf: str | Path,
    path_png: str | Path,
) -> None:
    """Write the figure of `draw_pareto` as a PDF with embedded TrueType fonts and as a PNG of 200 dpi.

    The same tables give the same bytes.
    """
    with matplotlib.rc_context(RC):
        figure = draw_pareto(table, curve, summary, title)
        save_figure(figure, path_pdf, path_png)


def draw_pareto(table: pd.DataFrame, curve: pd.DataFrame, summary: pd.DataFrame, title: str) -> Figure:
    """Draw accuracy against accepted tokens per cycle on the test split, a row of panels for each pair.

    In front the judge, the best training-free rule, the oracle and lossless decoding, with intervals and thresholds;
    beside them a small panel for every training-free rule, over the judge's curve.

    Parameters
    ----------
    table, curve, summary : DataFrame
        Tables `pareto`, `curve` and `summary`. Rule `target` becomes a horizontal line, for it has no cycles.
    title : str
        Title over all panels.

    Returns
    -------
    Figure
        11 inches wide (6 without training-free rules), 4.4 inches a pair and more for title and note.
    """
    pairs, curve = list(dict.fromkeys(table["pair"])), curve[curve["split"] == "test"]
    free = sorted(summary.loc[summary["kind"] == "training-free", "rule"].unique())
    figure = Figure(figsize=(11.0 if free else 6.0, 4.2 * len(pairs) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    columns = min(SMALL_COLUMNS, len(free))
    grid = figure.add_gridspec(len(pairs), 2 if free else 1, width_ratios=[1.05, 1] if free else None)
    panels = []
    for number, pair in enumerate(pairs):
        axes = figure.add_subplot(grid[number, 0])
        of_pair = [frame[frame["pair"] == pair] for frame in (table, curve, summary)]
        front = _front_rules(of_pair[2])
        styles = _choose_styles(front)
        shown = of_pair[0][of_pair[0]["rule"].isin([*front, "target"])]
        _draw_panel(axes, shown, of_pair[1], styles)
        axes.set(title=pair, xlabel="accepted tokens per cycle", ylabel="accuracy, %")
        if free:
            small = grid[number, 1].subgridspec(-(-len(free) // columns), columns)
            _draw_small_panels(figure, small, axes, free, *of_pair[1:])
        panels.append((axes, shown, styles))
    figure.supxlabel(_describe_figure(table, panels[0][0], bool(free)), fontsize=LABEL_SIZE, color="#444444")
    _add_legend(figure, np.array([axes for axes, _, _ in panels]), title)
    figure.draw_without_rendering()  # labels are placed in pixels, so the layout must be settled
    for axes, shown, styles in panels:
        _label_panel(axes, shown, styles)
    return figure


def _front_rules(summary: pd.DataFrame) -> list[str]:
    """Return the rules of a pair's large panel."""
    front = summary["kind"].isin(["judge", "oracle"]) | summary["best"] | (summary["rule"] == "lossless")
    return list(summary.loc[front, "rule"])


def _choose_styles(rules: list[str]) -> dict[str, Style]:
    """Return a style for each rule."""
    spare = cycle(SPARE)
    known = {rule: STYLES[rule] for rule in rules if rule in STYLES}
    return known | {
        rule: Style(name_rule(rule), *next(spare), FORMATS.get(rule, "{:.2g}")) for rule in rules if rule not in known
    }


def name_rule(rule: str) -> str:
    """Return how figures and tables call a rule."""
    return LABELS.get(rule) or rule.replace("_", " ")


def _draw_small_panels(
    figure: Figure, grid: Any, large: Axes, rules: list[str], curve: pd.DataFrame, summary: pd.DataFrame
) -> None:
    """Draw each rule's exact curve over the judge's, on the axes of the large panel."""
    judge, columns = curve[curve["rule"] == "judge"], grid.ncols
    for number, rule in enumerate(rules):
        axes = figure.add_subplot(grid[divmod(number, columns)], sharey=large)
        own, row = curve[curve["rule"] == rule], summary[summary["rule"] == rule].iloc[0]
        axes.plot(judge["accepted_per_cycle"], 100 * judge["accuracy"], color=STYLES["judge"].colour, lw=0.9, alpha=0.6)
        axes.plot(own["accepted_per_cycle"], 100 * own["accuracy"], color=OTHER_COLOUR, lw=1.3)
        axes.plot(row["accepted_per_cycle"], 100 * row["accuracy"], "o", mfc="none", mec=OTHER_COLOUR, ms=6, mew=1.2)
        axes.set_title(f"{name_rule(rule)}\narea {100 * row['area']:.1f} %", fontsize=LABEL_SIZE)
        axes.set_xlim(large.get_xlim())
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.tick_params(labelsize=6, labelleft=number % columns == 0)
        axes.tick_params(labelbottom=number + columns >= len(rules))
        axes.grid(axis="y", color="#dddddd", linewidth=0.5)


def _describe_figure(table: pd.DataFrame, axes: Axes, small: bool) -> str:
    """Return the note under the figure: what the reader needs to judge the numbers."""
    counts = table.groupby("pair", sort=False)["problems"].first()
    if counts.nunique() == 1:
        sizes = f"n = {counts.iloc[0]} test problems"
    else:
        sizes = "Test problems: " + ", ".join(f"n = {n} ({pair})" for pair, n in counts.items())
    lines = [f"{sizes}. Lines: all swept thresholds. Bars, grey band: 95 % Wilson intervals. Labels: thresholds."]
    lines.append("Accepted tokens: draft tokens kept and corrections, without the bonus token.")
    if axes.get_ylim()[0] > 0:
        lines[-1] += " The accuracy axis does not start at 0."
    if small:
        lines.append(
            "Small panels: training-free rules (orange) over the judge (blue). Area: mean of the best accuracy at or "
            "above a speed, between lossless and the draft alone."
        )
    return "\n".join(lines)


def _add_legend(figure: Figure, panels: np.ndarray, title: str) -> None:
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


def _draw_panel(axes: Axes, table: pd.DataFrame, curve: pd.DataFrame, styles: dict[str, Style]) -> None:
    """Draw the target's line, each rule's curve with points at given thresholds, and rings at recommended ones."""
    for _, row in table[table["rule"] == "target"].iterrows():
        axes.axhspan(100 * row["accuracy_low"], 100 * row["accuracy_high"], color=TARGET_COLOUR, alpha=0.1, lw=0)
        axes.axhline(100 * row["accuracy"], color=TARGET_COLOUR, linestyle="--", linewidth=1)
    for rule, points in table[table["rule"] != "target"].groupby("rule"):
        style, line = styles[str(rule)], curve[curve["rule"] == rule]
        x, y = points["accepted_per_cycle"], 100 * points["accuracy"]
        spread = np.stack([y - 100 * points["accuracy_low"], 100 * points["accuracy_high"] - y])
        front = {"lossless": 6, "oracle": 5}.get(str(rule), 4)
        axes.errorbar(x, y, np.maximum(spread, 0), fmt="none", ecolor=style.colour, elinewidth=0.7, alpha=0.35)
        if rule not in ("lossless", "oracle"):  # these are single points
            axes.plot(line["accepted_per_cycle"], 100 * line["accuracy"], color=style.colour, lw=1.2, zorder=front)
        else:
            x, y = x.iloc[-1:], y.iloc[-1:]
        size = 9 if rule == "oracle" else 4
        axes.plot(x, y, color=style.colour, marker=style.marker, ms=size, ls="", label=style.label, zorder=front)
    chosen = table[table["recommended"] & ~table["rule"].isin(["target", "lossless", "oracle"])]
    if len(chosen):
        x, y, colours = (
            chosen["accepted_per_cycle"],
            100 * chosen["accuracy"],
            [styles[r].colour for r in chosen["rule"]],
        )
        axes.scatter(x, y, RING_SIZE**2, "none", edgecolors=colours, linewidths=1.6, zorder=7, label=RECOMMENDED)
    axes.grid(axis="y", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)


class Label(NamedTuple):
    """A text and where it may stand: beside an anchor (data units), at a distance (pixels), in a direction."""

    text: str
    colour: str
    anchors: list[tuple[float, float]]
    distances: tuple[int, ...] = (NEAR, 13)
    directions: tuple[tuple[int, int], ...] = DIRECTIONS


def _label_panel(axes: Axes, table: pd.DataFrame, styles: dict[str, Style]) -> None:
    """Name the target's line and the thresholds of some points of each curve, where there is room."""
    labels = []
    left, right = axes.get_xlim()
    for accuracy in 100 * table.loc[table["rule"] == "target", "accuracy"]:
        anchors = [(x, accuracy) for x in np.linspace(right, left, 26)[3:-3]]
        labels.append(Label(f"target alone {accuracy:.1f} %", TARGET_COLOUR, anchors, (NEAR,), ((0, 1), (0, -1))))
    for (rule, _), curve in table[table["rule"] != "target"].groupby(["rule", "window"]):
        style, curve = styles[str(rule)], curve.sort_values("threshold")
        chosen, points = curve["recommended"].to_numpy(), _points(curve)
        for index in _choose_points(axes.transData.transform(points), chosen) if style.threshold_format else []:
            text = style.threshold_format.format(curve["threshold"].iloc[index])
            if chosen[index]:  # before all others, and clear of its ring
                labels.insert(0, Label(text, style.colour, [tuple(points[index])], (13, 18, 24)))
            else:
                labels.append(Label(text, style.colour, [tuple(points[index])]))
    lines, bars = _find_obstacles(axes, table)
    taken: list[np.ndarray] = []
    for label in labels:
        # Text over a faint error bar is readable, so a crowded panel may have it; over a line it never may.
        _place_label(axes, label, np.concatenate([lines, bars]), taken) or _place_label(axes, label, lines, taken)


def _points(curve: pd.DataFrame) -> np.ndarray:
    """Return a curve's points in data units, shape (n, 2)."""
    return np.stack([curve["accepted_per_cycle"], 100 * curve["accuracy"]], axis=1)


def _choose_points(points: np.ndarray, recommended: np.ndarray) -> list[int]:
    """Return indices of points to label: the recommended one, both ends, then always the one farthest from those."""
    chosen = list(dict.fromkeys([*np.flatnonzero(recommended).tolist(), 0, len(points) - 1]))
    while len(chosen) < min(LABELS_PER_CURVE, len(points)):
        distances = np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1)
        if distances.max() == 0:
            break
        chosen.append(int(distances.argmax()))
    return chosen


def _find_obstacles(axes: Axes, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return what labels shun as points in pixels, shape (n, 2): curves, ring and target's line; and error bars."""
    to_pixels = axes.transData.transform
    lines, bars = [], []
    for accuracy in 100 * table.loc[table["rule"] == "target", "accuracy"]:
        lines.append(_trace(to_pixels([(x, accuracy) for x in axes.get_xlim()])))
    table = table[table["rule"] != "target"].sort_values("threshold")
    for _, curve in table.groupby(["rule", "window"]):
        lines.append(_trace(to_pixels(_points(curve))))
    angles = np.linspace(0, 2 * np.pi, 24)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) * RING_SIZE / 2 * axes.figure.dpi / 72
    lines += [to_pixels(centre) + circle for centre in _points(table[table["recommended"]])]
    for x, low, high in table[["accepted_per_cycle", "accuracy_low", "accuracy_high"]].to_numpy(dtype=float):
        bars.append(_trace(to_pixels([(x, 100 * low), (x, 100 * high)])))
    return np.concatenate(lines), np.concatenate(bars)


def _trace(corners: np.ndarray) -> np.ndarray:
    """Return points every few pixels along a polyline with corners of shape (n, 2)."""
    steps = [np.linspace(a, b, 2 + int(np.hypot(*(b - a)) / 3)) for a, b in zip(corners, corners[1:], strict=False)]
    return np.concatenate([corners, *steps])


def _place_label(axes: Axes, label: Label, obstacles: np.ndarray, taken: list[np.ndarray]) -> bool:
    """Write a label in the first place where it is inside the axes, off the obstacles and off other labels.

    Returns whether there was one; if so, appends the text's box, [[left, bottom], [right, top]] in pixels, to `taken`.
    """
    style: dict[str, Any] = {"ha": "center", "va": "center", "size": LABEL_SIZE, "color": label.colour}
    sample = axes.text(0, 0, label.text, **style)
    half = np.array(sample.get_window_extent().size) / 2
    sample.remove()
    frame = axes.get_window_extent().get_points()
    for anchor, distance, direction in product(label.anchors, label.distances, label.directions):
        pixel, towards = axes.transData.transform(anchor), np.array(direction)
        centre = pixel + towards * half + distance * towards / np.linalg.norm(towards)
        box = np.stack([centre - half, centre + half])
        inside = np.all(box[0] >= frame[0]) and np.all(box[1] <= frame[1])
        covers = np.any(np.all((obstacles > box[0] - 3) & (obstacles < box[1] + 3), axis=1))
        if inside and not covers and not any(np.all((box[0] < b[1]) & (b[0] < box[1])) for b in taken):
            offset = (centre - pixel) * 72 / axes.figure.dpi
            leader = {"arrowstyle": "-", "color": label.colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 2}
            text = axes.annotate(
                label.text,
                anchor,
                offset,
                textcoords="offset points",
                arrowprops=leader if distance > NEAR else None,
                **style,
            )
            text.set_in_layout(False)
            taken.append(box)
            return True
    return False


PAPER_PAIRS = {"1B/8B": 1.24 / 8.03, "8B/70B": 8.03 / 70.6, "8B/405B": 8.03 / 406}  # of parameters
WINDOW_DASHES = ["-", "--", ":", "-."]


def plot_speed(table: pd.DataFrame, window: int, title: str, path_pdf: str | Path, path_png: str | Path) -> None:
    """Write the figure of `draw_speed` as a PDF with embedded TrueType fonts and as a PNG of 200 dpi."""
    with matplotlib.rc_context(RC):
        figure = draw_speed(table, window, title)
        save_figure(figure, path_pdf, path_png)


def draw_speed(table: pd.DataFrame, window: int, title: str) -> Figure:
    """Draw measured tokens a second, and the speed-up that the counted calls promise at other costs of a draft call.

    Parameters
    ----------
    table : DataFrame
        Table `speed`.
    window : int
        Of the left panel.
    title : str
        Title over both panels.
    """
    figure = Figure(figsize=(11.0, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    _draw_measured(left, table[table["window"].isin([window, 0])])
    _draw_projection(right, table)
    note = (
        f"n = {table['problems'].iloc[0]} test problems. Left: medians, bars from the slowest to the fastest round. "
        "Right: 1 / (target calls + ratio x draft calls) per token, as if a\ncall cost the same whatever the number of "
        "tokens (memory-bound, batch 1). Dotted verticals: the paper's pairs by parameters, and this pair as timed."
    )
    figure.supxlabel(note, fontsize=LABEL_SIZE, color="#444444")
    return figure


def _draw_measured(axes: Axes, table: pd.DataFrame) -> None:
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
    axes.set(xlabel="tokens a second, all responses together", xlim=(0, 1.18 * table["tokens_per_second_high"].max()))
    axes.set_ylim(-0.6, len(methods) - 0.4)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _draw_projection(axes: Axes, table: pd.DataFrame) -> None:
    ratios = np.geomspace(0.01, 0.6, 200)
    rules = table[~table["method"].isin(["target", "assisted generation"])]
    rules = rules.sort_values(["window", "batch"]).drop_duplicates(["method", "window"], keep="last")
    windows = sorted(rules["window"].unique())
    for method, rows in rules.groupby("method", sort=False):
        colour = {"lossless": "#000000", "judge": STYLES["judge"].colour}.get(str(method), OTHER_COLOUR)
        for row in rows.to_dict("records"):
            speed = 1 / (row["target_calls_per_token"] + ratios * row["draft_calls_per_token"])
            dashes = WINDOW_DASHES[windows.index(row["window"]) % len(WINDOW_DASHES)]
            label = f"{name_rule(str(method))}, window {row['window']}"
            axes.plot(ratios, speed, dashes, color=colour, lw=1.2, label=label)
    marks = PAPER_PAIRS | {"this pair": float(table["call_cost_ratio"].iloc[0])}
    for name, ratio in marks.items():
        if ratio >= ratios[0]:
            axes.axvline(ratio, color=TARGET_COLOUR, lw=0.7, ls=":")
            place = (ratio, 0.0)
            axes.annotate(
                name,
                place,
                (2, 4),
                ("data", "axes fraction"),
                "offset points",
                size=LABEL_SIZE,
                rotation=90,
                va="bottom",
            )
    axes.axhline(1, color=TARGET_COLOUR, lw=0.8, ls="--")
    axes.set(
        xscale="log", xlabel="time of a draft call / time of a target call", ylabel="speed-up over the target alone"
    )
    axes.set_xticks([0.01, 0.02, 0.05, 0.1, 0.2, 0.5], ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"])
    axes.set_ylim(0, None)
    axes.grid(axis="y", color="#dddddd", linewidth=0.5)
    axes.legend(framealpha=1, edgecolor="none", loc="upper right", fontsize=LABEL_SIZE)
