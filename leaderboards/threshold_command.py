"""``groupgap threshold``: could a decision threshold for each group remove the gap, and what would it cost?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import GroupgapError
from .board_command import add_judging_arguments, add_reading_arguments, parse_names

if TYPE_CHECKING:
    from ..metrics import Difference, Estimate, ThresholdOutcome
    from .answers import Answers
    from .collection import Entry

SCHEMA = "groupgap-threshold"
SCHEMA_VERSION = 1
CONSTRAINTS = ("equalized_odds", "demographic_parity", "true_positive_rate_parity")
OBJECTIVES = ("accuracy_score", "balanced_accuracy_score")
HEADER = ("", "before", "after", "before - after", "p", "q")
CAUTION = (
    "Thresholds by group need each person's group when the decision is made. Intervals are 95%, for these fitted "
    "thresholds on the half that they were not fitted on. p tests that before and after are equal; q is its "
    "Benjamini-Hochberg value over all tests above."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="an lm-eval output folder, searched at any depth, or a results file"
    )
    fitting = parser.add_argument_group("fitting")
    fitting.add_argument(
        "--constraint",
        choices=CONSTRAINTS,
        default=CONSTRAINTS[0],
        help="what the thresholds are to equalize (default equalized_odds)",
    )
    fitting.add_argument(
        "--objective",
        choices=OBJECTIVES,
        default=OBJECTIVES[0],
        help="what they are to keep high (default accuracy_score)",
    )
    add_reading_arguments(parser)
    add_judging_arguments(parser)
    parser.add_argument("--json", action="store_true", help="strict JSON on stdout instead of tables")


def run(args: argparse.Namespace) -> int:
    """Fit and judge for each run, task and axis; print what thresholds change."""
    from .axes import Reading
    from .board import Options
    from .collection import Request, collect
    from .judging import enough_draws
    from .reported import accuracy_notes

    Options(args.min_group, enough_draws(args.draws), args.seed)  # refuses what is out of range, in the board's words
    reading = Reading.from_options(args.axis, args.positive)
    collection = collect(Request(args.runs, parse_names(args.name), reading, args.skip))
    found: list[tuple[Answers, ThresholdOutcome]] = []
    refused: list[str] = []
    for entry in collection.entries:
        for answers in entry.answers:
            try:
                found.append((answers, _outcome(entry, answers, args)))
            except GroupgapError as error:
                refused.append(f"{answers.task}, {answers.axis}, {answers.run}: {error}")
    if not found:
        raise GroupgapError("; ".join(refused))
    notes = [f"left out: {reason}" for reason in refused]
    notes += [*collection.notes, *accuracy_notes(collection.entries)]
    print(_as_json(found, notes, args) if args.json else _as_text(found, notes, args), end="")
    return 0


def _outcome(entry: Entry, answers: Answers, args: argparse.Namespace) -> ThresholdOutcome:
    from ..metrics import optimize_threshold
    from .floors import floor_of

    return optimize_threshold(
        answers,
        args.constraint,
        units=answers.documents,
        objective=args.objective,
        min_group=floor_of(entry, args.min_group),
        draws=args.draws,
        seed=args.seed,
    )


def shown_differences(outcome: ThresholdOutcome) -> tuple[Difference, ...]:
    """What is printed of the comparison: accuracy, the worst group, and the gap of the constraint."""
    return outcome.accuracy_paid, outcome.comparison.find("worst_group"), outcome.gap_removed


def sides_of(outcome: ThresholdOutcome, one: Difference) -> tuple[Estimate, Estimate]:
    """The estimates before and after, with their chance levels."""
    return getattr(outcome.before, one.metric), getattr(outcome.after, one.metric)


def q_values(found: list[tuple[Answers, ThresholdOutcome]]) -> dict[tuple[int, str], float]:
    """(row, metric) to q: all p-values of one command's output are one family."""
    from ..metrics import benjamini_hochberg

    tested = [
        ((row, one.metric), one.p_value)
        for row, (_, outcome) in enumerate(found)
        for one in shown_differences(outcome)
        if one.p_value is not None
    ]
    values = benjamini_hochberg([p_value for _, p_value in tested])
    return {key: float(value) for (key, _), value in zip(tested, values, strict=True)}


def _as_text(found: list[tuple[Answers, ThresholdOutcome]], notes: list[str], args: argparse.Namespace) -> str:
    from .markdown import plain, table

    q = q_values(found)
    parts = []
    for row, (answers, outcome) in enumerate(found):
        lines = [
            f"{plain(answers.task)}, {plain(answers.axis)}: {plain(answers.run)}",
            f"{args.constraint}, positive {plain(outcome.positive)!r}: fitted on {outcome.n_fit:,} answers, "
            f"judged on {outcome.n_judged:,} others (seed {outcome.seed})",
            table(HEADER, [_cells(outcome, one, q.get((row, one.metric))) for one in shown_differences(outcome)]),
            *(plain(line) for line in verdict(outcome)),
        ]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *(f"note: {plain(note)}" for note in notes[:20]), CAUTION]) + "\n"


