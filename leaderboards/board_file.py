"""Reads a ``board.json`` back: what a board says of a variant, checked key by key, for it may come from elsewhere."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from ..errors import GroupgapError
from ..metrics import Chance, Estimate
from .identity import MOST_PARAMETERS
from .tables import SCHEMA, SCHEMA_VERSION
from .untrusted import read_json_object
from .write import MARKER

SHOWN_NAMES = 20
Bounded = Annotated[FiniteFloat, Field(ge=-1e6, le=1e6)]  # shares and gaps; the page counts in thousandths
Count = Annotated[int, Field(ge=0, lt=MOST_PARAMETERS)]  # JSON knows numbers of any length
Whole = Annotated[int, Field(ge=-MOST_PARAMETERS, lt=MOST_PARAMETERS)]


class _Part(BaseModel):
    """A part of the file; keys that are not read are left alone, so that a board may say more."""

    model_config = ConfigDict(strict=True, frozen=True)


class SavedChance(_Part):
    """The gap by chance alone."""

    median: Bounded
    p95: Bounded
    p: Annotated[FiniteFloat, Field(ge=0, le=1)]
    draws: Count


class SavedEstimate(_Part):
    """A value, or the reason why there is none."""

    value: Bounded | None
    n: Count
    reason: str | None = None
    stderr: Bounded | None = None
    low: Bounded | None = None
    high: Bounded | None = None
    interval: str | None = None
    groups: list[str] = []
    chance: SavedChance | None = None
    class_name: str | None = None
    rate: str | None = None
    undefined_draws: Count = 0

    def read(self) -> Estimate:
        """The estimate, as the metrics made it (without what the file does not hold)."""
        told = self.model_dump(exclude={"chance", "groups", "reason"})
        reason = (self.reason or "no reason told") if self.value is None else None
        found = self.chance
        chance = Chance(found.median, found.p95, found.p, found.draws) if found else None
        return Estimate(**told, reason=reason, groups=tuple(self.groups), chance=chance)


class SavedGroup(_Part):
    """One group's rates."""

    group: str
    n: Count
    positives: Count | None = None
    negatives: Count | None = None
    member_gap: SavedEstimate | None = None
    accuracy: SavedEstimate
    selection_rate: SavedEstimate
    tpr: SavedEstimate
    fpr: SavedEstimate
    left_out: str | None = None


class SavedSeed(_Part):
    """One training of a row of several."""

    seed: Whole | None
    variant: str
    metrics: dict[str, SavedEstimate]


class SavedRow(_Part):
    """One variant on one axis of one task."""

    task: str
    axis: str
    variant: str
    rank: Count | None = None
    bands: dict[str, str] = {}
    base: str | None = None
    method: str | None = None
    proof: str
    backend: str = ""
    seeds: list[Whole] = []
    n: Count
    limited: bool = False
    shots: Count | None = None
    positive: str | None = None
    min_group: Count
    metrics: dict[str, SavedEstimate]
    groups: list[SavedGroup] = []
    by_seed: list[SavedSeed] = []
    lm_eval_versions: list[str] = []
    trained_parameters: Count | None = None
    controlled_of: str | None = None
    notes: list[str] = []


class SavedBoard(_Part):
    """A board as its file holds it."""

    groupgap: str
    rows: list[SavedRow]


Kind = TypeVar("Kind", bound=SavedBoard)


def read_board(path: Path) -> SavedBoard:
    """Read the board of a folder that ``groupgap board`` wrote.

    Args:
        path: the folder, or its ``board.json``.

    Raises:
        GroupgapError: if there is none, it is of another version, or it is broken; with the key.
    """
    return read_as(path, SavedBoard)


def read_as(path: Path, kind: type[Kind]) -> Kind:
    """As :func:`read_board`, with as much of the file as ``kind`` holds."""
    file = path / MARKER if path.is_dir() else path
    if not file.is_file():
        raise GroupgapError(f"{path}: not a board (no {MARKER}): expected a folder that `groupgap board RUNS -o` wrote")
    document = read_json_object(file)
    if document.get("schema") != SCHEMA:
        raise GroupgapError(f"{file}: not a board of groupgap: expected a file that `groupgap board RUNS -o` wrote")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise GroupgapError(
            f"{file}: schema_version {document.get('schema_version')!r:.20}, and {SCHEMA_VERSION} is read: build the "
            "board again with this groupgap"
        )
    try:
        return kind.model_validate(document)
    except (ValidationError, RecursionError) as error:
        raise GroupgapError(f"{file}: broken ({_first(error)}): build the board again") from error


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "nested too deeply"
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def rows_of(board: SavedBoard, variant: str) -> list[SavedRow]:
    """The rows of a variant, or of one training of a row that is the mean of several.

    Args:
        board: from :func:`read_board`.
        variant: the name of a row, or of one of its trainings.

    Raises:
        GroupgapError: for a name that the board does not have; the nearest is named.
    """
    rows = [row for row in board.rows if row.variant == variant]
    rows = rows or [_training(row, one) for row in board.rows for one in row.by_seed if one.variant == variant]
    if rows:
        return rows
    names = list(dict.fromkeys(name for row in board.rows for name in _names(row)))
    raise GroupgapError(f"no variant {variant!r:.120} on the board: {_nearest(variant, names)}")


def _names(row: SavedRow) -> list[str]:
    return [row.variant, *(one.variant for one in row.by_seed)]


def _nearest(variant: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(variant, names, n=1)
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    listed = f"there are {', '.join(names[:SHOWN_NAMES])}{more}" if names else "it has no rows"
    return (f"did you mean {close[0]!r}? " if close else "") + listed


def _training(row: SavedRow, one: SavedSeed) -> SavedRow:
    """The row of one training; its groups stand in the row of all trainings only, as their means."""
    own = {"variant": one.variant, "seeds": [] if one.seed is None else [one.seed], "metrics": one.metrics}
    return row.model_copy(update={**own, "groups": [], "by_seed": []})
