"""Tables of other reports (token bias, translation, attacks) that the page shows with the variants they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from ..errors import GroupgapError
from .untrusted import read_json_object

LONGEST = 5_000  # characters of a text
Text = Annotated[str, Field(max_length=LONGEST)]
Cell = FiniteFloat | int | Text | None


class Place(Protocol):
    """A row of the board, as far as a block must know it."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def variant(self) -> str:
        """Name of the row."""

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the runs that are averaged."""


class Block(BaseModel):
    """One table about one variant.

    Attributes:
        variant: name of a row of the board, or of a training that is part of one.
        task: the task that it is about; ``None`` for the variant as a whole.
        title: its heading.
        columns: names of the columns.
        rows: cells: a text, a number, or ``None`` where there is no number (a neighbouring text says why).
        notes: what a reader should know, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Text
    task: Text | None = None
    title: Text
    columns: Annotated[tuple[Text, ...], Field(max_length=40)]
    rows: Annotated[tuple[tuple[Cell, ...], ...], Field(max_length=2_000)]
    notes: Annotated[tuple[Text, ...], Field(max_length=40)] = ()


def read_blocks(path: Path) -> tuple[Block, ...]:
    """Read the blocks of a report of ours.

    Args:
        path: a JSON file with ``"blocks"``; its other entries are not read.

    Raises:
        GroupgapError: for a file without blocks, and for a block that is broken; with its place.
    """
    entries = read_json_object(path).get("blocks")
    if not isinstance(entries, list):
        raise GroupgapError(f'--with {path}: no "blocks" in it: expected a report that groupgap wrote as JSON')
    return tuple(_block(path, number, entry) for number, entry in enumerate(entries))


def _block(path: Path, number: int, entry: object) -> Block:
    try:
        block = Block.model_validate(entry)
    except (ValidationError, RecursionError) as error:
        where = f"--with {path}, block {number}"
        if not isinstance(error, ValidationError):
            raise GroupgapError(f"{where}: nested too deeply") from error
        first = error.errors(include_url=False)[0]
        raise GroupgapError(f"{where}, {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    wrong = next((row for row in block.rows if len(row) != len(block.columns)), None)
    if wrong is not None:
        raise GroupgapError(
            f"--with {path}, block {number}: {len(block.columns)} columns, but a row of {len(wrong)} cells"
        )
    return block


def placed(blocks: Iterable[Block], rows: Sequence[Place], origin: str = "of --with") -> tuple[list[Block], list[str]]:
    """Blocks under the rows that they are about.

    Args:
        blocks: of other reports.
        rows: of the board.
        origin: where the reports come from, in words.

    Returns:
        The blocks; one about a training that is folded into a row stands under that row, its title led by the
        training's name. And notes on those that are about no row.
    """
    shown: list[Block] = []
    notes: dict[str, None] = {}
    for block in blocks:
        of_task = [row for row in rows if block.task in (None, row.task)]
        names = [row.variant for row in of_task if row.variant == block.variant]
        names = names or [row.variant for row in of_task if block.variant in row.members]
        shown += [_under(block, name) for name in dict.fromkeys(names)]
        if not names:
            known = any(block.variant in (row.variant, *row.members) for row in rows)
            on_task = f" on task {block.task}" if known else ""
            notes[f"a report {origin} is about {block.variant}{on_task}, which is no row here: not shown"] = None
    return shown, list(notes)


def _under(block: Block, variant: str) -> Block:
    if block.variant == variant:
        return block
    title = f"{block.variant}: {block.title}"[:LONGEST]
    return block.model_copy(update={"variant": variant, "title": title})
