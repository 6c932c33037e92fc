"""Rows of a written board whose runs are gone: read back as they were written, to stand on the board that follows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ..errors import GroupgapError
from ..metrics import Calibration, CalibrationReport, Estimate, GroupRates, Judgement
from ..metrics.estimate import LeftOut
from ..metrics.reliability import Bin, ReliabilityCurve
from .board import METRICS, Row, SeedResult
from .board_file import Bounded, Count, SavedBoard, SavedEstimate, SavedGroup, SavedRow, SavedSeed, read_as
from .details import COLUMNS
from .identity import MOST_PARAMETERS
from .paths import CUT, PATH
from .report_blocks import Block
from .reported import Discrepancy
from .tables import CALIBRATION

NOT_WRITTEN = "not written on the earlier board"
MOST_DRAWS = 1_000_000  # an update draws as often as the board says, and a board may come from elsewhere
SourcePath = Annotated[str, Field(max_length=4096)]


class _Part(BaseModel):
    """A part of the file; other keys are left alone."""

    model_config = ConfigDict(strict=True, frozen=True)


class KeptCurve(_Part):
    """A reliability curve of bins of equal width."""

    n: list[Count]
    confidence: list[Bounded | None]
    accuracy: list[Bounded | None]


class KeptCalibration(_Part):
    """Calibration of a row, a group of it, or one training."""

    n: Count
    ece: SavedEstimate
    ece_equal_mass: SavedEstimate
    ece_positive: SavedEstimate
    brier: SavedEstimate
    nll: SavedEstimate
    signed_gap: SavedEstimate
    curve: KeptCurve | None = None
    group: str = ""


class KeptReport(KeptCalibration):
    """Calibration of a row and its groups."""

    bins: Count
    draws: Count
    groups: list[KeptCalibration] = []


class KeptSeed(SavedSeed):
    """One training."""

    calibration: KeptCalibration | None = None


class KeptDiscrepancy(_Part):
    """Where lm-eval's own number differed."""

    metric: str
    reported: FiniteFloat | str
    recomputed: SavedEstimate
    remark: str = ""


class KeptLeftOut(_Part):
    """A group under the smallest size."""

    group: str
    rate: Literal["accuracy", "selection_rate", "tpr", "fpr"]
    n: Count
    reason: str
    class_name: str | None = None


class KeptRow(SavedRow):
    """All that the file holds of a row."""

    identity: str
    members: list[str]
    sources: list[SourcePath]
    documents: str | None = None
    classes: list[str]
    runs: list[str]
    raw: dict[str, SavedEstimate] | None = None
    left_out: list[KeptLeftOut]
    calibration: KeptReport | None = None
    by_seed: list[KeptSeed]  # type: ignore[assignment]
    lm_eval: list[KeptDiscrepancy]
    licence: str | None = None
    provenance: list[dict[str, str]]


class KeptOptions(_Part):
    """How the board was judged."""

    min_group: Annotated[int, Field(ge=1, lt=MOST_PARAMETERS)] | None = None
    draws: Annotated[int, Field(ge=1, le=MOST_DRAWS)]
    seed: Count


class KeptRequest(_Part):
    """How its runs were read and compared, as options of the command line."""

    axis: list[str] = []
    positive: list[str] = []
    skip: list[str] = []
    pairs: str | None = None


class KeptBoard(SavedBoard):
    """A board with all that an update needs."""

    rows: list[KeptRow]  # type: ignore[assignment]
    options: KeptOptions
    request: KeptRequest
    blocks: list[Block]


def read_kept(folder: Path) -> KeptBoard:
    """Read a written board in full.

    Raises:
        GroupgapError: if there is none, it is of another version, or broken; with the key.
    """
    board = read_as(folder, KeptBoard)
    for row in board.rows:
        for metrics in (row.metrics, *(one.metrics for one in row.by_seed), *([row.raw] if row.raw else [])):
            if lacking := set(METRICS) - set(metrics):
                raise GroupgapError(f"{folder}: broken (a row lacks {sorted(lacking)[0]}): build the board again")
        if len(row.sources) not in (0, len(row.members)):
            raise GroupgapError(f"{folder}: broken (sources and members of a row differ): build the board again")
    return board


