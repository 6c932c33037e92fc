"""The board's page: one self-contained html file."""

from .render import board_page

__all__ = ["board_page"]
