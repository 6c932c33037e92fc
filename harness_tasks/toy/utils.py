"""Loader of the toy set: it generates, so it needs neither a file nor a network."""

from __future__ import annotations

from ..rows import Rows
from .generate import SEED, generate


def religion(**_: object) -> Rows:
    """The toy remarks with the faiths they name (they overlap)."""
    documents = generate()
    origin = {"source": "generated", "dataset": "toy", "revision": None, "seed": SEED, "rows": len(documents)}
    return Rows(documents=documents, origin=origin)
