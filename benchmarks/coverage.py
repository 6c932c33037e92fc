"""Measured coverage of the intervals, error rate and power of the tests, in worlds with a known truth.

    python benchmarks/coverage.py --quick                     a minute
    python benchmarks/coverage.py --runs 2000 --output coverage.md      the whole grid

A case fails when the 99.9% Clopper-Pearson interval of what was seen excludes the promised level: coverage of at
least 93%, error rate of at most 6.5%.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

import numpy as np
from designs import GAP_RATES, Pair, World, pairs_under_the_null, with_ungrouped, world
from groupgap.metrics import (
    JointCounts,
    bootstrap,
    chance_gaps,
    compare,
    count_pair,
    group_rates,
    percentile_interval,
    plan_gaps,
)
from groupgap.metrics.extremes import maximum_of_gap
from groupgap.metrics.judge import with_interval
from groupgap.metrics.multiplicity import benjamini_hochberg
from groupgap.metrics.paired import gap_difference, paired_tallies, rate_difference
from scipy import stats

COVERAGE, ERROR = 0.93, 0.065
METRICS = ("worst_group", *GAP_RATES)
NEAR_ONE = (
    ((1.0, 1.0, 1.0), (1.0, 1.0, 0.95), 30),
    ((0.995, 0.995, 0.995), (0.995, 0.995, 0.96), 40),
    ((0.99, 0.99, 0.99), (0.99, 0.99, 0.95), 50),
    ((0.99, 0.99, 0.99), (0.98, 0.98, 0.98), 200),
    ((0.998, 0.998, 0.95), (0.998, 0.95, 0.9), 100),
)


def clopper_pearson(hits: int, runs: int, confidence: float = 0.999) -> tuple[float, float]:
    """Exact interval of a share of runs."""
    found = stats.binomtest(hits, runs).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


def covers(hits: int, runs: int) -> bool:
    """Whether this coverage is compatible with 93% or more."""
    return runs == 0 or clopper_pearson(hits, runs)[1] >= COVERAGE


def holds(errors: int, runs: int) -> bool:
    """Whether this error rate is compatible with 6.5% or less."""
    return runs == 0 or clopper_pearson(errors, runs)[0] <= ERROR


def true_gap(metric: str, truth: dict[str, np.ndarray], eligible: dict[str, np.ndarray]) -> float:
    """The true value among the groups that entered."""
    if metric == "worst_group":
        return float(truth["accuracy"][eligible["accuracy"]].min())
    spreads = [float(np.ptp(truth[rate][eligible[rate]])) for rate in GAP_RATES[metric]]
    return float(np.mean(spreads)) if metric == "eod_mean" else max(spreads)


def coverage_case(found: World, n: int, runs: int, rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """Per metric: runs whose interval holds the truth, runs in which there was an interval (else: too few)."""
    truth = found.group_truth()
    hits = {metric: [0, 0] for metric in (*METRICS, "accuracy of a group", "tpr of a group", "fpr of a group")}
    size = round(n / (found.weights @ found.patterns).mean())
    for _ in range(runs):
        counts = found.draw(size, rng)
        plan = plan_gaps(counts, positive=1)
        eligible = {rate: chosen for (rate, _), chosen in plan.eligible.items()}
        for metric in METRICS:
            estimate = with_interval(plan, metric, 0.95)
            if estimate.low is not None and estimate.high is not None:
                hits[metric][1] += 1
                hits[metric][0] += estimate.low - 1e-9 <= true_gap(metric, truth, eligible) <= estimate.high + 1e-9
        last = group_rates(counts, positive=1)[counts.groups[-1]]
        for rate in ("accuracy", "tpr", "fpr"):
            one = getattr(last, rate)
            if one.low is not None and one.n >= plan.min_group:
                hits[f"{rate} of a group"][1] += 1
                hits[f"{rate} of a group"][0] += one.low <= truth[rate][-1] <= one.high
    return {metric: (good, defined) for metric, (good, defined) in hits.items()}


def coverage_grid(quick: bool) -> Iterable[tuple[str, World, int]]:
    """Name, world and samples a group."""
    if quick:
        cells: Iterable[tuple[int, int, float, float, float, str]] = [
            (2, 100, 0.5, 0.0, 0.0, "one"),
            (5, 100, 0.5, 0.15, 0.0, "one"),
            (8, 60, 0.5, 0.3, 0.25, "half"),
            (13, 1000, 0.05, 0.05, 0.5, "line"),
        ]
    else:
        grid = product((2, 5, 13), (100, 1000, 10_000), (0.05, 0.5), (0.0, 0.05, 0.3), (0.0, 0.5))
        kinds = ("one", "half", "line")
        cells = [(*cell, kinds[index % 3]) for index, cell in enumerate(grid)]
    for groups, n, base, gap, overlap, kind in cells:
        name = f"{groups} groups x {n}, base {base}, gap {gap}, overlap {overlap}, {kind}"
        yield name, world(groups, base, gap, overlap, kind), n
    for groups, n, gap in [(13, 70, 0.0)] if quick else product((2, 5, 13), (70, 1000), (0.0, 0.05)):
        yield f"{groups} groups x {n}, TPR .98, gap {gap}", world(groups, 0.5, gap, 0, "one", 0.98, 0.02 + gap), n


def coverage_table(quick: bool, runs: int, rng: np.random.Generator) -> tuple[list[str], int]:
    """Markdown rows of measured coverage, and the number of failed cells."""
    names = (*METRICS, "accuracy of a group", "tpr of a group", "fpr of a group")
    lines = ["| case | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    failed = 0
    for name, found, n in coverage_grid(quick):
        cells = []
        for hits, defined in coverage_case(found, n, runs, rng).values():
            wrong = not covers(hits, defined)
            failed += wrong
            few = f" ({defined / runs:.0%} of runs)" if 0 < defined < runs else ""
            cells.append("too few" if not defined else f"{hits / defined:.3f}{few}{' FAILED' if wrong else ''}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return lines, failed


def percentile_coverage(runs: int, rng: np.random.Generator) -> list[str]:
    """The plain percentile bootstrap of the accuracy spread beside the simultaneous interval."""
    lines = ["| case | percentile bootstrap | simultaneous |", "|---|---|---|"]
    for groups, n, gap in ((5, 100, 0.0), (8, 60, 0.0), (5, 100, 0.15), (8, 60, 0.3), (8, 1000, 0.05)):
        found = world(groups, 1.0, gap, 0.0, "one")
        plain = simultaneous = 0
        for _ in range(runs):
            counts = found.draw(n * groups, rng)
            low, high = percentile_interval(bootstrap(counts, rng, 1, draws=400)["dpd"])
            plain += low <= gap <= high
            estimate = with_interval(plan_gaps(counts, 1), "dpd", 0.95)
            simultaneous += estimate.low is not None and estimate.low <= gap <= (estimate.high or 0.0)
        lines.append(f"| {groups} x {n}, gap {gap} | {plain / runs:.3f} | {simultaneous / runs:.3f} |")
        print(lines[-1], flush=True)
    return lines


def rejections(pair: Pair, n: int, runs: int, rng: np.random.Generator, overlap: float = 0.0) -> dict[str, int]:
    """Runs in which each test of a difference rejects at 5%."""
    found = dict.fromkeys(("gap", "worst", "rate", "percentile", "swap"), 0)
    for _ in range(runs):
        joint = pair.draw(n, rng, overlap)
        plans = plan_gaps(joint.a, 1), plan_gaps(joint.b, 1)
        drawn = paired_tallies(joint, plans[0], 199, rng)
        p_values = {
            "gap": gap_difference(plans, "dpd", drawn, 0.95).p_value,
            "worst": gap_difference(plans, "worst_group", drawn, 0.95).p_value,
            "rate": rate_difference(joint, "accuracy", None, None).p_value,
        }
        for test, p_value in p_values.items():
            found[test] += p_value is not None and p_value <= 0.05
        first, second = (maximum_of_gap(plan, "dpd", one).draws for plan, one in zip(plans, drawn, strict=True))
        low, high = percentile_interval(first - second)
        found["percentile"] += not low <= 0 <= high
        found["swap"] += invalid_swap(joint, rng)
    return found


def invalid_swap(joint: JointCounts, rng: np.random.Generator, draws: int = 199) -> bool:
    """The swap test of a difference of gaps, which statistics rules out: here to be measured."""
    members = joint.patterns.astype(float)
    total = members.T @ joint.counts
    right_a = members.T @ (joint.counts * (joint.predictions_a == joint.labels))
    right_b = members.T @ (joint.counts * (joint.predictions_b == joint.labels))
    cells = np.flatnonzero(joint.predictions_a != joint.predictions_b)
    if not len(cells):
        return False  # nobody disagrees
    swapped = np.stack([rng.binomial(joint.counts[cell], 0.5, draws) for cell in cells])
    sign = np.where(joint.predictions_a[cells] == joint.labels[cells], 1, -1)
    moved = (members[cells] * sign[:, None]).T @ swapped
    a, b = (right_a[:, None] - moved) / total[:, None], (right_b[:, None] + moved) / total[:, None]
    seen = abs(np.ptp(right_a / total) - np.ptp(right_b / total))
    drawn = np.abs(np.ptp(a, axis=0) - np.ptp(b, axis=0))
    return bool((1 + (drawn >= seen - 1e-12).sum()) / (draws + 1) <= 0.05)


def error_table(quick: bool, runs: int, rng: np.random.Generator) -> tuple[list[str], int]:
    """Markdown rows of type-I error of the paired tests under their own null, and failed cells."""
    lines = ["| null | n a group | gap | worst group | one rate | percentile, gap | swap, gap |", "|---" * 7 + "|"]
    failed = 0
    cases = [(*case, n, overlap) for case in pairs_under_the_null() for n in (40, 200, 1000) for overlap in (0.0, 0.5)]
    chosen = cases[::23] if quick else [case for case in cases if case[4] == 0.0 or case[3] == 200]
    for name, pair, tests, n, overlap in chosen:
        found = rejections(pair, n, runs, rng, overlap)
        cells = []
        for test in ("gap", "worst", "rate"):
            wrong = test in tests and not holds(found[test], runs)
            failed += wrong
            cells.append(f"{found[test] / runs:.3f}{' FAILED' if wrong else ''}" if test in tests else "null is false")
        invalid = [
            f"{found[test] / runs:.3f}" if "gap" in tests else "null is false" for test in ("percentile", "swap")
        ]
        lines.append(f"| {name}, overlap {overlap} | {n} | " + " | ".join([*cells, *invalid]) + " |")
        print(lines[-1], flush=True)
    return lines, failed


def power_table(runs: int, rng: np.random.Generator) -> list[str]:
    """One group of five at .65 instead of .8 in A, none in B."""
    lines = ["| n a group | gap | worst group | percentile, gap (invalid) | swap, gap (invalid) |", "|---" * 5 + "|"]
    pair = Pair(np.array([0.8] * 4 + [0.65]), np.array([0.8] * 5), 0.5)
    for n in (100, 200, 500, 1000, 2000):
        found = rejections(pair, n, runs, rng)
        shown = [f"{found[test] / runs:.2f}" for test in ("gap", "worst", "percentile", "swap")]
        lines.append(f"| {n} | " + " | ".join(shown) + " |")
        print(lines[-1], flush=True)
    return lines


def near_one_table(runs: int, rng: np.random.Generator) -> tuple[list[str], int]:
    """Coverage of paired intervals where hardly an answer is wrong, and how often they have width 0."""
    lines = ["| accuracies of A; of B | n a group | worst group | accuracy spread | width 0 |", "|---" * 5 + "|"]
    failed = 0
    for a, b, n in NEAR_ONE:
        held, narrow = dict.fromkeys(("worst_group", "accuracy_spread"), 0), 0
        truth = {"worst_group": min(a) - min(b), "accuracy_spread": (max(a) - min(a)) - (max(b) - min(b))}
        groups = np.repeat(np.arange(len(a)), n)
        labels, names = np.arange(len(groups)) % 2, groups.astype(str)
        for _ in range(runs):
            said = tuple(
                np.where(rng.random(len(groups)) < np.array(one)[groups], labels, 1 - labels) for one in (a, b)
            )
            compared = compare(count_pair(labels, said, names), 1, draws=999, seed=int(rng.integers(1 << 31)))
            for metric, true in truth.items():
                found = compared.find(metric)
                low, high = float(found.low or 0.0), float(found.high or 0.0)
                held[metric] += low - 1e-9 <= true <= high + 1e-9
                narrow += high - low < 1e-9
        failed += sum(not covers(hits, runs) for hits in held.values())
        shown = [f"{hits / runs:.3f}{'' if covers(hits, runs) else ' FAILED'}" for hits in held.values()]
        of = "; ".join(" ".join(f"{rate:g}" for rate in rates) for rates in (a, b))
        lines.append(f"| {of} | {n} | {shown[0]} | {shown[1]} | {narrow / (2 * runs):.3f} |")
        print(lines[-1], flush=True)
    return lines, failed


def chance_rejections(found: World, n: int, runs: int, rng: np.random.Generator) -> dict[str, int]:
    """Runs in which each gap is beyond chance at 5%.

    Args:
        found: the world.
        n: samples in all.
        runs: how many data sets are drawn.
        rng: the source.
    """
    rejected = dict.fromkeys(GAP_RATES, 0)
    for _ in range(runs):
        for metric, chance in chance_gaps(plan_gaps(found.draw(n, rng), 1), 199, rng).items():
            rejected[metric] += chance.p_value <= 0.05
    return rejected


def chance_designs(quick: bool) -> Iterable[tuple[str, World, int]]:
    """Name, world without a gap, samples in all; samples of no group may be of quite another kind."""
    for groups, n, overlap in (
        [(5, 100, 0.0)] if quick else [(2, 100, 0.0), (5, 100, 0.5), (8, 60, 0.0), (13, 300, 0.5)]
    ):
        yield f"{groups} groups x {n}, overlap {overlap}", world(groups, 0.5, 0.0, overlap), n * groups
    for groups, n, share in [(5, 200, 0.98)] if quick else [(5, 200, 0.98), (5, 200, 0.5), (8, 200, 0.98)]:
        lone = with_ungrouped(world(groups, 0.5, 0.0, 0.0, tpr=0.6, fpr=0.4), 19.0, share, 1 - share)
        yield f"{groups} groups x {n} at 0.6, 19 times as many of no group at {share}", lone, 20 * n * groups


def chance_table(quick: bool, runs: int, rng: np.random.Generator) -> tuple[list[str], int]:
    """Type-I error of the permutation test of a gap when there is none; base rates may differ for eopp and eod."""
    lines = ["| case | " + " | ".join(GAP_RATES) + " |", "|---" * (len(GAP_RATES) + 1) + "|"]
    failed = 0
    for name, found, n in chance_designs(quick):
        errors = chance_rejections(found, n, runs, rng)
        failed += sum(not holds(number, runs) for number in errors.values())
        rates = [f"{number / runs:.3f}{'' if holds(number, runs) else ' FAILED'}" for number in errors.values()]
        lines.append(f"| {name} | " + " | ".join(rates) + " |")
        print(lines[-1], flush=True)
    return lines, failed


def false_discoveries(runs: int, rng: np.random.Generator) -> tuple[list[str], int]:
    """Share of false among all discoveries in a family of eight rates, four of them truly different."""
    share = []
    pair = Pair(np.array([0.8] * 8), np.array([0.8] * 4 + [0.6] * 4), 0.3)
    for seed in range(runs):
        compared = compare(pair.draw(200, rng), 1, draws=2, seed=seed)
        p_values = [compared.find("accuracy", f"g{index}").p_value or 1.0 for index in range(8)]
        found = benjamini_hochberg(p_values) < 0.05
        share.append(found[:4].sum() / max(1, found.sum()))
    mean, error = float(np.mean(share)), float(np.std(share) / np.sqrt(runs))
    failed = mean - 3.29 * error > 0.05
    lines = [f"Benjamini-Hochberg: false discovery rate {mean:.3f} (promised 0.05){' FAILED' if failed else ''}"]
    print(lines[0])
    return lines, int(failed)


def main() -> int:
    """Run the grid, print and write the tables; exit 1 when a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few cases, 200 runs each")
    parser.add_argument("--runs", type=int, help="runs a case (default 2000, with --quick 200)")
    parser.add_argument("--seed", type=int, default=4, help="of all draws (default 4)")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    parser.add_argument("--only", choices=("intervals", "percentile", "tests", "power", "near-one", "chance", "family"))
    chosen = parser.parse_args()
    runs = chosen.runs or (200 if chosen.quick else 2000)
    parts: dict[str, tuple[str, Callable[[np.random.Generator], tuple[list[str], int]]]] = {
        "intervals": ("Coverage of 95% intervals", lambda rng: coverage_table(chosen.quick, runs, rng)),
        "percentile": ("Why not the percentile bootstrap", lambda rng: (percentile_coverage(runs, rng), 0)),
        "tests": ("Type-I error at 5% of paired tests", lambda rng: error_table(chosen.quick, runs, rng)),
        "power": ("Power at 5%", lambda rng: (power_table(runs, rng), 0)),
        "chance": ("Type-I error at 5% of the chance p-value", lambda rng: chance_table(chosen.quick, runs, rng)),
        "near-one": ("Paired intervals where hardly an answer is wrong", lambda rng: near_one_table(runs, rng)),
        "family": ("Family of tests", lambda rng: false_discoveries(runs, rng)),
    }
    written, failed, start = [f"{runs} runs a case, seed {chosen.seed}."], 0, time.perf_counter()
    for number, (name, (title, part)) in enumerate(parts.items()):
        if chosen.only in (None, name):
            print(f"\n## {title}\n", flush=True)
            lines, wrong = part(np.random.default_rng([chosen.seed, number]))
            written += ["", f"## {title}", "", *lines]
            failed += wrong
    print(f"\n{failed} cells failed; {time.perf_counter() - start:.0f} s")
    if chosen.output:
        chosen.output.write_text("\n".join(written) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
