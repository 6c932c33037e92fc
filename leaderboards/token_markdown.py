"""A token-bias report in words: ``token_bias.md``, and the verdicts in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..metrics import Estimate
from ..metrics.cell_effects import SCALES
from ..metrics.largest import Maxima
from ..metrics.token_bias import TokenBias
from .format import format_chance, format_estimate, format_number, format_p
from .markdown import escape, estimate_text, plain, table
from .token_guesses import GuessBias
from .token_report import AxisBias, TaskBias, TokenReport

ODDS, POINTS = SCALES
LEGEND = (
    "All sizes are means over documents. Log-odds: of one choice over another, all else being equal; 0 is no effect, 1 "
    "makes a choice 2.7 times as likely against the other. The token effect is the largest of a symbol over another of "
    "its set or a place over another, the group effect the largest difference between two groups in what they are "
    "answered, the meaning effect the largest mean of one answer over another. A group effect is *not measurable with "
    "this prompt* where the token effect is the larger one, or is seen where no group effect is; *measurable* where "
    "the group effect is the larger one; else the answers *cannot tell*. Brackets are 95% intervals over documents; "
    "those of a largest effect reckon with all that may be the largest. A verdict is about single prompts: the "
    "debiased answer is the mean over balanced cells, in which these effects fall out."
)
VERDICTS = ("task", "axis", "variant", "token effect", "other effect", "token - other", "p", "verdict", "contradiction")
EFFECTS = ("effect", "log-odds", "probability points")
WAYS = ("asked", "n", "accuracy", "worst group", "dpd")
RATES = ("prompt", "n", "answer", "share", "yes - 0.5", "contradiction", "consistent with", "share", "accuracy")
SHIFTS = ("effect", "from", "to", "answer", "share moved", "log-odds moved", "answers changed")

Shown = Callable[[str], str]


def verdicts(report: TokenReport) -> str:
    """The table of verdicts, and the notes, for the terminal."""
    rows = list(_verdict_rows(report, plain))
    notes = [f"note: {plain(note)}" for note in report.notes]
    return "\n\n".join([table(VERDICTS, rows), *notes[:20], LEGEND] if rows else [*notes[:20], LEGEND])


def token_markdown(report: TokenReport) -> str:
    """``token_bias.md``."""
    parts = ["# Token bias", LEGEND]
    if rows := list(_verdict_rows(report, escape)):
        parts.append(table(VERDICTS, rows))
    for one in report.tasks:
        parts += _task_parts(one)
    for guess in report.guesses:
        parts += _guess_parts(guess)
    notes = [*report.notes, *(f"{one.variant}, {one.task}: {note}" for one in report.tasks for note in one.notes)]
    if len({one.variant for one in report.tasks if one.seed is not None}) > 1:
        notes.append(
            "training seeds stand by themselves: the intervals know of other documents, not of other trainings"
        )
    if notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {escape(note)}" for note in notes))
    return "\n\n".join(parts) + "\n"


def _verdict_rows(report: TokenReport, shown: Shown) -> Iterator[list[str]]:
    for one in report.tasks:
        for axis in one.axes:
            yield _verdict_row((one.task, axis.axis, one.variant), axis.bias, one.contradiction, shown)
    for guess in report.guesses:
        rates = {rate.prompt: rate.contradiction for rate in guess.rates}
        for family in guess.families:
            about = (" + ".join(family.prompts), "author" if family.bias.groups else "-", guess.variant)
            yield _verdict_row(about, family.bias, rates.get(family.prompts[0]), shown)


def _verdict_row(about: Sequence[str], bias: TokenBias, contradiction: Estimate | None, shown: Shown) -> list[str]:
    """Against the group effect where there are groups, else against the meaning effect."""
    sizes = bias.sizes[ODDS]
    grouped = sizes.token_minus_group is not None
    other, difference = (
        (sizes.group, sizes.token_minus_group) if grouped else (sizes.meaning, sizes.token_minus_meaning)
    )
    verdict = (sizes.verdict if grouped else sizes.verdict_of_meaning) or "undefined"
    return [
        *map(shown, about),
        _sized(sizes.token, shown),
        f"{'group' if grouped else 'meaning'}: {_sized(other, shown)}",
        _difference(difference),
        "" if difference is None else format_p(difference.p_value),
        verdict,
        "" if contradiction is None else estimate_text(contradiction, shown),
    ]


def _sized(one: Estimate, shown: Shown) -> str:
    """The size with its interval, and what it is between."""
    text = estimate_text(one, shown)
    if len(one.groups) == 4:
        first, second, high, low = map(shown, one.groups)
        return f"{text} ({first} over {second}: {high} against {low})"
    return f"{text} ({' over '.join(map(shown, one.groups))})" if one.groups else text


def _difference(one: Maxima | None) -> str:
    if one is None:
        return "undefined"
    return f"{format_number(one.value)} [{format_number(one.low)}, {format_number(one.high)}]"


def _task_parts(one: TaskBias) -> Iterator[str]:
    asked = f"{one.cells} cells a document; controls {escape(one.raw_task)}"
    same = f"answers differ between the cells of {estimate_text(one.contradiction, escape)} of the documents"
    for axis in one.axes:
        yield f"## {escape(one.task)}, {escape(axis.axis)}: {escape(one.variant)}"
        yield f"{axis.bias.n:,} documents, {asked}; {same}{_left_out(axis.bias)}."
        yield _effects(axis.bias)
        if one.prior:
            told = ", ".join(f"{escape(name)} {format_number(value)}" for name, value in one.prior.items())
            yield f"On {one.inputs} inputs without content the debiased answer is: {told}."
        yield _ways(axis)
        yield _groups(axis)


def _left_out(bias: TokenBias) -> str:
    return f"; {bias.left_out:,} left out, where a choice has probability 0" if bias.left_out else ""


def _effects(bias: TokenBias) -> str:
    rows = [
        [escape(f"{one.level.kind} {one.level.name}"), *(estimate_text(one.sizes[scale], escape) for scale in SCALES)]
        for one in bias.effects
    ]
    for size in ("token", "meaning", *(["group"] if bias.groups else [])):
        found = [_sized(getattr(bias.sizes[scale], size), escape) for scale in SCALES]
        rows.append([f"largest {size} effect", *found])
    what = "group" if bias.sizes[ODDS].verdict else "meaning"
    both = [bias.sizes[scale] for scale in SCALES]
    less = [one.token_minus_group if what == "group" else one.token_minus_meaning for one in both]
    told = [(one.verdict if what == "group" else one.verdict_of_meaning) or "undefined" for one in both]
    rows += [[f"token less {what} effect", *map(_difference, less)], [f"of the {what} effect", *told]]
    return table(EFFECTS, rows)


def _ways(axis: AxisBias) -> str:
    names = list(axis.ways[0].selection)
    header = (*WAYS, *(f"share {escape(name)}" for name in names))
    rows = []
    for way in axis.ways:
        found = [way.accuracy, way.worst_group, way.dpd, *(way.selection[name] for name in names)]
        told = [", ".join(part for part in (_sized(one, escape), format_chance(one.chance)) if part) for one in found]
        rows.append([escape(way.name), f"{way.n:,}", *told])
    return table(header, rows)


def _groups(axis: AxisBias) -> str:
    readings = {"raw": "raw: share of cells", "debiased": "debiased", "calibrated": "calibrated"}
    if all(one.value is None for found in axis.groups.values() for one in found.calibrated.values()):
        del readings["calibrated"]
    rows = []
    for group, found in axis.groups.items():
        effects = axis.bias.groups.get(group)
        token = "" if effects is None else _sized(effects.token[ODDS], escape)
        small = " (too few for a gap)" if group in axis.bias.small else ""
        n = "" if effects is None else f"{effects.n:,}"
        for name in found.raw:
            shares = [estimate_text(getattr(found, reading)[name], escape) for reading in readings]
            rows.append([f"{escape(group)}{small}", n, escape(name), *shares, token])
    return table(("group", "n", "answer", *readings.values(), "token effect (log-odds)"), rows)


def _guess_parts(one: GuessBias) -> Iterator[str]:
    yield f"## Prompts for the author's gender: {escape(one.variant)}"
    rates = [
        [
            rate.prompt,
            f"{rate.n:,}",
            rate.target,
            format_estimate(rate.share),
            _or_dash(rate.from_half),
            _or_dash(rate.contradiction),
            rate.against or "-",
            _or_dash(rate.consistency),
            _or_dash(rate.accuracy),
        ]
        for rate in one.rates
    ]
    yield table(RATES, rates)
    if one.shifts:
        moves = [
            [
                shift.effect,
                shift.first,
                shift.second,
                shift.target,
                *(format_estimate(found) for found in (shift.share, shift.log_odds, shift.changed)),
            ]
            for shift in one.shifts
        ]
        yield "Two prompts that differ in one thing, paired by review:\n\n" + table(SHIFTS, moves)
    for family in one.families:
        yield f"{', '.join(family.prompts)} ({family.cells} questions to each of {family.bias.n:,} reviews):"
        yield _effects(family.bias)


def _or_dash(one: Estimate) -> str:
    return "-" if one.value is None else format_estimate(one)
