"""What all figures share: colours, fonts, and how a figure is begun and written."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from numpy.typing import NDArray

# Colours of Okabe and Ito, told apart with any colour vision; the markers tell rules apart in grey, too.
JUDGE_COLOUR, ORACLE_COLOUR, LOSSLESS_COLOUR = "#0072B2", "#009E73", "#000000"
OTHER_COLOUR = "#D55E00"  # of a training-free rule
SPARE = (
    *((OTHER_COLOUR, "s"), ("#CC79A7", "v"), ("#56B4E9", "P"), ("#E69F00", "X")),
    *(("#7F3C8D", "^"), ("#8C6D31", "h")),  # not theirs, but as far from all others
)
TARGET_COLOUR = "#666666"
NOTE_COLOUR = "#444444"
GRID_COLOUR = "#dddddd"
LABEL_SIZE, TICK_SIZE = 7, 6  # points, the latter the smallest that a page may have
PAGE_WIDTH, PAGE_HEIGHT, COLUMN_WIDTH = 7.0, 9.7, 3.4  # inches, of a paper's text
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


def save_figure(
    figure: Figure | Sequence[Figure], path_pdf: str | Path, path_png: str | Path | None = None, dpi: int = 200
) -> None:
    """Write a figure as PDF with embedded TrueType fonts and as PNG; the same figure gives the same bytes.

    Several figures, of one width, are the pages of the PDF, and stand one below the other in the PNG.
    """
    pages = [figure] if isinstance(figure, Figure) else figure
    with (
        matplotlib.rc_context({"pdf.fonttype": RC["pdf.fonttype"]}),
        PdfPages(path_pdf, metadata={"CreationDate": None}) as pdf,
    ):
        for page in pages:
            page.savefig(pdf, format="pdf")
    if path_png is not None:
        imsave(path_png, np.concatenate([_rasterise(page, dpi) for page in pages]), format="png", dpi=dpi)


def _rasterise(figure: Figure, dpi: int) -> NDArray[np.float32]:
    """Return a figure's picture, shape (height, width, 4)."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    buffer.seek(0)
    return imread(buffer, format="png")
