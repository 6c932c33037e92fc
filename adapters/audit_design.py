"""Who is audited and what each shadow is trained on: drawn from ids and a seed, and checked before judging."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from ..harness_tasks.rows import stem_of

DESIGNS = ("offline", "online")
MEMBER_SHARE, OTHER_SHARE = 0.125, 0.5  # of the training part and of the test part: arXiv 2405.17512
LEAST_SHADOWS = 2


@dataclass(frozen=True, eq=False)
class AuditDesign:
    """An audit.

    Attributes:
        kind: ``offline``: no shadow sees an audited row. ``online``: each audited row is seen by exactly half of them.
        members: audited rows that the target was trained on.
        others: audited rows that it was not trained on.
        shadow_rows: for each shadow the rows that it is trained on.
        seed: of the draw.
    """

    kind: str
    members: tuple[str, ...]
    others: tuple[str, ...]
    shadow_rows: tuple[tuple[str, ...], ...]
    seed: int

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


def draw_audit(
    trained: Sequence[str], held_out: Sequence[str], kind: str, shadows: int, most: int | None = None, seed: int = 25
) -> AuditDesign:
    """Draw an audit: an eighth of the training rows against half of the held-out ones, and the shadows' rows.

    Copies of a row (``id#copy2``) go together: a shadow that saw one has seen the other. The draw depends on the ids
    and the seed only, not on their order.

    Args:
        trained: the rows that the target was trained on.
        held_out: rows that it never saw, nor was chosen by.
        kind: one of :data:`DESIGNS`.
        shadows: how many; even for ``online``.
        most: at most so many members, and as many others; None for the shares above.
        seed: of the draw.

    Raises:
        GroupgapError: an unknown kind, too few shadows or an odd number of them, too few rows, a row on both sides.
    """
    _check_request(kind, shadows, most)
    both = {stem_of(row) for row in trained} & {stem_of(row) for row in held_out}
    if both:
        raise GroupgapError(f"{len(both):,} rows are training rows and held out at once: no audit can tell them apart")
    members = _first(trained, MEMBER_SHARE, most, f"{seed}:member")
    others = _first(held_out, OTHER_SHARE, most, f"{seed}:other")
    if not members or not others:
        raise GroupgapError(f"{len(trained):,} training rows and {len(held_out):,} others are too few for an audit")
    everything = sorted({*trained, *held_out})
    if kind == "online":
        rows = _half_each(everything, shadows, seed)
    else:
        audited = {stem_of(row) for row in (*members, *others)}
        pool = [row for row in everything if stem_of(row) not in audited]
        rows = tuple(_first(pool, 0.5, None, f"{seed}:shadow {number}") for number in range(shadows))
        if not rows[0]:
            raise GroupgapError("no rows are left for the shadows: audit fewer (--audit)")
    return AuditDesign(kind, members, others, rows, seed)


def _check_request(kind: str, shadows: int, most: int | None) -> None:
    if kind not in DESIGNS:
        raise GroupgapError(f"design {kind!r:.40}: expected one of {', '.join(DESIGNS)}")
    least = 2 * LEAST_SHADOWS if kind == "online" else LEAST_SHADOWS
    if shadows < least or (kind == "online" and shadows % 2):
        even = ", and an even number: each row is in half of them" if kind == "online" else ""
        raise GroupgapError(f"{shadows} shadows: the {kind} attack needs {least} or more{even}")
    if most is not None and most < 1:
        raise GroupgapError(f"--audit {most}: expected 1 or more")


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _first(rows: Sequence[str], share: float, most: int | None, salt: str) -> tuple[str, ...]:
    """That share of the rows in a hashed order, copies together; sorted by id."""
    count = int(len(rows) * share) if most is None else min(most, len(rows))
    ordered = sorted(rows, key=lambda row: (_key(f"{salt}:{stem_of(row)}"), row))
    if 0 < count < len(ordered):
        while count and stem_of(ordered[count - 1]) == stem_of(ordered[count]):
            count -= 1  # rather one less than half of a row's copies
    return tuple(sorted(ordered[:count]))


def _half_each(rows: Sequence[str], shadows: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Rows of each shadow, each row in exactly half of the shadows."""
    chosen: list[list[str]] = [[] for _ in range(shadows)]
    for row in rows:
        order = sorted(range(shadows), key=lambda number: _key(f"{seed}:shadow {number}:{stem_of(row)}"))
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
        GroupgapError: a member that the target was not trained on, or a non-member (or a copy of one) that it was.
    """
    rows = frozenset(trained)
    stems = {stem_of(row) for row in rows}
    strangers = sum(row not in rows for row in design.members)
    leaked = sum(stem_of(row) in stems for row in design.others)
    if strangers or leaked:
        raise GroupgapError(
            f"{target}: the audit leaks: {strangers:,} of {len(design.members):,} members are not among its training "
            f"rows, and {leaked:,} of {len(design.others):,} non-members are: audit the rows of its own training.json"
        )
    return {"members": len(design.members), "nonmembers": len(design.others), "target_rows": len(rows)}


def check_shadows(design: AuditDesign, trained: Mapping[str, Iterable[str]]) -> None:
    """Compare the design with the rows that the shadows say they were trained on, shadow by shadow in its order.

    Raises:
        GroupgapError: a shadow that was trained on other rows; an audited row in the wrong number of shadows.
    """
    for (name, rows), planned in zip(trained.items(), design.shadow_rows, strict=True):
        if set(rows) != set(planned):
            raise GroupgapError(f"{name}: was not trained on the rows that the audit drew for it: remove its folder")
    counts = design.inside.sum(axis=0)
    expected = len(design.shadow_rows) // 2 if design.kind == "online" else 0
    if (counts != expected).any():
        wrong = int((counts != expected).sum())
        raise GroupgapError(
            f"{wrong:,} audited rows are not in exactly {expected} of {len(design.shadow_rows)} shadows"
        )
