"""The lm-eval task class of tasks whose answers are texts: written freely, then judged (``metadata.fair.judge``).

The generations are what is logged; lm-eval's table shows the ratios of a stereotype and how good the translations are,
and ``groupgap board`` reads the same generations again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from ..errors import GroupgapError
from ..harness_tasks.rows import Rows
from ..metrics.generations import (
    SCORES,
    Generations,
    GenerationsReport,
    PronounJudge,
    estimate_names,
    judge_generations,
)
from ..metrics.pronouns import CLASSES
from .fair_task import FairTask, plain_value

# what metadata.fair.judge names a document's fields
FIELDS = ("label", "reference", "occupation", "other")
Answer = tuple[str, str]


class JudgedTask(FairTask):
    """A ``generate_until`` task of lm-eval whose texts a judge sorts into classes.

    Its groups are named by the gender that a stereotype expects. ``metadata.fair.judge`` has the judge's ``name``,
    ``classes``, and the names of the documents' fields: ``label``, ``reference``, ``occupation``, ``other``;
    ``metadata.fair.cluster`` names the field of the sentence pair.
    """

    # -- data ----------------------------------------------------------------------------------------------------

    def _adopt(self, rows: Rows) -> None:
        """Take the judge too, from the YAML or the loader, and the one that ``--metadata`` asks for."""
        fair = {**self.config.metadata["fair"], **(rows.fair or {})}
        chosen = self.config.metadata.get("judge", fair["judge"]["name"])
        self.pronoun_judge = PronounJudge.from_metadata({**fair["judge"], "name": chosen})
        told = {**fair["judge"], "name": chosen, "classes": list(CLASSES)}
        self.config.metadata = {**self.config.metadata, "fair": {**fair, "judge": told}}
        super()._adopt(rows)
        self._note("judge", told)

    def _class_names(self, fair: Mapping[str, Any]) -> Sequence[str]:
        return CLASSES

    @property
    def label_field(self) -> str:
        """The field of a document that holds the gender of its reference."""
        return str(self._fields["label"])

    @property
    def _fields(self) -> dict[str, str]:
        told = self.config.metadata["fair"]
        return {**{name: told["judge"][name] for name in FIELDS}, "cluster": told["cluster"]}

    def _check_documents(self, documents: Iterable[dict[str, Any]]) -> None:
        """Refuse now what could not be judged after hours of writing."""
        documents = list(documents)
        super()._check_documents(documents)
        for document in documents:
            absent = [field for field in self._fields.values() if document.get(field) is None]
            if absent:
                raise GroupgapError(
                    f"{self.config.task}: the document with id {document['id']!r} has no field {absent[0]!r}: "
                    f"every document needs {', '.join(map(repr, self._fields.values()))}"
                )

    # -- judging -------------------------------------------------------------------------------------------------

    def process_results(self, doc: dict[str, Any], results: Sequence[str]) -> dict[str, Answer]:  # type: ignore[override]
        """lm-eval's hook: every metric gets the document's id and the text, and finds the rest by the id."""
        return dict.fromkeys(self._functions, (str(doc["id"]), str(results[0])))

    @cached_property
    def _functions(self) -> dict[str, Callable[[list[Any]], Any]]:
        (axis,) = self.code.axes
        functions: dict[str, Callable[[list[Any]], Any]] = {name: self._score(name) for name in SCORES}
        for name in estimate_names(axis.groups):
            functions[name] = self._ratio(name)
            functions[f"{name}_stderr"] = self._ratio_stderr(name)
        return functions

    def higher_is_better(self) -> dict[str, bool]:
        """lm-eval's hook: quality up; a ratio has no better end."""
        return dict.fromkeys(SCORES, True)

    def report(self, answers: Sequence[Answer]) -> GenerationsReport:
        """All answers judged, once for all the metrics that ask."""
        answers = [(str(row_id), str(text)) for row_id, text in answers]
        if self._reported is None or self._reported[0] != answers:
            found = self._report(answers)
            self._reported = answers, found
            told = {"kinds": dict(found.kinds), "repeats": found.repeats, "not_measurable": found.not_measurable}
            signatures = {name: score.signature for name, score in found.scores.items()}
            self._note("judged", {**told, "signatures": signatures})
        return self._reported[1]

    _reported: tuple[list[Answer], GenerationsReport] | None = None

    def _report(self, answers: Sequence[Answer]) -> GenerationsReport:
        documents = [self._documents[row_id] for row_id, _ in answers]
        (axis,) = self.code.axes
        membership = [[group in document[axis.field] for group in axis.groups] for document in documents]
        generations = Generations(
            texts=[text for _, text in answers],
            references=[str(document[self._fields["reference"]]) for document in documents],
            occupations=[str(document[self._fields["occupation"]]) for document in documents],
            others=[str(document[self._fields["other"]]) for document in documents],
            clusters=[str(document[self._fields["cluster"]]) for document in documents],
        )
        return judge_generations(generations, membership, axis.groups, self.pronoun_judge)

    @cached_property
    def _documents(self) -> dict[str, dict[str, Any]]:
        return {str(document["id"]): document for document in self.dataset[self.options.part]}

    def _score(self, name: str) -> Callable[[list[Answer]], float]:
        return lambda answers: self.report(answers).scores[name].value

    def _ratio(self, name: str) -> Callable[[list[Answer]], float | str]:
        return lambda answers: plain_value(self.report(answers).estimates[name])

    def _ratio_stderr(self, name: str) -> Callable[[list[Answer]], float | str]:
        return lambda answers: self.report(answers).estimates[name].stderr or "N/A"
