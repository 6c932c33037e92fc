"""Every two rows of a table against each other on the same documents, and the letters of their rank bands."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import GroupgapError
from ..metrics import benjamini_hochberg, letter_display
from ..metrics.all_pairs import Measure, PairTable, Samples, compare_all
from .answers import Answers
from .board_command import MODES, MOST_ROWS
from .collection import Entry
from .floors import floor_of

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Asked = tuple[bytes, IntArray]

LEVEL = 0.05
MOST_BANDS = 400  # letters of a table beyond which they would say nothing
BANDED = ("accuracy", "worst_group", "dpd", "eod")
ASKED_OTHERWISE = "they were asked other documents, prompts or choices, or judged with other smallest groups"
NOT_AT_HAND = "the runs of one of them were not at hand when the board was updated"
NO_COMMON_SEED = "they have no training seed in common"


@dataclass(frozen=True, eq=False)
class Contender:
    """A row of a table, and the answers that it rests on.

    Attributes:
        name: of the row.
        base: its base model, where known.
        method: its method, where known.
        entries: its runs, one for each training seed.
        answers: theirs, along the table's axis; none for a row whose runs are gone.
        unmeasurable: why its answers say nothing of bias; ``None`` where they do.
    """

    name: str
    base: str | None
    method: str | None
    entries: tuple[Entry, ...]
    answers: tuple[Answers, ...]
    unmeasurable: str | None = None


@dataclass(frozen=True, eq=False)
class Pairs:
    """The comparisons of one table: A minus B, both on the same documents.

    Attributes:
        task: name of the task.
        axis: name of the axis.
        variants: names of the rows, in the order of the table.
        mode: which pairs were compared, one of ``MODES``.
        found: all measures of all pairs; its pairs are positions in ``variants``, A before B.
        q_value: (M, P) Benjamini-Hochberg q-values over the whole board.
        not_compared: positions of A and B, and the reason why there is no comparison.
        draws: bootstrap draws.
        family: p-values of the whole board.
    """

    task: str
    axis: str
    variants: tuple[str, ...]
    mode: str
    found: PairTable
    q_value: FloatArray
    not_compared: tuple[tuple[int, int, str], ...]
    draws: int
    family: int = 0

    def separated(self, measure: Measure) -> npt.NDArray[np.bool_]:
        """(rows, rows) whether the paired test tells two rows apart (q < 0.05); symmetric."""
        matrix = np.zeros((len(self.variants),) * 2, dtype=np.bool_)
        apart = self.q_value[self.found.measures.index(measure)] < LEVEL  # NaN is not under it
        a, b = self.found.pairs[apart].T
        matrix[a, b] = matrix[b, a] = True
        return matrix


def mode_of(wanted: str | None, rows: int) -> str:
    """Which rows of a table are compared.

    Raises:
        GroupgapError: for a wish that is none of ``MODES``.
    """
    if wanted is not None and wanted not in MODES:
        raise GroupgapError(f"--pairs {wanted}: expected one of {', '.join(MODES)}")
    return wanted or ("all" if rows <= MOST_ROWS else "baseline")


@dataclass(frozen=True)
class Wish:
    """How to compare.

    Attributes:
        mode: one of ``MODES``.
        min_group: smallest denominator with which a group enters a gap; ``None``: the runs' own.
        draws: bootstrap draws.
        seed: of the draws.
    """

    mode: str
    min_group: int | None
    draws: int
    seed: int


@dataclass(frozen=True)
class _Side:
    """A row with those of its training seeds (positions) that enter a comparison."""

    row: int
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Table:
    """The rows of a table with what each of their runs was asked: a digest, and the documents in one order."""

    contenders: tuple[Contender, ...]
    asked: tuple[tuple[Asked, ...], ...]

    def digests(self, *sides: _Side) -> set[bytes]:
        """What the runs of these sides were asked; one digest where all were asked alike."""
        return {self.asked[side.row][seed][0] for side in sides for seed in side.seeds}

    def predictions(self, side: _Side) -> IntArray:
        """(seeds, n) in one order of the documents."""
        row = self.contenders[side.row]
        return np.stack([row.answers[seed].predictions[self.asked[side.row][seed][1]] for seed in side.seeds])


def compare_rows(task: str, axis: str, contenders: Sequence[Contender], wish: Wish) -> Pairs:
    """Compare the rows of one table.

    Args:
        task: name of the task.
        axis: name of the axis.
        contenders: the rows, in the order of the table.
        wish: which of them, and how.

    Returns:
        The comparisons: these trained weights, on other documents (several seeds as ``compare_weights`` takes them).
        Their q-values are NaN until :func:`one_family`.
    """
    asked = (
        tuple(
            _asked(answers, floor_of(entry, wish.min_group))
            for answers, entry in zip(row.answers, row.entries, strict=True)
        )
        for row in contenders
    )
    table = _Table(tuple(contenders), tuple(asked))
    met: dict[bytes, list[tuple[_Side, _Side]]] = {}
    refused = []
    for a, b in _wished(contenders, wish.mode):
        sides = _sides(table, a, b)
        if isinstance(sides, str):
            refused.append((a, b, sides))
        else:
            met.setdefault(table.digests(sides[0]).pop(), []).append(sides)
    found = _joined([_compare(table, meetings, wish) for meetings in met.values()])
    names = tuple(row.name for row in contenders)
    return Pairs(task, axis, names, wish.mode, found, np.full(found.value.shape, np.nan), tuple(refused), wish.draws)


def _wished(contenders: Sequence[Contender], mode: str) -> Iterable[tuple[int, int]]:
    """Positions of A and B. ``baseline``: each row and the base model of its base; else each row and the first."""
    rows = range(len(contenders))
    if mode == "all":
        return combinations(rows, 2)
    if mode == "none":
        return ()
    bases = [row for row in rows if contenders[row].method == "base"]
    pairs = {
        (min(base, row), max(base, row))
        for base in bases
        for row in rows
        if row != base and contenders[row].base == contenders[base].base
    }
    return sorted(pairs) if bases else ((0, row) for row in rows[1:])


def _sides(table: _Table, a: int, b: int) -> tuple[_Side, _Side] | str:
    """The seeds on which two rows are compared, as ``groupgap compare`` chooses them, or why they are not."""
    if not (table.contenders[a].answers and table.contenders[b].answers):
        return NOT_AT_HAND
    for row in (a, b):
        if why := table.contenders[row].unmeasurable:
            return f"{table.contenders[row].name} is {why}"
    seeds = [[entry.run.variant.seed for entry in table.contenders[row].entries] for row in (a, b)]
    alone = [len(one) == 1 for one in seeds]
    if all(alone):
        chosen: list[tuple[int, ...]] = [(0,), (0,)]
    elif any(single and one[0] is None for single, one in zip(alone, seeds, strict=True)):
        chosen = [tuple(range(len(one))) for one in seeds]
    else:
        common = sorted(seed for seed in set(seeds[0]) & set(seeds[1]) if seed is not None)
        if not common:
            return NO_COMMON_SEED
        chosen = [tuple(one.index(seed) for seed in common) for one in seeds]
    sides = _Side(a, chosen[0]), _Side(b, chosen[1])
    return sides if len(table.digests(*sides)) == 1 else ASKED_OTHERWISE


def _asked(answers: Answers, floor: int) -> Asked:
    """A digest of all that must be equal for a comparison, and the rows in one order of the documents."""
    order = np.array(sorted(range(answers.n), key=answers.keys.__getitem__), dtype=np.int64)
    digest = hashlib.sha256(repr((answers.groups, answers.classes, answers.positive, floor)).encode("utf-8", "replace"))
    for row in order.tolist():
        unit = "" if answers.clusters is None else answers.clusters[row]
        digest.update(f"{answers.documents[row]}\n{answers.prompts[row]}\n{unit}\n".encode("utf-8", "replace"))
    digest.update(answers.labels[order].tobytes() + np.packbits(answers.membership[order]).tobytes())
    return digest.digest(), order


def _compare(table: _Table, meetings: Sequence[tuple[_Side, _Side]], wish: Wish) -> PairTable:
    """The comparisons of rows that were asked alike; their pairs are positions in the table."""
    sides = list(dict.fromkeys(side for meeting in meetings for side in meeting))
    place = {side: number for number, side in enumerate(sides)}
    first = table.contenders[sides[0].row]
    answers, (_, order) = first.answers[sides[0].seeds[0]], table.asked[sides[0].row][sides[0].seeds[0]]
    samples = Samples(
        answers.labels[order],
        answers.membership[order],
        answers.groups,
        answers.classes,
        answers.positive,
        floor_of(first.entries[0], wish.min_group),
        None if answers.clusters is None else pd.factorize(answers.clusters[order])[0].astype(np.int64),
    )
    systems = [table.predictions(side) for side in sides]
    pairs = [(place[one], place[other]) for one, other in meetings]
    found = compare_all(samples, systems, pairs, draws=wish.draws, seed=wish.seed)
    return replace(found, pairs=np.array([(one.row, other.row) for one, other in meetings], dtype=np.int64))


def _joined(parts: Sequence[PairTable]) -> PairTable:
    """Tables over the measures of all of them, one after the other."""
    measures = tuple(dict.fromkeys(measure for part in parts for measure in part.measures))
    size = sum(len(part.pairs) for part in parts)
    arrays = {
        name: np.full((len(measures), size), np.nan) for name in ("value", "low", "high", "p_value", "detectable")
    }
    reasons: dict[tuple[int, int], str] = {}
    start = 0
    for part in parts:
        places = [measures.index(measure) for measure in part.measures]
        for name, array in arrays.items():
            array[places, start : start + len(part.pairs)] = getattr(part, name)
        reasons |= {(places[at], start + pair): why for (at, pair), why in part.reasons.items()}
        start += len(part.pairs)
    pairs = np.concatenate([np.zeros((0, 2), dtype=np.int64), *(part.pairs for part in parts)])
    return PairTable(pairs, measures, **arrays, reasons=reasons)


def one_family(tables: Sequence[Pairs]) -> tuple[Pairs, ...]:
    """The tables with q-values: all their p-values are one Benjamini-Hochberg family.

    What does not depend on the axis is one test of a task, however many axes there are: counted again and again, one
    true difference would make room for false ones.
    """
    tested = [~np.isnan(one.found.p_value) for one in tables]
    again = _told_before(tables)
    for (table, pair), _ in again:
        tested[table][_overall(tables[table]), pair] = False
    parts = [one.found.p_value[known] for one, known in zip(tables, tested, strict=True)]
    q_values = benjamini_hochberg(np.concatenate(parts) if parts else [])
    result, start = [], 0
    for one, known in zip(tables, tested, strict=True):
        q_value = np.full(one.found.p_value.shape, np.nan)
        q_value[known] = q_values[start : start + int(known.sum())]
        start += int(known.sum())
        result.append(replace(one, q_value=q_value, family=len(q_values)))
    for (table, pair), (first, same) in again:
        known_q = result[first].q_value[_overall(tables[first]), same]
        result[table].q_value[_overall(tables[table]), pair] = known_q
    return tuple(result)


def _overall(pairs: Pairs) -> int:
    """Where the measure stands that does not depend on the axis."""
    return pairs.found.measures.index(("accuracy", None))


def _told_before(tables: Sequence[Pairs]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The pairs of rows (table, pair) that were compared on another axis of their task before, and where."""
    first: dict[tuple[str, frozenset[str]], tuple[int, int]] = {}
    again = []
    for table, one in enumerate(tables):
        for pair, (a, b) in enumerate(one.found.pairs.tolist()):
            names = one.task, frozenset({one.variants[a], one.variants[b]})
            where = first.setdefault(names, (table, pair))
            if where != (table, pair):
                again.append(((table, pair), where))
    return again


