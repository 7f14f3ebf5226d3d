"""The learning curve of judges."""

from collections.abc import Mapping

import matplotlib
import pandas as pd

from autojudge.reporting.judge_style import COLOURS, SMALL, short_name
from autojudge.reporting.style import COLUMN_WIDTH, begin_figure, save_figure

LEAST_SPAN = 0.2  # of a learning curve's axis: noise is not to look like a trend


def plot_learning_curve(table: pd.DataFrame, title: str, outputs: Mapping[str, str]) -> None:
    """Draw acceptance at 90 % and AUC on validation against training problems, a dot per draw, a line per judge."""
    with matplotlib.rc_context(SMALL):
        figure = begin_figure(COLUMN_WIDTH, 2.9)
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
    return table["feature_set"].map(short_name) + ", " + table["classifier"].str.replace("_", " ")
