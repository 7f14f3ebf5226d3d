"""The transfer figure, by the numbers of its artists."""

import pandas as pd
import pytest

from autojudge.reporting.style import TICK_SIZE
from autojudge.reporting.transfer_figure import draw_transfer

NAMES = ["gsm8k", "math500", "livecodebench", "gsm8k_llama_8shot", "arith", "humaneval_plus", "mbpp", "aime"]


def transfer(count):
    """Return rows of table `transfer` of so many datasets."""
    rows = []
    for number, (trained_on, tested_on) in enumerate((a, b) for a in NAMES[:count] for b in NAMES[:count]):
        value = 0.1 + 0.8 * number / count**2
        row = {"trained_on": trained_on, "tested_on": tested_on, "accepted_at_90": value, "auc": 0.5 + value / 2}
        rows.append(row | {"accepted_at_90_low": value - 0.05, "accepted_at_90_high": value + 0.02})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("count", [1, 2, 3, 6, 8])
def test_each_square_tells_its_numbers_inside_of_it_at_a_papers_size(count):
    table = transfer(count)
    figure = draw_transfer(table, "pair: transfer of judges, test split")
    figure.canvas.draw()
    axes, bar = figure.axes
    assert 3.4 <= figure.get_figwidth() <= 7
    assert len(axes.texts) == count**2
    for row, text in zip(table.itertuples(), axes.texts, strict=True):
        assert text.get_text().startswith(f"{row.accepted_at_90:.2f}\n{row.accepted_at_90_low:.2f} to ")
        assert text.get_position() == (NAMES.index(row.tested_on), NAMES.index(row.trained_on))
        box = axes.transData.inverted().transform(text.get_window_extent().get_points())
        assert abs(box - text.get_position()).max() <= 0.5, "the square is 1 wide and high"
        assert text.get_size() >= TICK_SIZE
    for text in (bar.yaxis.label, axes.xaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()):
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1
