"""The table and the figure of what was measured in vLLM, by their numbers."""

import math

import pandas as pd
import pytest

from autojudge.engine.endings import Ending
from autojudge.reporting.style import TICK_SIZE
from autojudge.reporting.vllm_figure import draw_vllm
from autojudge.reporting.vllm_table import Scored, build_rows
from autojudge.tables.engines import VLLM
from autojudge.tables.files import read_table, write_table

GOLD = {"a": "1 4", "b": "2 4", "c": "3 4"}
COMMON = {
    "window": 8,
    "dtype": "float32",
    "tensor_parallel_size": 1,
    "vllm": "0.32.0",
    "hardware": "2 threads on 2 cores of AMD EPYC 7B13 64-Core Processor",
}


class Scorer:
    """Counts what it is asked; a text is its own answer."""

    asked = 0

    def answer(self, text, problem):
        self.asked += 1
        return text

    def same(self, a, b):
        return a == b


def measured(method, responses, cycles=0, accepted=(), threshold=None, **counts):
    counts |= {"cycles": cycles, "accepted": sum(accepted), "accepted_at": list(accepted)}
    told = {"responses": responses, "counts": counts, "seconds": [4.0, 1.0, 2.0]}
    return {"method": method, "batch": 1, "threshold": threshold} | told


@pytest.fixture
def rows():
    plain, other = [[1, 4], [2, 4], [9, 4]], [[1, 4], [5, 5, 5, 5, 5, 5], [9, 4]]
    found = [
        measured("target", plain),
        measured("lossless", plain, 3, [2, 1]),
        measured("judge", plain, 3, [2, 1], 0.0, kept=0),
        measured("judge", other, 4, [4, 2], 0.25, kept=2),
    ]
    problems, scorer = [{"problem_id": name, "gold": gold} for name, gold in GOLD.items()], Scorer()
    ending = Ending(6, frozenset({4}), (), lambda tokens: " ".join(map(str, tokens)))
    rows = build_rows(found, Scored(problems, scorer, ending), 0.25, COMMON, seed=0)
    assert scorer.asked == 4, "a text of a problem is scored once"
    return rows


def test_accuracy_is_compared_with_lossless(rows):
    target, lossless, zero, judge = rows
    assert target["accuracy"] == lossless["accuracy"] == zero["accuracy"] == pytest.approx(2 / 3)
    assert zero["drop"] == zero["drop_low"] == zero["drop_high"] == zero["differing"] == 0
    assert judge["accuracy"] == judge["differing"] == judge["cut_off"] == pytest.approx(1 / 3)
    assert judge["drop"] == pytest.approx(100 / 3) and judge["drop_low"] < judge["drop"] < judge["drop_high"]
    assert [row["recommended"] for row in rows] == [False, False, False, True]


def test_counts_are_vllms_own_and_first_tokens_are_not_drafted(rows):
    target, lossless, _, judge = rows
    assert target["window"] == 0 and target["cycles"] == target["kept"] == 0
    assert math.isnan(target["mean_acceptance_length"]) and math.isnan(target["emitted_per_cycle"])
    assert lossless["mean_acceptance_length"] == 2 and lossless["acceptance_by_position"] == "0.667 0.333"
    assert judge["emitted_per_cycle"] == (10 - 3) / 4 and judge["kept"] == 2 and judge["window"] == 8
    assert judge["tokens"] == 10 and judge["mean_length"] == pytest.approx(10 / 3)
    assert (judge["tokens_per_second_low"], judge["tokens_per_second"], judge["tokens_per_second_high"]) == (2.5, 5, 10)


def test_the_table_is_read_as_it_was_written(rows, tmp_path):
    write_table(VLLM, rows, tmp_path / "vllm.csv")
    found = read_table(VLLM, tmp_path / "vllm.csv")
    assert list(found["method"]) == ["target", "lossless", "judge", "judge"]
    assert found["kept"].tolist() == [0, 0, 0, 2] and found["acceptance_by_position"].isna().tolist()[:2] == [
        True,
        False,
    ]


@pytest.mark.parametrize("batches", [[1], [1, 8, 32]])
def test_the_figure_shows_every_setting_and_cuts_nothing_off(rows, batches, tmp_path):
    every = [row | {"batch": batch, "tokens_per_second_high": 10.0 + batch} for row in rows for batch in batches]
    write_table(VLLM, every, tmp_path / "vllm.csv")
    figure = draw_vllm(read_table(VLLM, tmp_path / "vllm.csv"), "arith, testbed, in vLLM")
    figure.canvas.draw()
    left, right = figure.axes
    assert [text.get_text() for text in left.texts] == ["0", "0.25"]
    names = [text.get_text() for text in right.get_legend().get_texts()]
    assert names == ["target alone", "lossless speculation", "judge, t = 0 (lossless)", "judge, t = 0.25, recommended"]
    assert [text.get_text() for text in right.get_xticklabels()] == [str(batch) for batch in batches]
    note = figure._supxlabel.get_text()
    assert "2 threads on 2 cores of AMD EPYC" in note and "say nothing of a GPU" in note and "3 test problems" in note
    texts = [*left.texts, figure._supxlabel, figure._suptitle, *right.get_xticklabels(), right.yaxis.label]
    for text in texts:
        box = text.get_window_extent()
        assert text.get_size() >= TICK_SIZE and box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0
    ring = next(line for line in left.lines if line.get_markersize() == 8)
    assert list(ring.get_xdata()) == [pytest.approx(7 / 4)]


def test_the_lines_of_thresholds_can_be_told_apart(rows):
    thresholds = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    judge = [row for row in rows if row["method"] == "judge"][0]
    lines = [judge | {"threshold": t, "recommended": False, "batch": b} for t in thresholds for b in (1, 8)]
    right = draw_vllm(pd.DataFrame([row for row in rows if row["method"] != "judge"] + lines), "t").axes[1]
    drawn = right.containers[-len(thresholds) :]
    looks = {(bars[0].get_marker(), str(bars[0]._unscaled_dash_pattern)) for bars in drawn}
    assert len(looks) == len({m for m, _ in looks}) == len({d for _, d in looks}) == len(thresholds)


def test_a_target_over_several_gpus_is_told_and_no_cpu_is_named(rows):
    table = pd.DataFrame(rows).assign(tensor_parallel_size=4, hardware="NVIDIA H100")
    note = draw_vllm(table, "t")._supxlabel.get_text()
    assert "target over 4 GPUs" in note and "say nothing" not in note
