"""The printed summary: every column, ties, windows, and tables that fit a page."""

import re

import pandas as pd
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from toy import toy_tables

from autojudge.reporting.summary import format_latex, format_markdown

WINDOWS = (4, 8, 16)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """Return the tables of two pairs."""
    parts = [toy_tables(pair, windows=WINDOWS, problems=30, seed=seed) for seed, pair in enumerate(("one", "two_b"))]
    return {name: pd.concat([part[name] for part in parts], ignore_index=True) for name in parts[0]}


def read(text: str) -> list[pd.DataFrame]:
    """Return the Markdown tables of a text, in order, all cells as text."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        found.append(pd.DataFrame(lines[2:], columns=lines[0]))
    return found


@pytest.fixture(scope="module")
def markdown(tables) -> str:
    return format_markdown(tables["summary"], tables["windows"], tables["pareto"], "toy (arith)", 4)


def test_each_pair_has_five_tables_under_its_name(markdown):
    assert re.findall(r"^## (.*)$", markdown, re.MULTILINE) == ["one", "two_b"]
    assert len(read(markdown)) == 10


def test_a_row_has_the_summarys_numbers(tables, markdown):
    comparison, gains, effects = read(markdown)[5:8]
    row = tables["summary"].query("pair == 'two_b' and rule == 'judge'").iloc[0]
    shown = comparison.set_index("rule").loc["judge"]
    assert (shown["window"], shown["threshold"]) == (str(row["window"]), f"{row['threshold']:.3g}")
    assert shown["speed-up"] == f"{row['speedup']:.2f}" and shown["area, %"] == f"{100 * row['area']:.1f}"
    for name, column, factor in (("accuracy, %", "accuracy", 100), ("drop, points", "drop", 1)):
        value, low, high = (f"{factor * row[c]:z.1f}" for c in (column, f"{column}_low", f"{column}_high"))
        assert shown[name] == f"{value} ({low} to {high})"
    assert shown["retention, %"].startswith(f"{100 * row['retention']:.1f} (")
    shown = gains.set_index("rule").loc["judge"]
    for name, column, digits in (
        ("speed-up over the best's", "speed_ratio", 3),
        ("accuracy over the best's, points", "accuracy_gain", 1),
    ):
        value, low, high = (f"{row[c]:z.{digits}f}" for c in (column, f"{column}_low", f"{column}_high"))
        assert shown[name] == f"{value} ({low} to {high})"
    shown = effects.set_index("rule").loc["judge"]
    assert (shown["accepted"], shown["emitted"]) == (
        f"{row['accepted_per_cycle']:.2f}", f"{row['emitted_per_cycle']:.2f}"
    )  # fmt: skip
    assert shown["differing, %"] == f"{100 * row['differing']:.1f}"
    assert shown["length ratio"] == f"{row['length_ratio']:.3f}"
    assert shown["cut off, %"] == f"{100 * row['cut_off']:.1f}" and shown["looping, %"] == f"{100 * row['looping']:.1f}"


def test_acceptance_is_told_at_places_that_double(tables, markdown):
    row = tables["summary"].query("pair == 'one' and rule == 'always'").iloc[0]
    shares = [float(share) for share in row["kept_at"].split()]
    wanted = " ".join(f"{shares[place - 1]:.2f}" for place in (1, 2, 4, 8, 16) if place <= row["window"])
    assert read(markdown)[2].set_index("rule").loc["draft alone", "kept at 1, 2, 4, ..."] == wanted


def test_the_target_alone_is_the_first_row_and_has_no_cycles(markdown):
    comparison, _, effects = read(markdown)[:3]
    assert comparison["rule"].tolist()[:4] == ["target alone", "lossless", "draft alone", "judge"]
    assert comparison.loc[0, "speed-up"] == "1.00" and comparison.loc[0, "window"] == ""
    assert effects.loc[0, "accepted"] == effects.loc[0, "kept at 1, 2, 4, ..."] == ""


def test_a_rule_in_front_has_a_row_for_each_window_lossless_first_its_best_one_marked(tables, markdown):
    tuned = read(markdown)[3]
    assert tuned["rule"].tolist()[:6] == ["lossless"] * 3 + ["judge"] * 3
    assert [window.split()[0] for window in tuned["window"]] == [str(window) for window in WINDOWS] * 4
    assert tuned["window"].str.contains("*", regex=False).groupby(tuned["rule"]).sum().eq(1).all()
    best = tables["windows"].query("pair == 'one' and rule == 'judge' and cost == 'measured' and best").iloc[0]
    row = tuned[(tuned["rule"] == "judge") & tuned["window"].str.endswith("*")].iloc[0]
    assert (row["window"], row["speed-up"]) == (f"{best['window']} *", f"{best['speedup']:.2f}")


def test_the_best_window_is_told_for_each_cost_of_a_draft_call(tables, markdown):
    costs = read(markdown)[4]
    assert costs["a draft call costs"].tolist()[:3] == ["0.02", "0.1 (measured)", "0.5"]
    lossless = costs[costs["rule"] == "lossless"]["window"].astype(int).tolist()
    assert lossless == sorted(lossless, reverse=True) and lossless[0] > lossless[-1], "a cheap draft has long windows"


def test_the_note_tells_ties_the_number_of_candidates_and_that_the_oracle_is_one_path(markdown):
    note = markdown.splitlines()[-1]
    assert "30 (one), 30 (two_b)" in note and "covers 0" in note and "tie" in note
    assert "best of 3 training-free" in note and "not corrected for the number of rules" in note
    assert "one path of mined labels" in note and "bound" not in note
    assert "0.1 (one), 0.1 (two_b), measured" in note and "at most 4 points" in note


def test_a_drop_that_rounds_to_nothing_has_no_sign(tables):
    summary = tables["summary"].assign(drop=-0.01, drop_low=-0.04, drop_high=0.0)
    assert "-0.0" not in format_markdown(summary, tables["windows"], tables["pareto"], "toy", 4)


def test_the_best_training_free_rule_is_marked(tables, markdown):
    best = tables["summary"].query("pair == 'one' and best")["rule"].tolist()
    marked = [rule for rule in read(markdown)[0]["rule"] if rule.endswith(" *")]
    assert len(marked) == len(best) == 1


def test_latex_tables_fit_a_page(tables):
    named = tables["summary"].replace({"rule": {"fly": "confidence_difference"}})
    text = format_latex(named, tables["windows"], tables["pareto"], "toy_data (arith)", 4)
    times, points = FontProperties(family="STIXGeneral"), 8.0  # \footnotesize of a page set in 10 points
    blocks = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL)
    assert len(blocks) == 10 and text.count(r"\begin{table*}") == 10
    for block, header in zip(blocks, re.findall(r"\\toprule\n(.*?)\\\\", text, re.DOTALL), strict=True):
        rows = [line.split("&") for line in [header, *block.replace(r"\\", "").strip().splitlines()]]
        cells = [[cell.strip().replace("\\", "") for cell in column] for column in zip(*rows, strict=True)]
        widths = [
            max(TextPath((0, 0), cell, points, prop=times).get_extents().width for cell in column if cell)
            for column in cells
        ]
        assert sum(widths) + 6 * len(widths) < 7 * 72, header


def test_latex_has_no_bare_percent_sign_or_underscore_in_its_text(tables):
    text = format_latex(tables["summary"], tables["windows"], tables["pareto"], "toy_data (arith)", 4)
    bare = [line for line in text.splitlines() if not line.startswith("%") and re.search(r"(?<!\\)[%_]", line)]
    assert not bare
    assert r"\newcommand{\summarynote}{toy\_data" in text


@pytest.fixture
def cut(tables) -> list[pd.DataFrame]:
    """Return the tables with a truncated target beside the judge, a point of accuracy below it."""
    judge = tables["pareto"].query("rule == 'judge' and window == 8 and threshold in [0.5, 1.5]")
    lower = {f"{name}{end}": judge[f"{name}{end}"] - 0.01 for name in ("accuracy",) for end in ("", "_low", "_high")}
    targets = judge.assign(rule="target_judge", window=0, **lower)
    summary = targets.drop_duplicates("pair").assign(kind="reference", best=False, area=float("nan"))
    return [
        pd.concat([tables["summary"], summary]), tables["windows"], pd.concat([tables["pareto"], targets])
    ]  # fmt: skip


def test_rules_stand_beside_the_targets_truncated_by_them(tables, markdown, cut):
    text = format_markdown(*cut, "toy (arith)", 4)
    found = read(text)
    assert len(found) == 12 and "given threshold that stands for its rule's" in text
    assert "truncated" not in markdown
    beside, window = found[5], tables["summary"].query("pair == 'one' and rule == 'judge'")["window"].iloc[0]
    assert beside["threshold"].tolist() == ["0.5", "1.5"] and set(beside["window"]) == {str(window)}
    rows = tables["pareto"].query(f"pair == 'one' and rule == 'judge' and window == {window}").set_index("threshold")
    targets = cut[2].query("pair == 'one' and rule == 'target_judge'").set_index("threshold")
    for row in beside.to_dict("records"):
        threshold = float(row["threshold"])
        assert row["accuracy, %"].startswith(f"{100 * rows.loc[threshold, 'accuracy']:.1f} (")
        assert row["target truncated, %"].startswith(f"{100 * targets.loc[threshold, 'accuracy']:.1f} (")
        assert row["its drop, points"].startswith(f"{targets.loc[threshold, 'drop']:z.1f} (")
    assert found[0]["rule"].tolist()[:4] == ["target alone", "lossless", "draft alone", "target, judge"]
    assert found[0].loc[3, "threshold"] == "0.5"
    assert "target truncated" in format_latex(*cut, "toy (arith)", 4)


@pytest.mark.parametrize("repeats", [2, 5, 16])
def test_the_note_tells_repeats(tables, markdown, repeats):
    again = [tables[name].assign(repeats=repeats) for name in ("summary", "windows", "pareto")]
    note = format_markdown(*again, "toy", 4).splitlines()[-1]
    assert f"each decoded {repeats} times" in note and "with all repeats" in note and "Wilson" not in note
    assert "times by other" not in markdown and "Wilson" in markdown
