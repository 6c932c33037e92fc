"""Where the reports that an earlier board showed stand now: under the same runs, whatever these are called.

A report about a run whose place another run has taken is not shown, and a note says so.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from .board import Board, Row
from .kept import KeptRow, may_be_one
from .report_blocks import Block, placed
from .update import Told, Update


def with_earlier(board: Board, update: Update, stayed: Sequence[Row]) -> Board:
    """The board with the reports that the earlier ones showed, and a note on rows that stayed as they were."""
    keys = {(row.task, row.axis, row.variant) for row in stayed}
    live = [row for row in board.rows if (row.task, row.axis, row.variant) not in keys]
    made = {(one.task, one.title) for row in live for one in row.blocks}
    known = {(one.variant, one.task, one.title) for one in board.blocks}
    blocks: dict[Block, None] = {}
    lost: list[str] = []
    for told in update.blocks:
        found, why = _moved(told, update, live, keys)
        blocks |= dict.fromkeys(one for one in found if (one.task, one.title) not in made)
        lost += [] if (told.block.task, told.block.title) in made else why
    earlier, strange = placed(blocks, board.rows, "of the earlier board")
    notes = [
        f"task {row.task}: the runs of {row.variant} are gone: its row stands as it was written, compared with no other"
        for row in stayed
    ]
    return replace(
        board,
        blocks=(*board.blocks, *(one for one in earlier if (one.variant, one.task, one.title) not in known)),
        notes=tuple(dict.fromkeys((*board.notes, *update.notes, *notes, *lost, *strange))),
    )


def _moved(
    told: Told, update: Update, live: Sequence[Row], stayed: Container[tuple[str, str, str]]
) -> tuple[list[Block], list[str]]:
    """A block about what its rows are called now; and why there is none, where there is none."""
    if not told.rows:
        return [told.block], []
    found: list[Block] = []
    why: dict[str, None] = {}
    for row in told.rows:
        here = row.sources and all(source in update.names for source in row.sources)
        if not here and (row.task, row.axis, row.variant) in stayed:
            found.append(told.block)
            continue
        names = [update.names[source] for source in row.sources] if here else _names_of_moved(row, update, live)
        about = _renamed(told.block, row, names, live) if names else []
        found += about
        if not names:
            why[
                f"the runs of {row.variant} are gone and others have its name: reports of the earlier board about it "
                "are not shown: give those about the new ones by --with"
            ] = None
        elif not about:
            why[f"a report of the earlier board is about {row.variant}, which is no row here: not shown"] = None
    return found, [] if found else list(why)


def _names_of_moved(row: KeptRow, update: Update, live: Sequence[Row]) -> list[str]:
    """What the runs of a row are called, read from another place; empty where others stand in their place."""
    key = (row.task, row.axis, row.variant)
    gone = next((one for one in update.rows if (one.task, one.axis, one.variant) == key), None)
    there = [one for one in live if (one.task, one.axis) == key[:2]]
    return list(row.members) if gone and any(_holds_runs_of(one, gone) for one in there) else []


def _holds_runs_of(row: Row, gone: Row) -> bool:
    """Whether a row holds the very runs of another, read from another place: of their names, dates and numbers."""
    if len(row.members) == len(gone.members) and not may_be_one(gone.identity, row.identity):
        return False
    old, new = _runs_of(gone), _runs_of(row)
    return all(name in new and new[name] == numbers for name, numbers in old.items())


def _runs_of(row: Row) -> dict[str, tuple[str, int, tuple[float | None, ...]]]:
    """Name to date, answers and values of each run of a row."""
    judged = [one.judgement for one in row.by_seed] or [row.judgement]
    return {
        name: (date, one.n, (one.accuracy.value, one.macro_f1.value))
        for name, date, one in zip(row.members, row.dates, judged, strict=False)
    }


def _renamed(block: Block, row: KeptRow, names: Sequence[str], live: Sequence[Row]) -> list[Block]:
    """A block about one run, or a row of several, by its name now; empty where there is no such row any more."""
    if len(names) == 1:
        return [block.model_copy(update={"variant": names[0]})]
    for member, name in sorted(zip(row.members, names, strict=True), key=lambda pair: -len(pair[0])):
        if block.title.startswith(led := f"{member}: "):
            return [block.model_copy(update={"variant": name, "title": block.title.removeprefix(led)})]
    means = (one for one in live if (one.task, one.axis) == (row.task, row.axis) and len(one.members) > 1)
    return [block.model_copy(update={"variant": one.variant}) for one in means if {*names} & {*one.members}]
