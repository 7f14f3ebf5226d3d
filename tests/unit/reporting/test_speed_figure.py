"""The figure of speed, by the numbers of its artists."""

import numpy as np
import pandas as pd

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
