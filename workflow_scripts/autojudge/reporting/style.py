"""What all figures share: colours, fonts, and how a figure is begun and written."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Colours of Okabe and Ito, told apart with any colour vision; the markers tell rules apart in grey, too.
JUDGE_COLOUR, ORACLE_COLOUR, LOSSLESS_COLOUR = "#0072B2", "#009E73", "#000000"
OTHER_COLOUR = "#D55E00"  # of a training-free rule
SPARE = ((OTHER_COLOUR, "s"), ("#CC79A7", "v"), ("#56B4E9", "P"), ("#E69F00", "X"))
TARGET_COLOUR = "#666666"
NOTE_COLOUR = "#444444"
GRID_COLOUR = "#dddddd"
LABEL_SIZE, TICK_SIZE = 7, 6  # points, the latter the smallest that a page may have
PAGE_WIDTH, COLUMN_WIDTH = 7.0, 3.4  # inches, of a paper
RC: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType: journals refuse matplotlib's default Type 3
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def begin_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches, which needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path_pdf: str | Path, path_png: str | Path | None = None, dpi: int = 200) -> None:
    """Write a figure as PDF with embedded TrueType fonts and as PNG; the same figure gives the same bytes."""
    with matplotlib.rc_context({"pdf.fonttype": RC["pdf.fonttype"]}):
        figure.savefig(path_pdf, format="pdf", metadata={"CreationDate": None})
    if path_png is not None:
        figure.savefig(path_png, format="png", dpi=dpi)
