"""Who is audited and what each shadow is trained on: drawn from ids and a seed, and checked before judging.

Everything goes by units: rows of the same content, copies of a row, and rows of one pair. A model that saw one row of a
unit knows the others, so no unit is member and non-member at once, and one row stands for it: the tests of an attack
take its rows as independent.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import DisjointSet

from ..errors import GroupgapError
from ..harness_tasks.rows import stem_of

DESIGNS = ("offline", "online")
MEMBER_SHARE, OTHER_SHARE = 0.125, 0.5  # of the training part and of the test part: arXiv 2405.17512
LEAST_SHADOWS = 2
CONTENT = ("image_sha256", "text")  # the fields of a document that are its content, the first that it has


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows that an audit is drawn from.

    Attributes:
        trained: the rows that the target was trained on.
        held_out: rows that it never saw, nor was chosen by.
        units: row to the name of its unit (:func:`units_of`); a row that is not named is a unit with its copies.
        validation: rows by which its epoch was chosen.
        together: row to what the split keeps in one part (:func:`kept_together`); a row that is not named goes with its
            copies.
        spare: rows of the training part that the target was not trained on, since it took fewer.
    """

    trained: Sequence[str]
    held_out: Sequence[str]
    units: Mapping[str, str] = field(default_factory=dict)
    validation: Sequence[str] = ()
    together: Mapping[str, str] = field(default_factory=dict)
    spare: Sequence[str] = ()

    def unit(self, row: str) -> str:
        """The unit of a row."""
        return self.units.get(row) or stem_of(row)

    def torn(self) -> frozenset[str]:
        """The units that the split may take apart, wherever their rows came to lie."""
        kept: dict[str, set[str]] = {}
        places: dict[str, set[int]] = {}
        for place, rows in enumerate(((*self.trained, *self.spare), self.held_out, self.validation)):
            for row in rows:
                kept.setdefault(self.unit(row), set()).add(self.together.get(row) or stem_of(row))
                places.setdefault(self.unit(row), set()).add(place)
        return frozenset(unit for unit in kept if len(kept[unit]) > 1 or len(places[unit]) > 1)


@dataclass(frozen=True, eq=False)
class AuditDesign:
    """An audit.

    Attributes:
        kind: ``offline``: no shadow sees an audited row. ``online``: each audited row is seen by exactly half of them.
        members: audited rows that the target was trained on.
        others: audited rows that it was not trained on.
        shadow_rows: for each shadow the rows that it is trained on.
        seed: of the draw.
        units: row to its unit, of all rows that could be drawn.
        left_out: how many rows could not be drawn, by the reason, for the report; reasons without a row are not named.
    """

    kind: str
    members: tuple[str, ...]
    others: tuple[str, ...]
    shadow_rows: tuple[tuple[str, ...], ...]
    seed: int
    units: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def examples(self) -> tuple[str, ...]:
        """The audited rows, members first."""
        return self.members + self.others

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """(S, n), whether a shadow is trained on an audited row."""
        seen = [frozenset(rows) for rows in self.shadow_rows]
        return np.array([[row in rows for row in self.examples] for rows in seen], dtype=np.bool_).reshape(
            len(seen), len(self.examples)
        )

    def units_among(self, rows: Iterable[str]) -> Counter[str]:
        """Unit to how many of these rows are of it."""
        return Counter(self.unit(row) for row in rows)

    def unit(self, row: str) -> str:
        """The unit of a row."""
        return self.units.get(row) or stem_of(row)


def units_of(documents: Mapping[str, Mapping[str, Any]], axes: Collection[str], pair: str | None) -> dict[str, str]:
    """Row -> its unit: rows are of one unit that are copies, have the same content, or are of one pair, over any chain.

    The content is the image's hash or the text; of a document with neither, all its fields but its id and its groups.

    Args:
        documents: by id.
        axes: the fields that hold groups.
        pair: the field whose value makes documents one unit (``metadata.fair.cluster``), or None.

    Returns:
        Row to the first stem of its unit, in the order of texts: a row alone is named by its own.
    """
    rows = DisjointSet(documents)
    first: dict[tuple[str, str], str] = {}
    for row, document in documents.items():
        keys = [("stem", stem_of(row)), ("content", _content(document, axes))]
        keys += [("pair", str(document[pair]))] if pair else []
        for key in keys:
            rows.merge(first.setdefault(key, row), row)
    return {row: unit for of_unit in rows.subsets() for unit in [min(map(stem_of, of_unit))] for row in of_unit}


