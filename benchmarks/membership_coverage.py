"""Membership attacks in worlds with a known truth: coverage of the intervals, error rates, and the order of attacks.

    python benchmarks/membership_coverage.py --runs 200       a minute
    python benchmarks/membership_coverage.py --runs 2000

Scores of members are drawn from N(shift, spread), those of non-members from N(0, 1). A case fails when the 99.9%
Clopper-Pearson interval of what was seen excludes the promised level: coverage of at least 93%, error rate of at most
6.5%. ``--order`` prints the attacks on simulated shadows; ``--speed`` times them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from coverage import covers, holds
from groupgap.metrics.lira import LiraOptions, lira_scores
from groupgap.metrics.membership import compare_attacks
from groupgap.metrics.roc import attack_power
from scipy import stats

RATES = (0.001, 0.01, 0.05)
WORLDS = (
    # members, non-members, shift, spread
    (600, 600, 0.0, 1.0),
    (600, 600, 0.3, 1.0),
    (100, 100, 0.0, 1.0),
    (100, 100, 0.3, 1.0),
    (40, 40, 0.0, 1.0),
    (200, 1000, 1.0, 1.0),
    (1000, 200, 1.0, 1.0),
    (600, 600, 0.1, 1.5),
    (1000, 1000, 2.0, 1.0),
    (200, 200, 0.0, 3.0),
    (5000, 5000, 0.3, 1.3),
    (2, 500, 1.0, 1.0),
    (3, 500, 1.0, 1.0),
    (5, 500, 2.5, 1.0),
    (10, 500, 2.5, 1.0),
    (30, 500, 2.5, 1.0),
    (10, 10, 1.0, 1.0),
)
PAIRS = (
    # members, non-members, shift, correlation
    (600, 600, 0.0, 0.5),
    (600, 600, 0.3, 0.5),
    (300, 1000, 1.0, 0.8),
    (200, 200, 0.5, 0.9),
    (2, 500, 0.0, 0.0),
    (3, 500, 0.0, 0.0),
    (5, 500, 0.0, 0.0),
    (10, 500, 0.0, 0.0),
)
HITS = (
    # members, non-members, share of members over all others in A, and in B
    (30, 200, 1.0, 0.97),
    (50, 200, 0.97, 1.0),
    (50, 200, 0.03, 0.0),
    (200, 400, 0.01, 0.0),
    (100, 200, 0.9, 0.97),
)
READINGS = {
    "online, fixed variance": LiraOptions("online", "residual"),
    "offline (density), fixed variance": LiraOptions("offline-density", "residual"),
    "online": LiraOptions("online", "example"),
    "offline (density)": LiraOptions("offline-density", "example"),
    "offline (one-sided)": LiraOptions("offline", "example"),
}


@dataclass(frozen=True)
class Shadowed:
    """A simulated audit: scores of a target and of its shadows, and who was trained on what.

    Attributes:
        target: (n,).
        member: (n,) bool.
        shadows: (S, n).
        inside: (S, n) bool, each example in exactly half of the shadows.
    """

    target: np.ndarray
    member: np.ndarray
    shadows: np.ndarray
    inside: np.ndarray


def truth(shift: float, spread: float) -> dict[str, float]:
    """The population's area, best balanced accuracy, and true positive rates."""
    grid = np.linspace(-15, 15, 400_001)
    distance = (stats.norm.sf(grid, shift, spread) - stats.norm.sf(grid)).max()
    found = {"auc": stats.norm.cdf(shift / np.hypot(1, spread)), "balanced accuracy": (1 + distance) / 2}
    return found | {f"tpr at {rate}": stats.norm.sf(stats.norm.isf(rate), shift, spread) for rate in RATES}


def coverage_case(
    members: int, nonmembers: int, shift: float, spread: float, runs: int, rng: np.random.Generator
) -> dict[str, tuple[int, int]]:
    """Per quantity: runs whose interval holds the truth, runs in which there was an interval."""
    true = truth(shift, spread)
    hits = {name: [0, 0] for name in true}
    for _ in range(runs):
        power = attack_power(rng.normal(shift, spread, members), rng.normal(size=nonmembers), RATES)
        found = {"auc": power.auc, "balanced accuracy": power.balanced_accuracy}
        found |= {f"tpr at {rate}": power.tpr_at[rate] for rate in RATES}
        for name, estimate in found.items():
            if estimate.low is not None and estimate.high is not None:
                hits[name][1] += 1
                hits[name][0] += estimate.low <= true[name] <= estimate.high
    return {name: (covered, defined) for name, (covered, defined) in hits.items()}


