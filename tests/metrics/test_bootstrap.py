"""Draws on cells: like draws of samples, the same for a seed, whatever the size of a block."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.metrics import bootstrap, count, judge, percentile_interval
from groupgap.metrics import bootstrap as bootstrap_function
from groupgap.metrics.bootstrap import resample
from scipy import stats

COUNTS = count([1, 1, 0, 0] * 50, [1, 0, 0, 1, 1] * 40, ["a", "b", "c", "a"] * 50)


def test_drawing_cells_is_drawing_samples() -> None:
    rng = np.random.default_rng(3)
    labels, predictions = rng.integers(0, 2, 90), rng.integers(0, 2, 90)
    membership = rng.random((90, 3)) < 0.5
    found = bootstrap(count(labels, predictions, membership, ["a", "b", "c"]), rng, 1, 1, draws=4000)["dpd"]
    slow = []
    for _ in range(4000):
        rows = rng.integers(0, 90, 90)
        shares = [predictions[rows][membership[rows, group]].mean() for group in range(3)]
        slow.append(max(shares) - min(shares))
    assert stats.ks_2samp(found, slow).pvalue > 0.001


def test_block_size_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules[bootstrap_function.__module__]
    expected = bootstrap(COUNTS, np.random.default_rng(7), 1, draws=100)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 3 * 8 * len(COUNTS.counts))
    found = bootstrap(COUNTS, np.random.default_rng(7), 1, draws=100)
    for metric, values in expected.items():
        np.testing.assert_array_equal(found[metric], values)


def test_every_draw_holds_all_samples_in_the_order_of_the_cells() -> None:
    counts = np.array([1, 50, 0, 9])
    for _, drawn in resample(counts, 500, np.random.default_rng(0)):
        assert (drawn.sum(axis=1) == 60).all()
        assert drawn.mean(axis=0) == pytest.approx(counts, abs=1.5)
        assert (drawn[:, 2] == 0).all()


def test_a_seed_fixes_the_result_and_another_changes_it() -> None:
    one, same, other = (judge(COUNTS, 1, draws=200, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one.dpd.stderr != other.dpd.stderr
    assert one.dpd.value == other.dpd.value


def test_draws_in_which_a_rate_is_undefined_are_reported() -> None:
    counts = count([1] * 3 + [0] * 60, [1] * 63, ["a"] * 2 + ["b"] * 61)
    found = judge(counts, 1, min_group=1, draws=500)
    assert 0 < found.eopp.undefined_draws < 500
    assert found.eopp.stderr is not None


def test_percentile_interval_is_the_quantiles() -> None:
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25, 975))


def test_no_draws_are_refused() -> None:
    with pytest.raises(GroupgapError, match="'draws'"):
        bootstrap(COUNTS, np.random.default_rng(0), draws=0)
