"""Runs added to a written board: it knows where its runs lie, and those that are there are judged again with the new.

Rows whose runs are gone stay as they were written; nothing can be tested against them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import GroupgapError
from .axes import Reading
from .board import Board, Row
from .collection import Collection, Entry, Request
from .kept import KeptBoard, KeptRequest, read_kept, row_of
from .report_blocks import Block
from .runs import find_runs
from .seeds import fold, names_of
from .write import MARKER


@dataclass(frozen=True)
class Wanted:
    """What the command line says of reading runs.

    Attributes:
        runs: run folders, results files, and folders of other boards.
        names: run to the name it shall get.
        axis: ``--axis`` options.
        positive: ``--positive`` options.
        skip: ``--skip`` options.
    """

    runs: Sequence[str]
    names: Mapping[str, str] = field(default_factory=dict)
    axis: Sequence[str] = ()
    positive: Sequence[str] = ()
    skip: Sequence[str] = ()

    def request(self) -> Request:
        """What to collect."""
        return Request(self.runs, self.names, Reading.from_options(self.axis, self.positive), self.skip)


@dataclass(frozen=True)
class Update:
    """What an update is made of.

    Attributes:
        wanted: what to read: all runs that are there, with the names that they have on the boards.
        rows: those whose runs are gone.
        held: (task, results file) of runs that are there, but belong to a row of which another run is gone.
        blocks: tables of reports on the boards.
        board: the board that is updated.
        notes: on runs that keep a name against another board's.
    """

    wanted: Wanted
    rows: tuple[Row, ...]
    held: frozenset[tuple[str, str]]
    blocks: tuple[Block, ...]
    board: KeptBoard
    notes: tuple[str, ...] = ()


def plan_update(folder: Path, wanted: Wanted) -> Update:
    """Read the boards, and see which of their runs are there.

    Args:
        folder: of the board.
        wanted: the runs to add; a folder with a ``board.json`` is a board, whose rows are merged.

    Raises:
        GroupgapError: for a board that cannot be read, and where there is nothing to judge.
    """
    others = [run for run in wanted.runs if (Path(run) / MARKER).is_file()]
    boards = [(path, read_kept(path)) for path in (folder, *map(Path, others))]
    names: dict[str, str] = {}
    rows: dict[tuple[str, str, str], Row] = {}
    held: set[tuple[str, str]] = set()
    notes: dict[str, None] = {}
    for number, (path, board) in enumerate(boards):
        for kept in board.rows:
            sources = [_source(path, source) for source in kept.sources]
            there = [source for source in sources if source in names or _is_there(source)]
            if sources and len(there) == len(sources):
                for source, name in zip(sources, kept.members, strict=True):
                    own = names.get(source) or (_chosen_name(source) if number else None)
                    names[source] = name if own is None or _is_short_of(own, name) else own
                    if names[source] != name:
                        notes[f"{path} calls {names[source]} {name}: it keeps its own name"] = None
            else:
                rows.setdefault((kept.task, kept.axis, kept.variant), row_of(kept, board, tuple(sources)))
                held |= {(kept.task, source) for source in there}
    runs = [*names, *(run for run in wanted.runs if run not in others)]
    if not runs:
        raise GroupgapError(f"--update {folder}: none of its runs is where it was, and no RUN is given: nothing to add")
    options = _options([board.request for _, board in boards], runs, wanted)
    merged = replace(options, runs=runs, names={**names, **wanted.names})
    blocks = dict.fromkeys(block for _, board in boards for block in board.blocks)
    return Update(merged, tuple(rows.values()), frozenset(held), tuple(blocks), boards[0][1], tuple(notes))


def _source(folder: Path, source: str) -> str:
    """Where a run lies.

    Raises:
        GroupgapError: for a path that no board of ours holds: its paths are from its folder.
    """
    if Path(source).is_absolute():
        raise GroupgapError(
            f"{folder}: broken (sources: {source!r:.200} is no path from the board's folder): name the run's folder "
            "itself, or build the board again"
        )
    return os.path.normpath(folder.resolve() / source)


def _chosen_name(source: str) -> str | None:
    """The name that a run's own ``variant.json`` tells."""
    variant = find_runs([source])[0][0].variant
    return variant.name if variant.chosen else None


