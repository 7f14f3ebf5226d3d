"""The ablation figure, by the numbers of its artists."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from autojudge.reporting.ablation_figure import draw_ablation
from autojudge.reporting.style import TICK_SIZE

SETS = {
    "draft_at_draft": ["draft_at_draft"],
    "target_at_draft": ["target_at_draft"],
    "draft_at_draft+target_at_draft": ["draft_at_draft", "target_at_draft"],
    "target_tokens": ["draft_at_target", "target_at_target"],
    "all_tokens": ["draft_at_draft", "target_at_draft", "draft_at_target", "target_at_target"],
    "scalars": ["kl_divergence"],
}
PAPER = "draft_at_draft+target_at_draft"
LIKE = {name: 4.0 + 0.02 * number for number, name in enumerate(SETS)}  # all at an AUC of 0.98 and more
WEAK = {name: 0.5 + 0.05 * number for number, name in enumerate(SETS)}
WIDE = {name: 0.3 + 0.8 * number for number, name in enumerate(SETS)}
KINDS = ("logistic_regression", "mlp", "random_forest")


def ablation(gaps, kinds=KINDS, noise=0.1, problems=50, each=6, seed=0, strengths=7, missed=0.0):
    """Return grid, scores and reliability of judges whose scores lie `gaps` (by feature set) apart for both classes.

    Judges read the same mismatches: `noise` is how much each has of its own, beside what all have in common. The share
    `missed` of the important ones looks unimportant to all.
    """
    rng, n = np.random.default_rng(seed), problems * each
    important = rng.random(n) < 0.3
    rows = pd.DataFrame({"problem_id": np.repeat([f"p{i}" for i in range(problems)], each), "important": important})
    common, grid, scores = rng.normal(size=n), [], []
    seen = important & (rng.random(n) >= missed)
    for name, gap in gaps.items():
        for kind in kinds if name == PAPER else kinds[:1]:
            for value in 10.0 ** np.arange(strengths) if kind == KINDS[0] else [1.0]:
                own = gap * seen / 1.4 + common + noise * rng.normal(size=n)
                score = (1 / (1 + np.exp(-own))).astype(np.float32)
                point = {"feature_set": name, "classifier": kind, "hyperparameter": "C", "value": value}
                auc = roc_auc_score(important, score)
                grid.append(point | {"fold": "validation", "auc": auc, "accepted_at_90": 0.5})
                scores.append(rows.assign(**point, fold="validation", split="test", score=score))
    probability = scores[0]["score"].to_numpy()
    return pd.DataFrame(grid), pd.concat(scores, ignore_index=True), (probability, probability**2, important)


def draw(gaps, **given) -> Figure:
    return _draw(tuple(gaps.items()), **given)


@cache
def _draw(gaps, **given) -> Figure:
    grid, scores, calibrated = ablation(dict(gaps), **given)
    chosen = {"feature_set": PAPER if PAPER in dict(gaps) else gaps[0][0]}
    return draw_ablation(grid, scores, SETS, chosen, calibrated, "test", "arith, testbed", seed=0)


def panels(figure: Figure) -> dict[str, list[Axes]]:
    """Return the panels of each comparison, by its name: ROC curves, then rows."""
    return {part.get_suptitle(): part.axes for part in figure.subfigs}


def rows(axes: Axes) -> dict[str, float]:
    """Return the AUC of each judge of a panel of rows, by its name."""
    written = [label.get_text().rsplit(maxsplit=1) for label in axes.get_yticklabels()]
    return {name: float(auc) for name, auc in written}


def gains(axes: Axes) -> list[tuple[float, float, float]]:
    """Return difference, lower and upper end of each row, in points."""
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_marker() in ("o", "D")]
    bars = [line.get_xdata() for line in axes.lines[1:] if line.get_marker() == "None"]
    return [(mark, *bar) for mark, bar in zip(marks, bars, strict=True)]


def curves(axes: Axes) -> list[np.ndarray]:
    """Return the ROC curves of a panel."""
    return [line.get_xydata() for line in axes.lines if line.get_color() not in ("#BBBBBB", "#999999")]


def test_each_comparison_has_its_judges_and_their_auc_on_the_split():
    grid, scores, _ = ablation(LIKE)
    found = panels(draw(LIKE))
    comparisons = ["by C", "by token", "by model", "by feature set", "by classifier", "reliability of the judge"]
    assert list(found) == comparisons
    assert list(rows(found["by token"][1])) == ["draft's token", "target's token", "both"]
    assert set(rows(found["by classifier"][1])) == {"logistic regression", "mlp", "random forest"}
    assert len(rows(found["by C"][1])) == 5, "of seven values"
    best = grid[grid["classifier"] == KINDS[0]].groupby("feature_set")["auc"].max()
    names = {"scalars": "scalars", "dd+td": PAPER, "target tokens": "target_tokens"}
    for name, feature_set in names.items():
        assert rows(found["by feature set"][1])[name] == pytest.approx(best[feature_set], abs=5e-4)


@pytest.mark.parametrize("gaps", [LIKE, WIDE, {PAPER: 1.0, "scalars": 1.5, "draft_at_draft": 0.5}])
def test_a_row_is_the_paired_difference_from_the_best_on_validation_in_points(gaps):
    axes = panels(draw(gaps))["by feature set"][1]
    aucs, found = list(rows(axes).values()), gains(axes)
    best = int(np.argmax(aucs))
    assert found[best] == (0, 0, 0)
    for auc, (gain, low, high) in zip(aucs, found, strict=True):
        assert gain == pytest.approx(100 * (auc - aucs[best]), abs=0.1)
        assert low <= gain <= high
    assert axes.get_xlim()[0] < min(low for _, low, _ in found) and axes.get_xlim()[1] > 0


def test_intervals_are_of_the_same_mismatches():
    """Judges that share their errors differ by much less than each one's own interval is wide."""
    shared = gains(panels(draw(LIKE))["by feature set"][1])
    apart = gains(panels(draw(LIKE, noise=2.0))["by feature set"][1])
    assert np.mean([high - low for _, low, high in shared]) < 0.5 * np.mean([high - low for _, low, high in apart])


