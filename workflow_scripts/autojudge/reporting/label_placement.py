"""Where labels may stand in a panel: inside, off curves and off one another."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from autojudge.reporting.style import LABEL_SIZE

NEAR = 5  # pixels between a point and its label; farther ones get a leader line
MARGIN = 3  # pixels around a label that obstacles stay out of
DIRECTIONS = ((0, 1), (1, 1), (-1, 1), (0, -1), (1, -1), (-1, -1), (1, 0), (-1, 0))


class Label(NamedTuple):
    """A text and where it may stand: beside an anchor (data units), at a distance (pixels), in a direction."""

    text: str
    colour: str
    anchors: list[tuple[float, float]]
    distances: tuple[int, ...] = (NEAR, 13)
    directions: tuple[tuple[int, int], ...] = DIRECTIONS


def place_labels(
    axes: Axes,
    labels: Sequence[Label],
    lines: NDArray[np.float64],  # (n, 2) pixels
    bars: NDArray[np.float64],  # (m, 2) pixels
) -> None:
    """Write labels, the first ones first, where there is room: never over lines, and off faint error bars if possible.

    The layout of the figure must be settled, since places are compared in pixels.
    """
    taken: list[NDArray[np.float64]] = []
    for label in labels:
        # Text over a faint error bar is readable, so a crowded panel may have it; over a line it never may.
        for obstacles in (np.concatenate([lines, bars]), lines):
            if (place := _place_label(axes, label, obstacles, taken)) is not None:
                box, leader = place
                taken.append(box)
                lines = np.concatenate([lines, leader])
                break


def _place_label(
    axes: Axes,
    label: Label,
    obstacles: NDArray[np.float64],  # (n, 2) pixels
    taken: Sequence[NDArray[np.float64]],  # (2, 2) each: [[left, bottom], [right, top]] in pixels
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Write a label in the first place with room.

    Returns
    -------
    box, leader : arrays of shape (2, 2) and (n, 2), or None where there is no room
        Its box like those of `taken`, and points along its leader line, in pixels.
    """
    half, frame = _measure(axes, label) / 2, axes.get_window_extent().get_points()
    for distance, anchor, direction in product(label.distances, label.anchors, label.directions):
        pixel, towards = axes.transData.transform(anchor), np.array(direction)
        centre = pixel + towards * half + distance * towards / np.linalg.norm(towards)
        box = np.stack([centre - half, centre + half])
        inside = np.all(box[0] >= frame[0]) and np.all(box[1] <= frame[1])
        leader = trace_line(np.stack([pixel, centre])) if distance > NEAR else np.empty((0, 2))
        meets = any(np.all((box[0] < b[1] + MARGIN) & (b[0] < box[1] + MARGIN)) or _reaches(leader, b) for b in taken)
        if inside and not meets and not _reaches(obstacles, box):
            right, up = (centre - pixel) * 72 / axes.figure.dpi
            _write(axes, label, anchor, (right, up), leader=len(leader) > 0)
            return box, leader
    return None


def _reaches(
    points: NDArray[np.float64],  # (n, 2) pixels
    box: NDArray[np.float64],  # (2, 2) pixels
) -> bool:
    """Tell whether any of the points is in a box or its margin."""
    return bool(np.any(np.all((points > box[0] - MARGIN) & (points < box[1] + MARGIN), axis=1)))


def _text_style(label: Label) -> dict[str, Any]:
    return {"ha": "center", "va": "center", "size": LABEL_SIZE, "color": label.colour}


def _measure(axes: Axes, label: Label) -> NDArray[np.float64]:
    """Return width and height of a label's text in pixels, shape (2,)."""
    sample = axes.text(0, 0, label.text, **_text_style(label))
    size = np.array(sample.get_window_extent().size)
    sample.remove()
    return size


def _write(axes: Axes, label: Label, anchor: tuple[float, float], offset: tuple[float, float], leader: bool) -> None:
    """Write a label at an offset in points from its anchor, with a leader line or without."""
    arrow = {"arrowstyle": "-", "color": label.colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 2}
    text = axes.annotate(
        label.text,
        anchor,
        offset,
        textcoords="offset points",
        arrowprops=arrow if leader else None,
        **_text_style(label),
    )
    text.set_in_layout(False)


def trace_line(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points every few pixels along a polyline, both of shape (n, 2), in pixels."""
    steps = [np.linspace(a, b, 2 + int(np.hypot(*(b - a)) / 3)) for a, b in zip(corners, corners[1:], strict=False)]
    return np.concatenate([corners, *steps])


def choose_points(
    points: NDArray[np.float64],  # (n, 2) pixels
    preferred: NDArray[np.bool_],  # (n,)
    count: int,
) -> list[int]:
    """Return indices of points to label: the preferred, both ends, then always the one farthest from those."""
    chosen = list(dict.fromkeys([*np.flatnonzero(preferred).tolist(), 0, len(points) - 1]))
    while len(chosen) < min(count, len(points)):
        distances = np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1)
        if distances.max() == 0:
            break
        chosen.append(int(distances.argmax()))
    return chosen
