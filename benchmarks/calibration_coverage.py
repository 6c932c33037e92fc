"""How often the intervals of calibration hold the truth: a table in markdown.

    python benchmarks/calibration_coverage.py [--quick] [--sizes N ...] [--runs N] [--seed N] [--rivals]

Truth: confidences from a known distribution, labels from a known accuracy at each confidence. A row passes unless the
99.9% Clopper-Pearson interval of the share of runs whose interval held the truth lies wholly under the level
promised: 90% for an expected calibration error, 93% for Brier score, NLL and signed gap. ``--rivals`` sets our
interval of the top-label error beside two that are simpler: the percentile bootstrap, and the reflected one widened
to its bias-corrected twin and to 0 where calibration is not rejected.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from groupgap.metrics import calibration, expected_calibration_error
from scipy import stats

FloatArray = npt.NDArray[np.float64]

PROMISED = {"ece": 0.90, "ece_equal_mass": 0.90, "ece_positive": 0.90, "brier": 0.93, "nll": 0.93, "signed_gap": 0.93}
BINS = 15
POPULATION = 1_000_000

CONFIDENCES: dict[str, Callable[[np.random.Generator, int], FloatArray]] = {
    "even": lambda random, n: 0.5 + 0.4999 * random.beta(1.2, 1.2, n),
    "sharp": lambda random, n: 0.9999 - 0.4999 * random.beta(0.6, 4, n),
    "narrow": lambda random, n: 0.6 + 0.1 * random.beta(2, 2, n),
}

ACCURACIES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "calibrated": lambda c: c,
    "over by .03": lambda c: np.clip(c - 0.03, 0, 1),
    "over by .15": lambda c: np.clip(c - 0.15, 0, 1),
    "under by .03": lambda c: np.clip(c + 0.03, 0, 1),
    "temperature 2": lambda c: 1 / (1 + np.sqrt((1 - c) / c)),
    "alternating .1": lambda c: np.clip(c + np.where(np.floor(c * BINS) % 2 == 0, 0.1, -0.1), 0, 1),
    "one bin by .3": lambda c: np.where(np.floor(c * BINS) == 12, np.clip(c - 0.3, 0, 1), c),
}

CASES = (
    ("even", "calibrated"),
    ("sharp", "calibrated"),
    ("sharp", "over by .03"),
    ("sharp", "under by .03"),
    ("even", "over by .15"),
    ("sharp", "over by .15"),
    ("even", "temperature 2"),
    ("even", "alternating .1"),
    ("even", "one bin by .3"),
    ("sharp", "one bin by .3"),
    ("narrow", "over by .15"),
)


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        confidences: key of ``CONFIDENCES``.
        accuracies: key of ``ACCURACIES``.
        n: samples of a run.
    """

    confidences: str
    accuracies: str
    n: int

    def sample(self, random: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
        """(n, 2) probabilities, and the true probability that the prediction is right."""
        confidence = CONFIDENCES[self.confidences](random, n)
        predicted = random.random(n) < 0.5
        positive = np.where(predicted, confidence, 1 - confidence)
        return np.stack([1 - positive, positive], axis=1), ACCURACIES[self.accuracies](confidence)


def labels_of(probabilities: FloatArray, accuracy: FloatArray, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Labels that agree with the prediction with the given probability."""
    right = random.random(len(accuracy)) < accuracy
    return np.where(right, probabilities.argmax(axis=1), probabilities.argmin(axis=1)).astype(np.int64)


def truth(case: Case) -> dict[str, float]:
    """The true values, from a large population and its true accuracies (no labels drawn)."""
    random = np.random.default_rng(0)
    probabilities, accuracy = case.sample(random, POPULATION)
    confidence, positive = probabilities.max(axis=1), probabilities[:, 1]
    is_positive = np.where(probabilities.argmax(axis=1) == 1, accuracy, 1 - accuracy)
    edges = np.linspace(0, 1, BINS + 1)
    mass = np.percentile(confidence, np.linspace(0, 100, BINS + 1))

    def error(scores: FloatArray, outcomes: FloatArray, cuts: FloatArray) -> float:
        return float(np.abs(np.bincount(np.searchsorted(cuts[1:-1], scores), scores - outcomes)).sum() / POPULATION)

    return {
        "ece": error(confidence, accuracy, edges),
        "ece_equal_mass": error(confidence, accuracy, mass),
        "ece_positive": error(positive, is_positive, edges),
        "brier": float((accuracy * (1 - confidence) ** 2 + (1 - accuracy) * confidence**2).mean()),
        "nll": float(-(accuracy * np.log(confidence) + (1 - accuracy) * np.log1p(-confidence)).mean()),
        "signed_gap": float((confidence - accuracy).mean()),
    }


def coverage(case: Case, runs: int, draws: int, seed: int) -> dict[str, int]:
    """In how many runs the interval of each estimate held the truth."""
    true = truth(case)
    held = dict.fromkeys(PROMISED, 0)
    for run in range(runs):
        random = np.random.default_rng([seed, case.n, run])
        probabilities, accuracy = case.sample(random, case.n)
        labels = labels_of(probabilities, accuracy, random)
        found = calibration(probabilities, labels, positive=1, bins=BINS, draws=draws, seed=run).overall
        for name in held:
            estimate = getattr(found, name)
            held[name] += estimate.low - 1e-9 <= true[name] <= estimate.high + 1e-9
    return held


def holds(held: int, runs: int, promised: float) -> bool:
    """Whether what was seen is consistent with the promised level: the 99.9% Clopper-Pearson interval reaches it."""
    return bool(stats.binomtest(held, runs).proportion_ci(0.999).high >= promised)


def table(cases: Iterator[Case], runs: int, draws: int, seed: int) -> bool:
    """Print a row for each case as it is done; whether all hold."""
    print(f"Coverage of 95% intervals, {runs} runs a row, {draws} draws, seed {seed}; a share in **bold** fails.\n")
    print("| confidences | accuracy | n | true ECE | " + " | ".join(name.replace("_", " ") for name in PROMISED) + " |")
    print("|---" * 2 + "|---:" * (2 + len(PROMISED)) + "|")
    good = True
    for case in cases:
        held = coverage(case, runs, draws, seed)
        cells = []
        for name, promised in PROMISED.items():
            fine = holds(held[name], runs, promised)
            good = good and fine
            share = f"{held[name] / runs:.3f}"
            cells.append(share if fine else f"**{share}**")
        row = [case.confidences, case.accuracies, f"{case.n:,}", f"{truth(case)['ece']:.3f}", *cells]
        print("| " + " | ".join(row) + " |", flush=True)
    return good


def rivals(case: Case, runs: int, draws: int, seed: int) -> dict[str, tuple[float, float]]:
    """Coverage and mean width of three intervals of the top-label error."""
    true = truth(case)["ece"]
    seen: dict[str, list[tuple[bool, float]]] = {"percentile": [], "reflected, widened": [], "ours": []}
    for run in range(runs):
        random = np.random.default_rng([seed, case.n, run])
        probabilities, accuracy = case.sample(random, case.n)
        correct = labels_of(probabilities, accuracy, random) == probabilities.argmax(axis=1)
        confidence = probabilities.max(axis=1)
        found = expected_calibration_error(confidence, correct, bins=BINS, draws=draws, seed=run)
        drawn = resampled_errors(confidence, correct, draws, random)
        low, high = np.quantile(drawn, (0.025, 0.975))
        bias = drawn.mean() - found.value
        ends = np.array([(2 * found.value - high, 2 * found.value - low), (low - 2 * bias, high - 2 * bias)])
        widened = 0.0 if found.chance.p_value > 0.05 else max(ends[:, 0].min(), 0.0), ends[:, 1].max()
        for name, (one, other) in zip(seen, ((low, high), widened, (found.low, found.high)), strict=True):
            seen[name].append((one - 1e-9 <= true <= other + 1e-9, other - one))
    return {name: tuple(np.mean(values, axis=0)) for name, values in seen.items()}


def resampled_errors(
    confidence: FloatArray, correct: FloatArray, draws: int, random: np.random.Generator
) -> FloatArray:
    """The error in plain bootstrap draws of the samples."""
    n = len(confidence)
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    rows = random.integers(0, n, (draws, n))
    places = (np.arange(draws)[:, None] * BINS + bins[rows]).ravel()
    gaps = np.bincount(places, (confidence - correct)[rows].ravel(), draws * BINS).reshape(draws, BINS)
    return np.abs(gaps).sum(axis=1) / n


def rivals_table(cases: Iterator[Case], runs: int, draws: int, seed: int) -> None:
    """Print coverage and width of each rival, a row for each case."""
    names = ("percentile", "reflected, widened", "ours")
    print(
        f"95% intervals of the top-label ECE: coverage (mean width); {runs} runs a row, {draws} draws, seed {seed}.\n"
    )
    print("| confidences | accuracy | n | " + " | ".join(names) + " |\n|---|---|---:|" + "---:|" * len(names))
    for case in cases:
        found = rivals(case, runs, draws, seed)
        cells = [f"{share:.3f} ({width:.3f})" for share, width in found.values()]
        print("| " + " | ".join([case.confidences, case.accuracies, f"{case.n:,}", *cells]) + " |", flush=True)


def main() -> int:
    """Print the table; exit status 1 where a row fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="n of 100 and 1,000 and 200 runs a row: about a minute")
    parser.add_argument("--sizes", type=int, nargs="+", help="samples of a run (default 30 100 300 1000 3000 10000)")
    parser.add_argument("--runs", type=int, help="runs a row (default 2000; 200 with --quick)")
    parser.add_argument("--draws", type=int, default=1000, help="draws of each interval (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed (default 0)")
    parser.add_argument("--rivals", action="store_true", help="compare intervals of the top-label error")
    options = parser.parse_args()
    sizes = options.sizes or ((100, 1000) if options.quick else (30, 100, 300, 1000, 3000, 10_000))
    runs = options.runs or (200 if options.quick else 2000)
    cases = (Case(confidences, accuracies, n) for n in sizes for confidences, accuracies in CASES)
    if options.rivals:
        rivals_table(cases, runs, options.draws, options.seed)
        return 0
    return 0 if table(cases, runs, options.draws, options.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
