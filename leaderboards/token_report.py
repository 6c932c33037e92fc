"""Token bias of runs: effects, verdicts, raw beside debiased answers of controlled tasks; and the paper's prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from glob import escape

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from ..errors import GroupgapError
from ..harness_tasks.design import Cell
from ..metrics import Estimate, count
from ..metrics.chance import chance_gaps
from ..metrics.debias import debiased_log_probabilities
from ..metrics.gaps import plan_gaps
from ..metrics.judge import with_interval
from ..metrics.largest import share_of
from ..metrics.rates import overall_accuracy, proportion
from ..metrics.token_bias import TokenBias, token_bias
from .answers import Answers
from .collection import Entry, Request, collect
from .floors import floor_of
from .runs import Run, find_runs
from .token_cells import AskedCells, asked_cells, is_controlled, units
from .token_guesses import GuessBias, guess_bias, guess_tasks

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CHANCE_DRAWS = 1_000
NO_CONTENT_FREE = "the task asks no input without content"


@dataclass(frozen=True)
class Way:
    """One way of asking, or of reading the answers to all of them, and what comes out.

    Attributes:
        name: the raw task; or what the symbols stood for; ``debiased``: the mean over a document's cells;
            ``calibrated``: that, less the prior on inputs without content.
        n: documents asked so.
        accuracy: share answered right.
        selection: class to the share of documents given it.
        dpd: demographic parity difference, with its chance level: ways are asked of fewer documents than the debiased
            answer rests on, and the fewer, the larger the gap by chance.
        worst_group: lowest group accuracy.
    """

    name: str
    n: int
    accuracy: Estimate
    selection: dict[str, Estimate]
    dpd: Estimate
    worst_group: Estimate


@dataclass(frozen=True)
class GroupAnswers:
    """What one group is answered.

    Attributes:
        raw: class to the share of a document's single cells in which it is given, in the mean over documents.
        debiased: class to the share of documents whose debiased answer it is.
        calibrated: likewise, after contextual calibration.
    """

    raw: dict[str, Estimate]
    debiased: dict[str, Estimate]
    calibrated: dict[str, Estimate]


@dataclass(frozen=True)
class AxisBias:
    """One axis of a controlled task.

    Attributes:
        axis: its name.
        bias: effects, with the groups of this axis.
        ways: the raw task, each way of asking, then the debiased and the calibrated reading.
        groups: raw and debiased answers by group.
    """

    axis: str
    bias: TokenBias
    ways: tuple[Way, ...]
    groups: dict[str, GroupAnswers]


@dataclass(frozen=True)
class TaskBias:
    """One run of a controlled task.

    Attributes:
        variant: name of the run.
        seed: of its training, where known.
        task: the controlled task.
        raw_task: the task that it controls.
        classes: its choices.
        cells: in which each document was asked.
        axes: along each axis.
        contradiction: share of documents that are not given the same answer in all their cells.
        prior: class to its debiased probability on inputs without content.
        inputs: without content.
        notes: what a reader should know, in words.
    """

    variant: str
    seed: int | None
    task: str
    raw_task: str
    classes: tuple[str, ...]
    cells: int
    axes: tuple[AxisBias, ...]
    contradiction: Estimate
    prior: dict[str, float] = field(default_factory=dict)
    inputs: int = 0
    notes: tuple[str, ...] = ()


def task_bias(entry: Entry, raw: Entry | None, min_group: int | None) -> TaskBias:
    """Measure one run of a controlled task.

    Args:
        entry: the run's answers, from :func:`groupgap.leaderboards.collection.collect`.
        raw: the same variant's answers to the raw task, where it was asked too.
        min_group: smallest number of documents with which a group enters a gap; ``None``: the run's own, else 30.

    Raises:
        GroupgapError: for samples that are broken.
    """
    asked = asked_cells(entry.run, entry.task)
    first, floor = entry.answers[0], floor_of(entry, min_group)
    said = asked.matrix.log_probabilities.argmax(axis=2)
    prior = _prior(asked)
    differing = int((said != said[:, :1]).any(axis=1).sum())
    return TaskBias(
        variant=entry.run.name,
        seed=entry.run.variant.seed,
        task=entry.task,
        raw_task=str(entry.run.fair(entry.task)["controlled"]),
        classes=first.classes[: asked.matrix.choices],
        cells=int(said.shape[1]),
        axes=tuple(_axis(asked, answers, _same_axis(raw, answers), prior, floor) for answers in entry.answers),
        contradiction=proportion(differing, len(said), "no documents", 0.95),
        prior={} if prior is None else dict(zip(first.classes, np.exp(prior).tolist(), strict=False)),
        inputs=len(asked.content_free),
        notes=asked.notes,
    )


def _prior(asked: AskedCells) -> FloatArray | None:
    """(C,) log-probabilities of the choices on inputs without content, debiased; contextual calibration's prior.

    Source: Zhao, Wallace, Feng, Klein, Singh, ICML 2021 (Calibrate Before Use).
    """
    size = asked.matrix.choices
    found = [one.debiased for one in asked.content_free if one.log_probabilities.shape[1] == size]
    finite = [one for one in found if np.isfinite(one).all()]
    return np.asarray(log_softmax(np.mean(finite, axis=0))) if finite else None


def _same_axis(raw: Entry | None, answers: Answers) -> Answers | None:
    return None if raw is None else next((one for one in raw.answers if one.axis == answers.axis), None)


def _axis(asked: AskedCells, answers: Answers, raw: Answers | None, prior: FloatArray | None, floor: int) -> AxisBias:
    rows = asked.rows
    member = answers.membership[rows]
    bias = token_bias(
        asked.matrix,
        answers.classes[: asked.matrix.choices],
        member,
        answers.groups,
        clusters=units(answers, rows),
        min_group=floor,
    )
    debiased = np.stack([debiased_log_probabilities(one) for one in asked.matrix.log_probabilities])
    readings = {"debiased": debiased.argmax(axis=1)}
    if prior is not None:
        readings["calibrated"] = (debiased - prior).argmax(axis=1)
    said = asked.matrix.log_probabilities.argmax(axis=2)
    ways = [] if raw is None else [_way(raw.task, raw, np.arange(raw.n), raw.predictions, floor)]
    ways += _single_ways(asked, answers, said, floor)
    ways += [_way(name, answers, rows, chosen, floor) for name, chosen in readings.items()]
    groups = {
        group: _group_answers(answers, said[inside], {name: chosen[inside] for name, chosen in readings.items()})
        for index, group in enumerate(answers.groups)
        if (inside := member[:, index]).any()
    }
    return AxisBias(answers.axis, bias, tuple(ways), groups)


def _single_ways(asked: AskedCells, answers: Answers, said: IntArray, floor: int) -> Iterator[Way]:
    """What each symbol stands for, whatever the wording and the order: a document counts in a way once, first come."""
    places: dict[str, dict[int, int]] = {}
    for row, cells in enumerate(asked.cells):
        for column, cell in enumerate(cells):
            places.setdefault(_name_of(cell, answers.classes), {}).setdefault(row, column)
    for name, found in sorted(places.items()):
        rows, columns = np.array(list(found.items())).T
        yield _way(name, answers, asked.rows[rows], said[rows, columns], floor)


def _name_of(cell: Cell, classes: Sequence[str]) -> str:
    pairs = sorted(f"{symbol} = {name}" for symbol, name in zip(cell.symbols, classes, strict=False))
    return f"{', '.join(pairs)}{', question turned' if cell.turned else ''}"


def _way(name: str, answers: Answers, rows: IntArray, predictions: IntArray, floor: int) -> Way:
    counts = count(answers.labels[rows], predictions, answers.membership[rows], answers.groups, answers.classes)
    plan = plan_gaps(counts, answers.positive, floor)
    chance = chance_gaps(plan, CHANCE_DRAWS, np.random.default_rng(0))
    return Way(
        name,
        len(rows),
        overall_accuracy(counts),
        {
            answers.classes[index]: proportion(int((predictions == index).sum()), len(rows), "no documents", 0.95)
            for index in shown_classes(answers)
        },
        replace(with_interval(plan, "dpd", 0.95), chance=chance.get("dpd")),
        with_interval(plan, "worst_group", 0.95),
    )


def shown_classes(answers: Answers) -> tuple[int, ...]:
    """The positive choice, or all of them where there is none."""
    return tuple(range(len(answers.classes))) if answers.positive is None else (answers.positive,)


def _group_answers(answers: Answers, said: IntArray, readings: dict[str, IntArray]) -> GroupAnswers:
    n, names = len(said), {index: answers.classes[index] for index in shown_classes(answers)}

    def shares(reading: str) -> dict[str, Estimate]:
        if reading not in readings:
            return {name: Estimate(None, n, NO_CONTENT_FREE) for name in names.values()}
        chosen = readings[reading]
        return {name: proportion(int((chosen == index).sum()), n, "", 0.95) for index, name in names.items()}

    raw = {name: share_of(said == index) for index, name in names.items()}
    return GroupAnswers(raw, shares("debiased"), shares("calibrated"))


@dataclass(frozen=True)
class TokenReport:
    """Everything that ``groupgap token-bias`` says.

    Attributes:
        tasks: each run of each controlled task.
        guesses: each run of the paper's prompts.
        min_group: as it was asked for; ``None``: each run's own, else 30.
        notes: what a reader should know, in words.
    """

    tasks: tuple[TaskBias, ...] = ()
    guesses: tuple[GuessBias, ...] = ()
    min_group: int | None = None
    notes: tuple[str, ...] = ()


def token_report(request: Request, min_group: int | None, progress: Callable[[str], None] | None = None) -> TokenReport:
    """Read runs, and measure every controlled task and every prompt of the paper in them.

    Args:
        request: what to read; tasks of other kinds are left alone.
        min_group: smallest number of documents with which a group enters a gap; ``None``: the run's own, else 30.
        progress: called with a line for each run that is begun.

    Raises:
        GroupgapError: for bad input, and for runs without such a task.
    """
    runs, notes = find_runs(request.paths, request.names)
    tasks = sorted({task for run in runs for task in run.samples})
    entries, said = _entries(runs, request)
    answered = {(entry.run.name, entry.task): entry for entry in entries}
    measured, guessed = [], []
    for entry in (one for one in entries if is_controlled(one.run, one.task)):
        _tell(progress, f"{entry.task}: {entry.run.name}")
        raw = answered.get((entry.run.name, str(entry.run.fair(entry.task)["controlled"])))
        measured.append(task_bias(entry, raw, min_group))
    for name in dict.fromkeys(run.name for run in runs):
        own = [run for run in runs if run.name == name]
        if guess_tasks(own, request.skip):
            _tell(progress, f"prompts for a gender: {name}")
        guessed.append(guess_bias(own, 30 if min_group is None else min_group, request.skip))
    all_notes = tuple(dict.fromkeys((*notes, *said)))
    found = TokenReport(tuple(measured), tuple(one for one in guessed if one is not None), min_group, all_notes)
    if not found.tasks and not found.guesses:
        raise GroupgapError(
            f"no controlled task and no prompt for a gender among {', '.join(tasks)}: ask a task that ends in "
            "_controlled (groupgap control TASK makes one), or lm_eval --tasks gender_guess"
        )
    return found


def _entries(runs: Sequence[Run], request: Request) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The answers to controlled tasks, and to their raw tasks where they were asked too; and notes on them."""
    controlled = {task for run in runs for task in run.samples if is_controlled(run, task)}
    wanted = {task for task in controlled if not any(fnmatchcase(task, pattern) for pattern in request.skip)}
    if not wanted:
        return (), ()
    raw = {str(run.fair(task)["controlled"]) for run in runs for task in set(run.samples) & wanted}
    others = [escape(task) for task in {task for run in runs for task in run.samples} - wanted - raw]
    collection = collect(replace(request, skip=(*request.skip, *sorted(others))), same_documents=False)
    return collection.entries, collection.notes


def _tell(progress: Callable[[str], None] | None, line: str) -> None:
    if progress:
        progress(line)
