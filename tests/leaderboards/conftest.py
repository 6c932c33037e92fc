"""Writes run folders in lm-eval's format (0.4.13) without lm-eval; ``test_real_runs.py`` compares the two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

DATE = "2026-01-02T03-04-05.678901"
LATER = "2026-02-03T04-05-06.789012"


@dataclass(frozen=True)
class WrittenRun:
    """A run to be written.

    Attributes:
        documents: with a ``label`` each.
        predictions: for each document the index of the choice that gets the largest log-probability.
    """

    documents: Sequence[Mapping[str, Any]]
    predictions: Sequence[int]
    task: str = "mytask"
    choices: tuple[str, ...] = ("no", "yes")
    date: str = DATE
    model: str = "hf"
    model_args: Any = field(default_factory=lambda: {"pretrained": "org/model-a"})
    fair: Mapping[str, Any] | None = None
    prompt: str = "Is it so? {text}"
    reported: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    original: int | None = None
    shots: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the samples file."""
        return [self._line(index, dict(document)) for index, document in enumerate(self.documents)]

    def _line(self, index: int, document: dict[str, Any]) -> dict[str, Any]:
        prompt = self.prompt.format(text=document.get("text", ""))
        scores = [-1.5 - 0.25 * ((index + choice) % 3) for choice in range(len(self.choices))]
        scores[self.predictions[index]] = -0.5
        replies = [[str(score), "False"] for score in scores]
        target = str(document["label"])
        correct = float(self.predictions[index] == document["label"])
        return {
            "doc_id": index,
            "doc": document,
            "target": target,
            "arguments": {
                f"gen_args_{place}": {"arg_0": prompt, "arg_1": f" {choice}"}
                for place, choice in enumerate(self.choices)
            },
            "resps": [[reply] for reply in replies],
            "filtered_resps": replies,
            "filter": "none",
            "metrics": ["acc"],
            "doc_hash": _hash(json.dumps(document, indent=2, ensure_ascii=False)),
            "prompt_hash": _hash(prompt),
            "target_hash": _hash(target),
            "acc": correct,
        }

    def results(self) -> dict[str, Any]:
        """The results file."""
        hits = [line["acc"] for line in self.lines()]
        n = len(hits)
        own = {"name": self.task, "alias": self.task, "sample_len": n, "acc,none": sum(hits) / n if n else 0.0}
        metadata = {"version": 1.0, **self.metadata, **({"fair": self.fair} if self.fair is not None else {})}
        config = {
            "task": self.task,
            "output_type": "multiple_choice",
            "doc_to_target": "label",
            "doc_to_choice": list(self.choices),
            "target_delimiter": " ",
            "metadata": metadata,
            **self.config,
        }
        return {
            "results": {self.task: {**own, **self.reported}},
            "group_subtasks": {},
            "configs": {self.task: config},
            "versions": {self.task: 1.0},
            "n-shot": {self.task: self.shots},
            "n-samples": {self.task: {"original": n if self.original is None else self.original, "effective": n}},
            "config": {"model": self.model, "model_args": self.model_args, "limit": None},
            "lm_eval_version": "0.4.13",
            "model_name": "org/model-a",
            "chat_template_sha": None,
        }

    def write(self, folder: Path) -> Path:
        """Write results and samples into the folder, and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"results_{self.date}.json").write_text(json.dumps(self.results(), indent=2), encoding="utf-8")
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines())
        self.samples_file(folder).write_text(text, encoding="utf-8")
        return folder

    def samples_file(self, folder: Path) -> Path:
        """Where the samples are."""
        return folder / f"samples_{self.task}_{self.date}.jsonl"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


FAIR = {"axes": {"faith": {"field": "faith", "groups": ["aur", "bron", "cel"]}}, "positive": "yes", "prompt": "mine/1"}


def documents(
    n: int, seed: int = 0, overlap: bool = True, groups: Sequence[str] = ("aur", "bron", "cel")
) -> list[dict[str, Any]]:
    """Documents with a label, a list-valued axis and a nested field, in a fixed order."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(n):
        size = int(rng.integers(0, len(groups) + 1)) if overlap else 1
        faith = [str(name) for name in rng.permutation(list(groups))[:size]]
        made.append(
            {
                "id": f"row-{index}",
                "text": f"text {index}",
                "label": int(rng.integers(2)),
                "faith": sorted(faith),
                "meta": {"lang": ["en", "de"][int(rng.integers(2))]},
            }
        )
    return made


