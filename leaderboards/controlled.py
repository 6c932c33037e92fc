"""The answers to a controlled task: each document asked in the cells of a balanced design.

:func:`read_cells` reads a logged line cell by cell, from which token effects are measured; :func:`debiased_line` turns
it into the line that the raw task would have logged, had it answered what the mean over the cells says, so that every
metric of the board applies to the debiased answer.

A document with the field ``content_free`` holds no content: its answers are the prior of the prompt, never judged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from ..harness_tasks.design import Cell, imbalance
from ..metrics.debias import debiased_log_probabilities
from .samples import log_probability

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellAnswers:
    """What was answered to one document of a controlled task.

    Attributes:
        document: its fields.
        meanings: the C texts of the raw task's choices.
        cells: the k cells.
        log_probabilities: (k, C): in cell i, of the symbol that stands for meaning j; unnormalized.
        content_free: whether the document is no document, but an input without content.
    """

    document: Mapping[str, Any]
    meanings: tuple[str, ...]
    cells: tuple[Cell, ...]
    log_probabilities: FloatArray
    content_free: bool

    @property
    def debiased(self) -> FloatArray:
        """(C,) log of the debiased probabilities."""
        return debiased_log_probabilities(self.log_probabilities)


def read_cells(where: str, line: Mapping[str, Any]) -> CellAnswers:
    """Read one line of the samples of a controlled task.

    Args:
        where: file and line, for messages.
        line: the parsed line.

    Raises:
        GroupgapError: a line of another kind, or a document whose cells are not balanced.
    """
    logged, replies = line.get("doc"), line.get("filtered_resps")
    document: dict[str, Any] = logged if isinstance(logged, dict) else {}
    entries, meanings = document.get("cells"), document.get("meanings")
    if not isinstance(entries, list) or not isinstance(meanings, list) or not isinstance(replies, list):
        raise GroupgapError(
            f"{where}: not a line of a controlled task: it lacks doc.cells, doc.meanings or the replies"
        )
    try:
        cells = tuple(Cell.read(entry) for entry in entries)
    except GroupgapError as error:
        raise GroupgapError(f"{where}: {error}") from None
    if reason := imbalance(cells):
        raise GroupgapError(f"{where}: the document's cells are not balanced, so their mean is biased: {reason}")
    size = len(meanings)
    if len(cells[0].symbols) != size or len(replies) != len(cells) * size:
        raise GroupgapError(
            f"{where}: {len(replies)} replies to {len(cells)} cells of {len(cells[0].symbols)} symbols, where the "
            f"document has {size} choices: not a line of a controlled task"
        )
    values = np.array([log_probability(where, reply) for reply in replies]).reshape(len(cells), size)
    if np.isneginf(values).all(axis=1).any():
        raise GroupgapError(f"{where}: in a cell every choice has log-probability -inf: the model is broken, run again")
    return CellAnswers(document, tuple(map(str, meanings)), cells, values, bool(document.get("content_free")))


def debiased_line(where: str, line: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The line as the raw task would have logged it, with the debiased log-probabilities for replies.

    Args:
        where: file and line, for messages.
        line: the parsed line.
        config: the task's configuration as lm-eval logged it.

    Raises:
        GroupgapError: as :func:`read_cells`.
    """
    answer = read_cells(where, line)
    delimiter = str(config.get("target_delimiter") or "")
    asked = json.dumps(line.get("arguments"), sort_keys=True, ensure_ascii=False)
    return {
        **line,
        "arguments": {
            f"gen_args_{place}": {"arg_0": "", "arg_1": f"{delimiter}{meaning}"}
            for place, meaning in enumerate(answer.meanings)
        },
        "prompt_hash": hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest(),
        "filtered_resps": [[value, False] for value in answer.debiased.tolist()],
    }


def debiased_lines(
    path: object, lines: Iterable[tuple[int, dict[str, Any]]], config: Mapping[str, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """:func:`debiased_line` of all documents, the content-free inputs left out."""
    for number, line in lines:
        document = line.get("doc")
        if not (isinstance(document, dict) and document.get("content_free")):
            yield number, debiased_line(f"{path}, line {number}", line, config)