def _is_short_of(own: str, name: str) -> bool:
    """Whether a board's name is the run's own, or that with what tells it from its namesakes."""
    return name == own or name.startswith(f"{own} (")


def _is_there(source: str) -> bool:
    """Whether a run can be read: its results and its samples."""
    try:
        return Path(source).is_file() and bool(find_runs([source])[0])
    except GroupgapError:
        return False


def _options(requests: Sequence[KeptRequest], runs: Sequence[str], wanted: Wanted) -> Wanted:
    """The options of the boards, as far as runs still answer their tasks, and those of the command line."""
    tasks = {task for run in find_runs(runs)[0] for task in run.samples}

    def all_of(kept: Iterable[str], told: Sequence[str]) -> tuple[str, ...]:
        fitting = (option for option in kept if any(fnmatchcase(task, option.partition("=")[0]) for task in tasks))
        return tuple(dict.fromkeys((*fitting, *told)))

    named = {option.partition("=")[0] for option in wanted.positive}
    positive = [option for one in requests for option in one.positive if option.partition("=")[0] not in named]
    return replace(
        wanted,
        axis=all_of((option for one in requests for option in one.axis), wanted.axis),
        positive=all_of(positive, wanted.positive),
        skip=all_of((option for one in requests for option in one.skip), wanted.skip),
    )


def without_held(collection: Collection, update: Update) -> Collection:
    """The answers, without those of rows that stay as they were written."""
    entries = (one for one in collection.entries if (one.task, str(one.run.results_file)) not in update.held)
    return replace(collection, entries=tuple(entries))


def rows_to_keep(update: Update, collection: Collection) -> tuple[Row, ...]:
    """The rows that stay: those of whose name, or of one of whose runs' names, nothing was read for their task.

    Raises:
        GroupgapError: where a row cannot stand in one table with the others of its task.
    """
    tasks: dict[str, list[Entry]] = {}
    for one in collection.entries:
        tasks.setdefault(one.task, []).append(one)
    named = {(task, name) for task, entries in tasks.items() for name in names_of(fold(entries)[0])}
    named |= {(one.task, one.run.name) for one in collection.entries}
    rows = [row for row in update.rows if not {(row.task, name) for name in (row.variant, *row.members)} & named]
    digests: dict[str, tuple[str | None, str]] = {
        one.task: (one.answers[0].digest, one.run.name) for one in reversed(collection.entries)
    }
    for row in rows:
        digest, other = digests.setdefault(row.task, (row.documents, row.variant))
        if row.documents is None or digest != row.documents:
            raise GroupgapError(
                f"task {row.task}: {row.variant}, whose runs are gone, answered other documents than {other}, or its "
                "board does not say which: its row cannot stay: build a new board by groupgap board RUN... -o DIR"
            )
    return tuple(rows)


def with_earlier(board: Board, update: Update, stayed: Sequence[Row]) -> Board:
    """The board with the reports that the earlier ones showed, and a note on rows that stayed as they were."""
    known = {(one.variant, one.task, one.title) for one in board.blocks}
    variants = {row.variant for row in board.rows}
    earlier = [
        one for one in update.blocks if one.variant in variants and (one.variant, one.task, one.title) not in known
    ]
    notes = tuple(
        f"task {row.task}: the runs of {row.variant} are gone: its row stands as it was written, compared with no other"
        for row in stayed
    )
    notes = tuple(dict.fromkeys((*board.notes, *update.notes, *notes)))
    return replace(board, blocks=(*board.blocks, *earlier), notes=notes)
