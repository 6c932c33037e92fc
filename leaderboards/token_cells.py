"""The answers to a controlled task cell by cell, as the arrays from which token effects are measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from ..harness_tasks.design import Cell
from ..metrics.cell_effects import CellMatrix, Level
from .answers import Answers, answered_lines
from .controlled import CellAnswers, read_cells
from .runs import Run

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AskedCells:
    """A controlled task as one run answered it.

    Attributes:
        matrix: of the n documents that are asked in as many cells, with as many choices, as most are.
        rows: (n,) their places among the answers of the run.
        cells: for each of them its k cells.
        content_free: answers to inputs without content.
        notes: what a reader should know, in words.
    """

    matrix: CellMatrix
    rows: IntArray
    cells: tuple[tuple[Cell, ...], ...]
    content_free: tuple[CellAnswers, ...]
    notes: tuple[str, ...] = ()


def is_controlled(run: Run, task: str) -> bool:
    """Whether the task asks each document in several cells."""
    return bool(run.fair(task).get("controlled"))


def asked_cells(run: Run, task: str) -> AskedCells:
    """Read the cells of all documents, in the order of lm-eval's doc_id, as :class:`Answers` has them.

    Raises:
        GroupgapError: for lines of another kind, lost lines, and cells that are not balanced.
    """
    path = run.samples[task]
    found: list[tuple[int, CellAnswers]] = []
    for number, line in answered_lines(run, task):
        found.append((int(line.get("doc_id", -1)), read_cells(f"{path}, line {number}", line)))
    documents = [answer for _, answer in sorted(found, key=lambda one: one[0]) if not answer.content_free]
    if not documents:
        raise GroupgapError(f"{path}: an empty run, no answer to judge: run lm_eval again (a --limit of 0?)")
    shapes = Counter(answer.log_probabilities.shape for answer in documents)
    shape = shapes.most_common(1)[0][0]
    rows = np.array([row for row, answer in enumerate(documents) if answer.log_probabilities.shape == shape])
    kept = [documents[row] for row in rows]
    left = len(documents) - len(kept)
    note = f"{left:,} documents with another number of cells or choices than most have no part in the token effects"
    return AskedCells(
        cell_matrix([answer.cells for answer in kept], np.stack([answer.log_probabilities for answer in kept])),
        rows,
        tuple(answer.cells for answer in kept),
        tuple(answer for _, answer in found if answer.content_free),
        (note,) if left else (),
    )


def cell_matrix(cells: Sequence[Sequence[Cell]], log_probabilities: FloatArray) -> CellMatrix:
    """What each choice carries in each cell, as numbers.

    Args:
        cells: for each document its k cells; a cell without an order shows no list.
        log_probabilities: (n, k, C).

    Example:
        >>> cell = Cell("direct", ("A", "B"), "letters", (1, 0))
        >>> found = cell_matrix([[cell]], np.zeros((1, 1, 2)))
        >>> [level.name for level in found.levels], found.symbols.tolist(), found.places.tolist()
        (['A', 'B', '1', '2'], [[[0, 1]]], [[[3, 2]]])
    """
    distinct = {cell: None for row in cells for cell in row}
    choices = range(log_probabilities.shape[2])
    symbols = sorted({Level("symbol", cell.symbol_set, symbol) for cell in distinct for symbol in cell.symbols})
    places = [Level("position", "", str(place + 1)) for place in choices] if any(c.order for c in distinct) else []
    levels = (*symbols, *places)
    number = {level: index for index, level in enumerate(levels)}
    coded = {
        cell: (
            [number[Level("symbol", cell.symbol_set, symbol)] for symbol in cell.symbols],
            [number[Level("position", "", str(cell.order.index(j) + 1))] if cell.order else -1 for j in choices],
        )
        for cell in distinct
    }
    of_symbols, of_places = (
        np.array([[coded[cell][side] for cell in row] for row in cells], dtype=np.int64) for side in (0, 1)
    )
    return CellMatrix(log_probabilities, levels, of_symbols, of_places)


def units(answers: Answers, rows: IntArray) -> IntArray:
    """(n,) one number for documents that are drawn together: those that the task calls one unit, or copies of one."""
    together = np.array(answers.documents, dtype=object) if answers.clusters is None else answers.clusters
    return np.asarray(np.unique(together[rows].astype(str), return_inverse=True)[1])
