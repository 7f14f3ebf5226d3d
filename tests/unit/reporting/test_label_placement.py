"""Labels in a panel: what they keep off."""

import numpy as np
import pytest
from matplotlib.text import Annotation

from autojudge.reporting.label_placement import MARGIN, Label, place_labels
from autojudge.reporting.style import begin_figure

NOTHING = np.empty((0, 2))
FAR = (13, 20, 28, 40)  # pixels: with leader lines


def place(labels, lines=((0.0, 0.0),)):
    """Return the panel of labels in a square of data from 0 to 1, and the boxes of their texts in pixels."""
    axes = begin_figure(3, 2).subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.figure.draw_without_rendering()
    place_labels(axes, labels, axes.transData.transform(lines), NOTHING)
    axes.figure.canvas.draw()
    return axes, [super(Annotation, text).get_window_extent().get_points() for text in axes.texts]


def meets(points, box, margin=0.0):
    return bool(np.any(np.all((points > box[0] - margin) & (points < box[1] + margin), axis=1)))


@pytest.mark.parametrize("seed", range(6))
def test_texts_keep_apart_and_leader_lines_cross_none(seed):
    points = np.random.default_rng(seed).uniform(0.35, 0.65, size=(9, 2))
    axes, boxes = place([Label(f"w={i}", "black", [tuple(point)], FAR) for i, point in enumerate(points)])
    assert len(boxes) >= 6
    for i, box in enumerate(boxes):
        for other in boxes[:i]:
            gap = np.maximum(box[0] - other[1], other[0] - box[1]).max()
            assert gap > MARGIN - 1.5, "a pixel of rounding"
    leaders = [
        np.linspace(axes.transData.transform(text.xy), box.mean(axis=0), 200)
        for text, box in zip(axes.texts, boxes, strict=True)
        if text.arrow_patch
    ]
    assert leaders
    for text, box in zip(axes.texts, boxes, strict=True):
        others = [line for line in leaders if not np.allclose(line[0], axes.transData.transform(text.xy))]
        assert not any(meets(line, box) for line in others)


@pytest.mark.parametrize(("free", "chosen"), [(0.5, 0.5), (0.2, 0.2), (0.8, 0.8)])
def test_a_label_with_several_anchors_takes_a_near_place_at_any_before_a_far_one(free, chosen):
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 60), np.linspace(0.35, 0.65, 30)), -1).reshape(-1, 2)
    lines = grid[np.abs(grid[:, 0] - free) > 0.15]
    anchors = [(x, 0.5) for x in np.linspace(0.1, 0.9, 33)]
    axes, _ = place([Label("abc", "black", anchors, (5, 30), ((0, 1), (0, -1)))], lines)
    (text,) = axes.texts
    assert text.xy[0] == pytest.approx(chosen, abs=0.1) and text.arrow_patch is None
