"""``groupgap card``: a row of a board as the section of a model card."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("board", metavar="BOARD", help="a folder that `groupgap board` wrote, or its board.json")
    parser.add_argument("variant", metavar="VARIANT", help="a row's name, or that of one training of it")
    parser.add_argument("-o", "--output", metavar="FILE", help="a new file for the section (default: print it)")


def run(args: argparse.Namespace) -> int:
    """Print the section, or write it into a new file."""
    import os
    from pathlib import Path

    from ..errors import GroupgapError
    from .board_file import read_board, rows_of
    from .card import card_section
    from .markdown import plain
    from .write import write_texts

    board = read_board(Path(args.board))
    text = card_section(rows_of(board, args.variant), board.groupgap)
    if args.output is None:
        print(text, end="")
        return 0
    file = Path(args.output)
    if os.path.lexists(file):
        raise GroupgapError(f"{file}: there already: choose a new file by -o, and put its section into the card")
    write_texts(file.parent, {file.name: text}, "the section")
    print(f"The section: {plain(str(file.resolve()))}")
    return 0
