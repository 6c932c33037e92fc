"""Simulated worlds with a known truth, for the checks of coverage, error rate and power."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from groupgap.metrics import Counts, JointCounts

FloatArray = npt.NDArray[np.float64]
RATES = ("accuracy", "selection_rate", "tpr", "fpr")
GAP_RATES = {
    "accuracy_spread": ("accuracy",),
    "dpd": ("selection_rate",),
    "eopp": ("tpr",),
    "eod": ("tpr", "fpr"),
    "eod_mean": ("tpr", "fpr"),
}


@dataclass(frozen=True)
class World:
    """One system's truth.

    Attributes:
        patterns: (P, G) bool.
        weights: (P,) share of the samples with each pattern.
        base: (P,) share of positives.
        tpr: (P,) true positive rate.
        fpr: (P,) false positive rate.
    """

    patterns: npt.NDArray[np.bool_]
    weights: FloatArray
    base: FloatArray
    tpr: FloatArray
    fpr: FloatArray

    def group_truth(self) -> dict[str, FloatArray]:
        """(G,) true rates of each group."""
        share = self.patterns * self.weights[:, None]

        def mean(values: FloatArray, within: FloatArray) -> FloatArray:
            weight = share * within[:, None]
            return np.asarray((weight * values[:, None]).sum(axis=0) / weight.sum(axis=0))

        everyone = np.ones(len(self.weights))
        right = self.base * self.tpr + (1 - self.base) * (1 - self.fpr)
        selected = self.base * self.tpr + (1 - self.base) * self.fpr
        return {
            "accuracy": mean(right, everyone),
            "selection_rate": mean(selected, everyone),
            "tpr": mean(self.tpr, self.base),
            "fpr": mean(self.fpr, 1 - self.base),
        }

    def draw(self, n: int, rng: np.random.Generator) -> Counts:
        """Counts of ``n`` samples."""
        cells = np.array(list(product(range(len(self.weights)), (0, 1), (0, 1))))
        pattern, label, prediction = cells.T
        chance = np.where(label == 1, self.tpr[pattern], self.fpr[pattern])
        share = self.weights[pattern] * np.where(label == 1, self.base[pattern], 1 - self.base[pattern])
        share = share * np.where(prediction == 1, chance, 1 - chance)
        names = tuple(f"g{index}" for index in range(self.patterns.shape[1]))
        return Counts(
            self.patterns[pattern], label, prediction, rng.multinomial(n, share / share.sum()), names, ("no", "yes")
        )


def with_ungrouped(found: World, times: float, tpr: float, fpr: float) -> World:
    """The world with samples of no group as well: so many times those of all groups, with rates of their own."""
    nobody = np.zeros((1, found.patterns.shape[1]), dtype=np.bool_)
    weights = np.append(found.weights, times * found.weights.sum())
    return World(
        np.concatenate([found.patterns, nobody]),
        weights / weights.sum(),
        np.append(found.base, 0.5),
        np.append(found.tpr, tpr),
        np.append(found.fpr, fpr),
    )


def shape(name: str, groups: int) -> FloatArray:
    """(G,) how far each group lies towards the far end of a gap, from 0 to 1."""
    off = np.zeros(groups)
    if name == "one":
        off[-1] = 1
    elif name == "half":
        off[groups // 2 :] = 1
    else:
        off = np.linspace(0, 1, groups)
    return off


def world(
    groups: int, base: float, gap: float, overlap: float, kind: str = "one", tpr: float = 0.85, fpr: float = 0.4
) -> World:
    """A world where TPR and FPR fall by ``gap`` along ``shape``; neighbours share ``overlap`` of their members."""
    alone = np.eye(groups, dtype=np.bool_)
    both = alone | np.roll(alone, 1, axis=1)
    off = shape(kind, groups)
    pair = (off + np.roll(off, -1)) / 2
    patterns, weights, place = alone, np.ones(groups), off
    if overlap > 0:
        patterns = np.concatenate([alone, both])
        weights = np.concatenate([np.full(groups, 1 - overlap), np.full(groups, overlap / 2)])
        place = np.concatenate([off, pair])
    return World(patterns, weights / weights.sum(), np.full(len(place), base), tpr - gap * place, fpr - gap * place)


@dataclass(frozen=True)
class Pair:
    """Two systems' truth, by group: shares of samples that both, only A, only B, or neither answer right."""

    accuracy_a: FloatArray
    accuracy_b: FloatArray
    correlation: float

    def draw(self, n: int, rng: np.random.Generator, overlap: float = 0.0) -> JointCounts:
        """Joint counts of ``n`` samples a group; the label is always 1, so accuracy, selection rate and TPR agree."""
        groups = len(self.accuracy_a)
        alone = np.eye(groups, dtype=np.bool_)
        patterns, sizes, a, b = alone, np.full(groups, n), self.accuracy_a, self.accuracy_b
        if overlap > 0:  # only between groups of the same truth, so that the truth of a group stays what it is
            pairs = [
                (one, other)
                for one, other in zip(range(groups - 1), range(1, groups), strict=True)
                if a[one] == a[other] and b[one] == b[other]
            ]
            shared = np.zeros((len(pairs), groups), dtype=np.bool_)
            for row, pair in enumerate(pairs):
                shared[row, list(pair)] = True
            patterns = np.concatenate([alone, shared])
            sizes = np.concatenate([sizes, np.full(len(pairs), int(n * overlap))])
            a, b = (np.concatenate([rate, rate[[one for one, _ in pairs]]]) for rate in (a, b))
        both = a * b + self.correlation * np.sqrt(a * (1 - a) * b * (1 - b))
        both = np.clip(both, np.maximum(0, a + b - 1), np.minimum(a, b))
        shares = np.stack([both, a - both, b - both, 1 - a - b + both], axis=1)
        drawn = np.concatenate([rng.multinomial(size, share) for size, share in zip(sizes, shares, strict=True)])
        rows = len(sizes)
        return JointCounts(
            np.repeat(patterns, 4, axis=0),
            np.ones(4 * rows, dtype=np.int64),
            np.tile([1, 1, 0, 0], rows),
            np.tile([1, 0, 1, 0], rows),
            drawn,
            tuple(f"g{index}" for index in range(groups)),
            ("no", "yes"),
        )