def predict(made: Sequence[Mapping[str, Any]], seed: int = 1, accuracy: float = 0.75) -> list[int]:
    """Predictions that are right with the given probability."""
    rng = np.random.default_rng(seed)
    return [int(document["label"]) if rng.random() < accuracy else 1 - int(document["label"]) for document in made]


@dataclass(frozen=True)
class ControlledRun(WrittenRun):
    """A run of a controlled task.

    Attributes:
        cells: for each document its k cells.
        log_probabilities: for each document k rows of C, of the symbol that stands for each meaning.
        raw: name of the raw task.
    """

    cells: Sequence[Sequence[Mapping[str, Any]]] = ()
    log_probabilities: Sequence[Any] = ()
    raw: str = "mytask"

    def _line(self, index: int, document: dict[str, Any]) -> dict[str, Any]:
        document |= {"cells": list(self.cells[index]), "meanings": list(self.choices)}
        line = super()._line(index, document)
        replies = [[str(float(value)), "False"] for row in self.log_probabilities[index] for value in row]
        asked = [
            {"arg_0": f"{cell['symbols']} {cell['order']}", "arg_1": f" {symbol}"}
            for cell in self.cells[index]
            for symbol in cell["symbols"]
        ]
        arguments = {f"gen_args_{place}": entry for place, entry in enumerate(asked)}
        return {**line, "arguments": arguments, "filtered_resps": replies, "resps": [[reply] for reply in replies]}

    def results(self) -> dict[str, Any]:
        """The results file, which names the raw task."""
        found = super().results()
        metadata = found["configs"][self.task]["metadata"]
        metadata["fair"] = {**metadata.get("fair", {}), "controlled": self.raw}
        return found


def balanced_cells(meanings: int = 2, symbols: str = "ABC", symbol_set: str = "letters") -> list[dict[str, Any]]:
    """All cells in which symbols and order are shifted against the meanings, each on its own."""
    size = range(meanings)
    return [
        {
            "wording": "direct",
            "symbols": [symbols[(meaning + turn) % meanings] for meaning in size],
            "symbol_set": symbol_set,
            "order": [(place + shift) % meanings for place in size],
        }
        for turn in size
        for shift in size
    ]


def planted(
    meaning: np.ndarray, cells: Sequence[Mapping[str, Any]], effects: Mapping[str, float], noise: float = 0.0
) -> np.ndarray:
    """(n, k, C) log-probabilities: the meanings (n, C), what each symbol ("A") and place ("1") adds, and noise."""
    added = np.zeros((len(cells), meaning.shape[1]))
    for row, cell in enumerate(cells):
        for choice, symbol in enumerate(cell["symbols"]):
            place = str(cell["order"].index(choice) + 1)
            added[row, choice] = effects.get(symbol, 0.0) + effects.get(place, 0.0)
    logits = meaning[:, None, :] + added + np.random.default_rng(0).normal(0.0, noise, (len(meaning), *added.shape))
    return logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))


@pytest.fixture(scope="session")
def factory() -> SimpleNamespace:
    """All of the above, for test modules (which cannot import a conftest)."""
    return SimpleNamespace(
        WrittenRun=WrittenRun,
        documents=documents,
        predict=predict,
        FAIR=FAIR,
        DATE=DATE,
        LATER=LATER,
        run=fair_run,
        ControlledRun=ControlledRun,
        balanced_cells=balanced_cells,
        planted=planted,
    )


def fair_run(n: int = 60, seed: int = 0, skill: int = 1, **changes: Any) -> WrittenRun:
    """A run of a task of ours."""
    made = documents(n, seed)
    return WrittenRun(**{"documents": made, "predictions": predict(made, skill), "fair": FAIR, **changes})
