"""The figure of judges on other datasets than their own."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from autojudge.reporting.judge_style import SMALL
from autojudge.reporting.style import COLUMN_WIDTH, PAGE_WIDTH, TICK_SIZE, begin_figure

CELL, FRAME = (0.75, 0.46), (1.5, 0.95)  # inches, width and height: of a square, and of names, titles and colour bar
LEAST_HEIGHT = 2.2  # inches, for the name of the colour bar
DARK = 0.7  # where white is easier to read than black


def draw_transfer(table: pd.DataFrame, title: str) -> Figure:
    """Draw the acceptance at 90 % recall of each dataset's judge on each dataset, with its interval.

    Parameters
    ----------
    table : DataFrame
        Table `transfer`.
    title : str
        Title over the squares.

    Returns
    -------
    Figure
        As wide as a column, or wider, with more than two datasets, up to a page.
    """
    with matplotlib.rc_context(SMALL):
        names = list(dict.fromkeys(table["trained_on"]))
        width, height = (cell * len(names) + frame for cell, frame in zip(CELL, FRAME, strict=True))
        figure = begin_figure(min(max(width, COLUMN_WIDTH), PAGE_WIDTH), max(height, LEAST_HEIGHT))
        axes = figure.subplots()
        matrix = table.pivot(index="trained_on", columns="tested_on", values="accepted_at_90").loc[names, names]
        image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row in table.to_dict("records"):
            at = names.index(row["tested_on"]), names.index(row["trained_on"])
            text = (
                f"{row['accepted_at_90']:.2f}\n{row['accepted_at_90_low']:.2f} to {row['accepted_at_90_high']:.2f}\n"
                f"AUC {row['auc']:.2f}"
            )
            colour = "white" if row["accepted_at_90"] > DARK else "black"
            axes.text(*at, text, ha="center", va="center", color=colour, fontsize=TICK_SIZE)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="tested on", ylabel="trained on")
        figure.colorbar(image, ax=axes, label="accepted at 90 % recall")
        figure.suptitle(title, fontsize=8)
        return figure
