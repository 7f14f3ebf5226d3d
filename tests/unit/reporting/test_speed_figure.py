"""The figure of speed, by the numbers of its artists."""

import numpy as np
import pandas as pd
import pytest

from autojudge.reporting.speed_figure import draw_speed


def test_speed_shows_each_measurement_and_the_formula_of_the_projection():
    rows = [
        ("target", 0, 1, 50.0, 1.0, 0.0),
        ("lossless", 8, 1, 90.0, 0.25, 2.0),
        ("lossless", 8, 16, 400.0, 0.25, 2.0),
    ]
    rows.append(("lossless", 4, 16, 300.0, 0.3, 1.2))
    columns = ["method", "window", "batch", "tokens_per_second", "target_calls_per_token", "draft_calls_per_token"]
    table = pd.DataFrame(rows, columns=columns).assign(problems=8, rounds=3, call_cost_ratio=0.3)
    speed = table["tokens_per_second"]
    figure = draw_speed(table.assign(tokens_per_second_low=speed - 1, tokens_per_second_high=speed + 1), 8, "toy")
    left, right = figure.axes
    texts = [text.get_text() for text in left.texts]
    assert sorted(texts) == ["400.0", "50.0", "90.0"]
    lines = {line.get_label(): line for line in right.lines}
    for window, target, draft in ((8, 0.25, 2.0), (4, 0.3, 1.2)):
        x, y = lines[f"lossless, window {window}"].get_data()
        np.testing.assert_allclose(y, 1 / (target + x * draft))
    assert "this pair" in [text.get_text() for text in right.texts]


@pytest.mark.parametrize(
    ("methods", "batch", "ratio", "told"),
    [
        (["target", "assisted generation", "lossless"], 1, 0.3, False),
        (["target", "lossless"], 1, 0.3, True),
        (["target", "lossless"], 4, 0.3, False),  # it knows batch 1 only
        (["target", "lossless"], 1, 0.0, False),  # prompt lookup: no draft model to assist
    ],
)
def test_the_note_tells_how_much_was_measured_and_what_is_left_out(methods, batch, ratio, told):
    table = pd.DataFrame({"method": methods, "window": [0 if m == "target" else 8 for m in methods]})
    table = table.assign(batch=batch, problems=5, rounds=2, call_cost_ratio=ratio, tokens_per_second=9.0)
    table = table.assign(tokens_per_second_low=8.0, tokens_per_second_high=9.5)
    table = table.assign(target_calls_per_token=0.5, draft_calls_per_token=2.0)
    note = draw_speed(table, 8, "toy").get_supxlabel()
    assert note.startswith("Test problems: 5; rounds: 2.")
    assert ("Without assisted generation" in note) == told
