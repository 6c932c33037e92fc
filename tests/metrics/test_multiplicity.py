"""Benjamini-Hochberg against statsmodels; letters by brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.metrics import benjamini_hochberg, letter_display
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_q_values_are_statsmodels_s(p_values: list[float]) -> None:
    assert benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1], abs=1e-12)


def test_an_empty_family_has_no_q_values() -> None:
    assert benjamini_hochberg([]).size == 0


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_letters_are_the_maximal_cliques_of_rows_not_separated(rows: int, seed: int) -> None:
    separated = np.triu(np.random.default_rng(seed).random((rows, rows)) < 0.4, 1)
    separated |= separated.T
    letters = letter_display(separated)
    for one, other in combinations(range(rows), 2):
        assert bool(set(letters[one]) & set(letters[other])) == (not separated[one, other])
    cliques = [
        set(chosen)
        for size in range(1, rows + 1)
        for chosen in combinations(range(rows), size)
        if not separated[np.ix_(chosen, chosen)].any()
    ]
    maximal = {frozenset(one) for one in cliques if not any(one < other for other in cliques)}
    found = {frozenset(row for row in range(rows) if name in letters[row]) for name in set("".join(letters))}
    assert found == maximal


@pytest.mark.parametrize("p_values", [[1.2], [-0.1, 0.5], [float("nan")]])
def test_what_is_no_p_value_is_refused(p_values: list[float]) -> None:
    with pytest.raises(GroupgapError, match="between 0 and 1"):
        benjamini_hochberg(p_values)


@pytest.mark.parametrize("matrix", [[[True]], [[False, True], [False, False]], [[False, False]], [[0, 1], [1, 0]]])
def test_what_is_no_separation_is_refused(matrix: list) -> None:
    with pytest.raises(GroupgapError, match="'separated'"):
        letter_display(matrix)