def row_of(kept: KeptRow, board: KeptBoard, sources: tuple[str, ...]) -> Row:
    """The row as it was written, without rank and bands, which depend on the rows beside it.

    Args:
        kept: one of the board's rows.
        board: the board.
        sources: where its runs were.
    """
    options = board.options
    seeds = [_seed(one, kept, options) for one in kept.by_seed]
    return Row(
        task=kept.task,
        axis=kept.axis,
        variant=kept.variant,
        judgement=_judgement(kept.metrics, kept, options, kept.groups),
        base=kept.base,
        method=kept.method,
        proof=kept.proof,
        backend=kept.backend,
        seeds=tuple(kept.seeds),
        members=tuple(kept.members),
        sources=sources,
        documents=kept.documents,
        classes=tuple(kept.classes),
        limited=kept.limited,
        shots=kept.shots,
        dates=tuple(kept.runs),
        lm_eval_versions=tuple(kept.lm_eval_versions),
        identity=kept.identity,
        calibration=None if kept.calibration is None else _report(kept.calibration, kept, options.seed),
        by_seed=tuple(seeds),
        discrepancies=tuple(
            Discrepancy(one.metric, one.reported, one.recomputed.read(), one.remark) for one in kept.lm_eval
        ),
        notes=tuple(kept.notes),
        controlled_of=kept.controlled_of,
        raw=None if kept.raw is None else _judgement(kept.raw, kept, options),
        licence=kept.licence,
        trained_parameters=kept.trained_parameters,
        provenance=tuple(kept.provenance),
        blocks=tuple(one for one in board.blocks if _is_own(one, kept)),
    )


def _is_own(block: Block, kept: KeptRow) -> bool:
    """Whether a block is one that a board makes of a row's runs, and no report's about it."""
    return (block.variant, block.task, block.columns) == (kept.variant, kept.task, COLUMNS)


def may_be_one(one: str, other: str) -> bool:
    """Whether two identities may be one model's: equal but for the beginnings of paths, which a written board cuts.

    Example:
        >>> may_be_one("pretrained=…/a/model", "pretrained=/home/me/a/model"), may_be_one("x=…/a/model", "x=/b/model")
        (True, False)
    """
    whole = re.compile(f"{PATH.pattern}|{CUT.pattern}")
    if whole.sub("…", one) != whole.sub("…", other):
        return False
    places = (
        [[part for part in path.split("/") if part.strip("…")] for path in whole.findall(text)] for text in (one, other)
    )
    return all(a[-min(len(a), len(b)) :] == b[-min(len(a), len(b)) :] for a, b in zip(*places, strict=True))


def _judgement(
    metrics: dict[str, SavedEstimate], kept: KeptRow, options: KeptOptions, groups: list[SavedGroup] | None = None
) -> Judgement:
    left_out = [LeftOut(**one.model_dump()) for one in kept.left_out] if groups is not None else []
    return Judgement(
        kept.n,
        **{metric: metrics[metric].read() for metric in METRICS},
        groups={one.group: _rates(one) for one in groups or []},
        left_out=tuple(left_out),
        min_group=kept.min_group,
        seed=options.seed,
        draws=options.draws,
        positive=kept.positive,
    )


def _rates(one: SavedGroup) -> GroupRates:
    gap = Estimate(None, 0, NOT_WRITTEN) if one.member_gap is None else one.member_gap.read()
    rates = (one.accuracy.read(), one.selection_rate.read(), one.tpr.read(), one.fpr.read(), gap)
    return GroupRates(one.n, one.positives, one.negatives, *rates)


def _seed(one: KeptSeed, kept: KeptRow, options: KeptOptions) -> SeedResult:
    found = one.calibration
    report = None if found is None else CalibrationReport(_calibration(found), {}, seed=options.seed)
    return SeedResult(one.seed, one.variant, _judgement(one.metrics, kept, options), report)


def _report(found: KeptReport, kept: KeptRow, seed: int) -> CalibrationReport:
    groups = {one.group: _calibration(one) for one in found.groups}
    overall = _calibration(found)
    return CalibrationReport(overall, groups, found.bins, kept.min_group, found.draws, seed, kept.positive)


def _calibration(found: KeptCalibration) -> Calibration:
    numbers = {name: getattr(found, name).read() for name in CALIBRATION}
    return Calibration(found.n, **numbers, curve=_curve(found.curve))


def _curve(curve: KeptCurve | None) -> ReliabilityCurve | None:
    if curve is None or not len(curve.n) == len(curve.confidence) == len(curve.accuracy) > 0:
        return None
    size = len(curve.n)
    bins = tuple(
        Bin(at / size, (at + 1) / size, n, sure, right, None if sure is None or right is None else sure - right)
        for at, (n, sure, right) in enumerate(zip(curve.n, curve.confidence, curve.accuracy, strict=True))
    )
    return ReliabilityCurve("equal width", sum(curve.n), bins)
