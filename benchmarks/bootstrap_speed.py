"""Speed and memory of the draws, against the floors the project promises, and as a ratio to fairlearn in the same run.

    OMP_NUM_THREADS=1 python benchmarks/bootstrap_speed.py [--fairlearn-n 100000] [--fairlearn-draws 2]

Exit status 1 when a floor is missed.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
import warnings
from collections.abc import Callable

import numpy as np
from fairlearn import metrics as fairlearn
from groupgap.metrics import (
    Counts,
    JointCounts,
    bootstrap,
    chance_gaps,
    compare,
    count,
    count_pair,
    plan_gaps,
    swap_draws,
)
from sklearn.metrics import accuracy_score

DRAWS = 10_000
MEGABYTE = 1 << 20


def answers(
    n: int, groups: int, overlap: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions of two systems, membership (n, groups): disjoint, or each group with this probability."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    a, b = (np.where(rng.random(n) < 0.8, labels, 1 - labels) for _ in range(2))
    if overlap:
        return labels, a, b, rng.random((n, groups)) < overlap
    return labels, a, b, np.eye(groups, dtype=bool)[rng.integers(0, groups, n)]


def counted(n: int, groups: int, overlap: float = 0.0) -> tuple[Counts, JointCounts]:
    """Counts of one system and of the pair."""
    labels, a, b, membership = answers(n, groups, overlap)
    names = [f"g{index}" for index in range(groups)]
    return count(labels, a, membership, names), count_pair(labels, (a, b), membership, names)


def measured(call: Callable[[], object], repeats: int = 3) -> tuple[float, float]:
    """Best time in seconds, and peak memory above the input in MiB (taken in a run of its own)."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(times), peak / MEGABYTE


def fairlearn_seconds_a_draw(n: int, draws: int) -> float:
    """Seconds that a bootstrap draw of the same rates costs in fairlearn's MetricFrame."""
    labels, predictions, _, membership = answers(n, 8, 0.0)
    functions = {
        "accuracy": accuracy_score,
        "selection_rate": fairlearn.selection_rate,
        "tpr": fairlearn.true_positive_rate,
        "fpr": fairlearn.false_positive_rate,
    }

    def frame(**extra: object) -> None:
        fairlearn.MetricFrame(
            metrics=functions,
            y_true=labels,
            y_pred=predictions,
            sensitive_features=membership.argmax(axis=1),
            **extra,
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        frame()
        plain = time.perf_counter() - start
        start = time.perf_counter()
        frame(n_boot=draws, ci_quantiles=[0.025, 0.975], random_state=0)
        return (time.perf_counter() - start - plain) / draws


def main() -> int:
    """Measure, print a markdown table, compare with the floors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fairlearn-n", type=int, default=100_000, help="samples for fairlearn (default 100000)")
    parser.add_argument("--fairlearn-draws", type=int, default=2, help="its draws (default 2; about 1 s each)")
    chosen = parser.parse_args()
    million, two_million = counted(1_000_000, 8), counted(2_000_000, 8)
    overlapping = counted(18_000, 13, 0.1)
    rng = np.random.default_rng

    def boot(counts: Counts, draws: int = DRAWS) -> Callable[[], object]:
        return lambda: bootstrap(counts, rng(0), 1, draws=draws)

    cases: list[tuple[str, Callable[[], object], float | None, float | None]] = [
        ("bootstrap, n = 1,000,000, 8 groups", boot(million[0]), 0.3, 200),
        ("bootstrap, n = 2,000,000, 8 groups", boot(two_million[0]), 0.3, 200),
        ("swap draws, n = 1,000,000, 8 groups", lambda: swap_draws(million[1], rng(0), 1, DRAWS), 0.3, 200),
        (f"bootstrap, {len(overlapping[0].counts)} overlapping cells", boot(overlapping[0]), 6.0, 200),
        ("chance gaps, n = 1,000,000", lambda: chance_gaps(plan_gaps(million[0], 1), DRAWS, rng(0)), None, 200),
        ("chance gaps, overlapping", lambda: chance_gaps(plan_gaps(overlapping[0], 1), DRAWS, rng(0)), None, 200),
        ("compare, n = 1,000,000", lambda: compare(million[1], 1, draws=DRAWS), None, 200),
    ]
    missed, times = 0, {}
    print(f"| {DRAWS} draws of all metrics | seconds | peak MiB above the input | floor |\n|---|---|---|---|")
    for name, call, limit, memory in cases:
        seconds, peak = measured(call)
        times[name] = seconds
        wrong = (limit is not None and seconds >= limit) or (memory is not None and peak >= memory)
        missed += wrong
        shown = f"{limit} s, {memory} MiB" if limit else f"{memory} MiB"
        print(f"| {name} | {seconds:.3f} | {peak:.0f} | {shown}{' MISSED' if wrong else ''} |", flush=True)
    ours = measured(boot(counted(chosen.fairlearn_n, 8)[0]))[0] / DRAWS
    theirs = fairlearn_seconds_a_draw(chosen.fairlearn_n, chosen.fairlearn_draws)
    doubled = times["bootstrap, n = 2,000,000, 8 groups"] / times["bootstrap, n = 1,000,000, 8 groups"]
    print(f"\ntime for twice the samples: {doubled:.2f} times")
    print(f"a draw at n = {chosen.fairlearn_n}: {ours:.2e} s, fairlearn {theirs:.2e} s: {theirs / ours:,.0f} times")
    missed += doubled > 1.5
    missed += theirs / ours < 10_000
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
