"""Judging the runs of a task: those that are judged alike in one go, for they share their draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import GroupgapError
from ..metrics import CalibrationReport, Judgement, Scores, calibrate_all
from .answers import Answers
from .collection import Entry
from .details import Details, details_of, where_measurable
from .floors import floor_of
from .judgements import judgements_of, without_intervals
from .pairs import mode_of

DEFAULT_DRAWS = 10_000
CALIBRATION_DRAWS = 1_000
# 25 of 999 draws lie beyond each end of a 95% interval, and 50 beyond the 95th percentile of chance
LEAST_DRAWS = 999


@dataclass(frozen=True)
class Options:
    """How the board judges.

    Attributes:
        min_group: smallest denominator with which a group enters a gap; ``None``: the run's own, else 30.
        draws: bootstrap draws and permutations.
        seed: of the draws.
        pairs: which rows of a table are compared with each other, one of ``pairs.MODES``; ``None``: all, in a table of
            many rows each with its base model.
    """

    min_group: int | None = None
    draws: int = DEFAULT_DRAWS
    seed: int = 0
    pairs: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers out of range, and a wish that is none."""
        mode_of(self.pairs, 0)
        for flag, value, least in (
            ("--min-group", self.min_group, 1),
            ("--draws", self.draws, 1),
            ("--seed", self.seed, 0),
        ):
            if value is not None and value < least:
                raise GroupgapError(f"{flag} {value}: expected a whole number, {least} or more")


def enough_draws(draws: int) -> int:
    """The draws wished on the command line. :class:`Options` takes fewer, for who knows what they are worth.

    Raises:
        GroupgapError: if they are too few for the ends of a 95% interval to be more than noise.
    """
    if draws < LEAST_DRAWS:
        wanted = f"expected {LEAST_DRAWS} or more (default {DEFAULT_DRAWS})"
        raise GroupgapError(f"--draws {draws}: {wanted}: fewer say too little of 95% intervals and of chance")
    return draws


@dataclass(frozen=True)
class SeedResult:
    """One training seed of a row.

    Attributes:
        seed: of the training.
        variant: name of its run.
        judgement: its estimates, with intervals over documents.
        calibration: of its probabilities; ``None`` where answers are judged texts, which have none.
        details: what it tells beyond groups and gaps.
    """

    seed: int | None
    variant: str
    judgement: Judgement
    calibration: CalibrationReport | None
    details: Details = field(default_factory=Details)


def judge_task(
    entries: Sequence[Entry], options: Options, progress: Callable[[str], None] | None
) -> dict[tuple[str, str], SeedResult]:
    """The runs of a task on each axis, by name and axis; those judged alike in one go, for they share draws."""
    alike: dict[tuple[object, ...], list[tuple[Entry, Answers]]] = {}
    for entry in entries:
        for one in entry.answers:
            floor = floor_of(entry, options.min_group)
            alike.setdefault((one.axis, one.groups, one.classes, one.positive, floor), []).append((entry, one))
    found = {}
    for runs in alike.values():
        entry, one = runs[0]
        if progress:
            progress(f"{entry.task}, {one.axis}: {', '.join(each.run.name for each, _ in runs)}")
        for result in _judged_alike(runs, floor_of(entry, options.min_group), options):
            found[result.variant, one.axis] = result
    return found


def _judged_alike(runs: Sequence[tuple[Entry, Answers]], floor: int, options: Options) -> list[SeedResult]:
    """Runs of one task on one axis, with the same groups, classes and smallest group."""
    first = runs[0][1]
    how: dict[str, Any] = {"positive": first.positive, "min_group": floor, "seed": options.seed}
    judgements = judgements_of([one for _, one in runs], {**how, "draws": options.draws})
    details = [details_of(one, entry.run.fair(entry.task)) for entry, one in runs]
    scores = [
        None if told.translations is not None else Scores(one.probabilities, one.labels, one.membership)
        for (_, one), told in zip(runs, details, strict=True)
    ]
    calibrated = iter(
        calibrate_all(
            [one for one in scores if one is not None],
            first.groups,
            classes=first.classes,
            draws=min(options.draws, CALIBRATION_DRAWS),
            **how,
        )
    )
    results = []
    for (entry, answers), judgement, told, score in zip(runs, judgements, details, scores, strict=True):
        judgement = where_measurable(judgement, told)
        report = None if score is None else next(calibrated)
        if report is not None and answers.clusters is not None:
            report = without_intervals(report)
        results.append(SeedResult(entry.run.variant.seed, entry.run.name, judgement, report, told))
    return results