def _cells(outcome: ThresholdOutcome, one: Difference, q: float | None) -> list[str]:
    from .format import format_chance, format_estimate, format_number, format_p
    from .markdown import plain

    sides = []
    for side in sides_of(outcome, one):
        names = f"{', '.join(side.groups)} " if one.metric == "worst_group" and side.value is not None else ""
        chance = f" ({format_chance(side.chance)})" if side.chance else ""
        sides.append(names + format_estimate(side) + chance)
    difference = f"undefined ({one.reason})"
    if one.value is not None and one.low is not None and one.high is not None:
        difference = f"{format_number(one.value)} [{format_number(one.low)}, {format_number(one.high)}]"
    p_value = "-" if one.p_value is None else format_p(one.p_value)
    return [
        one.metric.replace("_", " "),
        *map(plain, sides),
        plain(difference),
        p_value,
        "-" if q is None else format_p(q),
    ]


def verdict(outcome: ThresholdOutcome) -> list[str]:
    """What it means, in words: gap removed, gap left, accuracy paid, coin flips, small groups."""
    from .format import format_number

    gap, paid = outcome.gap_removed, outcome.accuracy_paid
    lines = []
    if gap.value is None or gap.low is None or gap.high is None:
        lines.append(f"The gap ({outcome.gap}) is undefined: {gap.reason}.")
    elif gap.low > 0:
        lines.append(f"Thresholds remove {format_number(gap.value)} of the gap ({outcome.gap}).")
    elif gap.high < 0:
        lines.append(f"Thresholds widen the gap ({outcome.gap}) by {format_number(-gap.value)}.")
    else:
        seen = (
            "" if gap.minimal_detectable is None else f"; a change under {gap.minimal_detectable:.2f} would not be seen"
        )
        lines.append(
            f"Cannot tell whether thresholds change the gap ({outcome.gap}) with n = {outcome.n_judged:,}{seen}."
        )
    left: Estimate = getattr(outcome.after, outcome.gap)
    if left.low and left.chance is not None and left.chance.p_value < 0.05:
        lines.append(f"A gap of at least {format_number(left.low)} is left.")
    if paid.low is not None and paid.high is not None:
        gained = paid.high < 0
        limits = (-paid.high, -paid.low) if gained else (paid.low, paid.high)
        lines.append(f"Accuracy {'gained' if gained else 'paid'}: between {' and '.join(map(format_number, limits))}.")
    if outcome.randomisation is not None:
        lines.append(_randomised(outcome))
    shared = [pattern.name for pattern in outcome.patterns if pattern.treatment == "shared threshold"]
    kept = [pattern.name for pattern in outcome.patterns if pattern.treatment == "decisions as they were"]
    lines += [f"Too small for a threshold of their own, so they share one: {', '.join(shared)}."] if shared else []
    lines += [f"Too small for any threshold, decided as before: {', '.join(kept)}."] if kept else []
    return lines


def _randomised(outcome: ThresholdOutcome) -> str:
    from .format import format_number

    found = outcome.randomisation
    assert found is not None
    low, _, high = map(format_number, found.accuracy)
    gap = ""
    if found.gap is not None:
        gap = f", gap {format_number(found.gap[0])} to {format_number(found.gap[2])}"
    return f"The fitted decision flips coins; {found.repeats} other seeds give accuracy {low} to {high}{gap}."


def _as_json(found: list[tuple[Answers, ThresholdOutcome]], notes: list[str], args: argparse.Namespace) -> str:
    from .. import __version__
    from .tables import to_json

    q = q_values(found)
    return to_json(
        {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "groupgap": __version__,
            "options": {
                "constraint": args.constraint,
                "objective": args.objective,
                "draws": args.draws,
                "seed": args.seed,
            },
            "notes": notes,
            "rows": [_document(row, answers, outcome, q) for row, (answers, outcome) in enumerate(found)],
        },
        ascii_only=True,
    )


def _document(row: int, answers: Answers, outcome: ThresholdOutcome, q: dict[tuple[int, str], float]) -> dict[str, Any]:
    from dataclasses import asdict

    from .tables import estimate_document

    differences = {
        one.metric: {
            **{
                when: estimate_document(side)
                for when, side in zip(("before", "after"), sides_of(outcome, one), strict=True)
            },
            "difference": {"value": one.value, "low": one.low, "high": one.high, "n": one.n, "reason": one.reason},
            "test": {"name": one.test, "null": one.null, "p": one.p_value, "q": q.get((row, one.metric))},
            "minimal_detectable": one.minimal_detectable,
        }
        for one in shown_differences(outcome)
    }
    return {
        "task": answers.task,
        "axis": answers.axis,
        "variant": answers.run,
        "positive": outcome.positive,
        "gap": outcome.gap,
        "min_group": outcome.before.min_group,
        "n_fit": outcome.n_fit,
        "n_judged": outcome.n_judged,
        "metrics": differences,
        "verdict": verdict(outcome),
        "randomisation": None if outcome.randomisation is None else asdict(outcome.randomisation),
        "patterns": [asdict(pattern) for pattern in outcome.patterns],
    }
