"""Sources of labels compared, on labels and sweeps of known behaviour."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from toy import toy_sweep

from autojudge.judging.artifact import Judge
from autojudge.reporting.area_differences import Resampled
from autojudge.reporting.label_sources import Source, compare_labels, compare_sources, measure_judges, measure_kappa
from autojudge.reporting.label_sources_figure import draw_label_sources
from autojudge.reporting.label_sources_page import write_markdown
from autojudge.reporting.statistics import MEASURED_COST, Comparison, summarise_sweep
from autojudge.tables.files import read_table, write_table
from autojudge.tables.source_comparison import LABEL_SOURCES
from conftest import make_record

JUDGE = Judge({"weight": torch.ones(1), "bias": torch.tensor(0.0)}, make_record())


class MadeUpPart:
    """Mismatches with one feature: how important they seem."""

    def __init__(self, problems, seed):
        rng = np.random.default_rng(seed)
        self.problem_id = np.repeat([f"p{number}" for number in range(problems)], 10)
        self.important = rng.random(len(self.problem_id)) < 0.3
        self.score = (self.important + rng.normal(size=len(self.problem_id))).astype(np.float32)

    def features(self, columns):
        assert columns == JUDGE.columns
        return self.score[:, None]


def made_up_labels(problems=30, seed=0):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"problem_id": np.repeat([f"p{number}" for number in range(problems)], 8)})
    rows["position"] = np.tile(np.arange(8) * 5, problems)
    rows["target_token"], rows["draft_token"] = 1, 2
    rows["important"] = rng.random(len(rows)) < 0.25
    return rows.assign(stopped=False, audited=False)


def responses(labels, evaluated, seconds):
    problems = labels["problem_id"].unique()
    return pd.DataFrame({"problem_id": problems, "target_evaluated": evaluated, "seconds": seconds})


def flipped(labels, share, seed=1):
    """Labels of which a share is the other one, and a quarter stopped."""
    drawn = np.random.default_rng(seed).random(len(labels))
    return labels.assign(important=labels["important"] ^ (drawn < share), stopped=drawn > 0.75)


def test_kappa_is_that_of_scikit_learn_under_any_weights():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(200) < 0.3, rng.random(200) < 0.4
    theirs[:120] = ours[:120]
    weights = rng.integers(0, 4, size=(5, 200)).astype(np.float32)
    found = measure_kappa(ours, theirs, weights)
    assert found == pytest.approx([cohen_kappa_score(ours, theirs, sample_weight=row) for row in weights], abs=1e-6)
    assert measure_kappa(ours, ours, weights) == pytest.approx(np.ones(5))
    assert measure_kappa(ours, ~ours, np.ones((1, 200)))[0] < 0
    assert np.isnan(measure_kappa(np.zeros(9, bool), np.zeros(9, bool), np.ones((1, 9)))).all()


def test_labels_are_compared_where_both_have_the_same_mismatch():
    exact = made_up_labels()
    same = compare_labels(exact, exact, seed=0)
    assert same == {"shared": len(exact), "kappa": 1.0, "kappa_low": 1.0, "kappa_high": 1.0}
    other = flipped(exact, 0.1)
    found = compare_labels(other, exact, seed=0)
    assert found["kappa"] == pytest.approx(cohen_kappa_score(other["important"], exact["important"]))
    assert found["kappa_low"] < found["kappa"] < found["kappa_high"] < 1
    elsewhere = other.assign(position=other["position"] + (other.index >= 100))
    elsewhere.loc[:9, "draft_token"] = 3
    assert compare_labels(elsewhere, exact, seed=0)["shared"] == 90
    assert compare_labels(other.sample(frac=1, random_state=0), exact, seed=0)["kappa"] == pytest.approx(found["kappa"])
    none = compare_labels(exact.assign(position=1000 + exact["position"]), exact, seed=0)
    assert none["shared"] == 0 and np.isnan([none["kappa"], none["kappa_low"], none["kappa_high"]]).all()


def test_kappas_interval_resamples_problems():
    exact = made_up_labels(problems=200)
    wrong = exact["problem_id"].isin([f"p{number}" for number in range(20)])  # all of a tenth of the problems
    spread = np.arange(len(exact)) % 10 == 0
    widths = []
    for changed in (wrong.to_numpy(), spread):
        found = compare_labels(exact.assign(important=exact["important"] ^ changed), exact, seed=0)
        assert found["kappa_low"] < found["kappa"] < found["kappa_high"]
        widths.append(found["kappa_high"] - found["kappa_low"])
    assert widths[0] > 1.5 * widths[1], "errors that lie in the same problems say less"


def test_judges_of_folds_are_measured_together_each_on_its_own_mismatches():
    parts = [MadeUpPart(20, seed) for seed in (0, 1)]
    found = measure_judges([JUDGE, JUDGE], parts, seed=0)
    score, important = (np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "important"))
    assert found["auc"] == pytest.approx(roc_auc_score(important, score))
    assert found["auc_low"] < found["auc"] < found["auc_high"]


@pytest.fixture(scope="module")
def table():
    """Of a judge that tells important mismatches well, of one that tells nothing, and once more of the first."""
    exact, sweep = made_up_labels(), toy_sweep()
    noisy = flipped(exact, 0.3)
    blind = sweep[sweep["rule"] == "typical"].assign(rule="judge")
    worse = pd.concat([sweep[sweep["rule"] != "judge"], blind])
    sources = [
        Source("exact", None, exact, responses(exact, 1000, 2.0), [JUDGE], sweep, "judge"),
        Source("again", '{"tokens": 99}', exact, responses(exact, 600, 1.0), [JUDGE], sweep, "judge"),
        Source("noisy", "{}", noisy, responses(noisy, 250, 0.5), [JUDGE], worse, "judge"),
    ]
    return compare_sources(sources, [MadeUpPart(20, 0)], "test", "toy", cost=0.1, tolerance=4.0, seed=0)


def test_each_source_has_its_cost_its_agreement_and_its_judges_worth(table, tmp_path):
    write_table(LABEL_SOURCES, table, tmp_path / "label_sources.csv")
    assert list(read_table(LABEL_SOURCES, tmp_path / "label_sources.csv")["source"]) == ["exact", "again", "noisy"]
    exact, again, noisy = table.to_dict("records")
    assert (exact["relative_tokens"], again["relative_tokens"], noisy["relative_tokens"]) == (1.0, 0.6, 0.25)
    assert (exact["target_tokens"], noisy["target_tokens"]) == (125.0, 31.25) and again["seconds"] == 0.125
    assert again["kappa"] == 1 > noisy["kappa"] > 0
    decoded = ["window", "threshold", "accuracy", "emitted_per_cycle", "area", "speedup"]
    assert [again[name] for name in decoded] == [exact[name] for name in decoded]
    assert (again["accuracy_gain"], again["speed_ratio"]) == (0, 1) and again["accuracy_gain_low"] == 0
    assert noisy["speed_ratio_high"] < 1 and noisy["area"] < exact["area"]


def test_areas_differ_as_measured_and_draws_are_the_same_for_all_rules(table):
    exact, again, noisy = table.to_dict("records")
    for row in (exact, again):
        assert (row["area_gain"], row["area_gain_low"], row["area_gain_high"]) == (0, 0, 0)
    assert noisy["area_gain"] == pytest.approx(noisy["area"] - exact["area"])
    assert noisy["area_gain_low"] < noisy["area_gain"] < noisy["area_gain_high"] < 0


@pytest.mark.parametrize("number", [1, 2])
def test_a_resampled_area_is_that_of_the_resampled_problems(number):
    sweep = toy_sweep(windows=(4, 8), free={"fly": 0.5}, problems=12)
    if number > 1:
        folds = [sweep.assign(fold=f, problem_id=sweep["problem_id"] + f) for f in ("1-of-2", "2-of-2")]
        sweep = pd.concat(folds, ignore_index=True)
    kinds = {rule: "judge" for rule in sweep["rule"].unique()} | dict.fromkeys(
        ("target", "lossless", "always"), "reference"
    )
    comparison = Comparison({}, kinds, {MEASURED_COST: 0.1}, 4.0, seed=0)
    names = sorted(sweep.loc[sweep["split"] == "test", "problem_id"].unique())
    weights = np.random.default_rng(1).integers(0, 3, size=(2, len(names)))
    weights[0] = 1
    found = Resampled(sweep, "toy", comparison, weights)
    for rule in ("judge", "fly"):
        for row, area in zip(weights, found.areas(rule), strict=True):
            times = sweep["problem_id"].map(dict(zip(names, row, strict=True))).where(sweep["split"] == "test", 1)
            copies = [
                sweep[times > n].assign(problem_id=sweep["problem_id"] + f" {n}") for n in range(int(times.max()))
            ]
            summary = summarise_sweep(pd.concat(copies), "toy", comparison)["summary"].set_index("rule")
            assert area == pytest.approx(summary.loc[rule, "area"])


def test_the_page_tells_numbers_settings_and_how_to_read_them(table):
    page = write_markdown(table.assign(audited=[0, 40, 0], audited_important=[0, 1, 0]), "toy, pair", 4.0, 0.1)
    lines = page.splitlines()
    (exact, other), (noisy, worse) = ([line for line in lines if line.startswith(f"| {n}")] for n in ("exact", "noisy"))
    assert "1.00" in exact and "0.25" in noisy and "1 of 40: 2.5 (0.4 to 12.9)" in page
    assert '- again: `{"tokens": 99}`' in lines and "- exact" not in page
    kappa = table["kappa"].iloc[2]
    assert f"{kappa:.3f} (" in noisy and f"{kappa:.3f}" not in exact
    assert f"{100 * table['area'].iloc[0]:.1f}" in other and f"{100 * table['area'].iloc[2]:.1f}" in worse
    assert "exact labels of the test split" in page and "at most 4 points" in page


def test_the_figure_has_each_source_at_its_cost_and_area_and_names_it_inside(table):
    figure = draw_label_sources(table, "toy")
    (axes,) = figure.axes
    drawn = [line.get_xydata()[0] for line in axes.lines if line.get_marker() != "None"]
    bars = [line.get_xydata() for line in axes.lines if line.get_marker() == "None"][1:]
    assert bars[2][:, 1] == pytest.approx(
        100 * (table["area"][0] + table.loc[2, ["area_gain_low", "area_gain_high"]]).to_numpy(dtype=float)
    )
    assert np.array(drawn) == pytest.approx(table[["relative_tokens", "area"]].to_numpy() * (1, 100))
    texts = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert set(texts) == set(table["source"])
    frame = axes.get_window_extent()
    boxes = list(texts.values())
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[:number])
