"""Tables of other reports (token bias, translation, attacks) that the page shows with the variants they are about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from ..errors import GroupgapError
from .untrusted import read_json_object

Text = Annotated[str, Field(max_length=5_000)]
Cell = FiniteFloat | int | Text | None


class Block(BaseModel):
    """One table about one variant.

    Attributes:
        variant: name of a row of the board.
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


def strangers(blocks: Sequence[Block], variants: Sequence[str]) -> list[str]:
    """Names of variants that blocks are about and the board does not have, in words; nothing where there are none."""
    missing = dict.fromkeys(block.variant for block in blocks if block.variant not in variants)
    return [f"a report of --with is about {name}, which is no row here: not shown" for name in missing]