def kept_together(parts: Sequence[Mapping[str, Mapping[str, Any]]], pair: str | None) -> dict[str, str]:
    """Row -> what the split keeps in one part: the row with its copies, and its pair, where no copy and no pair of the
    data lies in two parts.

    Args:
        parts: the documents of each part of the split, by id.
        pair: the field whose value makes documents a pair, or None.

    Returns:
        Row to the name of what is kept together.
    """
    keys: list[Callable[[str, Mapping[str, Any]], str]] = [lambda row, _: stem_of(row)]
    keys += [lambda _, document: str(document[pair])] if pair else []
    whole = DisjointSet(row for part in parts for row in part)
    for key in keys:
        of_part = [{key(row, document) for row, document in part.items()} for part in parts]
        if sum(map(len, of_part)) > len(set().union(*of_part)):
            continue  # the split knows nothing of it
        first: dict[str, str] = {}
        for part in parts:
            for row, document in part.items():
                whole.merge(first.setdefault(key(row, document), row), row)
    return {row: name for of_one in whole.subsets() for name in [min(of_one)] for row in of_one}


def _content(document: Mapping[str, Any], axes: Collection[str]) -> str:
    known = next((f"{name}:{document[name]}" for name in CONTENT if document.get(name)), None)
    if known is None:
        told = {name: value for name, value in document.items() if name != "id" and name not in axes}
        known = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()


def draw_audit(pool: Pool, kind: str, shadows: int, most: int | None = None, seed: int = 25) -> AuditDesign:
    """Draw an audit: an eighth of the training units against half of the held-out ones, and the shadows' rows.

    One row a unit is audited, and only units that the split keeps in one part, on both sides. The rows of a unit go
    together: a shadow that saw one has seen the others. The draw depends on the ids, the units and the seed only, not
    on their order.

    Args:
        pool: the rows.
        kind: one of :data:`DESIGNS`.
        shadows: how many; even for ``online``.
        most: at most so many members, and as many others; None for the shares above.
        seed: of the draw.

    Raises:
        GroupgapError: an unknown kind, too few shadows or an odd number of them, too few rows, a row on both sides.
    """
    _check_request(kind, shadows, most)
    both = set(pool.trained) & set(pool.held_out)
    if both:
        raise GroupgapError(f"{len(both):,} rows are training rows and held out at once: no audit can tell them apart")
    everything = sorted({*pool.trained, *pool.held_out})
    units = {row: pool.unit(row) for row in everything}
    trained, held_out, left_out = _candidates(pool, units, seed)
    members = _first(trained, units, MEMBER_SHARE, most, f"{seed}:member")
    others = _first(held_out, units, OTHER_SHARE, most, f"{seed}:other")
    if not members or not others:
        told = "".join(f"; left out: {count:,} {reason.replace('_', ' ')}" for reason, count in left_out.items())
        raise GroupgapError(
            f"{len(trained):,} training rows and {len(held_out):,} others are too few for an audit{told}"
        )
    if kind == "online":
        rows = _half_each(everything, units, shadows, seed)
    else:
        audited = {units[row] for row in (*members, *others)}
        free = [row for row in everything if units[row] not in audited]
        rows = tuple(_first(free, units, 0.5, None, f"{seed}:shadow {number}") for number in range(shadows))
    if not all(rows):
        raise GroupgapError("no rows are left for the shadows: audit fewer (--audit), or take more data")
    return AuditDesign(kind, members, others, rows, seed, units, left_out)


def _check_request(kind: str, shadows: int, most: int | None) -> None:
    if kind not in DESIGNS:
        raise GroupgapError(f"design {kind!r:.40}: expected one of {', '.join(DESIGNS)}")
    least = 2 * LEAST_SHADOWS if kind == "online" else LEAST_SHADOWS
    if shadows < least or (kind == "online" and shadows % 2):
        even = ", and an even number: each row is in half of them" if kind == "online" else ""
        raise GroupgapError(f"{shadows} shadows: the {kind} attack needs {least} or more{even}")
    if most is not None and most < 1:
        raise GroupgapError(f"--audit {most}: expected 1 or more")


