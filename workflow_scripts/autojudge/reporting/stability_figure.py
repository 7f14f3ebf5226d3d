"""How stable labels are: whether sampled continuations agree on a mismatch, by the target's margin there."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd

from autojudge.judging.metrics import draw_weights
from autojudge.reporting.judge_style import SMALL
from autojudge.reporting.style import COLUMN_WIDTH, JUDGE_COLOUR, OTHER_COLOUR, begin_figure, save_figure

BINS = 6  # of margins, with about as many mismatches each
MEASURES = {"agreement": "samples that agree with the greedy label", "unanimous": "mismatches whose samples all agree"}
STYLES = {"agreement": (JUDGE_COLOUR, "o"), "unanimous": (OTHER_COLOUR, "s")}


def measure_stability(labels: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return how far samples of mismatches agree, a row for each bin of margins and a last one for all.

    Parameters
    ----------
    labels : DataFrame
        `problem_id`, `important`, `margin` and `kept_share`, null where nothing was sampled.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        `low_margin` and `high_margin` of the bin, `mismatches`, and each of MEASURES as a share with its interval of
        95 % (`_low`, `_high`), problems being drawn anew.
    """
    labels = labels[labels["kept_share"].notna()]
    kept, margin = labels["kept_share"].to_numpy(dtype=float), labels["margin"].to_numpy(dtype=float)
    values = {
        "agreement": np.where(labels["important"], 1 - kept, kept),
        "unanimous": ((kept == 0) | (kept == 1)).astype(float),
    }
    edges = np.unique(np.quantile(margin, np.linspace(0, 1, BINS + 1)))
    places = np.clip(np.searchsorted(edges, margin, "right") - 1, 0, max(0, len(edges) - 2))
    rows = []
    for inside in [*(places == place for place in np.unique(places)), np.ones(len(labels), dtype=bool)]:
        weights = draw_weights(labels["problem_id"].to_numpy()[inside], seed)  # (draws, mismatches)
        row = {"low_margin": margin[inside].min(), "high_margin": margin[inside].max(), "mismatches": inside.sum()}
        for name, value in values.items():
            drawn = weights @ value[inside] / weights.sum(1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            row |= {name: value[inside].mean(), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def plot_stability(stability: pd.DataFrame, count: int, title: str, outputs: Mapping[str, str]) -> None:
    """Draw what `measure_stability` returns of so many samples of each mismatch."""
    bins, total = stability.iloc[:-1], stability.iloc[-1]
    with matplotlib.rc_context(SMALL):
        figure = begin_figure(COLUMN_WIDTH, 2.8)
        axes = figure.subplots()
        for shift, (name, label) in zip((-0.08, 0.08), MEASURES.items(), strict=True):
            colour, marker = STYLES[name]
            error = np.abs(bins[[f"{name}_low", f"{name}_high"]].to_numpy().T - bins[name].to_numpy())
            axes.errorbar(
                np.arange(len(bins)) + shift, bins[name], error, fmt=marker, color=colour, capsize=2, markersize=4,
                label=f"{label} ({100 * total[name]:.0f} % of all)",
            )  # fmt: skip
        names = [f"{row.low_margin:.2g}\nto {row.high_margin:.2g}" for row in bins.itertuples()]
        axes.set_xticks(range(len(bins)), names)
        axes.set(xlabel="target's margin at the mismatch, logits", ylabel="share", ylim=(0, 1.03))
        axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, loc="outside lower center")
        figure.suptitle(f"{title}: {count} samples of {int(total['mismatches']):,} mismatches", fontsize=8)
        save_figure(figure, outputs["pdf"], outputs["png"], dpi=300)
