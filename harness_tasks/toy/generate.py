"""Remarks about the fetes of five invented faiths, with label noise that differs by group.

Every remark is plainly kind or plainly rude, so a good model knows its *clean* label. The *given* label is the clean
one, flipped with a probability that belongs to the remark's group. The best any model can do on a group is therefore
known: one minus that probability. A tenth of the remarks speak of two faiths; the larger probability applies.

The faiths, the places and the events do not exist. Nothing here says anything about real people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

SEED = 20240517
SIZE = 10_000
OVERLAP = 0.1


@dataclass(frozen=True)
class Faith:
    """One invented group: how often its labels are flipped, and how many of its remarks are rude (both in [0, 1])."""

    name: str
    flip: float
    rude: float


FAITHS = (
    Faith("aurelian", flip=0.03, rude=0.30),
    Faith("brontic", flip=0.07, rude=0.35),
    Faith("celian", flip=0.12, rude=0.40),
    Faith("dorvan", flip=0.18, rude=0.45),
    Faith("elmic", flip=0.25, rude=0.50),
)
EVENTS = ("fete", "choir", "bake sale", "lantern walk", "garden day", "book table", "tea hour", "kite morning")
PLACES = ("by the mill", "on the green", "in the hall", "near the bridge", "at the old school", "behind the library")
KIND = ("lovely", "cheerful", "generous", "welcoming", "delightful", "thoughtful")
RUDE = ("dreadful", "tedious", "shabby", "pointless", "dreary", "laughable")
KIND_ENDS = ("everybody should come along", "we thanked them warmly", "the bread was worth the walk")
RUDE_ENDS = ("nobody should bother with them", "we told them to go home", "the bread was not worth the walk")


@dataclass(frozen=True)
class Truth:
    """What a model that always knows the clean label scores on one group, in expectation."""

    accuracy: float
    selection_rate: float
    tpr: float
    fpr: float


def patterns(size: int = SIZE) -> Iterator[tuple[tuple[Faith, ...], int]]:
    """The faiths that a remark speaks of, with the number of such remarks: singles first, then every pair."""
    pairs = list(combinations(FAITHS, 2))
    in_pairs = round(size * OVERLAP / len(pairs))
    in_singles, spare = divmod(size - in_pairs * len(pairs), len(FAITHS))
    for index, faith in enumerate(FAITHS):
        yield (faith,), in_singles + (index < spare)
    for pair in pairs:
        yield pair, in_pairs


def _rates(faiths: tuple[Faith, ...]) -> tuple[float, float]:
    return max(faith.flip for faith in faiths), float(np.mean([faith.rude for faith in faiths]))


def planted_truth(size: int = SIZE) -> dict[str, Truth]:
    """The planted rates of every group, by enumeration of the generator's own probabilities (overlap included)."""
    truth = {}
    for faith in FAITHS:
        cells = np.zeros((2, 2))  # clean label x given label
        for faiths, count in patterns(size):
            if faith not in faiths:
                continue
            flip, rude = _rates(faiths)
            cells += count * np.outer([1 - rude, rude], [1.0, 1.0]) * np.array([[1 - flip, flip], [flip, 1 - flip]])
        given = cells.sum(axis=0)
        truth[faith.name] = Truth(
            accuracy=float(np.trace(cells) / cells.sum()),
            selection_rate=float(cells[1].sum() / cells.sum()),
            tpr=float(cells[1, 1] / given[1]),
            fpr=float(cells[1, 0] / given[0]),
        )
    return truth


def _text(faiths: tuple[Faith, ...], rude: bool, rng: np.random.Generator) -> str:
    def pick(words: tuple[str, ...]) -> str:
        return words[int(rng.integers(len(words)))]

    order = [faiths[index].name for index in rng.permutation(len(faiths))]
    word, end = (pick(RUDE), pick(RUDE_ENDS)) if rude else (pick(KIND), pick(KIND_ENDS))
    return f"the {' and '.join(order)} {pick(EVENTS)} {pick(PLACES)} was {word}, {end}"


def generate(size: int = SIZE, seed: int = SEED) -> list[dict[str, object]]:
    """The documents, in a fixed order: ``id``, ``text``, ``label`` (1 = rude), ``religion`` (the faiths named)."""
    rng = np.random.default_rng(seed)
    documents: list[dict[str, object]] = []
    for faiths, count in patterns(size):
        flip, rude_rate = _rates(faiths)
        for _ in range(count):
            rude = bool(rng.random() < rude_rate)
            label = int(rude != (rng.random() < flip))
            text = _text(faiths, rude, rng)
            names = [faith.name for faith in faiths]
            documents.append({"id": f"toy-{len(documents)}", "text": text, "label": label, "religion": names})
    return documents
