"""The board: one judged row for each task, axis and variant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from threadpoolctl import threadpool_limits

from ..metrics import CalibrationReport, Estimate, Judgement
from .answers import Answers
from .collection import Collection, Entry
from .details import blocks_of, where_measurable
from .floors import floor_notes, floor_of
from .judgements import missing_parts
from .judging import Options, SeedResult, judge_task
from .pairs import Contender, Pairs, Wish, bands, compare_tables, mode_of
from .report_blocks import Block
from .reported import Discrepancy, discrepancies
from .seeds import fold, names_of, pool
from .worst import is_same

NOT_PROVEN = "not proven"
METRICS: dict[str, str] = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "worst_group": "worst-group accuracy",
    "accuracy_spread": "accuracy spread",
    "dpd": "demographic parity difference",
    "eopp": "equal opportunity difference",
    "eod": "equalized odds difference",
    "eod_mean": "mean equalized odds difference",
}


@dataclass(frozen=True)
class Row:
    """One variant, judged on one axis of one task.

    Attributes:
        task: name of the task.
        axis: name of the axis.
        variant: name of the variant.
        judgement: all estimates, per group too.
        rank: place by worst-group accuracy within the task and axis (ties share one); ``None`` where that is undefined.
        base: base model, where known.
        method: ``base``, ``full``, ``lora``, ..., where known.
        proof: how each run was shown to be the variant's own (``full``, ``fast``, ...); ``not proven`` for a run that
            does not say.
        backend: lm-eval's model type.
        seeds: training seeds, where ``variant.json`` says them.
        members: names of the runs that are averaged; the row's own name for a single one.
        sources: the results file of each of ``members``; relative to the board's folder where it is written.
        documents: a digest of the documents that were answered.
        classes: texts of the choices.
        limited: whether only a part of the task was answered.
        shots: few-shot examples.
        dates: lm-eval's dates of the runs.
        lm_eval_versions: which versions ran.
        identity: what tells the variant from others.
        calibration: of the choices' probabilities; ``None`` for several seeds, whose own stand in ``by_seed``, and for
            judged texts.
        by_seed: each training seed by itself, where there are several.
        discrepancies: where lm-eval's own numbers differ.
        notes: what a reader should know, in words.
        controlled_of: name of the raw task, where this one asks its documents in balanced cells (a debiased answer).
        raw: the same variant on the raw task and axis, where the board holds it too.
        licence: of the weights, where known.
        trained_parameters: how many parameters the training moved, where known.
        provenance: what each of ``members`` tells of itself: command, hashes, versions, ...
        bands: metric to the letters of its rank bands (rows that the paired test cannot separate share one); empty
            where not all rows of the table were compared.
        blocks: what its runs tell beyond groups and gaps.
    """

    task: str
    axis: str
    variant: str
    judgement: Judgement
    rank: int | None = None
    base: str | None = None
    method: str | None = None
    proof: str = NOT_PROVEN
    backend: str = ""
    seeds: tuple[int, ...] = ()
    members: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    documents: str | None = None
    classes: tuple[str, ...] = ()
    limited: bool = False
    shots: int | None = None
    dates: tuple[str, ...] = ()
    lm_eval_versions: tuple[str, ...] = ()
    identity: str = ""
    calibration: CalibrationReport | None = None
    by_seed: tuple[SeedResult, ...] = ()
    discrepancies: tuple[Discrepancy, ...] = ()
    notes: tuple[str, ...] = ()
    controlled_of: str | None = None
    raw: Judgement | None = None
    licence: str | None = None
    trained_parameters: int | None = None
    provenance: tuple[Mapping[str, str], ...] = ()
    bands: Mapping[str, str] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()

    @property
    def n(self) -> int:
        """Answers."""
        return self.judgement.n

    @property
    def left_out(self) -> dict[str, str]:
        """Groups that are too small to enter some minimum or maximum: name to the reasons."""
        reasons: dict[str, dict[str, None]] = {}
        for left in self.judgement.left_out:
            at = f" ({left.class_name})" if left.class_name and self.judgement.positive is None else ""
            reasons.setdefault(left.group, {})[f"{left.rate.replace('_', ' ')}: {left.reason}{at}"] = None
        return {group: "; ".join(found) for group, found in reasons.items()}


@dataclass(frozen=True)
class Board:
    """All rows, in order of task, axis and rank.

    Attributes:
        rows: the judged variants.
        options: how they were judged.
        notes: what a reader should know, in words.
        pairs: the rows of each table against each other.
        blocks: what rows tell beyond groups and gaps, and tables of other reports.
        request: how the runs were read and compared, as options of the command line: what an update needs to know.
    """

    rows: tuple[Row, ...]
    options: Options = field(default_factory=Options)
    notes: tuple[str, ...] = ()
    pairs: tuple[Pairs, ...] = ()
    blocks: tuple[Block, ...] = ()
    request: Mapping[str, Sequence[str] | str | None] = field(default_factory=dict)

    @property
    def tables(self) -> dict[tuple[str, str], tuple[Row, ...]]:
        """The rows of each (task, axis)."""
        tables: dict[tuple[str, str], tuple[Row, ...]] = {}
        for row in self.rows:
            tables[row.task, row.axis] = (*tables.get((row.task, row.axis), ()), row)
        return tables


def build_board(
    collection: Collection,
    options: Options | None = None,
    progress: Callable[[str], None] | None = None,
    kept: Sequence[Row] = (),
) -> Board:
    """Judge all answers.

    Args:
        collection: from :func:`groupgap.leaderboards.collection.collect`.
        options: how to judge.
        progress: called with a line for the rows, and each table of comparisons, that are begun.
        kept: rows of an earlier board whose runs are gone: they are ranked as they are, and compared with no other.

    Returns:
        The board.
    """
    with threadpool_limits(1, user_api="blas"):  # threads cost more than they bring to products of small matrices
        return _built(collection, options or Options(), progress, kept)


def _built(
    collection: Collection, options: Options, progress: Callable[[str], None] | None, kept: Sequence[Row]
) -> Board:
    """The board, as :func:`build_board` returns it."""
    rows: list[Row] = []
    contenders: dict[tuple[str, str, str], Contender] = {}
    notes: list[str] = []
    tasks: dict[str, list[Entry]] = {}
    read = [answers for entry in collection.entries for answers in entry.answers]
    ungrouped = [f"task {one.task}: {note}" for one in read for note in _without_group(one)]
    for entry in collection.entries:
        tasks.setdefault(entry.task, []).append(entry)
    for task, entries in tasks.items():
        folded, said = fold(entries)
        notes += [f"task {task}: {note}" for note in (*said, *floor_notes(entries, options.min_group))]
        judged = judge_task(entries, options, progress)
        for name, seeds in zip(names_of(folded), folded, strict=True):
            for number in range(len(seeds[0].answers)):
                axis = seeds[0].answers[number].axis
                row = _row(name, seeds, number, [judged[one.run.name, axis] for one in seeds], options)
                rows.append(row)
                contenders[row.task, row.axis, name] = Contender(
                    name,
                    row.base,
                    row.method,
                    tuple(seeds),
                    tuple(one.answers[number] for one in seeds),
                    row.judgement.accuracy.reason,
                )
    ranked = _ranked(_with_raw([*rows, *kept]))
    blocks = tuple(dict.fromkeys(block for row in ranked for block in row.blocks))
    board = Board(ranked, options, tuple(dict.fromkeys((*notes, *collection.notes, *ungrouped))), blocks=blocks)
    return _compared(board, contenders, progress)


def _compared(
    board: Board,
    contenders: Mapping[tuple[str, str, str], Contender],
    progress: Callable[[str], None] | None,
) -> Board:
    """The board with its rows compared with each other."""
    options = board.options
    tables, wishes = {}, {}
    for (task, axis), rows in board.tables.items():
        tables[task, axis] = [
            contenders.get((task, axis, row.variant)) or Contender(row.variant, row.base, row.method, (), ())
            for row in rows
        ]
        wishes[task, axis] = Wish(mode_of(options.pairs, len(rows)), options.min_group, options.draws, options.seed)
    pairs = compare_tables(tables, wishes, progress)
    lettered = {(one.task, one.axis): bands(one) for one in pairs}
    rows_with_bands = (replace(row, bands=lettered[row.task, row.axis].get(row.variant, {})) for row in board.rows)
    return replace(board, rows=tuple(rows_with_bands), pairs=pairs)


def _row(name: str, seeds: Sequence[Entry], number: int, results: Sequence[SeedResult], options: Options) -> Row:
    """The row of one variant, or of all seeds of one, on the axis with this number."""
    entry, answers = seeds[0], [one.answers[number] for one in seeds]
    first = answers[0]
    min_group = floor_of(entry, options.min_group)
    several = len(seeds) > 1
    judgement = pool(answers, [one.judgement for one in results], min_group) if several else results[0].judgement
    for one in results:
        judgement = where_measurable(judgement, one.details)
    runs = [one.run for one in seeds]
    versions = dict.fromkeys(str(run.facts["lm_eval_version"]) for run in runs if run.facts.get("lm_eval_version"))
    return Row(
        task=entry.task,
        axis=first.axis,
        variant=name,
        judgement=judgement,
        base=entry.run.variant.base,
        method=entry.run.variant.method,
        proof=", ".join(dict.fromkeys(run.variant.proof or NOT_PROVEN for run in runs)),
        backend=str(entry.run.facts["config"].get("model", "")),
        seeds=tuple(run.variant.seed for run in runs if run.variant.seed is not None),
        members=tuple(run.name for run in runs),
        sources=tuple(str(run.results_file) for run in runs),
        documents=first.digest,
        classes=first.classes,
        limited=any(one.limited for one in answers),
        shots=entry.run.shots(entry.task),
        dates=tuple(run.date for run in runs),
        lm_eval_versions=tuple(versions),
        identity=(entry.run.variant.recipe or "") if several else entry.run.variant.identity,
        calibration=None if several else results[0].calibration,
        by_seed=tuple(results) if several else (),
        blocks=tuple(blocks_of(name, entry.task, [one.details for one in results])),
        discrepancies=tuple(_all_discrepancies(seeds, first.axis, results)),
        notes=(*first.notes, *_without_group(first), *missing_parts(judgement, METRICS)),
        controlled_of=str(raw) if (raw := entry.run.fair(entry.task).get("controlled")) else None,
        licence=" / ".join(dict.fromkeys(run.variant.licence for run in runs if run.variant.licence)) or None,
        trained_parameters=entry.run.variant.trained_parameters,
        provenance=tuple(run.variant.provenance for run in runs),
    )


def _without_group(answers: Answers) -> list[str]:
    """How many documents are in no group, in words; nothing where each is in one."""
    none = int((~answers.membership.any(axis=1)).sum())
    words = f"{none:,} of {answers.n:,} documents are in no group of {answers.axis}: they enter accuracy and F1 only"
    return [words] if none else []


def _all_discrepancies(seeds: Sequence[Entry], axis: str, results: Sequence[SeedResult]) -> Iterable[Discrepancy]:
    for entry, result in zip(seeds, results, strict=True):
        prefix = f"{axis}_" if len(entry.answers) > 1 else ""
        for found in discrepancies(entry.run, entry.task, prefix, result.judgement):
            at = f"seed {result.seed}" if len(seeds) > 1 else ""
            yield replace(found, remark="; ".join(part for part in (at, found.remark) if part))


def _with_raw(rows: Sequence[Row]) -> Iterable[Row]:
    """The rows; those of a controlled task with what the same variant got on the raw one."""
    found = {(row.task, row.axis, row.variant): row.judgement for row in rows}
    for row in rows:
        raw = None if row.controlled_of is None else found.get((row.controlled_of, row.axis, row.variant))
        yield row if raw is None else replace(row, raw=raw)


def _ranked(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows in order of task, axis, rank and name; those whose worst group is undefined last."""
    tables: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        tables.setdefault((row.task, row.axis), []).append(row)
    ranked = []
    for _, table in sorted(tables.items(), key=lambda item: item[0]):
        placed = zip(table, _ranks([row.judgement.worst_group.value for row in table]), strict=True)
        with_ranks = [replace(row, rank=rank) for row, rank in placed]
        ranked += sorted(with_ranks, key=lambda row: (row.rank or len(table) + 1, row.variant))
    return tuple(ranked)


def _ranks(values: Sequence[float | None]) -> list[int | None]:
    """The place of each value, the largest first; equal ones, but for rounding, share the first of their places."""
    ranks: list[int | None] = [None] * len(values)
    known = sorted(((value, at) for at, value in enumerate(values) if value is not None), reverse=True)
    first, rank = math.inf, 0
    for place, (value, at) in enumerate(known, 1):
        if not is_same(value, first):
            first, rank = value, place
        ranks[at] = rank
    return ranks


def estimates(row: Row) -> Mapping[str, Estimate]:
    """The estimates of a row by the keys of ``METRICS``."""
    return {metric: getattr(row.judgement, metric) for metric in METRICS}
