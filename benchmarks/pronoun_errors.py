"""Error rates of the stereotype ratios: python benchmarks/pronoun_errors.py [--runs 2000]

A fake translator answers sentence pairs with known probabilities; lines of a pair share a preference of the translator
with some probability, so that they are not independent. Printed for each design: how often the 95% intervals hold the
truth, how often a test with p < 0.05 rejects. A cell fails (marked !) where the 99.9% Clopper-Pearson interval of what
was seen lies on the wrong side of the promise.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from groupgap.metrics.stereotypes import compare_stereotypes, stereotype_report
from scipy import stats

PROMISED = 0.95
LEVEL = 0.999
PAIRS = (40, 159, 792)
GROUPS = ("male", "female")


@dataclass(frozen=True)
class Translator:
    """Probabilities of a male pronoun on the two lines of a pair, of no answer, and that both lines get the same."""

    name: str
    male: tuple[float, float]
    unknown: float = 0.05
    same: float = 0.0

    def answers(self, pairs: int, rng: np.random.Generator) -> npt.NDArray[np.object_]:
        """(2 pairs,) what it says, the two lines of each pair in turn."""
        drawn = rng.random((pairs, 2))
        shared = rng.random(pairs) < self.same
        drawn[shared, 1] = drawn[shared, 0]
        said = np.where(drawn < np.array(self.male), "male", "female").astype(object)
        said[rng.random((pairs, 2)) < self.unknown] = "unknown"
        return said.ravel()

    @property
    def pro(self) -> float:
        """The true pro-stereotypical ratio."""
        return (1 - self.unknown) * (self.male[0] + 1 - self.male[1]) / 2

    @property
    def anti(self) -> float:
        """The true anti-stereotypical ratio."""
        return (1 - self.unknown) * (1 - self.male[0] + self.male[1]) / 2


FAIR = (
    Translator("fair", (0.5, 0.5)),
    Translator("always he", (0.98, 0.98)),
    Translator("mostly he, pairs alike", (0.8, 0.8), same=0.7),
    Translator("fair, mostly silent", (0.5, 0.5), unknown=0.4),
)
BIASED = (
    Translator("biased", (0.8, 0.3)),
    Translator("biased, pairs alike", (0.8, 0.3), same=0.7),
    Translator("always the stereotype", (0.99, 0.01)),
)


def lines(pairs: int) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Membership and clusters of the lines of so many pairs."""
    return np.tile(np.eye(2, dtype=bool), (pairs, 1)), [f"pair {line // 2}" for line in range(2 * pairs)]


def coverage(translator: Translator, pairs: int, runs: int, seed: int = 0) -> dict[str, float]:
    """Share of runs whose interval holds the truth, and in which the difference is significant."""
    rng, (members, clusters) = np.random.default_rng(seed), lines(pairs)
    truth = {"pro": translator.pro, "anti": translator.anti, "difference": translator.pro - translator.anti}
    held = dict.fromkeys([*truth, "ratio", "significant"], 0)
    ratio = (1 - translator.unknown) * translator.male[1]
    for _ in range(runs):
        found = stereotype_report(translator.answers(pairs, rng).tolist(), members, GROUPS, clusters)
        for name, value in truth.items():
            one = getattr(found, name)
            held[name] += one.low - 1e-12 <= value <= one.high + 1e-12
        one = found.ratios["female_predispose_male_ratio"]
        held["ratio"] += one.low <= ratio <= one.high
        held["significant"] += found.p_value < 0.05
    return {name: count / runs for name, count in held.items()}


def rejections(a: Translator, b: Translator, pairs: int, runs: int, seed: int = 0) -> float:
    """Share of runs in which the stereotype differences of two translators are told apart."""
    rng, (members, clusters) = np.random.default_rng(seed), lines(pairs)
    count = 0
    for _ in range(runs):
        said = a.answers(pairs, rng).tolist(), b.answers(pairs, rng).tolist()
        p_value = compare_stereotypes(said, members, GROUPS, clusters)[2].p_value
        count += p_value is not None and p_value < 0.05
    return count / runs


def too_low(share: float, runs: int, promised: float) -> bool:
    """Whether a coverage is under what was promised, beyond chance."""
    return bool(stats.binomtest(round(share * runs), runs).proportion_ci(LEVEL, "exact").high < promised)


def too_high(share: float, runs: int, promised: float) -> bool:
    """Whether an error rate is above what was promised, beyond chance."""
    return bool(stats.binomtest(round(share * runs), runs).proportion_ci(LEVEL, "exact").low > promised)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000)
    runs = parser.parse_args().runs
    failed = 0
    print("| translator | pairs | ratio | pro | anti | difference | significant |\n|---|---|---|---|---|---|---|")
    for translator in (*FAIR, *BIASED):
        for pairs in PAIRS:
            found = coverage(translator, pairs, runs)
            wrong = {name: too_low(share, runs, PROMISED) for name, share in found.items() if name != "significant"}
            wrong["significant"] = translator in FAIR and too_high(found["significant"], runs, 0.05)
            cells = [f"{share:.3f}{' !' if wrong[name] else ''}" for name, share in found.items()]
            order = (cells[3], *cells[:3], cells[4])
            print(f"| {translator.name} | {pairs} | {' | '.join(order)} |", flush=True)
            failed += sum(wrong.values())
    print("\n| A and B | pairs | told apart |\n|---|---|---|")
    for a, b in ((BIASED[0], BIASED[0]), (BIASED[1], BIASED[1]), (FAIR[0], FAIR[2]), (FAIR[0], BIASED[0])):
        for pairs in PAIRS:
            share = rejections(a, b, pairs, runs)
            same = a.pro - a.anti == b.pro - b.anti
            wrong_here = same and too_high(share, runs, 0.05)
            print(f"| {a.name}, {b.name} | {pairs} | {share:.3f}{' !' if wrong_here else ''} |", flush=True)
            failed += wrong_here
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
