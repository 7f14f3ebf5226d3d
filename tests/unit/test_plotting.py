"""The Pareto figure, by the numbers of its artists."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from autojudge.plotting import draw_pareto, plot_pareto

THRESHOLDS = np.linspace(0.02, 0.97, 26)


def curve(pair: str, rule: str, thresholds: list[float], start: float, loss: float, window: int = 8) -> pd.DataFrame:
    """Return rows of `pareto` whose accuracy falls quadratically by `loss` while speed grows from 4 by 4."""
    along = np.linspace(0, 1, len(thresholds))
    accuracy = start - loss * along**2
    return pd.DataFrame(
        {
            "pair": pair,
            "rule": rule,
            "threshold": thresholds,
            "window": window,
            "problems": 320,
            "accuracy": accuracy,
            "accuracy_low": accuracy - 0.05,
            "accuracy_high": accuracy + 0.03,
            "accepted_per_cycle": 4 + 4 * along if window else np.nan,
            "recommended": [rule == "judge" and i == 13 for i in range(len(thresholds))],
        }
    )


def measured(pair: str = "testbed", start: float = 0.9) -> pd.DataFrame:
    """Return a table like that of a real run."""
    return pd.concat(
        [
            curve(pair, "judge", THRESHOLDS, start, 0.3).sample(frac=1, random_state=0),
            curve(pair, "lossless", [0.0], start, 0),
            curve(pair, "target", [0.0], start - 0.01, 0, window=0),
            curve(pair, "top_k", [2.0**k for k in range(1, 11)], start, 0.6),
        ],
        ignore_index=True,
    )


def lines(figure: Figure, panel: int = 0) -> dict[str, np.ndarray]:
    """Return the data of a panel's named lines, label -> shape (n, 2)."""
    return {line.get_label(): line.get_xydata() for line in figure.axes[panel].lines}


def labels(figure: Figure, panel: int = 0) -> list[Annotation]:
    """Return the texts written into a panel."""
    return [text for text in figure.axes[panel].texts if isinstance(text, Annotation)]


def test_each_curve_shows_accepted_tokens_and_accuracy_in_order_of_the_threshold():
    table = measured()
    drawn = lines(draw_pareto(table, "toy"))
    for rule, label in (("judge", "judge"), ("top_k", "top-K"), ("lossless", "lossless")):
        rows = table[table["rule"] == rule].sort_values("threshold")
        expected = np.stack([rows["accepted_per_cycle"], 100 * rows["accuracy"]], axis=1)
        np.testing.assert_allclose(drawn[label], expected)


def test_error_bars_are_the_wilson_intervals_of_the_table():
    table = measured()
    table = table[table["rule"].isin(["lossless", "top_k"])]
    bars = [c for c in draw_pareto(table, "toy").axes[0].collections if isinstance(c, LineCollection)]
    drawn = sorted(tuple(segment[:, 1]) for bar in bars for segment in bar.get_segments())
    expected = sorted(zip(100 * table["accuracy_low"], 100 * table["accuracy_high"], strict=True))
    np.testing.assert_allclose(drawn, expected)


def test_target_is_a_dashed_line_with_its_interval_and_name_and_no_point():
    axes = draw_pareto(measured(), "toy").axes[0]
    (target,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(target.get_ydata(), [89, 89])
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((84, 92))
    assert "target alone 89.0 %" in [text.get_text() for text in axes.texts]


def test_recommended_threshold_has_a_ring_named_in_the_legend_and_its_value():
    table = measured()
    chosen = table[table["recommended"]].iloc[0]
    figure = draw_pareto(table, "toy")
    (ring,) = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    np.testing.assert_allclose(ring.get_offsets(), [[chosen["accepted_per_cycle"], 100 * chosen["accuracy"]]])
    assert "judge, recommended threshold" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"{chosen['threshold']:.2g}" in [text.get_text() for text in labels(figure)]


def test_no_ring_and_no_legend_entry_where_nothing_is_recommended():
    figure = draw_pareto(measured().assign(recommended=False), "toy")
    assert not [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["judge", "lossless", "top-K"]


def test_threshold_labels_stand_at_points_of_that_threshold():
    table = measured()
    known = {}
    for _, row in table.iterrows():
        text = f"K={row['threshold']:.0f}" if row["rule"] == "top_k" else f"{row['threshold']:.2g}"
        known.setdefault(text, []).append((row["accepted_per_cycle"], 100 * row["accuracy"]))
    marked = [label for label in labels(draw_pareto(table, "toy")) if "target" not in label.get_text()]
    assert len(marked) >= 10
    for label in marked:
        assert any(label.xy == pytest.approx(point) for point in known[label.get_text()])


@pytest.mark.parametrize("pairs", [1, 2])
def test_labels_neither_overlap_nor_leave_the_axes_nor_cover_a_marker(pairs):
    figure = draw_pareto(pd.concat([measured(f"pair{i}", 0.9 - 0.1 * i) for i in range(pairs)]), "toy")
    figure.canvas.draw()
    for panel, axes in enumerate(figure.axes):
        boxes = [super(Annotation, text).get_window_extent() for text in labels(figure, panel)]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])
            assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            assert axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
            for line in axes.lines:
                if line.get_linestyle() != "--":
                    assert not box.count_contains(axes.transData.transform(line.get_xydata()))


def test_rules_differ_in_colour_and_in_marker_also_those_without_a_style_of_their_own():
    extra = [curve("testbed", rule, [0.1, 0.2], 0.9, 0.1) for rule in ("kl_divergence", "entropy")]
    axes = draw_pareto(pd.concat([measured(), *extra]), "toy").axes[0]
    named = [line for line in axes.lines if line.get_linestyle() != "--"]
    assert len(named) == 5
    assert len({line.get_color() for line in named}) == 5
    assert len({line.get_marker() for line in named}) == 5


def test_each_pair_has_a_panel_of_its_name_with_one_accuracy_axis():
    figure = draw_pareto(pd.concat([measured("b"), measured("a", 0.7)]), "toy")
    assert [axes.get_title() for axes in figure.axes] == ["b", "a"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert lines(figure, 1)["lossless"][0, 1] == pytest.approx(70)
    assert len(figure.legends) == 1


def test_note_tells_the_number_of_problems_the_intervals_and_a_cut_axis():
    note = draw_pareto(measured(), "toy").get_supxlabel()
    assert "n = 320 test problems" in note
    assert "95 % Wilson" in note
    assert "does not start at 0" in note
    other = draw_pareto(pd.concat([measured("a"), measured("b").assign(problems=100)]), "toy").get_supxlabel()
    assert "n = 320 (a), n = 100 (b)" in other


def test_legend_stays_off_the_axes():
    figure = draw_pareto(measured(), "toy")
    figure.canvas.draw()
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].bbox)


def test_pdf_embeds_truetype_fonts_and_is_the_same_every_time(tmp_path):
    for name in ("one", "two"):
        plot_pareto(measured(), "toy", tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    pdf = (tmp_path / "one.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf
    assert pdf == (tmp_path / "two.pdf").read_bytes()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_png_has_300_dots_an_inch_at_six_inches(tmp_path):
    plot_pareto(measured(), "toy", tmp_path / "one.pdf", tmp_path / "one.png")
    header = (tmp_path / "one.png").read_bytes()[16:24]
    assert int.from_bytes(header[:4]) == 1800