def null_case(members: int, nonmembers: int, runs: int, rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """Runs that reject at 5% where membership is drawn at random, all runs."""
    rejected = {name: [0, 0] for name in ("auc", "balanced accuracy", *(f"tpr at {rate}" for rate in RATES))}
    for _ in range(runs):
        scores = rng.normal(size=members + nonmembers)
        power = attack_power(scores[:members], scores[members:], RATES)
        for name, estimate in zip(rejected, (power.auc, power.balanced_accuracy, *power.tpr_at.values()), strict=True):
            if estimate.chance is not None:
                rejected[name][1] += 1
                rejected[name][0] += estimate.chance.p_value < 0.05
    return {name: (count, tested) for name, (count, tested) in rejected.items()}


def hits_case(
    members: int, nonmembers: int, one: float, other: float, runs: int, rng: np.random.Generator
) -> tuple[int, int]:
    """Runs whose interval of A - B, of the true positive rate at 1%, holds its truth; those where its width is 0."""
    inside = np.arange(members + nonmembers) < members
    covered = empty = 0
    for run in range(runs):
        scores = rng.normal(size=(2, len(inside)))
        for target, share in enumerate((one, other)):
            scores[target, :members] += np.where(rng.random(members) < share, 12, -12)
        found = compare_attacks(scores[0], scores[1], inside, (0.01,), draws=200, seed=run).tpr_at[0.01]
        assert found.low is not None
        assert found.high is not None
        covered += found.low - 1e-12 <= one - other <= found.high + 1e-12
        empty += found.high - found.low < 1e-12
    return covered, empty


def paired_null_case(
    members: int, nonmembers: int, shift: float, correlation: float, runs: int, rng: np.random.Generator
) -> dict[str, tuple[int, int]]:
    """Runs that reject "A leaks as much as B" where it does, and runs with a test."""
    rejected = {name: [0, 0] for name in ("auc", *(f"tpr at {rate}" for rate in RATES))}
    inside = np.arange(members + nonmembers) < members
    for run in range(runs):
        scores = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], members + nonmembers)
        scores[inside] += shift
        difference = compare_attacks(scores[:, 0], scores[:, 1], inside, RATES, draws=400, seed=run)
        for name, p_value in zip(rejected, (difference.auc_p_value, *difference.tpr_p_values.values()), strict=True):
            if p_value is not None:
                rejected[name][1] += 1
                rejected[name][0] += p_value < 0.05
    return {name: (count, tested) for name, (count, tested) in rejected.items()}


def shadowed(seed: int, n: int = 60_000, shadows: int = 16) -> Shadowed:
    """Scores with the structure of an image classifier's: most examples easy, few hard; the hard ones spread wider
    between models and move more when they are trained on; models agree more on what they were trained on.
    """
    rng = np.random.default_rng(seed)
    hard = rng.beta(1, 6, n)
    centre = 7 - 9 * hard + rng.normal(size=n)
    spread, shift = 0.8 + 0.8 * hard, 0.3 + 6 * hard**1.2
    inside = np.argsort(rng.random((shadows, n)), axis=0) < shadows // 2
    member = rng.random(n) < 0.5
    everywhere = np.vstack([inside, member])
    scores = centre + everywhere * shift + rng.normal(size=everywhere.shape) * spread * np.where(everywhere, 0.75, 1.0)
    return Shadowed(scores[-1], member, scores[:-1], inside)


def order_of_attacks(audit: Shadowed) -> dict[str, tuple[float, float]]:
    """Attack to its AUC and its true positive rate at a false positive rate of 0.1%."""
    scores = {
        name: lira_scores(audit.target, audit.shadows, audit.inside, options) for name, options in READINGS.items()
    }
    scores["global threshold"] = audit.target
    found = {}
    for name, values in scores.items():
        power = attack_power(values[audit.member], values[~audit.member], (0.001,))
        assert power.auc.value is not None
        assert power.tpr_at[0.001].value is not None
        found[name] = (power.auc.value, power.tpr_at[0.001].value)
    return found


def _print_levels(runs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    print(
        "| members | non-members | shift | spread | quantity | coverage | runs | holds |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for world in WORLDS:
        for name, (hits, defined) in coverage_case(*world, runs, rng).items():
            if defined:
                verdict = "yes" if covers(hits, defined) else "NO"
                print("|", *(f"{part} |" for part in (*world, name, f"{hits / defined:.3f}", defined, verdict)))
    print("\n| world | test | rejects at 5% | runs | holds |\n|---|---|---|---|---|")
    cases = {f"random membership, {m} + {n}": null_case(m, n, runs, rng) for m, n in ((600, 600), (100, 100), (40, 40))}
    cases |= {f"A as B, {pair}": paired_null_case(*pair, max(1, runs // 4), rng) for pair in PAIRS}
    for world_name, tests in cases.items():
        for name, (errors, tested) in tests.items():
            if tested:
                verdict = "yes" if holds(errors, tested) else "NO"
                print("|", *(f"{part} |" for part in (world_name, name, f"{errors / tested:.3f}", tested, verdict)))
    _print_hits(max(1, runs // 4), rng)


def _print_hits(runs: int, rng: np.random.Generator) -> None:
    print(
        "\n| members | others | share, A | share, B | coverage of A - B | width 0 | runs | holds |\n" + "|---" * 8 + "|"
    )
    for case in HITS:
        covered, empty = hits_case(*case, runs, rng)
        verdict = "yes" if covers(covered, runs) and not empty else "NO"
        print("|", *(f"{part} |" for part in (*case, f"{covered / runs:.3f}", empty, runs, verdict)))


def _print_speed() -> None:
    rng = np.random.default_rng(0)
    for n in (50_000, 100_000, 200_000):
        inside = np.argsort(rng.random((64, n)), axis=0) < 32
        target, shadows, member = rng.normal(size=n), rng.normal(size=(64, n)), rng.random(n) < 0.5
        started = time.perf_counter()
        scores = lira_scores(target, shadows, inside)
        attack_power(scores[member], scores[~member])
        print(f"{n:,} examples x 64 shadows: {time.perf_counter() - started:.2f} s")


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--order", action="store_true", help="the attacks side by side on simulated shadows")
    parser.add_argument("--speed", action="store_true", help="seconds for 50,000 to 200,000 examples")
    args = parser.parse_args()
    if args.order:
        for name, (auc, tpr) in order_of_attacks(shadowed(args.seed)).items():
            print(f"{name:36} AUC {auc:.4f}   TPR at 0.1% FPR {tpr:.4f}")
    if args.speed:
        _print_speed()
    if not (args.order or args.speed):
        _print_levels(args.runs, args.seed)


if __name__ == "__main__":
    main()