NULLS: dict[str, tuple[list[float], list[float], tuple[str, ...]]] = {
    "same systems": ([0.8] * 5, [0.8] * 5, ("gap", "worst", "rate")),
    "equal gaps at other groups": ([0.85, 0.75, 0.8], [0.75, 0.85, 0.8], ("gap", "worst")),
    "two groups, reversed": ([0.8, 0.7], [0.7, 0.8], ("gap", "worst")),
    "equal gaps at other levels": ([0.9, 0.8, 0.85, 0.85], [0.6, 0.5, 0.55, 0.55], ("gap",)),
    "no gaps, .95 against .6": ([0.95] * 8, [0.6] * 8, ("gap",)),
    "no gaps, 13 groups": ([0.8] * 13, [0.6] * 13, ("gap",)),
    "one extreme pair against four": ([0.6, 0.7, 0.7, 0.7, 0.8], [0.6, 0.6, 0.7, 0.8, 0.8], ("gap", "worst")),
    "twelve low groups against one": ([0.7] * 12 + [0.95], [0.7] + [0.75] * 11 + [0.95], ("gap", "worst")),
    "eight tied worst against one": ([0.7] * 8, [0.7] + [0.9] * 7, ("worst",)),
    "thirteen tied worst against one near": ([0.7] * 13, [0.7] + [0.75] * 12, ("worst",)),
    "high accuracy": ([0.98, 0.93], [0.93, 0.98], ("gap", "worst")),
    "same mean, other groups": ([0.9, 0.7, 0.8], [0.7, 0.9, 0.8], ("gap", "worst", "rate")),
}


def pairs_under_the_null() -> Iterator[tuple[str, Pair, tuple[str, ...]]]:
    """Name, truth, and the tests whose null hypothesis it fulfils."""
    for name, (a, b, tests) in NULLS.items():
        for correlation in (0.0, 0.6):
            yield f"{name}, correlation {correlation}", Pair(np.array(a), np.array(b), correlation), tests
