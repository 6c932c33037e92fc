"""Controlled tasks: a raw task asked in the cells of a balanced design, and judged by the debiased answer.

:class:`ControlledTask` is for our own tasks (with groups), :class:`ControlledChoices` for any ``multiple_choice`` task
of lm-eval. ``groupgap control TASK`` writes the YAML of either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from ..errors import one_line_for_mistakes
from .cell_asking import CellAsking
from .fair_task import FairTask

one_line_for_mistakes()  # this module is imported by lm_eval's command too


class ControlledTask(CellAsking, FairTask):
    """A :class:`FairTask` whose documents are asked in cells; its metrics are those of the debiased answers."""

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: object) -> None:
        """Read the design, then load as the raw task does."""
        self._begin()
        super().download(dataset_kwargs, **kwargs)

    def _without_content(self, document: Mapping[str, Any], place: int) -> dict[str, Any]:
        nobody: dict[str, Any] = {axis.field: [] for axis in self.code.axes}
        return {**super()._without_content(document, place), **nobody, str(self.config.doc_to_target): None}

    def process_results(self, doc: dict[str, Any], results: Iterable[tuple[float, bool]]) -> dict[str, Any]:
        """lm-eval's hook: the debiased answer, judged as the raw task's; nothing for a content-free input."""
        if doc["content_free"]:
            return dict.fromkeys(self._functions)
        return super().process_results(doc, self._debiased(doc, results))

    @cached_property
    def _functions(self) -> dict[str, Callable[[list[Any]], Any]]:
        return self._over_documents(super()._functions)


class ControlledChoices(CellAsking):
    """Any ``multiple_choice`` task of lm-eval, asked in cells; ``acc`` is that of the debiased answers."""

    def __init__(
        self,
        data_dir: str | None = None,
        cache_dir: str | None = None,
        download_mode: object = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(config={key: value for key, value in (config or {}).items() if key != "class"})

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: object) -> None:
        """Read the design, then load as lm-eval does."""
        self._begin()
        super().download(dataset_kwargs, **kwargs)

    def process_results(self, doc: dict[str, Any], results: Iterable[tuple[float, bool]]) -> dict[str, Any]:
        """lm-eval's hook: lm-eval's own metrics of the debiased answer; nothing for a content-free input."""
        if doc["content_free"]:
            return dict.fromkeys(self._metric_fn_list)
        return dict(super().process_results(doc, self._debiased(doc, results)))

    def aggregation(self) -> dict[str, Callable[[list[Any]], Any]]:
        """lm-eval's hook: its own aggregations, over the documents."""
        return self._over_documents(super().aggregation())
