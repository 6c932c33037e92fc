"""The smallest denominator with which a group enters a gap: whose number it is, and where runs differ in it."""

from __future__ import annotations

from collections.abc import Iterable

from .collection import Entry

DEFAULT_MIN_GROUP = 30


def floor_of(entry: Entry, wanted: int | None) -> int:
    """The floor of the command line (``wanted``) where there is one, else the run's own, else 30."""
    own = entry.run.min_group(entry.task)
    return wanted if wanted is not None else DEFAULT_MIN_GROUP if own is None else own


def floor_notes(entries: Iterable[Entry], wanted: int | None) -> list[str]:
    """That the runs of one task are judged with different floors, in words; nothing where they are not."""
    floors: dict[int, dict[str, None]] = {}
    for entry in entries:
        floors.setdefault(floor_of(entry, wanted), {})[entry.run.name] = None
    if len(floors) < 2:
        return []
    told = "; ".join(f"{floor} for {', '.join(names)}" for floor, names in sorted(floors.items()))
    return [
        f"the runs were made with different smallest groups (min_group), so groups that enter one gap may not enter "
        f"another: {told}; --min-group sets one for all"
    ]
