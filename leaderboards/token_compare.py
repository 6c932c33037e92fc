"""The token effects of two runs, or methods, of a controlled task against each other, paired by document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..metrics.cell_effects import CellMatrix
from ..metrics.token_compare import compare_token_effects
from .answers import Answers
from .collection import Entry
from .compared import Compared
from .methods import Shared
from .token_cells import asked_cells, is_controlled, units

IntArray = npt.NDArray[np.int64]


def with_token_effects(compared: Compared, shared: Shared, a: Sequence[Answers], b: Sequence[Answers]) -> Compared:
    """The comparison, with differences of token effects where both answered a controlled task.

    Args:
        compared: of A and B on one task; of the question ``"weights"``, and paired, or it is given back as it is.
        shared: the runs, one for each training seed.
        a: answers of A, one for each seed.
        b: answers of B.
    """
    entries, answers = (*shared.a, *shared.b), (*a, *b)
    controlled = all(is_controlled(entry.run, entry.task) for entry in entries)
    if not (compared.paired and compared.question == "weights" and controlled):
        return compared
    read = [_by_key(entry, one) for entry, one in zip(entries, answers, strict=True)]
    common = [key for key in read[0][1] if all(key in places for _, places in read)]
    place = {key: row for row, key in enumerate(a[0].keys)}
    rows = np.array([place[key] for key in common], dtype=np.int64)
    matrices = [matrix.of(np.array([places[key] for key in common], dtype=np.int64)) for matrix, places in read]
    half = len(shared.a)
    together = np.tile(units(a[0], rows), half)
    found = compare_token_effects(_stacked(matrices[:half]), _stacked(matrices[half:]), together)
    named = tuple(replace(one, n=one.n // half) for one in found)
    comparison = compared.comparison
    return replace(compared, comparison=replace(comparison, differences=(*comparison.differences, *named)))


def _by_key(entry: Entry, answers: Answers) -> tuple[CellMatrix, dict[tuple[str, int], int]]:
    """A run's cells, and which row of them belongs to which document (and occurrence of it), in the run's order."""
    asked = asked_cells(entry.run, entry.task)
    return asked.matrix, {answers.keys[row]: place for place, row in enumerate(asked.rows.tolist())}


def _stacked(matrices: Sequence[CellMatrix]) -> CellMatrix:
    """The answers of all training seeds under each other: the same cells, as they were asked alike."""
    return CellMatrix(
        np.concatenate([one.log_probabilities for one in matrices]),
        matrices[0].levels,
        np.concatenate([one.symbols for one in matrices]),
        np.concatenate([one.places for one in matrices]),
    )
