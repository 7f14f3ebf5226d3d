"""The figure of speed, by the numbers of its artists."""

import numpy as np
import pandas as pd
import pytest

from autojudge.reporting.speed_figure import draw_speed, trace_speedup
from autojudge.reporting.style import TICK_SIZE

ASSISTED, DYNAMIC = "assisted generation", "assisted generation, dynamic"
CALLS = {4: (0.3, 1.2), 8: (0.25, 2.0), 16: (0.23, 3.7)}  # of target and draft per token, by window


def speed_table(*rows, ratio=0.3):
    """Return rows of `speed` of methods, windows, batches and tokens per second."""
    table = pd.DataFrame(rows, columns=["method", "window", "batch", "tokens_per_second"])
    speed = table["tokens_per_second"]
    table = table.assign(tokens_per_second_low=speed - 1, tokens_per_second_high=speed + 1)
    return table.assign(problems=5, rounds=2, call_cost_ratio=ratio)


def points(rule="lossless", windows=(4, 8, 16), alone=1.0, cost=0.3):
    """Return rows of `windows`: a point per window; `alone` are the target's own calls by tokens of the rule."""
    rows = pd.DataFrame([(rule, w, *CALLS[w]) for w in windows])
    rows.columns = ["rule", "window", "target_calls_per_token", "draft_calls_per_token"]
    speedup = alone / (rows["target_calls_per_token"] + cost * rows["draft_calls_per_token"])
    return rows.assign(cost="measured", cost_ratio=cost, speedup=speedup)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_every_measurement_is_shown_with_its_method_window_and_gain_over_the_target():
    rows = [("target", 0, 1, 50.0), ("target", 0, 16, 500.0), (ASSISTED, 8, 1, 45.0), (DYNAMIC, 20, 1, 60.0)]
    rows += [("lossless", 8, 1, 90.0), ("lossless", 8, 16, 400.0), ("kl_divergence", 16, 1, 100.0)]
    upper, _ = draw_speed(speed_table(*rows), points(), "toy").axes
    gains = ["45.0, 0.90x", "60.0, 1.20x", "90.0, 1.80x", "400.0, 0.80x", "100.0, 2.00x"]
    assert sorted(texts(upper)) == sorted(["50.0", "500.0", *gains])
    assert [label.get_text() for label in upper.get_yticklabels()][::-1] == [
        "target alone",
        "assisted generation\nwindow 8",
        "assisted generation, dynamic\nup to 20",
        "lossless\nwindow 8",
        "KL divergence\nwindow 16",
    ]


@pytest.mark.parametrize("alone", [1.0, 0.8])
@pytest.mark.parametrize("windows", [(8,), (4, 8), (4, 8, 16)])
@pytest.mark.parametrize("cost", [0.0, 0.3, 1.0])  # at which the table tells the speed-up
def test_at_each_cost_a_rule_is_at_its_fastest_window(alone, windows, cost):
    costs = np.array([0.0, 0.01, 0.04, 0.2, 0.7])
    speedup, window = trace_speedup(points(windows=windows, alone=alone, cost=cost), costs)
    for at, found, chosen in zip(costs, speedup, window, strict=True):
        each = {w: alone / (CALLS[w][0] + at * CALLS[w][1]) for w in windows}
        assert found == pytest.approx(max(each.values()))
        assert chosen == max(each, key=each.get)


def test_dots_mark_where_the_window_changes_and_numbers_tell_it():
    table = speed_table(("target", 0, 1, 50.0), ("lossless", 4, 1, 90.0), ("judge", 8, 1, 95.0))
    others = [points("judge", (8,)), points("kl_divergence"), points("target", (4,)).assign(window=0)]
    windows = pd.concat([points(), *others])
    _, lower = draw_speed(table, windows, "toy").axes
    lines = {line.get_label(): line for line in lower.lines if not line.get_label().startswith("_")}
    assert set(lines) == {"lossless", "judge"}, "of rules that were timed"
    changes = [(0.3 - 0.25) / (2.0 - 1.2), (0.25 - 0.23) / (3.7 - 2.0)]  # where two windows are as fast
    dots = [line.get_xdata() for line in lower.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(np.sort(dots[0]), np.sort(changes), rtol=0.02)
    assert len(dots[1]) == 0
    assert sorted(text for text in texts(lower) if text.isdigit()) == ["16", "4", "8", "8"]


@pytest.mark.parametrize(("ratio", "told"), [(0.3, True), (0.9, True), (0.004, False), (0.0, False)])
def test_the_pairs_own_cost_is_marked_where_the_axis_has_it(ratio, told):
    table = speed_table(("target", 0, 1, 50.0), ("lossless", 4, 1, 90.0), ratio=ratio)
    _, lower = draw_speed(table, points(), "toy").axes
    assert (f"this pair, {ratio:g}" in texts(lower)) == told
    assert lower.get_xlim()[1] > ratio


@pytest.mark.parametrize(
    ("methods", "batch", "ratio", "told"),
    [
        (["target", ASSISTED, DYNAMIC, "lossless"], 1, 0.3, None),
        (["target", DYNAMIC, "lossless"], 1, 0.3, "Without assisted generation:"),
        (["target", ASSISTED, "lossless"], 1, 0.3, "Without assisted generation, dynamic:"),
        (["target", "lossless"], 1, 0.3, "Without assisted generation and assisted generation, dynamic:"),
        (["target", "lossless"], 4, 0.3, None),  # it knows batch 1 only
        (["target", "lossless"], 1, 0.0, None),  # prompt lookup: no draft model to assist
    ],
)
def test_the_note_tells_how_much_was_measured_and_what_is_left_out(methods, batch, ratio, told):
    table = speed_table(*((m, 0 if m == "target" else 8, batch, 9.0) for m in methods), ratio=ratio)
    note = draw_speed(table, points(), "toy").get_supxlabel()
    assert note.startswith("Test problems: 5; rounds: 2.")
    assert (told in note) if told else ("Without" not in note)


@pytest.mark.parametrize("batches", [(1,), (1, 16), (1, 4, 16)])
@pytest.mark.parametrize("methods", [2, 6, 11])
def test_a_page_has_room_for_methods_and_batches(methods, batches):
    rules = ["lossless", "judge", "kl_divergence", "fly_vllm", "probability_gap", "typical", "top_k", "always"]
    names = ["target", *rules, ASSISTED, DYNAMIC][:methods]
    rows = [(m, 8 if m != "target" else 0, b, 1000 * b + 30.0 * i) for b in batches for i, m in enumerate(names)]
    figure = draw_speed(speed_table(*rows), pd.concat([points(rule) for rule in rules]), "toy")
    figure.canvas.draw()
    upper, lower = figure.axes
    assert figure.get_figwidth() == 7 and figure.get_figheight() <= 9.7
    for shown in (upper.texts, upper.get_yticklabels(), [*lower.get_legend().get_texts(), lower.xaxis.label]):
        boxes = [text.get_window_extent() for text in shown]
        assert min(text.get_size() for text in shown) >= TICK_SIZE
        for i, box in enumerate(boxes):
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1
            assert not any(box.overlaps(other) for other in boxes[:i])


def test_lines_differ_in_colour_or_dashes_however_many_the_rules():
    rules = ["lossless", "judge", *(f"rule_{number}" for number in range(10))]
    table = speed_table(("target", 0, 1, 50.0), *((rule, 4, 1, 90.0) for rule in rules))
    _, lower = draw_speed(table, pd.concat([points(rule) for rule in rules]), "toy").axes
    lines = [line for line in lower.lines if not line.get_label().startswith("_")]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines) == 12
