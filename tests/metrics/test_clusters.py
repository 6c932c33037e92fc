"""How sure rates of clustered rows are: statsmodels' covariance over clusters, sizes worth counting, widths never 0."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from groupgap.metrics import wilson
from groupgap.metrics.clusters import cluster_share, effective_rates
from scipy import stats


def tables(hits: np.ndarray, groups: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(clusters, groups) successes and rows."""
    successes, rows = (np.zeros((clusters.max() + 1, groups.max() + 1)) for _ in range(2))
    np.add.at(successes, (clusters, groups), hits)
    np.add.at(rows, (clusters, groups), 1)
    return successes, rows


@pytest.mark.parametrize("opposite", [False, True])
def test_errors_and_correlations_are_those_of_statsmodels(opposite: bool) -> None:
    rng = np.random.default_rng(0)
    clusters, groups = np.repeat(np.arange(40), 6), np.tile([0, 0, 1, 1, 1, 2], 40)
    likes = rng.random(40)[clusters]
    hits = (rng.random(240) < np.where((groups == 1) & opposite, 1 - likes, likes)).astype(float)
    fitted = sm.OLS(hits, np.eye(3)[groups]).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    successes, rows = tables(hits, groups, clusters)
    found = effective_rates(successes, rows, np.ones(40))
    covariance = fitted.cov_params() * 40 / 39
    n = rows.sum(axis=0)
    errors = np.sqrt(np.maximum(np.diag(covariance), fitted.params * (1 - fitted.params) / n))
    errors[2] = np.sqrt(fitted.params[2] * (1 - fitted.params[2]) / n[2])  # its rows are in a cluster each
    assert found.stderr == pytest.approx(errors)
    shrunk = np.where(covariance > 0, covariance - (1 / n[:, None] ** 2 + 1 / n**2) / 2, covariance)
    apart = ~np.eye(3, dtype=bool)
    assert found.correlation[apart] == pytest.approx(np.clip(shrunk / np.outer(errors, errors), -1, 1)[apart])
    assert (found.correlation[0, 1] < 0) == opposite
    assert found.totals[2] == 40


def test_kinds_of_clusters_are_their_clusters() -> None:
    successes, rows = np.array([[2, 1], [0, 1], [1, 0]]), np.array([[3, 1], [1, 2], [2, 2]])
    amounts = np.array([7, 12, 9])
    one = effective_rates(successes, rows, amounts)
    other = effective_rates(np.repeat(successes, amounts, axis=0), np.repeat(rows, amounts, axis=0), np.ones(28))
    for name in ("successes", "totals", "stderr", "correlation"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))


def test_a_cluster_of_equal_rows_is_worth_one_row() -> None:
    hits = np.arange(60) % 4 == 0
    found = cluster_share(np.repeat(hits, 5), np.repeat(np.arange(60), 5), "")
    t = float(stats.t.isf(0.025, 59))
    n = 60 * 59 / 60 * (stats.norm.isf(0.025) / t) ** 2
    low, high = wilson(n / 4, n)
    assert (found.low, found.high) == pytest.approx((float(low), float(high)))
    assert found.interval == "Wilson over 60 clusters"


def test_rows_of_their_own_are_wilsons() -> None:
    found = cluster_share(np.arange(50) < 20, [f"row {row}" for row in range(50)], "")
    low, high = wilson(20, 50)
    assert (found.low, found.high, found.interval) == (float(low), float(high), "Wilson")


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_equal_answers_everywhere_are_not_certain(share: float) -> None:
    found = cluster_share(np.full(120, bool(share)), np.repeat(np.arange(40), 3), "")
    low, high = wilson(40 * share, 40)
    assert (found.low, found.high) == pytest.approx((float(low), float(high)))


def test_pairs_that_always_agree_leave_a_width() -> None:
    """Two groups in every pair, both right or both wrong: the rates are equal, and their difference is not certain."""
    right = np.repeat(np.arange(40) % 2, 2).reshape(40, 2)
    found = effective_rates(right, np.ones((40, 2)), np.ones(40))
    assert 0.85 < found.correlation[0, 1] < 0.95


def test_one_cluster_tells_next_to_nothing() -> None:
    found = cluster_share([True, False, True], ["a"] * 3, "")
    assert found.low is not None
    assert found.high - found.low > 0.6
