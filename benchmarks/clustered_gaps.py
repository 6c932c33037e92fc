"""Coverage and chance level of gaps where rows come in clusters, in worlds with a known truth.

    python benchmarks/clustered_gaps.py                       the whole grid
    python benchmarks/clustered_gaps.py --runs 200            a look

A case fails when the 99.9% Clopper-Pearson interval of what was seen excludes the promised level: coverage of at least
93%, an error rate of at most 6.5%. "row by row" is what :func:`groupgap.metrics.judge` says of the same answers: it
takes each row for a unit, and is shown to be wrong.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from coverage import COVERAGE, ERROR, covers, holds
from groupgap.metrics import GAPS, Estimate, JointCounts, chance_gaps, group_rates, macro_f1, plan_gaps
from groupgap.metrics.clustered import count_clusters, judge_clusters
from groupgap.metrics.judge import with_interval

FloatArray = npt.NDArray[np.float64]
BASE = 0.5
RATES = ("accuracy of a group", "TPR of a group", "member gap", "macro F1", "worst_group")
MIN_GROUP = 20


@dataclass(frozen=True)
class Clustered:
    """A world of clusters.

    Attributes:
        structure: "whole" (a cluster lies in one group), "shared" (every cluster holds all groups, as pairs do) or
            "mixed" (each row's group is drawn by itself).
        clusters: how many.
        sizes: rows of a cluster, each as often.
        groups: how many; the last one's TPR is lower by ``gap``.
        gap: true difference in TPR.
        correlation: of two rows of a cluster, in label and in being answered right.
        rates: TPR of the other groups, and FPR.
    """

    structure: str
    clusters: int
    sizes: tuple[int, ...]
    groups: int
    gap: float
    correlation: float
    rates: tuple[float, float] = (0.85, 0.25)

    @property
    def name(self) -> str:
        """What tells it from others."""
        sizes = "-".join(str(size) for size in dict.fromkeys((self.sizes[0], self.sizes[-1])))
        rates = "" if self.rates == (0.85, 0.25) else f", TPR {self.rates[0]}, FPR {self.rates[1]}"
        at = f"gap {self.gap}, correlation {self.correlation}{rates}"
        return f"{self.structure}, {self.clusters} x {sizes}, {self.groups} groups, {at}"

    def draw(self, rng: np.random.Generator) -> JointCounts:
        """One data set."""
        size = rng.permutation(np.resize(self.sizes, self.clusters))
        cluster = np.repeat(np.arange(self.clusters), size)
        place = np.arange(len(cluster)) - np.repeat(np.cumsum(size) - size, size)
        group = {
            "whole": lambda: (np.arange(self.clusters) % self.groups)[cluster],
            "shared": lambda: (place + rng.integers(0, self.groups, self.clusters)[cluster]) % self.groups,
            "mixed": lambda: rng.integers(0, self.groups, len(cluster)),
        }[self.structure]()
        label = (self._uniform(cluster, rng) < BASE).astype(np.int64)
        tpr, fpr = self.rates
        rate = np.where(label == 1, tpr - self.gap * (group == self.groups - 1), 1 - fpr)
        right = self._uniform(cluster, rng) < rate
        membership = group[:, None] == np.arange(self.groups)
        names = [f"g{index}" for index in range(self.groups)]
        return count_clusters((label, np.where(right, label, 1 - label)), membership, cluster, names, ["no", "yes"])

    def _uniform(self, cluster: npt.NDArray[np.int64], rng: np.random.Generator) -> FloatArray:
        """(n,) uniform numbers: a row takes its cluster's with probability sqrt(correlation), else its own."""
        common = rng.random(len(cluster)) < np.sqrt(self.correlation)
        return np.where(common, rng.random(self.clusters)[cluster], rng.random(len(cluster)))

    @property
    def truth(self) -> dict[str, float]:
        """The true value of every number that is checked."""
        tpr, fpr = self.rates
        last, accuracy = tpr - self.gap, BASE * tpr + (1 - BASE) * (1 - fpr)
        own = accuracy - BASE * self.gap
        hits, selected = BASE * (tpr - self.gap / self.groups), (1 - BASE) * fpr
        yes = 2 * hits / (BASE + hits + selected)
        no = 2 * ((1 - BASE) - selected) / (1 - BASE + 1 - hits - selected)
        gaps = dict.fromkeys(("accuracy_spread", "dpd"), BASE * self.gap) | dict.fromkeys(("eopp", "eod"), self.gap)
        rates = {"accuracy of a group": own, "TPR of a group": last, "member gap": own - accuracy}
        return {**rates, "macro F1": (yes + no) / 2, "worst_group": own, **gaps, "eod_mean": self.gap / 2}


def worlds() -> Iterator[Clustered]:
    """The grid."""
    uneven = (2, 3, 4, 5, 6)
    for structure in ("whole", "shared", "mixed"):
        for correlation in (0.0, 0.3, 0.8) if structure != "mixed" else (0.8,):
            yield Clustered(structure, 120, (2,), 2, 0.0, correlation)
        for correlation in (0.3, 0.8) if structure != "mixed" else (0.8,):
            yield Clustered(structure, 120, uneven, 2, 0.2, correlation)
    for structure in ("whole", "shared"):
        yield Clustered(structure, 60, (12,), 2, 0.0, 0.3)
        yield Clustered(structure, 48, uneven, 2, 0.2, 0.8)
    yield Clustered("whole", 240, (4,), 4, 0.0, 0.8)
    yield Clustered("whole", 13 * 39, (12,), 13, 0.0, 0.3)
    yield Clustered("whole", 120, (2, 4, 8, 16, 40), 2, 0.0, 0.8)
    yield Clustered("whole", 120, uneven, 2, 0.05, 0.3, (0.98, 0.02))


def numbers(world: Clustered, answers: JointCounts, draws: int, seed: int) -> dict[str, Estimate]:
    """Every number that is checked, over clusters."""
    found = judge_clusters(answers, 1, min_group=MIN_GROUP, draws=draws, seed=seed)
    last = found.groups[answers.groups[-1]]
    rates = (last.accuracy, last.tpr, last.member_gap, found.macro_f1, found.worst_group)
    return dict(zip(RATES, rates, strict=True)) | {metric: getattr(found, metric) for metric in GAPS}


def row_by_row(answers: JointCounts, draws: int, rng: np.random.Generator) -> dict[str, Estimate]:
    """The same as if every row were a unit."""
    plan = plan_gaps(answers.a, 1, MIN_GROUP)
    last = group_rates(answers.a, 1)[answers.groups[-1]]
    rates = (
        last.accuracy,
        last.tpr,
        last.member_gap,
        macro_f1(answers.a, rng, draws),
        with_interval(plan, "worst_group", 0.95),
    )
    return dict(zip(RATES, rates, strict=True)) | {metric: with_interval(plan, metric, 0.95) for metric in GAPS}


@dataclass(frozen=True)
class Seen:
    """How often something was so, and in how many runs it could be.

    Attributes:
        covered: runs whose interval holds the truth.
        intervals: runs with an interval.
        rejected: runs with a p-value of 0.05 or less.
        tests: runs with a p-value.
    """

    covered: Counter[str]
    intervals: Counter[str]
    rejected: Counter[str]
    tests: Counter[str]

    @classmethod
    def nothing(cls) -> Seen:
        """Before the first run."""
        return cls(Counter(), Counter(), Counter(), Counter())

    def add(self, found: Mapping[str, Estimate], truth: Mapping[str, float]) -> None:
        """Count one run."""
        for name, one in found.items():
            if one.low is not None and one.high is not None:
                self.intervals[name] += 1
                self.covered[name] += one.low - 1e-9 <= truth[name] <= one.high + 1e-9
            if one.chance is not None:
                self.tests[name] += 1
                self.rejected[name] += one.chance.p_value <= 0.05


def case(world: Clustered, runs: int, draws: int, seed: int) -> tuple[Seen, Seen]:
    """What clusters, and what rows, say of this world."""
    rng, truth = np.random.default_rng([seed, world.clusters, world.groups, int(10 * world.correlation)]), world.truth
    ours, naive = Seen.nothing(), Seen.nothing()
    for run in range(runs):
        answers = world.draw(rng)
        ours.add(numbers(world, answers, draws, run), truth)
        plain = row_by_row(answers, draws, rng)
        if not world.gap:
            chances = chance_gaps(plan_gaps(answers.a, 1, MIN_GROUP), draws, rng)
            for metric, chance in chances.items():
                naive.tests[metric] += 1
                naive.rejected[metric] += chance.p_value <= 0.05
        naive.add(plain, truth)
    return ours, naive


def shown(hits: Counter[str], of: Counter[str], runs: int, names: Sequence[str]) -> str:
    """Shares of runs as the cells of a line, with how many runs had a number where that is not all."""
    cells = []
    for name in names:
        few = f" ({of[name] / runs:.0%} of runs)" if 0 < of[name] < runs else ""
        cells.append(f"{hits[name] / of[name]:.3f}{few}" if of[name] else "none")
    return " | ".join(cells)


def failures(world: Clustered, seen: Seen) -> list[str]:
    """The promises that are not kept."""
    wrong = [name for name in (*RATES, *GAPS) if not covers(seen.covered[name], seen.intervals[name])]
    if world.gap:
        return wrong
    return wrong + [f"p of {name}" for name in GAPS if not holds(seen.rejected[name], seen.tests[name])]


def main() -> int:
    """Run the grid, print and write the tables; exit 1 when a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000, help="runs a case (default 2000)")
    parser.add_argument("--draws", type=int, default=199, help="bootstrap draws and exchanges in a run (default 199)")
    parser.add_argument("--seed", type=int, default=4, help="of all draws (default 4)")
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    chosen = parser.parse_args()
    start, failed, gaps, names = time.perf_counter(), 0, tuple(GAPS), (*RATES, *GAPS)
    tables = [[f"| case | {' | '.join(of)} |", "|---" * (len(of) + 1) + "|"] for of in (names, gaps)]
    for world in (world for world in worlds() if world.name.startswith(chosen.only)):
        both = case(world, chosen.runs, chosen.draws, chosen.seed)
        wrong = failures(world, both[0])
        failed += len(wrong)
        for which, seen in zip(("", ", row by row"), both, strict=True):
            tables[0].append(f"| {world.name}{which} | {shown(seen.covered, seen.intervals, chosen.runs, names)} |")
            if seen.tests:
                tables[1].append(f"| {world.name}{which} | {shown(seen.rejected, seen.tests, chosen.runs, gaps)} |")
        print(world.name, f"FAILED: {', '.join(wrong)}" if wrong else "holds", flush=True)
    told = f"{chosen.runs} runs a case, {chosen.draws} draws, seed {chosen.seed}; promised: {COVERAGE}, {ERROR}."
    lines = [told, "", *tables[0], "", *tables[1], "", f"{failed} failed; {time.perf_counter() - start:.0f} s"]
    print("\n".join(lines))
    if chosen.output:
        chosen.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
