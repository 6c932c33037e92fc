"""Asks each document of a task in the cells of a balanced design, whatever kind of ``multiple_choice`` task it is.

A mixin before lm-eval's ``ConfigurableTask`` or our ``FairTask``: it adds ``cells``, ``meanings`` and ``content_free``
to the documents, makes one prompt a cell and one request a symbol, and hands the debiased log-probabilities of the
meanings to the class behind it, which judges them as if the raw task had been answered so.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import datasets
import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.utils import apply_template

from ..errors import GroupgapError
from ..harness_tasks.design import CONTENT_FREE, CONTENT_FREE_ID, WORDS, Cell, Design, imbalance
from ..metrics.debias import debiased_log_probabilities
from .prompt_window import Window, find_window, fitted
from .symbol_tokens import check_symbols

log = logging.getLogger(__name__)
ADDED = ("cells", "meanings", "content_free")
_ANSWER = re.compile(r"\s*Answer:?\s*\Z")

Document = Mapping[str, Any]


class CellAsking(ConfigurableTask):
    """What a controlled task does beside its raw task. The design stands in ``metadata.fair.design``."""

    def _begin(self) -> None:
        """Read the design; called before the data is loaded."""
        metadata = dict(self.config.metadata or {})
        self._in_force: Cell | None = None
        self.design = Design.read(metadata.get("fair", {}).get("design", {}), metadata)
        self.window: Window | None = find_window(metadata, None)

    # -- documents -----------------------------------------------------------------------------------------------

    @cached_property
    def eval_docs(self) -> datasets.Dataset:
        """The content-free inputs, then the raw task's documents, each with the cells in which it is asked."""
        found = super().eval_docs
        self.features = list(found.features)  # lm-eval sets it later, and needs it to read the choices
        raw = list(found)
        content = self.design.content
        blankable = bool(raw and content) and all(isinstance(raw[0].get(field), str) for field in content)
        free = [self._without_content(raw[0], place) for place in range(len(CONTENT_FREE))] if blankable else []
        self._content_free = len(free)
        documents = [self._with_cells(doc, place < len(free)) for place, doc in enumerate([*free, *raw])]
        self._note_asked(documents)
        return datasets.Dataset.from_list(documents)

    def _without_content(self, document: Document, place: int) -> dict[str, Any]:
        blank = dict.fromkeys(self.design.content, CONTENT_FREE[place])
        return {**document, **blank, "id": f"{CONTENT_FREE_ID}{place + 1}"}

    def _with_cells(self, document: Document, content_free: bool) -> dict[str, Any]:
        meanings = [str(choice) for choice in super().doc_to_choice(document)]
        if content_free:
            cells = [cell for block in self.design.blocks(meanings) for cell in block]
        else:
            cells = list(self.design.cells_of(document_id(document), meanings))
        if reason := imbalance(cells):
            raise GroupgapError(f"{self.config.task}: the cells of a document are not balanced: {reason}")
        logged = {"meanings": meanings, "cells": [cell.log() for cell in cells], "content_free": content_free}
        return {**document, **logged}

    def _note_asked(self, documents: Sequence[Document]) -> None:
        cells = {cell.symbols: cell for document in documents for cell in map(Cell.read, document["cells"])}
        noted, warnings = check_symbols(self.window, list(cells.values()), self.config.target_delimiter)
        for warning in warnings:
            log.warning("%s: %s", self.config.task, warning)
        fair = self.config.metadata.get("fair", {})
        self.config.metadata = {
            **self.config.metadata,
            "fair": {**fair, "symbols": noted, "content_free": self._content_free},
        }

    def doc_iterator(self, *, limit: int | None = None, **kwargs: Any) -> Iterator[tuple[int, Any]]:
        """lm-eval's hook: a limit counts documents; the content-free inputs are asked beside them."""
        return super().doc_iterator(limit=self._beside(limit), **kwargs)

    def build_all_requests(self, *, limit: int | None = None, **kwargs: Any) -> None:
        """lm-eval's hook; as :meth:`doc_iterator`."""
        super().build_all_requests(limit=self._beside(limit), **kwargs)

    def _beside(self, limit: int | None) -> int | None:
        return int(limit) + self._content_free if limit else limit

    # -- asking --------------------------------------------------------------------------------------------------

    @contextmanager
    def _asking_in(self, cell: Cell) -> Iterator[None]:
        """Render documents, examples included, in a cell."""
        self._in_force = cell
        try:
            yield
        finally:
            self._in_force = None

    def _cell_for(self, meanings: Sequence[str]) -> Cell:
        """The cell in force; for an example with another number of choices, one of the same set."""
        cell = self._in_force
        if cell is not None and cell.symbol_set == WORDS:
            return replace(cell, symbols=tuple(meanings[::-1] if cell.turned else meanings))
        if cell is not None and len(cell.symbols) == len(meanings):
            return cell
        blocks = [cell for block in self.design.blocks(meanings) for cell in block]
        return next((other for other in blocks if cell and other.symbol_set == cell.symbol_set), blocks[0])

    def doc_to_text(self, doc: Document, doc_to_text: Any = None) -> str:
        """The question in the wording of the cell, the options in its order under its symbols, and "Answer:"."""
        meanings = [str(choice) for choice in super().doc_to_choice(doc)]
        cell = self._cell_for(meanings)
        labels = meanings[::-1] if cell.turned else meanings
        shown = [
            cell.symbols[meaning] if cell.symbol_set == WORDS else f"{cell.symbols[meaning]}) {labels[meaning]}"
            for meaning in cell.order
        ]
        return "\n".join([self._question(doc, cell, doc_to_text), "Options:", *shown, "Answer:"])

    def _question(self, doc: Document, cell: Cell, doc_to_text: Any) -> str:
        wording = self.design.question(cell)
        if wording is not None:
            return str(apply_template(wording, dict(doc)))
        return _ANSWER.sub("", str(super().doc_to_text(doc, doc_to_text)))

    def doc_to_choice(self, doc: Document, doc_to_choice: Any = None) -> list[str]:
        """The symbols of the cell in force, one a meaning; else the raw task's choices."""
        meanings = [str(choice) for choice in super().doc_to_choice(doc, doc_to_choice)]
        return list(self._cell_for(meanings).symbols) if self._in_force else meanings

    def doc_to_target(self, doc: Document, doc_to_target: Any = None) -> Any:
        """The raw task's target; where a cell is in force, as the index of a meaning."""
        target = super().doc_to_target(doc, doc_to_target)
        if self._in_force is None or not isinstance(target, str):
            return target
        meanings = [str(choice) for choice in super().doc_to_choice(doc)]
        return meanings.index(target) if target in meanings else target

    def fewshot_context(self, doc: Document, *args: Any, **kwargs: Any) -> list[str]:
        """lm-eval's hook: one prompt a cell, with the same examples in all of them, put in the way of the cell."""
        cells = [Cell.read(entry) for entry in doc["cells"]]
        raw = {name: value for name, value in doc.items() if name not in ADDED}
        state = self.sampler.rnd.getstate()

        def context(document: Document, cell: Cell) -> str:
            self.sampler.rnd.setstate(state)
            with self._asking_in(cell):
                return str(super(CellAsking, self).fewshot_context(dict(document), *args, **kwargs))

        if "text" in raw:
            longest: Callable[[Document], list[str]] = lambda document: [  # noqa: E731
                f"{context(document, cell)}{self.config.target_delimiter}{max(cell.symbols, key=len)}" for cell in cells
            ]
            raw = dict(fitted(self.window, raw, longest))
        return [context(raw, cell) for cell in cells]

    def construct_requests(self, doc: Document, ctx: Any, **kwargs: Any) -> list[Instance]:
        """lm-eval's hook: cell by cell, one request a meaning."""
        requests: list[Instance] = []
        for entry, context in zip(doc["cells"], ctx, strict=True):
            with self._asking_in(Cell.read(entry)):
                own = super().construct_requests(dict(doc), context, **kwargs)
            for request in own:
                request.idx = len(requests)
                requests.append(request)
        return requests

    # -- judging -------------------------------------------------------------------------------------------------

    def _debiased(self, doc: Document, results: Iterable[tuple[float, bool]]) -> list[tuple[float, bool]]:
        scores = np.array([float(score) for score, _ in results]).reshape(len(doc["cells"]), -1)
        debiased = debiased_log_probabilities(scores)
        if np.isnan(debiased).any():
            raise GroupgapError(
                f"{self.config.task}: document {document_id(doc)[:40]!r}: in some cell each of its choices has "
                "log-probability -inf: no answer is left; is the model broken?"
            )
        return [(float(score), False) for score in debiased]

    def _over_documents(
        self, functions: Mapping[str, Callable[[list[Any]], Any]]
    ) -> dict[str, Callable[[list[Any]], Any]]:
        """Aggregations that leave out the content-free inputs, for which every metric is ``None``."""

        def judged(function: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
            return lambda items: function([item for item in items if item is not None])

        return {name: judged(function) for name, function in functions.items()}


def document_id(document: Document) -> str:
    """A document's own id, or a hash of all its fields."""
    if isinstance(document.get("id"), str):
        return str(document["id"])
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
