"""Effects of symbols and places: exact in balanced cells, equal to statsmodels' regression in any others."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import statsmodels.api as sm
from groupgap.errors import GroupgapError
from groupgap.metrics.cell_effects import CellMatrix, Level, fit_cells
from scipy.special import log_softmax

LETTERS = "ABC"


def asked(n: int, cells: list[tuple[int, int]], size: int = 2) -> tuple[tuple[Level, ...], np.ndarray, np.ndarray]:
    """Levels, symbols and places of n documents in cells (turn of the symbols, shift of the order)."""
    levels = [Level("symbol", "letters", LETTERS[index]) for index in range(size)]
    levels += [Level("position", "", str(index + 1)) for index in range(size)]
    meaning = np.arange(size)
    symbols = np.array([(meaning + turn) % size for turn, _ in cells])
    places = np.array([(meaning + shift) % size for _, shift in cells]) + size
    return tuple(levels), np.tile(symbols, (n, 1, 1)), np.tile(places, (n, 1, 1))


def test_balanced_cells_give_plain_differences_of_means() -> None:
    rng = np.random.default_rng(0)
    levels, symbols, places = asked(40, list(product(range(2), range(2))))
    logs = rng.normal(0, 2, (40, 4, 2))
    found = fit_cells(CellMatrix(logs, levels, symbols, places), "log-odds")
    odds = logs[:, :, 0] - logs[:, :, 1]  # of the first meaning; it carries A in cells 0 and 1, stands first in 0 and 2
    symbol = (odds[:, [0, 1]].mean(axis=1) - odds[:, [2, 3]].mean(axis=1)) / 2
    place = (odds[:, [0, 2]].mean(axis=1) - odds[:, [1, 3]].mean(axis=1)) / 2
    assert found.values[0] - found.values[1] == pytest.approx(symbol.mean())
    assert found.values[2] - found.values[3] == pytest.approx(place.mean())
    assert found.values[4] - found.values[5] == pytest.approx(odds.mean())
    weights = found.weights((0, 1.0), (1, -1.0))
    error = float(np.sqrt(weights @ found.means.covariance @ weights))
    assert error == pytest.approx(symbol.std(ddof=1) / np.sqrt(40))  # the paired t interval of the documents


@pytest.mark.parametrize("cells", [[(0, 0), (1, 1), (1, 0)], [(0, 0), (1, 1)], [(0, 0), (0, 1), (1, 0), (1, 1)]])
@pytest.mark.parametrize("scale", ["log-odds", "probability"])
def test_effects_and_errors_are_those_of_a_regression_on_dummies(cells: list[tuple[int, int]], scale: str) -> None:
    """Each document with its own meanings, errors clustered by document; unbalanced cells too."""
    rng = np.random.default_rng(1)
    n = 25
    levels, symbols, places = asked(n, cells)
    if len(cells) == 2:  # one block a document: symbol and place come apart over documents
        places[: n // 2] = 2 + (places[: n // 2] - 2 + 1) % 2
    answers = CellMatrix(rng.normal(0, 1, (n, len(cells), 2)), levels, symbols, places)
    found = fit_cells(answers, scale)
    shares = log_softmax(answers.log_probabilities, axis=2)
    values = shares if scale == "log-odds" else np.exp(shares)
    contrast = (values[:, :, 0] - values[:, :, 1]).reshape(-1)
    document = np.repeat(np.arange(n), len(cells))
    carries = np.stack([np.where(symbols[:, :, 0] == 0, 1.0, -1.0), np.where(places[:, :, 0] == 2, 1.0, -1.0)], axis=2)
    dummies = np.concatenate([carries.reshape(-1, 2), (document[:, None] == np.arange(n)).astype(float)], axis=1)
    fitted = sm.OLS(contrast, dummies).fit(cov_type="cluster", cov_kwds={"groups": document, "use_correction": False})
    for index, first in enumerate((0, 2)):
        weights = found.weights((first, 1.0), (first + 1, -1.0))
        assert found.can_tell(weights)
        assert weights @ found.values == pytest.approx(fitted.params[index])
        error = float(np.sqrt(weights @ found.means.covariance @ weights))
        assert error == pytest.approx(float(fitted.bse[index]) * np.sqrt(n / (n - 1)))
    meaning = found.weights((4, 1.0), (5, -1.0))
    assert meaning @ found.values == pytest.approx(fitted.params[2:].mean())


def test_planted_effects_come_out_exactly_without_noise() -> None:
    rng = np.random.default_rng(2)
    levels, symbols, places = asked(30, list(product(range(3), range(3))), size=3)
    effects = np.array([0.7, -0.2, 0.0, 0.4, 0.0, -0.9])
    meaning = rng.normal(0, 2, (30, 3))
    logs = meaning[:, None] + effects[symbols] + effects[places]
    found = fit_cells(CellMatrix(logs, levels, symbols, places), "log-odds")
    for one, other in (*permutations(range(3), 2), *permutations(range(3, 6), 2)):
        assert found.values[one] - found.values[other] == pytest.approx(effects[one] - effects[other])
    centred = meaning - meaning.mean(axis=1, keepdims=True)
    assert found.values[6:] == pytest.approx(centred.mean(axis=0))


def test_what_never_changed_places_cannot_be_told() -> None:
    levels, symbols, places = asked(20, [(0, 0), (0, 1)])  # A always stands for the first meaning
    logs = np.random.default_rng(3).normal(0, 1, (20, 2, 2))
    found = fit_cells(CellMatrix(logs, levels, symbols, places), "log-odds")
    assert not found.can_tell(found.weights((0, 1.0), (1, -1.0)))
    assert not found.can_tell(found.weights((4, 1.0), (5, -1.0)))  # nor the meaning from the symbol
    assert found.can_tell(found.weights((2, 1.0), (3, -1.0)))
    assert found.can_tell(found.weights((4, 1.0), (5, -1.0), (0, 1.0), (1, -1.0)))  # only both together


def test_groups_are_the_fit_of_their_documents_where_cells_are_balanced() -> None:
    rng = np.random.default_rng(4)
    levels, symbols, places = asked(50, list(product(range(2), range(2))))
    answers = CellMatrix(rng.normal(0, 1, (50, 4, 2)), levels, symbols, places)
    member = rng.random((50, 2)) < 0.6
    found = fit_cells(answers, "log-odds", member)
    for group in range(2):
        alone = fit_cells(answers.of(member[:, group]), "log-odds")
        at = [found.choice(0, group), found.choice(1, group)]
        assert found.values[at] == pytest.approx(alone.values[4:6])
        assert found.means.covariance[np.ix_(at, at)] == pytest.approx(alone.means.covariance[4:6, 4:6])


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    levels, symbols, places = asked(5, [(0, 0), (1, 1)])
    with pytest.raises(GroupgapError, match="of one shape"):
        CellMatrix(np.zeros((5, 3, 2)), levels, symbols, places)
