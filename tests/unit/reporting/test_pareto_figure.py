"""The Pareto figure, by the numbers of its artists."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from toy import toy_tables

from autojudge.reporting.names import front_rules
from autojudge.reporting.pareto_figure import draw_column, draw_pareto
from autojudge.reporting.statistics import envelope_of
from autojudge.reporting.style import TICK_SIZE, save_figure

WINDOWS = (4, 8, 16)
Tables = Mapping[str, pd.DataFrame]


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """Return the tables of a pair with three training-free rules."""
    return toy_tables("testbed", windows=WINDOWS)


@pytest.fixture(scope="module")
def two(tables: Tables) -> dict[str, pd.DataFrame]:
    """Return the tables of two pairs whose best training-free rules differ."""
    free = {"kl_divergence": 0.1, "fly": 0.5, "typical": 2.0}
    other = toy_tables("another", windows=(4, 16), problems=30, seed=1, free=free)
    return {name: pd.concat([tables[name], other[name]], ignore_index=True) for name in tables}


@pytest.fixture(scope="module")
def light() -> dict[str, pd.DataFrame]:
    """Return the tables of a pair with three training-free rules and one window, which are quick to draw."""
    return toy_tables(windows=(8,), problems=10)


def draw(tables: Tables) -> Figure:
    (page,) = draw_pareto(tables["curve"], tables["summary"], tables["windows"], "toy")
    return page


def large(figure: Figure) -> list[Axes]:
    """Return the large panels."""
    return [axes for axes in figure.axes if axes.get_ylabel()]


def by_window(figure: Figure) -> dict[int, Axes]:
    """Return the panels of single windows."""
    titles = {axes.get_title(): axes for axes in figure.axes}
    return {int(title.split()[1]): axes for title, axes in titles.items() if title.startswith("window ")}


def small(figure: Figure) -> dict[str, Axes]:
    """Return the panels of single rules, by name."""
    left = [a for a in figure.axes if not a.get_ylabel() and not a.get_title().startswith("window")]
    return {axes.get_title(): axes for axes in left}


def labels(axes: Axes) -> list[Annotation]:
    """Return the texts written into a panel."""
    return [text for text in axes.texts if isinstance(text, Annotation)]


def drawn(axes: Axes, x: pd.Series, y: pd.Series, marker: str = "None") -> bool:
    """Tell whether a panel has a line through these points, of shares, with that marker."""
    wanted = np.stack([x, 100 * y], axis=1)
    found = [line.get_xydata() for line in axes.lines if line.get_marker() == marker]
    return any(data.shape == wanted.shape and np.allclose(data, wanted) for data in found)


def test_a_large_panel_shows_the_envelopes_of_judge_and_best_rule_against_the_speedup(tables):
    (axes,) = large(draw(tables))
    front = front_rules(tables["summary"])
    for rule in (front["judge"], front["best"]):
        line = envelope_of(tables["curve"], rule).sort_values("speedup")
        assert drawn(axes, line["speedup"], line["accuracy"])
    assert line["window"].nunique() > 1, "a curve of one window would not show that it is an envelope"
    assert "speed-up" in axes.get_xlabel() and "0.1 of a target call, measured" in axes.get_xlabel()


def test_points_are_those_of_the_summary_lossless_at_its_own_best_window(tables):
    (axes,) = large(draw(tables))
    rows = tables["summary"].set_index("rule")
    front = front_rules(tables["summary"])
    for rule, marker in ((front["judge"], "o"), ("lossless", "D"), ("oracle", "*"), (front["best"], "s")):
        row = rows.loc[[rule]]
        assert drawn(axes, row["speedup"], row["accuracy"], marker)
    best = tables["windows"].query("rule == 'lossless' and cost == 'measured'")
    assert rows.loc["lossless", "speedup"] == best["speedup"].max()


def test_error_bars_are_the_wilson_intervals_of_the_summary(tables):
    (axes,) = large(draw(tables))
    shown = tables["summary"][tables["summary"]["rule"].isin(front_rules(tables["summary"]).values())]
    bars = [c for c in axes.collections if isinstance(c, LineCollection)]
    ends = sorted(tuple(segment[:, 1]) for bar in bars for segment in bar.get_segments())
    np.testing.assert_allclose(
        ends, sorted(zip(100 * shown["accuracy_low"], 100 * shown["accuracy_high"], strict=True))
    )


def test_target_is_a_dashed_line_with_its_interval_and_name_and_a_mark_at_speed_one(tables):
    (axes,) = large(draw(tables))
    row = tables["summary"].set_index("rule").loc["target"]
    (target,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(target.get_ydata(), [100 * row["accuracy"]] * 2)
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx(
        (100 * row["accuracy_low"], 100 * row["accuracy_high"])
    )
    assert f"target alone {100 * row['accuracy']:.1f} %" in [text.get_text() for text in axes.texts]
    assert drawn(axes, pd.Series([1.0]), pd.Series([row["accuracy"]]), "|")


def test_recommended_points_have_rings_and_their_window_and_threshold(tables):
    (axes,) = large(draw(tables))
    front = front_rules(tables["summary"])
    chosen = tables["summary"][tables["summary"]["rule"].isin([front["judge"], front["best"]])]
    rings = [line.get_xydata()[0] for line in axes.lines if line.get_markerfacecolor() == "none"]
    wanted = np.stack([chosen["speedup"], 100 * chosen["accuracy"]], axis=1)
    np.testing.assert_allclose(sorted(map(tuple, rings)), sorted(map(tuple, wanted)))
    written = {text.get_text() for text in labels(axes)}
    assert {f"w={row.window}, t={row.threshold:.2g}" for row in chosen.itertuples()} <= written
    assert f"w={tables['summary'].set_index('rule').loc['lossless', 'window']}" in written


def test_labels_stand_at_points_of_that_window_and_threshold(tables):
    known: dict[str, list[tuple[float, float]]] = {}
    envelopes = tables["curve"][tables["curve"]["split"] == "envelope"]
    for row in pd.concat([envelopes, tables["summary"]]).itertuples():
        for text in (f"w={row.window}, t={row.threshold:.2g}", f"w={row.window}"):
            known.setdefault(text, []).append((row.speedup, 100 * row.accuracy))
    (axes,) = large(draw(tables))
    marked = [label for label in labels(axes) if "target" not in label.get_text()]
    assert len(marked) >= 6
    for label in marked:
        assert any(label.xy == pytest.approx(point) for point in known[label.get_text()])


def test_each_window_has_a_panel_with_the_papers_axis_and_the_rules_at_that_window(tables):
    others = tables["windows"]["cost"] != "measured"
    windows = tables["windows"].assign(accuracy=tables["windows"]["accuracy"].mask(others, 0.01))
    figure = draw({**tables, "windows": windows})
    panels, front = by_window(figure), front_rules(tables["summary"])
    assert sorted(panels) == list(WINDOWS)
    assert "accepted tokens per cycle" in {axes.get_xlabel() for axes in panels.values()}
    for window, axes in panels.items():
        found = tables["windows"].query(f"window == {window} and cost == 'measured'").set_index("rule")
        for rule, marker in ((front["judge"], "o"), (front["best"], "s"), ("lossless", "D")):
            assert drawn(axes, found.loc[[rule], "accepted_per_cycle"], found.loc[[rule], "accuracy"], marker)
        line = tables["curve"].query(f"window == {window} and rule == 'judge' and split == 'test'")
        line = line.sort_values("accepted_per_cycle")
        assert drawn(axes, line["accepted_per_cycle"], line["accuracy"])
        assert axes.get_ylim() == large(figure)[0].get_ylim()


def test_every_training_free_rule_has_a_small_panel_with_its_area_and_envelope_over_the_judges(tables):
    panels = small(draw(tables))
    assert panels.keys() == {"KL divergence", "FLy", "typical"}
    for name, rule in (("KL divergence", "kl_divergence"), ("FLy", "fly")):
        row = tables["summary"].set_index("rule").loc[rule]
        assert f"area {100 * row['area']:.1f}" in [text.get_text() for text in panels[name].texts]
        for shown in ("judge", rule):
            line = envelope_of(tables["curve"], shown).sort_values("speedup")
            assert drawn(panels[name], line["speedup"], line["accuracy"])


def test_a_variant_of_the_judge_has_a_small_panel_and_no_place_in_front(tables):
    more = {
        name: pd.concat([table[table["rule"] == "judge"].assign(rule="judge_confident"), table])
        for name, table in tables.items()
    }
    figure = draw(more)
    assert "judge confident" in small(figure)
    assert front_rules(more["summary"])["judge"] == "judge"
    assert len({handle.get_label() for handle in figure.legends[0].legend_handles}) == 5


def test_the_legend_calls_the_oracle_one_path_and_tells_among_how_many_the_best_was_chosen(tables):
    names = [text.get_text() for text in draw(tables).legends[0].get_texts()]
    assert "oracle (one path of mined labels)" in names
    assert "recommended on validation" in names
    assert [name for name in names if name.endswith(", best of 3")]
    assert not any("bound" in name for name in names)


def test_rules_in_front_of_any_pair_differ_in_colour_and_in_marker(two):
    handles = draw(two).legends[0].legend_handles[:-1]  # without the ring
    assert len(handles) == 5, "two best training-free rules"
    assert len({handle.get_color() for handle in handles}) == len({handle.get_marker() for handle in handles}) == 5


def test_each_pair_has_a_block_of_its_name_and_its_own_windows(two):
    figure = draw(two)
    assert [axes.get_title() for axes in large(figure)] == ["testbed", "another"]
    assert len([axes for axes in figure.axes if axes.get_title().startswith("window")]) == 3 + 2
    assert len(figure.legends) == 1


@pytest.mark.parametrize("form", ["page", "column"])
def test_labels_neither_overlap_nor_leave_the_axes_nor_cover_a_marker(two, form):
    (figure,) = [draw(two)] if form == "page" else draw_column(two["curve"], two["summary"], "toy")
    figure.canvas.draw()
    assert len(large(figure)) == 2
    for axes in large(figure):
        boxes = [super(Annotation, text).get_window_extent() for text in labels(axes)]
        assert len(boxes) >= 4
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])
            assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            assert axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
            for line in axes.lines:
                if line.get_linestyle() != "--":
                    assert not box.count_contains(axes.transData.transform(line.get_xydata()))


@pytest.mark.parametrize("form", ["page", "column"])
def test_all_text_is_inside_the_figure_and_no_smaller_than_a_paper_may_have(two, form):
    (figure,) = [draw(two)] if form == "page" else draw_column(two["curve"], two["summary"], "toy")
    figure.canvas.draw()
    assert figure.get_figwidth() == (7.0 if form == "page" else 3.4)
    titles = [axes.title for axes in figure.axes]
    texts = [*titles, *figure.legends[0].get_texts(), figure._supxlabel]
    texts += [text for axes in figure.axes for text in (axes.xaxis.label, axes.yaxis.label, *axes.texts)]
    texts += [text for axes in figure.axes for text in axes.get_xticklabels() + axes.get_yticklabels()]
    assert min(text.get_size() for text in texts) >= TICK_SIZE == 6
    for text in texts[: len(titles) + len(figure.legends[0].get_texts()) + 1]:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1, text.get_text()
    boxes = [title.get_window_extent() for title in titles]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def several(tables: Tables, pairs: int, rules: int) -> dict[str, pd.DataFrame]:
    """Return the tables of so many pairs alike, each with so many training-free rules."""
    names = [f"rule_{number}" for number in range(rules - 3)]

    def repeat(table: pd.DataFrame) -> pd.DataFrame:
        more = pd.concat([table, *(table[table["rule"] == "fly"].assign(rule=name) for name in names)])
        return pd.concat([more.assign(pair=f"pair_{number}") for number in range(pairs)], ignore_index=True)

    return {name: repeat(table) for name, table in tables.items()}


def pages_of(tables: Tables) -> list[Figure]:
    return draw_pareto(tables["curve"], tables["summary"], tables["windows"], "toy")


def pairs_of(figure: Figure) -> list[str]:
    """Return the pairs whose large panel is on a page."""
    return [axes.get_title() for axes in large(figure)]


def test_many_rules_of_two_pairs_fit_a_page(tables):
    figure = draw(several(tables, 2, 19))
    assert len([axes for axes in figure.axes if axes.get_title().startswith("rule")]) == 32
    assert figure.get_figheight() <= 9.7, "the height of text on A4 with narrow margins"


@pytest.mark.parametrize(("pairs", "rules"), [(2, 24), (4, 4)])
def test_more_than_a_page_has_the_large_panels_of_all_pairs_first_then_the_small_ones(light, pairs, rules):
    pages = pages_of(several(light, pairs, rules))
    assert len(pages) > 1
    assert all(page.get_figheight() <= 9.7 and page.get_figwidth() == 7 for page in pages)
    assert [pair for page in pages for pair in pairs_of(page)] == [f"pair_{number}" for number in range(pairs)]
    headings = [part.get_suptitle() for page in pages for part in page.subfigs if part.get_suptitle()]
    assert headings == [f"pair_{number}" for number in range(pairs)], "of small panels, away from the large one"
    titles = [axes.get_title() for page in pages for axes in page.axes]
    assert titles.count("typical") == titles.count("KL divergence") == pairs
    assert len(titles) == pairs * (2 + rules)
    for number, page in enumerate(pages, 1):
        assert f"({number} of {len(pages)})" in page.legends[0].get_title().get_text()


def test_three_pairs_of_few_rules_have_one_page_each_pair_with_its_small_panels(light):
    figure = draw(several(light, 3, 3))
    assert pairs_of(figure) == ["pair_0", "pair_1", "pair_2"]
    assert figure.get_figheight() <= 9.7
    assert [len(part.axes) for part in figure.subfigs] == [2, 3] * 3
    assert not any(part.get_suptitle() for part in figure.subfigs)


@pytest.fixture(scope="module")
def pages(light) -> list[Figure]:
    """Return the pages of four pairs of one best training-free rule, and a fifth, of fewer problems, of another."""
    free = {"kl_divergence": 0.1, "fly": 0.5, "typical": 2.0}
    other = toy_tables("another", windows=(8,), problems=8, seed=1, free=free)
    alike = several(light, 4, 3)
    return pages_of({name: pd.concat([alike[name], other[name]], ignore_index=True) for name in alike})


def test_a_page_names_only_the_problems_and_rules_that_it_shows(pages):
    of_another = next(page for page in pages if "another" in pairs_of(page))
    last = pages[-1]
    assert pairs_of(pages[0])[:3] == ["pair_0", "pair_1", "pair_2"] and not pairs_of(last)
    for page, wanted in ((pages[0], 1), (of_another, 2)):
        names = [text.get_text() for text in page.legends[0].get_texts()]
        assert len([name for name in names if "best of" in name]) == wanted
    assert [text.get_text() for text in last.legends[0].get_texts()] == ["recommended on validation"]
    assert "n = 10 test problems" in pages[0].get_supxlabel() and "n = 8 (another)" in of_another.get_supxlabel()
    assert "Lowest rows" not in pages[0].get_supxlabel() and "orange" in last.get_supxlabel()


def test_a_rule_looks_the_same_on_every_page(pages):
    looks: dict[str, tuple[str, str]] = {}
    for page in pages:
        for handle in page.legends[0].legend_handles:
            look = (handle.get_color(), handle.get_marker())
            assert looks.setdefault(handle.get_label(), look) == look
    assert len(set(looks.values())) == len(looks) == 6


@pytest.mark.parametrize(("pairs", "pages"), [(3, [3]), (4, [3, 1])])
def test_a_column_goes_over_pages(light, pairs, pages):
    many = several(light, pairs, 3)
    figures = draw_column(many["curve"], many["summary"], "toy")
    assert [len(pairs_of(figure)) for figure in figures] == pages
    assert all(figure.get_figheight() <= 9.7 and figure.get_figwidth() == 3.4 for figure in figures)


@pytest.mark.parametrize("windows", [(4, 16), (2, 4, 8, 16, 32), (2, 4, 6, 8, 12, 16, 24)])
def test_panels_by_window_are_neither_flat_nor_narrow_and_their_texts_stay_inside(windows):
    figure = draw(toy_tables(windows=windows, problems=6))
    figure.canvas.draw()
    panels = by_window(figure)
    assert sorted(panels) == list(windows)
    for axes in panels.values():
        width, height = axes.get_window_extent().size / figure.dpi
        assert height >= 0.45 and width >= 0.6 and width / height < 4
    named = [axes.xaxis.label.get_window_extent() for axes in panels.values() if axes.get_xlabel()]
    assert named and all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in named)
    assert not any(a.overlaps(b) for i, a in enumerate(named) for b in named[:i])


@pytest.mark.parametrize("rules", [3, 8])
def test_small_panels_have_much_the_same_shape_however_many(light, rules):
    figure = draw(several(light, 1, rules))
    figure.canvas.draw()
    for axes in small(figure).values():
        width, height = axes.get_window_extent().size
        assert 1.5 < width / height < 4.5
    places = [tuple(axes.get_window_extent().bounds[1::2]) for axes in small(figure).values()]
    assert len({round(bottom) for bottom, _ in places}) == -(-rules // 7)


@pytest.mark.parametrize("rule", ["ratio", "a_rule_of_a_rather_long_name"])
def test_the_legend_of_a_column_is_inside_with_its_markers(two, rule):
    curve, summary = (two[name].replace({"rule": {"fly": rule}}) for name in ("curve", "summary"))
    (figure,) = draw_column(curve, summary, "toy")
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_without_other_rules_there_are_large_and_window_panels_alone(tables):
    figure = draw({name: table[table["rule"].isin(["judge", "lossless", "target"])] for name, table in tables.items()})
    assert not small(figure) and len(large(figure)) == 1


def test_note_tells_the_number_of_problems_the_intervals_and_a_cut_axis(tables, two):
    note = " ".join(draw(tables).get_supxlabel().split())
    assert "n = 40 test problems" in note
    assert "95 % Wilson" in note
    assert "does not start at 0" in note
    assert "n = 40 (testbed), n = 30 (another)" in " ".join(draw(two).get_supxlabel().split())


def test_pdf_embeds_truetype_fonts_and_is_the_same_every_time(tables, tmp_path):
    for name in ("one", "two"):
        save_figure(draw(tables), tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    pdf = (tmp_path / "one.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf
    assert pdf == (tmp_path / "two.pdf").read_bytes()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert int.from_bytes((tmp_path / "one.png").read_bytes()[16:20]) == 7 * 200


def test_pages_are_those_of_the_pdf_and_one_below_the_other_in_the_png(light, tmp_path):
    many = several(light, 4, 3)
    pages = draw_column(many["curve"], many["summary"], "toy")
    save_figure(pages, tmp_path / "figure.pdf", tmp_path / "figure.png", dpi=50)
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "figure.pdf").read_bytes())) == len(pages) == 2
    height = sum(int(page.get_figheight() * 50) for page in pages)
    png = (tmp_path / "figure.png").read_bytes()
    assert int.from_bytes(png[16:20]) == 170 and int.from_bytes(png[20:24]) == height
