"""The figure of label stability shows what is in the labels."""

import numpy as np
import pandas as pd
import pytest

from autojudge.reporting.stability_figure import BINS, measure_stability, plot_stability


@pytest.fixture
def labels():
    """Labels whose samples all keep to the greedy label at margins of 1 and more, and are half and half below."""
    rng = np.random.default_rng(0)
    margin, important = rng.uniform(0, 2, 600), rng.random(600) < 0.3
    kept = np.where(margin < 1, 0.5, np.where(important, 0.0, 1.0))
    rows = {"problem_id": [f"p{i // 10}" for i in range(600)], "important": important, "margin": margin}
    return pd.DataFrame(rows | {"kept_share": kept})


def test_shares_are_those_of_the_labels(labels):
    found = measure_stability(labels, seed=0)
    bins, total = found.iloc[:-1], found.iloc[-1]
    assert len(bins) == BINS and bins["mismatches"].sum() == total["mismatches"] == 600
    assert bins["low_margin"].is_monotonic_increasing
    sure = labels["margin"] >= 1
    assert total["unanimous"] == pytest.approx(sure.mean())
    assert total["agreement"] == pytest.approx((sure + 0.5 * ~sure).mean())
    for row in bins.itertuples():
        if row.high_margin < 1:
            assert (row.unanimous, row.agreement) == (0, 0.5)
        if row.low_margin >= 1:
            assert (row.unanimous, row.agreement) == (1, 1)
        assert row.unanimous_low <= row.unanimous <= row.unanimous_high
    mixed = bins[(bins["unanimous"] > 0) & (bins["unanimous"] < 1)]
    assert all(mixed["unanimous_low"] < mixed["unanimous_high"])


def test_what_was_not_sampled_does_not_count(labels):
    more = pd.concat([labels, labels.assign(kept_share=None, margin=9.0)])
    pd.testing.assert_frame_equal(measure_stability(more, 0), measure_stability(labels, 0))


def test_margins_that_are_all_one_are_one_bin(labels):
    found = measure_stability(labels.assign(margin=0.5), 0)
    assert len(found) == 2


def test_the_figure_is_drawn(labels, tmp_path):
    outputs = {name: str(tmp_path / f"stability.{name}") for name in ("pdf", "png")}
    plot_stability(measure_stability(labels, 0), 8, "arith, testbed", outputs)
    assert (tmp_path / "stability.pdf").read_bytes().startswith(b"%PDF") and (tmp_path / "stability.png").stat().st_size
