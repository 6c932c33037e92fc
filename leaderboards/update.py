"""Runs added to a written board: it knows where its runs lie, and those that are there are judged again with the new.

Rows whose runs are gone stay as they were written; nothing can be tested against them.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import GroupgapError
from .axes import Reading
from .board import Row
from .collection import Collection, Entry, Request
from .identity import Variant, told_apart
from .kept import KeptBoard, KeptRequest, KeptRow, may_be_one, read_kept, row_of
from .report_blocks import Block
from .runs import Run, find_runs
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
class Told:
    """A table of a report on an earlier board.

    Attributes:
        block: the table.
        rows: that it stood under, with the places of their runs.
    """

    block: Block
    rows: tuple[KeptRow, ...]


@dataclass(frozen=True)
class Update:
    """What an update is made of.

    Attributes:
        wanted: what to read: all runs that are there, with the names that they were given on the boards.
        rows: those whose runs are gone.
        held: (task, results file) of runs that are there, but belong to a row of which another run is gone.
        blocks: tables of reports on the boards.
        names: results file to the name of its run, of all runs that are there.
        board: the board that is updated.
        notes: on runs that keep a name against another board's.
    """

    wanted: Wanted
    rows: tuple[Row, ...]
    held: frozenset[tuple[str, str]]
    blocks: tuple[Told, ...]
    names: Mapping[str, str]
    board: KeptBoard
    notes: tuple[str, ...] = ()


@dataclass
class _Found:
    """What the boards hold.

    Attributes:
        names: source of a run that is there to the name it was given, and the number of that board; ``None``
            where the run has its own.
        read: sources of the rows whose runs are all there.
        rows: those whose runs are gone, and the number of their board.
        held: as in :class:`Update`.
        notes: as in :class:`Update`.
    """

    names: dict[str, tuple[str, int] | None] = field(default_factory=dict)
    read: dict[str, None] = field(default_factory=dict)
    rows: dict[tuple[str, str, str], tuple[Row, int]] = field(default_factory=dict)
    held: set[tuple[str, str]] = field(default_factory=set)
    notes: dict[str, None] = field(default_factory=dict)

    def add(self, number: int, path: Path, board: KeptBoard, rows: Sequence[KeptRow]) -> None:
        """Add the rows of a board, whose sources are places on the disk.

        Raises:
            GroupgapError: for a row whose runs are gone, and that has the name of another model's.
        """
        sources = dict.fromkeys(source for row in rows for source in row.sources)
        there = {source: run.variant for source in sources if (run := _run_at(source)) is not None}
        called: dict[str, str] = {}
        for row in rows:
            called |= {source: name for source, name in zip(row.sources, row.members, strict=False) if source in there}
            if row.sources and all(source in there for source in row.sources):
                self.read |= dict.fromkeys(row.sources)
            else:
                self._add_gone(row_of(row, board, tuple(row.sources)), number)
                self.held |= {(row.task, source) for source in row.sources if source in there}
        own = _own_names([there[source] for source in called])
        for source, name in called.items():
            variant = there[source]
            given = None if name in own[variant.identity] else (name, number)
            if source not in self.names:
                self.names[source] = None if number and variant.chosen else given
            before = self.names[source]
            keeps = before[0] if before else variant.name
            if (before or given) and keeps != name:
                self.notes[f"{path} calls {keeps} {name}: it keeps its own name"] = None

    def _add_gone(self, row: Row, number: int) -> None:
        for other, board in self.rows.values():
            alike = other.variant == row.variant and (len(other.members) > 1) == (len(row.members) > 1)
            if alike and board != number and not may_be_one(other.identity, row.identity):
                raise GroupgapError(
                    f"{row.variant} is the name of two models on two boards ({other.identity:.200} and "
                    f"{row.identity:.200}), and their runs are gone: build one of the boards again with --name RUN=NAME"
                )
        self.rows.setdefault((row.task, row.axis, row.variant), (row, number))

    def runs_of(self, wanted: Wanted, more: Sequence[str]) -> tuple[list[str], dict[str, str], tuple[Run, ...]]:
        """What to read: paths, names, and the runs under them.

        Args:
            wanted: the command line.
            more: its runs that are no boards.
        """
        paths = [*self.read, *more]
        given = {source: name[0] for source in self.read if (name := self.names[source])}
        names = {**given, **wanted.names}
        return paths, names, find_runs(paths, names)[0]

    def read_again(self, runs: Sequence[Run]) -> bool:
        """Take up what is there of rows of which another run is given again; whether there is any."""

        def given_again(row: Row, run: Run) -> bool:
            return run.name in row.members and row.task in run.samples and str(run.results_file) not in row.sources

        back = [row for row, _ in self.rows.values() if any(given_again(row, run) for run in runs)]
        sources = {(row.task, source) for row in back for source in row.sources} & self.held
        self.held -= sources
        self.read |= dict.fromkeys(sorted(source for _, source in sources))
        return bool(sources)

    def check_names(self, runs: Sequence[Run], told: Container[str]) -> None:
        """Refuse two models of one name, where neither one board nor the command line called both so.

        Args:
            runs: all that are there.
            told: names of the command line.
        """
        first: dict[str, Run] = {}
        for run in (run for run in runs if run.name not in told):
            other = first.setdefault(run.name, run)
            boards = {(self.names.get(str(one.results_file)) or ("", None))[1] for one in (run, other)}
            if run.variant.identity != other.variant.identity and (len(boards) > 1 or None in boards):
                raise GroupgapError(
                    f"{run.name} would be the name of two models ({other.results_file} and {run.results_file}): "
                    "give one of them another by --name RUN=NAME"
                )
            for row, board in self.rows.values():
                if run.name not in row.members or row.task in run.samples or boards == {board}:
                    continue
                own = run.variant.recipe if len(row.members) > 1 else run.variant.identity
                if not may_be_one(row.identity, own or ""):
                    raise GroupgapError(
                        f"{run.name} would be the name of two models ({run.results_file}, and on task {row.task} "
                        "that of a row whose runs are gone): give the run another by --name RUN=NAME"
                    )


def plan_update(folder: Path, wanted: Wanted) -> Update:
    """Read the boards, and see which of their runs are there.

    Args:
        folder: of the board.
        wanted: the runs to add; a folder with a ``board.json`` is a board, whose rows are merged.

    Raises:
        GroupgapError: for a board that cannot be read, where there is nothing to judge, and where one name would stand
            for two models.
    """
    others = [run for run in wanted.runs if (Path(run) / MARKER).is_file()]
    boards = [(path, read_kept(path)) for path in (folder, *map(Path, others))]
    found = _Found()
    blocks: dict[Block, list[KeptRow]] = {}
    for number, (path, board) in enumerate(boards):
        rows = [
            row.model_copy(update={"sources": [_source(path, source) for source in row.sources]}) for row in board.rows
        ]
        found.add(number, path, board, rows)
        for block in board.blocks:
            about = [row for row in rows if row.variant == block.variant and block.task in (None, row.task)]
            blocks.setdefault(block, []).extend(about)
    more = [run for run in wanted.runs if run not in others]
    if not found.read and not more:
        raise GroupgapError(f"--update {folder}: none of its runs is where it was, and no RUN is given: nothing to add")
    paths, names, runs = found.runs_of(wanted, more)
    if found.read_again(runs):
        paths, names, runs = found.runs_of(wanted, more)
    found.check_names(runs, set(wanted.names.values()))
    options = _options([board.request for _, board in boards], runs, wanted)
    return Update(
        replace(options, runs=paths, names=names),
        tuple(row for row, _ in found.rows.values()),
        frozenset(found.held),
        tuple(Told(block, tuple(rows)) for block, rows in blocks.items()),
        {str(run.results_file): run.name for run in runs},
        boards[0][1],
        tuple(found.notes),
    )


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


def _own_names(variants: Sequence[Variant]) -> dict[str, set[str]]:
    """Identity to the names that a board of these gives one when nobody names it."""
    alone = {one.identity: one for one in variants}
    apart = zip(alone.values(), told_apart(list(alone.values())), strict=True)
    return {one.identity: {name, one.name} if one.chosen else {name} for one, name in apart}


def _run_at(source: str) -> Run | None:
    """The run of a results file; ``None`` where it cannot be read: its results or its samples are gone."""
    try:
        return find_runs([source])[0][0] if Path(source).is_file() else None
    except GroupgapError:
        return None


def _options(requests: Sequence[KeptRequest], runs: Sequence[Run], wanted: Wanted) -> Wanted:
    """The options of the boards, as far as runs still answer their tasks, and those of the command line."""
    tasks = {task for run in runs for task in run.samples}

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
