"""The Pareto figure, by the numbers of its artists."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from autojudge.reporting.pareto_figure import draw_pareto
from autojudge.reporting.style import save_figure

THRESHOLDS = np.linspace(0.02, 0.97, 26)
FREE = ["top_k", "kl_divergence", "entropy", "fly", "chow", "typical"]


def curve(pair: str, rule: str, thresholds, start: float, loss: float, kind: str, window: int = 8) -> pd.DataFrame:
    """Return rows of `pareto` whose accuracy falls quadratically by `loss` while speed grows from 4 by 4."""
    along = np.linspace(0, 1, len(thresholds))
    accuracy = start - loss * along**2
    return pd.DataFrame(
        {
            "pair": pair,
            "split": "test",
            "rule": rule,
            "kind": kind,
            "threshold": thresholds,
            "window": window,
            "problems": 320,
            "accuracy": accuracy,
            "accuracy_low": accuracy - 0.05,
            "accuracy_high": accuracy + 0.03,
            "accepted_per_cycle": 4 + 4 * along if window else np.nan,
            "recommended": [i == len(thresholds) // 2 for i in range(len(thresholds))],
        }
    )


def measured(pair: str = "testbed", start: float = 0.9) -> pd.DataFrame:
    """Return a table like that of a real run."""
    free = [curve(pair, rule, [2.0**k for k in range(1, 11)], start, 0.6, "training-free") for rule in FREE]
    return pd.concat(
        [
            curve(pair, "judge", THRESHOLDS, start, 0.3, "judge"),
            curve(pair, "lossless", [0.0], start, 0, "reference"),
            curve(pair, "oracle", [1.0], start, 0, "oracle"),
            curve(pair, "target", [0.0], start - 0.01, 0, "reference", window=0),
            *free,
        ],
        ignore_index=True,
    )


def draw(table: pd.DataFrame, best: str = "top_k") -> Figure:
    """Draw a table whose exact curve passes through its points only."""
    summary = table[table["recommended"]].assign(area=0.8)
    return draw_pareto(table, table, summary.assign(best=summary["rule"] == best), "toy")


def large(figure: Figure) -> list[Axes]:
    """Return the large panels."""
    return [axes for axes in figure.axes if axes.get_ylabel()]


def small(figure: Figure) -> list[Axes]:
    """Return the small panels."""
    return [axes for axes in figure.axes if not axes.get_ylabel()]


def labels(axes: Axes) -> list[Annotation]:
    """Return the texts written into a panel."""
    return [text for text in axes.texts if isinstance(text, Annotation)]


def test_a_large_panel_shows_the_exact_curves_of_judge_and_best_rule_and_points_at_given_thresholds():
    table = measured()
    exact = table[table["rule"] == "judge"].assign(accuracy=lambda rows: rows["accuracy"] - 0.001)
    summary = table[table["recommended"]].assign(area=0.8, best=table["rule"] == "top_k")
    (axes,) = large(draw_pareto(table, pd.concat([exact, table[table["rule"] != "judge"]]), summary, "toy"))
    drawn = [line.get_xydata() for line in axes.lines]
    for rows, marked in (
        (exact, False),
        (table[table["rule"] == "judge"], True),
        (table[table["rule"] == "top_k"], True),
    ):
        wanted = np.stack([rows["accepted_per_cycle"], 100 * rows["accuracy"]], axis=1)
        found = [line for line, data in zip(axes.lines, drawn, strict=True) if np.array_equal(data, wanted)]
        assert any((line.get_marker() != "None") == marked for line in found)


def test_error_bars_are_the_wilson_intervals_of_the_table():
    table = measured()
    (axes,) = large(draw(table))
    shown = table[table["rule"].isin(["judge", "top_k", "lossless", "oracle"])]
    bars = [c for c in axes.collections if isinstance(c, LineCollection)]
    drawn = sorted(tuple(segment[:, 1]) for bar in bars for segment in bar.get_segments())
    expected = sorted(zip(100 * shown["accuracy_low"], 100 * shown["accuracy_high"], strict=True))
    np.testing.assert_allclose(drawn, expected)


def test_target_is_a_dashed_line_with_its_interval_and_name_and_no_point():
    (axes,) = large(draw(measured()))
    (target,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(target.get_ydata(), [89, 89])
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((84, 92))
    assert "target alone 89.0 %" in [text.get_text() for text in axes.texts]


def test_recommended_thresholds_have_rings_named_in_the_legend_and_their_values():
    table = measured()
    chosen = table[table["recommended"] & table["rule"].isin(["judge", "top_k"])]
    figure = draw(table)
    (axes,) = large(figure)
    (ring,) = [c for c in axes.collections if isinstance(c, PathCollection)]
    wanted = np.stack([chosen["accepted_per_cycle"], 100 * chosen["accuracy"]], axis=1)
    np.testing.assert_allclose(ring.get_offsets(), wanted)
    assert "recommended on validation" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"{chosen['threshold'].iloc[0]:.2g}" in [text.get_text() for text in labels(axes)]


def test_the_legend_names_only_what_is_in_front():
    figure = draw(measured())
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert names == {"judge", "lossless", "oracle (mined labels)", "top-K", "recommended on validation"}


def test_every_training_free_rule_has_a_small_panel_with_its_name_area_and_curve_over_the_judges():
    table = measured()
    figure = draw(table, best="fly")
    panels = {axes.get_title().split("\n")[0]: axes for axes in small(figure)}
    assert panels.keys() == {"top-K", "KL divergence", "entropy", "FLy", "Chow", "typical"}
    for name, rule in (("KL divergence", "kl_divergence"), ("FLy", "fly")):
        assert "area 80.0 %" in panels[name].get_title()
        judge, own, _ = panels[name].lines
        for line, shown in ((judge, "judge"), (own, rule)):
            rows = table[table["rule"] == shown]
            np.testing.assert_allclose(line.get_ydata(), 100 * rows["accuracy"])
        assert panels[name].get_ylim() == large(figure)[0].get_ylim()


def test_threshold_labels_stand_at_points_of_that_threshold():
    table = measured()
    known = {}
    for _, row in table.iterrows():
        text = f"K={row['threshold']:.0f}" if row["rule"] == "top_k" else f"{row['threshold']:.2g}"
        known.setdefault(text, []).append((row["accepted_per_cycle"], 100 * row["accuracy"]))
    (axes,) = large(draw(table))
    marked = [label for label in labels(axes) if "target" not in label.get_text()]
    assert len(marked) >= 10
    for label in marked:
        assert any(label.xy == pytest.approx(point) for point in known[label.get_text()])


@pytest.mark.parametrize("pairs", [1, 2])
def test_labels_neither_overlap_nor_leave_the_axes_nor_cover_a_marker(pairs):
    figure = draw(pd.concat([measured(f"pair{i}", 0.9 - 0.1 * i) for i in range(pairs)]))
    figure.canvas.draw()
    assert len(large(figure)) == pairs
    for axes in large(figure):
        boxes = [super(Annotation, text).get_window_extent() for text in labels(axes)]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])
            assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            assert axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
            for line in axes.lines:
                if line.get_linestyle() != "--":
                    assert not box.count_contains(axes.transData.transform(line.get_xydata()))


def test_small_panels_titles_do_not_overlap():
    figure = draw(measured())
    figure.canvas.draw()
    boxes = [axes.title.get_window_extent() for axes in small(figure)]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_rules_in_front_differ_in_colour_and_in_marker():
    (axes,) = large(draw(measured()))
    named = [line for line in axes.lines if line.get_marker() != "None"]
    assert len(named) == 4
    assert len({line.get_color() for line in named}) == len({line.get_marker() for line in named}) == 4


def test_each_pair_has_a_row_of_its_name():
    figure = draw(pd.concat([measured("b"), measured("a", 0.7)]))
    assert [axes.get_title() for axes in large(figure)] == ["b", "a"]
    assert len(figure.legends) == 1


def test_without_training_free_rules_there_is_one_narrow_panel():
    table = measured()
    figure = draw(table[~table["rule"].isin(FREE)])
    assert len(figure.axes) == 1 and figure.get_figwidth() == 6


def test_note_tells_the_number_of_problems_the_intervals_and_a_cut_axis():
    note = draw(measured()).get_supxlabel()
    assert "n = 320 test problems" in note
    assert "95 % Wilson" in note
    assert "does not start at 0" in note
    other = draw(pd.concat([measured("a"), measured("b").assign(problems=100)])).get_supxlabel()
    assert "n = 320 (a), n = 100 (b)" in other


def test_legend_stays_off_the_axes():
    figure = draw(measured())
    figure.canvas.draw()
    assert not figure.legends[0].get_window_extent().overlaps(large(figure)[0].bbox)


def test_pdf_embeds_truetype_fonts_and_is_the_same_every_time(tmp_path):
    table = measured()
    summary = table[table["recommended"]].assign(area=0.8, best=table["rule"] == "top_k")
    for name in ("one", "two"):
        figure = draw_pareto(table, table, summary, "toy")
        save_figure(figure, tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    pdf = (tmp_path / "one.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf
    assert pdf == (tmp_path / "two.pdf").read_bytes()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert int.from_bytes((tmp_path / "one.png").read_bytes()[16:20]) == 11 * 200