def _candidates(pool: Pool, units: Mapping[str, str], seed: int) -> tuple[list[str], list[str], dict[str, int]]:
    """The rows that may be audited, one of each unit: training rows, others, and how many are left out, by reason.

    Whatever makes a unit unfit is looked for on both sides alike. Were repeated texts left out of the others alone, the
    members would hold more of them, and an attack would find "members" of a model that was never trained.
    """
    known, torn = {units[row] for row in pool.trained}, pool.torn()
    strange = [row for row in pool.held_out if units[row] not in known]
    chosen_by = {pool.unit(row) for row in pool.validation}
    unseen = [row for row in strange if units[row] not in chosen_by]
    seen, whole = ([row for row in rows if units[row] not in torn] for rows in (pool.trained, unseen))
    of_unit = {row: pool.unit(row) for row in (*pool.trained, *pool.spare)}
    rows = frozenset(pool.trained)
    firsts = _one_each([row for row, unit in of_unit.items() if unit not in torn], of_unit, f"{seed}:unit")
    trained, others = [row for row in firsts if row in rows], _one_each(whole, units, f"{seed}:unit")
    fit = {units[row] for row in trained}
    drawn = [row for row in seen if units[row] in fit]
    left_out = {
        "held_out_rows_of_trained_units": len(pool.held_out) - len(strange),
        "held_out_rows_of_validation_units": len(strange) - len(unseen),
        "rows_of_units_that_the_split_takes_apart": len(pool.trained) - len(seen) + len(unseen) - len(whole),
        "training_rows_of_units_whose_drawn_row_was_not_trained": len(seen) - len(drawn),
        "further_rows_of_a_unit": len(drawn) - len(trained) + len(whole) - len(others),
    }
    return trained, others, {reason: count for reason, count in left_out.items() if count}


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _one_each(rows: Sequence[str], units: Mapping[str, str], salt: str) -> list[str]:
    """One row of each unit: the first in a hashed order, copies after their row."""
    chosen: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (_key(f"{salt}:{stem_of(row)}"), row)):
        chosen.setdefault(units[row], row)
    return list(chosen.values())


def _first(rows: Sequence[str], units: Mapping[str, str], share: float, most: int | None, salt: str) -> tuple[str, ...]:
    """That share of the rows in a hashed order, sorted by id; a unit that does not fit whole is passed over."""
    count = int(len(rows) * share) if most is None else min(most, len(rows))
    ordered = sorted(rows, key=lambda row: (_key(f"{salt}:{units[row]}"), row))
    chosen: list[str] = []
    for _, unit in groupby(ordered, key=lambda row: units[row]):
        of_unit = list(unit)
        chosen += of_unit if len(chosen) + len(of_unit) <= count else []
    return tuple(sorted(chosen))


def _half_each(rows: Sequence[str], units: Mapping[str, str], shadows: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Rows of each shadow, each unit in exactly half of the shadows."""
    chosen: list[list[str]] = [[] for _ in range(shadows)]
    for row in rows:
        order = sorted(range(shadows), key=lambda number: _key(f"{seed}:shadow {number}:{units[row]}"))
        for number in order[: shadows // 2]:
            chosen[number].append(row)
    return tuple(map(tuple, chosen))


def check_members(design: AuditDesign, trained: Iterable[str], target: str) -> dict[str, int]:
    """Compare an audit with the rows that a target says it was trained on (its ``training.json``).

    Without this check an audit drawn by another split calls training rows "non-members": the labels have nothing to do
    with the truth, and every attack shows an AUC of 0.5.

    Returns:
        Counts, for the report.

    Raises:
        GroupgapError: a member that the target was not trained on, a non-member of a unit that it was; two rows of a
            unit.
    """
    rows = frozenset(trained)
    seen = design.units_among(rows)
    strangers = sum(row not in rows for row in design.members)
    leaked = sum(design.unit(row) in seen for row in design.others)
    if strangers or leaked:
        raise GroupgapError(
            f"{target}: the audit leaks: {strangers:,} of {len(design.members):,} members are not among its training "
            f"rows, and {leaked:,} of {len(design.others):,} non-members are: audit the rows of its own training.json"
        )
    further = len(design.examples) - len(design.units_among(design.examples))
    if further:
        raise GroupgapError(
            f"{target}: {further:,} of {len(design.examples):,} audited rows are of the same content or the same pair "
            "as another: the tests would take them for independent"
        )
    return {"members": len(design.members), "nonmembers": len(design.others), "target_rows": len(rows)}


def check_shadows(design: AuditDesign, trained: Mapping[str, Iterable[str]]) -> None:
    """Compare the design with the rows that the shadows say they were trained on, shadow by shadow in its order.

    Raises:
        GroupgapError: a shadow that was trained on other rows, or on a part of an audited unit; an audited row in the
            wrong number of shadows.
    """
    for (name, rows), planned in zip(trained.items(), design.shadow_rows, strict=True):
        if set(rows) != set(planned):
            raise GroupgapError(f"{name}: was not trained on the rows that the audit drew for it: remove its folder")
    whole = design.units_among({*design.units, *design.examples})
    units = [design.unit(row) for row in design.examples]
    counts = np.zeros(len(units), dtype=np.int64)
    torn = np.zeros(len(units), dtype=np.bool_)
    for planned in design.shadow_rows:
        there = design.units_among(planned)
        counts += [unit in there for unit in units]
        torn |= np.array([there[unit] not in (0, whole[unit]) for unit in units], dtype=np.bool_)
    expected = len(design.shadow_rows) // 2 if design.kind == "online" else 0
    wrong = int((torn | (counts != expected)).sum())
    if wrong:
        raise GroupgapError(
            f"{wrong:,} audited rows, with all rows of the same content or pair, are not in exactly {expected} of "
            f"{len(design.shadow_rows)} shadows"
        )
