"""The figure of judges on other datasets than their own."""

from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from autojudge.reporting.judge_style import COLUMN, SMALL
from autojudge.reporting.style import save_figure


def plot_transfer(table: pd.DataFrame, title: str, outputs: Mapping[str, str]) -> None:
    """Draw the acceptance at 90 % recall of each dataset's judge on each dataset, with its interval."""
    with matplotlib.rc_context(SMALL):
        names = list(dict.fromkeys(table["trained_on"]))
        size = max(COLUMN, 1.2 * len(names) + 1.2)
        figure = Figure(figsize=(size, 0.8 * size), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        matrix = table.pivot(index="trained_on", columns="tested_on", values="accepted_at_90").loc[names, names]
        image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        for row in table.to_dict("records"):
            at = names.index(row["tested_on"]), names.index(row["trained_on"])
            text = (
                f"{row['accepted_at_90']:.2f}\n({row['accepted_at_90_low']:.2f} to {row['accepted_at_90_high']:.2f})\n"
                f"AUC {row['auc']:.2f}"
            )
            axes.text(*at, text, ha="center", va="center", color="white" if row["accepted_at_90"] > 0.55 else "black")
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="tested on", ylabel="trained on")
        figure.colorbar(image, ax=axes, shrink=0.8, label="accepted at 90 % recall")
        figure.suptitle(title, fontsize=8)
        save_figure(figure, outputs["pdf"], outputs["png"], dpi=300)
