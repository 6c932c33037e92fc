"""Writes the board's files: all of them or none, and never into a folder that is not a board."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import GroupgapError
from .board import Board, Row
from .markdown import board_markdown
from .page import board_page
from .paths import shortening
from .report_blocks import Block
from .tables import SCHEMA, board_csv, board_json, groups_csv
from .untrusted import read_json_object

MARKER = "board.json"
TEMPORARY = ".groupgap-"


def check_output(folder: Path, marker: str = MARKER, schema: str = SCHEMA, what: str = "a board") -> None:
    """Refuse to write into a folder that holds anything but a report of ours.

    Args:
        folder: where to write.
        marker: the file by which a report of this kind is known.
        schema: what that file says under ``schema``.
        what: the report, in words.

    Raises:
        GroupgapError: if the path is no folder, or a folder that is neither empty nor such a report.
    """
    if folder.exists() and not folder.is_dir():
        raise GroupgapError(f"{folder}: a file of this name is in the way: choose another folder by -o")
    if not folder.is_dir() or all(entry.name.startswith(TEMPORARY) for entry in folder.iterdir()):
        return
    known = folder / marker
    if not known.is_file() or read_json_object(known).get("schema") != schema:
        raise GroupgapError(
            f"{folder}: not empty and not {what} of groupgap (no {marker} of ours): choose a new folder by -o"
        )


Files = Mapping[str, str | bytes]


def write_board(board: Board, folder: Path, more: Callable[[Board], Files] | None = None) -> dict[str, Path]:
    """Write ``board.csv``, ``groups.csv``, ``board.json``, ``board.md`` and ``index.html``.

    Everything is made before the first file is touched; each file is replaced as a whole. Other files in the folder
    stay. No file says where on this disk the board or a model is (:func:`passed_on`).

    Args:
        board: what to write.
        folder: a new folder, an empty one, or an earlier board.
        more: makes files beside them (figures, parquet, ...) of the board as it is written: name, with folders, to
            content.

    Returns:
        File name to its path.

    Raises:
        GroupgapError: if the folder is not ours, or cannot be written.
    """
    check_output(folder)
    board = passed_on(board, folder)
    texts: dict[str, str | bytes] = {
        # First, so that a folder in which writing was cut off is still known as ours.
        MARKER: board_json(board),
        "board.csv": board_csv(board),
        "groups.csv": groups_csv(board),
        "board.md": board_markdown(board),
        "index.html": board_page(board),
    }
    return write_texts(folder, texts | dict(more(board) if more else {}), "the board")


def passed_on(board: Board, folder: Path) -> Board:
    """The board as others may read it, without the user's folders.

    Args:
        board: as it was judged.
        folder: where it is written.

    Returns:
        Its sources are paths from the folder, so that runs and board can be moved together; of each absolute path in
        texts that runs and reports tell, the end is left.
    """
    short = shortening(_texts(board))
    rows = tuple(_row_passed_on(row, folder.resolve(), short) for row in board.rows)
    blocks = tuple(_block_passed_on(block, short) for block in board.blocks)
    return replace(board, rows=rows, blocks=blocks, notes=tuple(map(short, board.notes)))


def _texts(board: Board) -> Iterable[str]:
    """All texts that may hold a path."""
    yield from board.notes
    for row in board.rows:
        yield from (row.base or "", row.licence or "", row.identity, *row.notes)
        yield from (text for told in row.provenance for text in told.values())
    for block in board.blocks:
        yield from (*block.notes, *(cell for line in block.rows for cell in line if isinstance(cell, str)))


def _row_passed_on(row: Row, start: Path, short: Callable[[str], str]) -> Row:
    return replace(
        row,
        sources=tuple(Path(os.path.relpath(source, start)).as_posix() for source in row.sources),
        base=None if row.base is None else short(row.base),
        licence=None if row.licence is None else short(row.licence),
        identity=short(row.identity),
        notes=tuple(map(short, row.notes)),
        provenance=tuple({key: short(text) for key, text in told.items()} for told in row.provenance),
    )


def _block_passed_on(block: Block, short: Callable[[str], str]) -> Block:
    lines = tuple(tuple(short(cell) if isinstance(cell, str) else cell for cell in line) for line in block.rows)
    return block.model_copy(update={"rows": lines, "notes": tuple(map(short, block.notes))})


def write_texts(folder: Path, texts: Mapping[str, str | bytes], what: str) -> dict[str, Path]:
    """Write files into a folder, each replaced as a whole; put the one first by which the folder is known as ours.

    Args:
        folder: made where it is absent.
        texts: file name to its content.
        what: the report, for the message.

    Returns:
        File name to its path.

    Raises:
        GroupgapError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace_all(folder, texts)
    except OSError as error:
        raise GroupgapError(f"{folder}: cannot write {what} ({error.strerror or error})") from error
    return {name: folder / name for name in texts}


def _replace_all(folder: Path, texts: Mapping[str, str | bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder) as temporary:
        made = Path(temporary)
        for name, text in texts.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            data = text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
            (made / name).write_bytes(data)
        for name in texts:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(made / name, folder / name)  # noqa: PTH105 - the call that is atomic on every system
