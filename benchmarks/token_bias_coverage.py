"""Planted token bias: coverage of the intervals of the effects, and how often each verdict is given.

    python benchmarks/token_bias_coverage.py --quick                           half a minute
    python benchmarks/token_bias_coverage.py --output token_bias.md            2,000 runs a case

A synthetic scorer answers by log-odds that are planted: a meaning of each document (its group's, and its own), what a
symbol and a place add (and how much that varies from document to document), and noise in every cell. A case fails when
the 99.9% Clopper-Pearson interval of what was seen excludes the promised level: coverage of at least 95%; "not
measurable" in at most 5% of data sets without a token effect; "measurable" in at most 5% where the token effect is not
the smaller one; a test of equal token effects that rejects a true null in at most 5%.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from groupgap.metrics.cell_effects import CellMatrix, Level, fit_cells
from groupgap.metrics.largest import Maxima
from groupgap.metrics.token_bias import MEASURABLE, NOT_MEASURABLE, Sizes, effect_sizes
from groupgap.metrics.token_compare import compare_token_effects
from scipy import stats

COVERAGE, ERROR = 0.95, 0.05
EFFECTS = ("token", "group", "meaning", "token - group", "token - meaning")


@dataclass(frozen=True)
class World:
    """A scorer with planted effects, all in log-odds.

    Attributes:
        n: documents.
        choices: C.
        groups: G, of equal size.
        symbol: of the most liked symbol over the least liked one; the others lie between.
        position: of the first place over the last one.
        group: by which the first group is answered the first choice more than the last group.
        meaning: of the first choice over the last one.
        between: standard deviation of a document's own meaning.
        varies: standard deviation of symbol and position effects from document to document.
        noise: standard deviation in each cell.
        blocks: blocks of C cells that a document is asked in, of the C there are.
        heavy: whether documents' meanings and noise have heavy tails (t with 4 degrees of freedom).
    """

    n: int = 300
    choices: int = 2
    groups: int = 3
    symbol: float = 0.0
    position: float = 0.0
    group: float = 0.0
    meaning: float = 0.0
    between: float = 1.5
    varies: float = 0.5
    noise: float = 0.3
    blocks: int = 1
    heavy: bool = False

    def membership(self) -> np.ndarray:
        """(n, G)."""
        return np.arange(self.n)[:, None] % self.groups == np.arange(self.groups)

    def _errors(self, rng: np.random.Generator, deviation: float, *shape: int) -> np.ndarray:
        drawn = rng.standard_t(4, shape) / np.sqrt(2) if self.heavy else rng.standard_normal(shape)
        return deviation * drawn

    def draw(self, rng: np.random.Generator) -> CellMatrix:
        """Answers of one data set: the cells of a document are whole blocks, drawn with it."""
        size, n = self.choices, self.n
        start = rng.integers(0, size, n)
        shift = (start[:, None] + np.arange(self.blocks)) % size  # (n, blocks)
        turn = np.tile(np.arange(size), self.blocks)  # of each cell
        meaning = np.arange(size)
        symbols = np.broadcast_to((meaning + turn[:, None]) % size, (n, len(turn), size))
        places = (meaning + turn[:, None] + np.repeat(shift, size, axis=1)[:, :, None]) % size
        ladder = 0.5 - meaning / (size - 1)
        own = self._errors(rng, self.varies, n, 2, size)
        of_symbols, of_places = self.symbol * ladder + own[:, 0], self.position * ladder + own[:, 1]
        rows = np.arange(n)[:, None, None]
        grouped = (0.5 - np.arange(n) % self.groups / max(self.groups - 1, 1)) * self.group
        said = (self.meaning + grouped)[:, None] * ladder + self._errors(rng, self.between, n, size)
        logits = said[:, None] + of_symbols[rows, symbols] + of_places[rows, places]
        logits = logits + self._errors(rng, self.noise, *logits.shape)
        levels = [Level("symbol", "", "ABCDE"[index]) for index in range(size)]
        levels += [Level("position", "", str(index + 1)) for index in range(size)]
        return CellMatrix(logits, tuple(levels), np.array(symbols), places + size)

    def truth(self) -> dict[str, float]:
        """The true largest effects."""
        token, group, meaning = max(abs(self.symbol), abs(self.position)), abs(self.group), abs(self.meaning)
        found = {"token": token, "group": group, "meaning": meaning}
        return {**found, "token - group": token - group, "token - meaning": token - meaning}


def intervals(sizes: Sizes) -> dict[str, tuple[float, float]]:
    """Every interval of one fit."""
    found = {name: getattr(sizes, name) for name in ("token", "group", "meaning")}
    minus: dict[str, Maxima | None] = {
        "token - group": sizes.token_minus_group,
        "token - meaning": sizes.token_minus_meaning,
    }
    return {name: (float(one.low or 0.0), float(one.high)) for name, one in {**found, **minus}.items() if one}


def clopper_pearson(hits: int, runs: int, confidence: float = 0.999) -> tuple[float, float]:
    """Exact interval of a share of runs."""
    found = stats.binomtest(hits, runs).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


def covers(hits: int, runs: int) -> bool:
    """Whether this coverage is compatible with 95% or more."""
    return clopper_pearson(hits, runs)[1] >= COVERAGE


def holds(errors: int, runs: int) -> bool:
    """Whether this error rate is compatible with 5% or less."""
    return clopper_pearson(errors, runs)[0] <= ERROR


def measure(world: World, runs: int, rng: np.random.Generator) -> dict[str, int]:
    """Runs in which each interval holds the truth, the single effects hold theirs, and each verdict is given."""
    truth = world.truth()
    hits = dict.fromkeys((*EFFECTS, "symbol", "position", NOT_MEASURABLE, MEASURABLE), 0)
    groups = tuple(map(str, range(world.groups)))
    classes = tuple(f"choice {index}" for index in range(world.choices))
    singles = {"symbol": (0, world.choices - 1), "position": (world.choices, 2 * world.choices - 1)}
    for _ in range(runs):
        fit = fit_cells(world.draw(rng), "log-odds", world.membership())
        sizes = effect_sizes(fit, classes, groups)
        for name, (low, high) in intervals(sizes).items():
            hits[name] += low - 1e-9 <= truth[name] <= high + 1e-9
        for name, (first, last) in singles.items():
            value = fit.values[first] - fit.values[last]
            signs = fit.weights((first, 1.0), (last, -1.0))
            error = float(np.sqrt(signs @ fit.means.covariance @ signs))
            reach = stats.t.isf(0.025, world.n - 1) * error
            hits[name] += abs(value - getattr(world, name)) <= reach
        if sizes.verdict in hits:
            hits[sizes.verdict] += 1
    return hits


def cases(quick: bool) -> Iterator[tuple[str, World]]:
    """Names and worlds: no effect, tokens only, meanings only, both, in small and large sets."""
    for n in (60, 300, 1500)[1:2] if quick else (60, 300, 1500):
        for choices, groups in ((2, 2), (3, 5)):
            base = World(n=n * groups // 2, choices=choices, groups=groups)
            what = f"{base.n} documents, {groups} groups, {choices} choices"
            yield f"nothing, {what}", base
            yield f"token only, symbol 1, {what}", replace(base, symbol=1.0)
            yield f"token only, both 1, {what}", replace(base, symbol=1.0, position=1.0)
            yield f"meaning only, group 1.5, {what}", replace(base, group=1.5, meaning=1.0)
            yield f"as large, token 1, group 1, {what}", replace(base, symbol=1.0, group=1.0)
            yield f"larger, token 0.5, group 1.5, {what}", replace(base, symbol=0.5, group=1.5)
    both = World(symbol=0.8, position=-0.4, group=0.4, meaning=-1.0)
    yield "all of them, heavy tails", replace(both, heavy=True)
    if not quick:
        yield "all of them, effects vary by 2", replace(both, varies=2.0)
        yield "all of them, two blocks a document", replace(both, blocks=2)
        yield "all of them, 4 choices, 13 groups", replace(both, choices=4, groups=13, n=780)


def verdict_table(quick: bool, runs: int, rng: np.random.Generator) -> tuple[list[str], int]:
    """Markdown rows of coverage and verdicts, and the number of failed cells."""
    names = ("symbol", "position", *EFFECTS)
    lines = ["| case | " + " | ".join(names) + f' | "{NOT_MEASURABLE}" | "{MEASURABLE}" |', "|---" * 10 + "|"]
    failed = 0
    for name, world in cases(quick):
        hits, truth = measure(world, runs, rng), world.truth()
        shown = []
        for effect in names:
            wrong = not covers(hits[effect], runs)
            failed += wrong
            shown.append(f"{hits[effect] / runs:.3f}{' FAILED' if wrong else ''}")
        for verdict, false in (
            (NOT_MEASURABLE, truth["token"] == 0),
            (MEASURABLE, truth["token - group"] >= 0),
        ):
            wrong = false and not holds(hits[verdict], runs)
            failed += wrong
            shown.append(f"{hits[verdict] / runs:.3f}{' (wrong)' if false else ''}{' FAILED' if wrong else ''}")
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
        print(lines[-1], flush=True)
    return lines, failed


def pairs() -> Iterator[tuple[str, World, World]]:
    """Two models with equal token effects, and one pair whose effects differ."""
    for n in (100, 400):
        base = World(n=n)
        yield f"neither has any, {n}", base, base
        yield f"both like the symbol, {n}", replace(base, symbol=1.0), replace(base, symbol=1.0)
        yield f"the symbol, and the place, {n}", replace(base, symbol=1.0), replace(base, position=1.0)
        yield f"one symbol, and the other, {n}", replace(base, symbol=0.6), replace(base, symbol=-0.6)
        yield f"0.6 and 0.2, {n}", replace(base, symbol=0.6), replace(base, symbol=0.2)


def test_table(runs: int, rng: np.random.Generator) -> tuple[list[str], int]:
    """Rejections at 5% of the test that two models have equal token effects, and coverage of its interval."""
    lines = ["| A and B, documents | rejected | interval covers |", "|---" * 3 + "|"]
    failed = 0
    for name, one, other in pairs():
        truth = one.truth()["token"] - other.truth()["token"]
        rejected = covered = 0
        for _ in range(runs):
            seed = int(rng.integers(2**32))
            a = one.draw(np.random.default_rng(seed))  # the same documents, cells and noise
            b = other.draw(np.random.default_rng(seed))
            found = compare_token_effects(a, replace_noise(b, other.noise, rng))[0]
            rejected += found.p_value is not None and found.p_value <= ERROR
            covered += found.low is not None and found.high is not None and found.low <= truth <= found.high
        wrong = not covers(covered, runs) or (truth == 0 and not holds(rejected, runs))
        failed += wrong
        shown = f"{rejected / runs:.3f}{'' if truth == 0 else ' (true difference)'}"
        lines.append(f"| {name} | {shown} | {covered / runs:.3f}{' FAILED' if wrong else ''} |")
        print(lines[-1], flush=True)
    return lines, failed


def replace_noise(answers: CellMatrix, noise: float, rng: np.random.Generator) -> CellMatrix:
    """The answers with noise of their own added."""
    return replace(answers, log_probabilities=answers.log_probabilities + rng.normal(0, noise, answers.symbols.shape))


def main() -> int:
    """Run all cases, print and write the tables; exit 1 when a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few cases, 200 runs each")
    parser.add_argument("--runs", type=int, help="runs a case (default 2000, with --quick 200)")
    parser.add_argument("--seed", type=int, default=7, help="of all draws (default 7)")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    chosen = parser.parse_args()
    runs = chosen.runs or (200 if chosen.quick else 2000)
    rng = np.random.default_rng(chosen.seed)
    first, failed = verdict_table(chosen.quick, runs, rng)
    second, more = test_table(runs, rng)
    written = [f"{runs} runs a case, seed {chosen.seed}.", "", *first, "", *second]
    if chosen.output:
        chosen.output.write_text("\n".join(written) + "\n")
    print(f"{failed + more} cells failed")
    return int(failed + more > 0)


if __name__ == "__main__":
    raise SystemExit(main())