def bands(pairs: Pairs) -> dict[str, Mapping[str, str]]:
    """The rank bands of a table: row to metric to letters; rows that the paired test cannot separate share one.

    Returns:
        Nothing where not all rows were compared with each other: who was not compared is not known to be alike. A
        metric without a single comparison has no letters either.
    """
    rows = len(pairs.variants)
    if pairs.mode != "all" or pairs.not_compared or rows < 2:
        return {}
    found: dict[str, dict[str, str]] = {name: {} for name in pairs.variants}
    for metric in BANDED:
        at = pairs.found.measures.index((metric, None))
        if np.isnan(pairs.found.p_value[at]).any():
            continue
        letters = letter_display(pairs.separated((metric, None)), most=MOST_BANDS)
        for name, shown in zip(pairs.variants, letters, strict=True):
            found[name] |= {metric: shown} if shown else {}
    return dict(found)


def compare_tables(
    tables: Mapping[tuple[str, str], Sequence[Contender]],
    wishes: Mapping[tuple[str, str], Wish],
    progress: Callable[[str], None] | None = None,
) -> tuple[Pairs, ...]:
    """The comparisons of all tables, with q-values over all of them."""
    found = []
    for (task, axis), contenders in tables.items():
        if progress and len(contenders) > 1 and wishes[task, axis].mode != "none":
            progress(f"{task}, {axis}: comparing {len(contenders)} rows")
        found.append(compare_rows(task, axis, contenders, wishes[task, axis]))
    return one_family(found)
