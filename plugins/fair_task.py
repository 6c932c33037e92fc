"""The lm-eval task class of all subgroup-aware tasks: its split, its order, and the metrics in lm-eval's own table.

A task stays plain YAML (``class: !function groupgap.plugins.fair_task.FairTask``): prompt, choices, a loader under
``custom_dataset``, and, under ``metadata.fair``, its axes and its positive choice. Options come through lm-eval's own
``--metadata`` and stand in the results file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from lm_eval.api.task import ConfigurableTask

from ..errors import GroupgapError, one_line_for_mistakes
from ..harness_tasks.rows import Rows
from ..harness_tasks.splits import SPLITS, interleave, split_parts
from ..metrics import Estimate, Judgement, judge, judge_clusters
from ..metrics.counts import check_names
from .cell_code import Axis, CellCode

PARTS = ("test", "validation", "train", "all")

Pick = Callable[[Judgement], Estimate]
METRICS: dict[str, Pick] = {
    "worst_group_acc": lambda judgement: judgement.worst_group,
    "acc_spread": lambda judgement: judgement.accuracy_spread,
    "dpd": lambda judgement: judgement.dpd,
    "eod": lambda judgement: judgement.eod,
}
MACRO_F1 = "macro_f1"  # of tasks of more than two classes
LOWER_IS_BETTER = ("acc_spread", "dpd", "eod")
Code = int | tuple[int, str]  # of a document's cell, and its unit where documents come in units
one_line_for_mistakes()  # this module is imported by lm_eval's command too
RATES = ("accuracy", "selection_rate", "tpr", "fpr")


@dataclass(frozen=True)
class FairOptions:
    """The options that every task takes through ``--metadata``.

    Attributes:
        split: ``"hash"`` (by the hash of each row's id, with a validation part) or ``"paper"`` (the paper's: shuffled
            80/20, redrawn with the seed, unless the dataset has another).
        split_seed: seed of the split.
        part: which part is evaluated: test, validation, train or all.
        min_group: the smallest denominator with which a group's rate enters a gap.
        only: a text file with row ids, one a line: no other row of the part is asked (an audit's rows); None for all.
    """

    split: str = "hash"
    split_seed: int = 13
    part: str = "test"
    min_group: int = 30
    only: str | None = None

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> FairOptions:
        """Read the options from a task's metadata; the task's own defaults stand under ``fair``."""
        own = metadata.get("fair", {})
        options = cls(
            **{field.name: metadata.get(field.name, own.get(field.name, field.default)) for field in fields(cls)}
        )
        for name, value, allowed in (("part", options.part, PARTS), ("split", options.split, SPLITS)):
            if value not in allowed:
                raise GroupgapError(f"option {name}={value!r}: expected one of {', '.join(allowed)}")
        for name, least in (("split_seed", 0), ("min_group", 1)):
            value = getattr(options, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise GroupgapError(f"option {name}={value!r}: expected a whole number, {least} or more")
        return options


class FairTask(ConfigurableTask):
    """A ``multiple_choice`` task of lm-eval whose documents belong to groups (which may overlap)."""

    def __init__(
        self,
        data_dir: str | None = None,
        cache_dir: str | None = None,
        download_mode: object = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        self._judged: tuple[list[Code], dict[str, Judgement]] | None = None
        super().__init__(config={key: value for key, value in (config or {}).items() if key != "class"})

    # -- data ----------------------------------------------------------------------------------------------------

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: object) -> None:
        """Load the rows, split them, order them so that any prefix holds every group, and note what was done."""
        metadata = dict(self.config.metadata or {})
        self.options = FairOptions.from_metadata(metadata)
        rows: Rows = self.config.custom_dataset(**{**metadata, **(dataset_kwargs or {})})
        self._adopt(rows)
        parts = self._parts(rows)
        parts[self.options.part] = self._only(parts[self.options.part])
        sizes = {part: len(documents) for part, documents in parts.items()}
        if not sizes[self.options.part]:
            raise GroupgapError(
                f"{self.config.task}: part {self.options.part!r} of split {self.options.split!r} holds no rows; "
                f"the parts hold {sizes}"
            )
        self._check_documents(parts[self.options.part])
        self.dataset = self._datasets(rows.documents, parts)
        self._note("data", {**rows.origin, "sizes": sizes, **asdict(self.options)})

    def _parts(self, rows: Rows) -> dict[str, list[dict[str, Any]]]:
        """The documents of each part, and all of them."""
        parts = split_parts(rows, self.options.split, self.options.split_seed)
        return {**parts, "all": rows.documents}

    def _only(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that the option ``only`` names."""
        if self.options.only is None:
            return documents
        try:
            lines = Path(self.options.only).read_text(encoding="utf-8").split("\n")  # an id may hold a U+2028
        except (OSError, ValueError) as error:
            raise GroupgapError(f"option only={self.options.only}: cannot be read ({error})") from error
        wanted = dict.fromkeys(filter(None, lines))
        kept = [document for document in documents if document["id"] in wanted]
        if len(kept) < len(wanted):
            raise GroupgapError(
                f"option only={self.options.only}: {len(wanted) - len(kept):,} of its {len(wanted):,} row ids are not "
                f"in part {self.options.part!r} of {self.config.task}"
            )
        return kept

    def _adopt(self, rows: Rows) -> None:
        """Take axes, choices and positive class from the YAML, or from the loader where only the data can tell."""
        fair = {**self.config.metadata.get("fair", {}), **(rows.fair or {})}
        choices = fair.pop("choices", self.config.doc_to_choice)
        self.config.doc_to_choice = list(choices) if isinstance(choices, list | tuple) else choices
        self.config.metadata = {**self.config.metadata, "fair": fair}
        self.code = _cell_code(str(self.config.task), fair["axes"], self._class_names(fair))
        self.positive = _positive(str(self.config.task), fair.get("positive"), self.code.classes)

    def _class_names(self, fair: Mapping[str, Any]) -> Sequence[str]:
        """The classes: the choices, or ``metadata.fair.classes`` where their words differ between documents."""
        return list(fair.get("classes") or self.config.doc_to_choice)

    @property
    def label_field(self) -> str:
        """The field of a document that holds the index of its right class."""
        return str(self.config.doc_to_target)

    def _check_documents(self, documents: Iterable[dict[str, Any]]) -> None:
        """Refuse now what could not be judged after hours of asking: a missing field, a strange group or label."""
        needed = [*(axis.field for axis in self.code.axes), self.label_field]
        for document in documents:
            absent = [field for field in needed if document.get(field) is None]
            if absent:
                raise GroupgapError(
                    f"{self.config.task}: the document with id {document['id']!r} has no field {absent[0]!r}: "
                    f"every document needs {', '.join(map(repr, needed))}"
                )
            try:
                self._cell(document, 0)
            except GroupgapError as error:
                raise GroupgapError(f"{self.config.task}: the document with id {document['id']!r}: {error}") from None

    def _cell(self, doc: Mapping[str, Any], prediction: int) -> int:
        """The code of a document's cell."""
        groups = {axis.name: doc[axis.field] for axis in self.code.axes}
        return self.code.encode(groups, int(doc[self.label_field]), prediction)

    def _datasets(
        self, documents: list[dict[str, Any]], parts: Mapping[str, list[dict[str, Any]]]
    ) -> datasets.DatasetDict:
        axis_fields = [axis.field for axis in self.code.axes]
        whole = datasets.Dataset.from_list(interleave(documents, axis_fields))
        place = {row_id: index for index, row_id in enumerate(whole["id"])}
        ordered = {
            part: whole.select([place[document["id"]] for document in interleave(of_part, axis_fields)])
            for part, of_part in parts.items()
        }
        part = self.options.part
        self.config.test_split = part
        if part == "all" or not len(ordered[self.config.fewshot_split]):
            # The examples come from the evaluated part itself: lm-eval then leaves out the document that is asked.
            self.config.fewshot_split = part
            self.config.fewshot_config.split = part
        return datasets.DatasetDict(ordered)

    def _note(self, key: str, value: object) -> None:
        """Put a value into the results file, at ``configs[task].metadata.fair[key]``."""
        self.config.metadata["fair"] = {**self.config.metadata["fair"], key: value}

    # -- judging -------------------------------------------------------------------------------------------------

    def process_results(self, doc: dict[str, Any], results: Iterable[tuple[float, bool]]) -> dict[str, float | Code]:
        """lm-eval's hook: the prediction is the choice with the largest log-probability (the first one on ties).

        Every metric but ``acc`` gets the code of the document's cell; with its unit where the task names one
        (``metadata.fair.cluster``).
        """
        prediction = int(np.argmax([log_probability for log_probability, _ in results]))
        label, unit = int(doc[self.label_field]), self.config.metadata["fair"].get("cluster")
        cell = self._cell(doc, prediction)
        code: Code = cell if unit is None else (cell, str(doc[unit]))
        return {name: float(label == prediction) if name == "acc" else code for name in self._functions}

    def judgements(self, codes: Sequence[Code]) -> dict[str, Judgement]:
        """Every axis judged, once for all the metrics that ask; documents that come in units by units."""
        if self._judged is None or self._judged[0] != codes:
            judged = self._judge(codes)
            self._judged = (list(codes), judged)
            self._note("judged", {axis: _group_rates(judgement) for axis, judgement in judged.items()})
        return self._judged[1]

    def _judge(self, codes: Sequence[Code]) -> dict[str, Judgement]:
        floor, alone = self.options.min_group, [code for code in codes if isinstance(code, int)]
        if alone:
            found = self.code.decode(alone)
            return {axis: judge(counts, self.positive, min_group=floor) for axis, counts in found.items()}
        cells, units = zip(*(code for code in codes if isinstance(code, tuple)), strict=True)
        of_units = self.code.decode_clusters(cells, units)
        return {axis: judge_clusters(answers, self.positive, min_group=floor) for axis, answers in of_units.items()}

    def _rows(self) -> dict[str, tuple[str, Pick]]:
        """The rows of lm-eval's table next to ``acc``: name -> (axis, estimate).

        A task of several axes shows its groups in the results file only: the table would be endless.
        """
        axes = self.code.axes
        first = {MACRO_F1: (axes[0].name, _macro_f1)} if len(self.code.classes) > 2 else {}
        if len(axes) > 1:
            safe = _table_safe([axis.name for axis in axes])
            return first | {
                f"{safe[axis.name]}_{metric}": (axis.name, pick) for axis in axes for metric, pick in METRICS.items()
            }
        (axis,) = axes
        shown = _table_safe(axis.groups)
        by_group = {f"acc[{shown[group]}]": (axis.name, _accuracy_of(group)) for group in axis.groups}
        return {**first, **{metric: (axis.name, pick) for metric, pick in METRICS.items()}, **by_group}

    def aggregation(self) -> dict[str, Callable[[list[Any]], Any]]:
        """lm-eval's hook: a value and, right after it, a standard error for each row; it replaces lm-eval's own."""
        return self._functions

    @cached_property
    def _functions(self) -> dict[str, Callable[[list[Any]], Any]]:
        functions: dict[str, Callable[[list[Any]], Any]] = {
            "acc": lambda hits: sum(hits) / len(hits),
            "acc_stderr": self._stderr(self.code.axes[0].name, lambda judgement: judgement.accuracy),
        }
        for name, (axis, pick) in self._rows().items():
            functions[name] = self._value(axis, pick)
            functions[f"{name}_stderr"] = self._stderr(axis, pick)
        return functions

    def higher_is_better(self) -> dict[str, bool]:
        """lm-eval's hook: accuracy up, gaps down."""
        return {name: not name.endswith(LOWER_IS_BETTER) for name in ("acc", *self._rows())}

    def _value(self, axis: str, pick: Pick) -> Callable[[list[Code]], float | str]:
        return lambda codes: plain_value(pick(self.judgements(codes)[axis]))

    def _stderr(self, axis: str, pick: Pick) -> Callable[[list[Code]], float | str]:
        def stderr(codes: list[Code]) -> float | str:
            estimate = pick(self.judgements(codes)[axis])
            # Where all answers of a group are right, or all wrong, the plug-in error is 0: that is not certainty.
            return float(estimate.stderr) if estimate.value is not None and estimate.stderr else "N/A"

        return stderr


def _positive(task: str, named: object, classes: Sequence[str]) -> int | None:
    """The index of the positive choice; ``None`` where a task names none: gaps are then one-vs-rest."""
    if named is None:
        return None
    if named not in classes:
        raise GroupgapError(
            f"{task}: the positive choice {named!r} is not one of {list(classes)} (null: rates are one-vs-rest)"
        )
    return classes.index(str(named))


def _macro_f1(judgement: Judgement) -> Estimate:
    return judgement.macro_f1


def _accuracy_of(group: str) -> Pick:
    return lambda judgement: judgement.groups[group].accuracy


def _group_rates(judgement: Judgement) -> dict[str, dict[str, float | int | str]]:
    return {
        group: {"n": rates.n, **{rate: plain_value(getattr(rates, rate)) for rate in RATES}}
        for group, rates in judgement.groups.items()
    }


def plain_value(estimate: Estimate) -> float | str:
    """A number, or the words that say why there is none (lm-eval's table takes both, and crashes on ``None``)."""
    return f"undefined ({estimate.reason})" if estimate.value is None else float(estimate.value)


def _cell_code(task: str, axes: Mapping[str, Mapping[str, Any]], choices: Iterable[str]) -> CellCode:
    """The axes and classes of a task, refused here where the metrics would refuse them after the whole run."""
    if not axes:
        raise GroupgapError(f"{task}: metadata.fair.axes names no axis: name one with its field and its groups")
    found = tuple(Axis(str(name), axis["field"], tuple(map(str, axis["groups"]))) for name, axis in axes.items())
    classes = tuple(choices)
    named = {"choices": classes, **{f"groups of axis {axis.name}": axis.groups for axis in found}}
    for what, names in named.items():
        try:
            check_names(what, names)
        except GroupgapError as error:
            raise GroupgapError(f"{task}: {error}") from None
    return CellCode(found, classes)


def _table_safe(names: Sequence[str]) -> dict[str, str]:
    """How names stand in lm-eval's table, which splits its metric keys at the comma: no two alike.

    A name without a comma stays; others get ";" and, where that is another name already, a number.
    """
    safe = {name: name for name in names if "," not in name}
    for name in names:
        if name not in safe:
            plain, number, taken = name.replace(",", ";"), 1, set(safe.values())
            shown = plain
            while shown in taken:
                number += 1
                shown = f"{plain} ({number})"
            safe[name] = shown
    return safe