def test_judges_that_are_the_same_differ_by_nothing_on_an_axis_that_shows_no_gap():
    axes = panels(draw(dict.fromkeys(SETS, 2.0), noise=0.0))["by feature set"][1]
    assert gains(axes) == [(0, 0, 0)] * len(SETS)
    assert axes.get_xlim()[1] - axes.get_xlim()[0] >= 1


@pytest.mark.parametrize(("gaps", "least", "most"), [(LIKE, 0.7, 0.8), ({PAPER: 30.0}, 0.7, 0.8), (WEAK, 0, 0)])
def test_axes_are_zoomed_to_the_corner_where_curves_lie_together_there(gaps, least, most):
    figure = draw(gaps)
    axes = panels(figure)["by feature set"][0]
    assert least <= axes.get_xlim()[0] <= most and axes.get_xlim() == axes.get_ylim()
    assert axes.get_xlim()[1] > 1, "the end of a line at 1 is seen"
    assert ("not all start at 0" in " ".join(figure.get_supxlabel().split())) == (most > 0)


@pytest.mark.parametrize(
    ("gaps", "missed"), [(LIKE, 0.0), (WIDE, 0.0), (WEAK, 0.0), ({"scalars": 3.0}, 0.1), ({PAPER: 9.0}, 0.18)]
)
def test_every_curve_is_seen_where_it_refuses_nine_in_ten(gaps, missed):
    for name, (axes, *_) in ((n, found) for n, found in panels(draw(gaps, missed=missed)).items() if found):
        if name.startswith("by"):
            low, high = axes.get_xlim()
            for curve in curves(axes):
                accepted = curve[curve[:, 1] >= 0.9, 0].max()
                assert low <= accepted <= high


def test_one_judge_alone_is_drawn_and_what_was_not_fitted_is_said():
    found = panels(draw({"scalars": 2.0}, kinds=KINDS[:1], strengths=1))
    assert [name for name in found if "not fitted" in name] == ["by token: not fitted", "by model: not fitted"]
    for name in ("by C", "by feature set", "by classifier"):
        assert len(curves(found[name][0])) == len(rows(found[name][1])) == 1
    assert not found["by token: not fitted"]


def test_reliability_is_shown_around_its_points():
    axes = panels(draw(WEAK))["reliability of the judge"][0]
    points = np.concatenate([line.get_xydata() for line in axes.lines[1:]])
    low, high = axes.get_xlim()
    assert low < points.min() < low + 0.1 and high - 0.1 < points.max() < high
    assert axes.get_xlim() == axes.get_ylim()


@pytest.mark.parametrize("sets", [0, 14])
def test_names_are_inside_the_figure_apart_from_one_another_and_large_enough(sets):
    more = {f"draft_at_draft+scalars_{number}": 1 + 0.1 * number for number in range(sets)}
    figure = draw(WIDE | more)
    figure.canvas.draw()
    assert figure.get_figwidth() == 7 and figure.get_figheight() <= 9.7
    for found in panels(figure).values():
        shown = [axis for axes in found if axes.axison for axis in (axes.xaxis, axes.yaxis)]
        texts = [axis.label for axis in shown]
        for axis in shown:
            low, high = sorted(axis.get_view_interval())
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        assert min(text.get_size() for text in texts) >= TICK_SIZE
        for i, box in enumerate(boxes):
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1
            assert not any(box.overlaps(other) for other in boxes[:i])
