"""The board as markdown: ``board.md``, and the table in the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import regex  # type: ignore[import-untyped]

from ..metrics import Estimate
from .board import Board, Row
from .details import in_a_line
from .format import RATE_WORDS, format_chance, format_decided, format_estimate, format_number
from .report_blocks import Block
from .worst import worst_name

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&])")
# Characters that show nothing, turn the direction of others, or have no form of their own; and heaps of accents.
HIDDEN = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f"
    r"\U000e0100-\U000e01ef]|(?<=\p{M}{3})\p{M}"
)
MACRO_F1 = "macro F1"
COLUMNS = ("rank", "variant", "n", "accuracy", MACRO_F1, "worst group", "spread", "dpd", "eod")
LEGEND = (
    "Ranked by worst-group accuracy. spread, dpd (demographic parity difference) and eod (equalized odds difference) "
    "are gaps between groups, 0 is best; behind each stands the gap of chance alone (median of permuted groups). "
    "Brackets are 95% intervals. The lower end of a gap holds for all pairs of groups at once, its upper end for the "
    "one pair that is truly farthest apart; the upper end of the worst group holds for all groups at once, its lower "
    "end for the truly worst. Rows of several seeds have intervals over trainings, all others over documents."
)


def columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """The columns of a table: with macro F1 where a task has more than two classes."""
    several = any(len(row.classes) > 2 for row in rows)
    return tuple(column for column in COLUMNS if several or column != MACRO_F1)


def plain(text: str) -> str:
    """A text on one line: what is invisible or turns the direction of writing is written out.

    Example:
        >>> plain("a\\u202eb\\u200bc\\n")
        'a\\\\u202eb\\\\u200bc\\\\u000a'
    """
    if text.isascii() and text.isprintable():
        return text
    return str(HIDDEN.sub(lambda found: _named(ord(found[0])), text))


def _named(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape(text: str) -> str:
    """A text that markdown shows as it is, in a table too."""
    return SPECIAL.sub(r"\\\1", plain(text)).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")


def cells(row: Row, header: Sequence[str] = COLUMNS, shown: Callable[[str], str] = plain) -> list[str]:
    """The row under these columns, some or all of ``COLUMNS``.

    Args:
        row: a row of the board.
        header: which cells, in this order.
        shown: makes a text from a run harmless.
    """
    found = row.judgement
    worst = estimate_text(found.worst_group, shown)
    if found.worst_group.value is not None:
        worst = f"{worst_name(found.worst_group, found.accuracy_spread, shown)} {worst}"
    gaps = []
    for gap in (found.accuracy_spread, found.dpd, found.eod):
        chance = "" if gap.chance is None or gap.value is None else f" (chance {format_number(gap.chance.median)})"
        gaps.append(estimate_text(gap, shown) + chance)
    rank = "-" if row.rank is None else str(row.rank)
    n = f"{row.n:,}" + (" limited" if row.limited else "")
    variant = shown(row.variant) + (f" ({len(row.by_seed)} seeds)" if row.by_seed else "")
    overall = [estimate_text(one, shown) for one in (found.accuracy, found.macro_f1)]
    texts = dict(zip(COLUMNS, (rank, variant, n, *overall, worst, *gaps), strict=True))
    return [texts[column] for column in header]


def estimate_text(estimate: Estimate, shown: Callable[[str], str] = plain) -> str:
    """The estimate in words, with the class and rate that decide it; what names classes and groups is made harmless."""
    text = format_estimate(estimate)
    if estimate.value is None:
        return shown(text)
    decided = format_decided(estimate)
    return f"{text} ({shown(decided)})" if decided else text


def left_out(row: Row, shown: Callable[[str], str] = plain) -> str:
    """The groups that are too small, by the rate that they do not enter; an empty text where there are none."""
    groups: dict[str, dict[str, None]] = {}
    for left in row.judgement.left_out:
        groups.setdefault(left.rate, {})[shown(left.group)] = None
    rates: dict[tuple[str, ...], list[str]] = {}
    for rate, names in groups.items():
        rates.setdefault(tuple(names), []).append(RATE_WORDS[rate])
    parts = [f"{' and '.join(words)}: {', '.join(names)}" for names, words in rates.items()]
    return f"left out, under {row.judgement.min_group}: {'; '.join(parts)}" if parts else ""


def remarks(row: Row, shown: Callable[[str], str] = plain) -> list[str]:
    """Where lm-eval's own numbers differ from the recomputed ones."""
    said = []
    for found in row.discrepancies:
        reported = found.reported if isinstance(found.reported, str) else f"{found.reported:.6f}"
        ours = format_estimate(found.recomputed, interval=False)
        because = f" ({found.remark})" if found.remark else ""
        said.append(shown(f"lm-eval's own {found.metric} is {reported}, recomputed {ours}{because}"))
    return said


def members(row: Row, shown: Callable[[str], str] = plain) -> str:
    """Which runs a row of several seeds is the mean of."""
    named = ", ".join(f"{shown(one.variant)} (seed {one.seed})" for one in row.by_seed)
    return f"{shown(row.variant)}: mean of {len(row.by_seed)} trainings, intervals over trainings: {named}"


ARROWS = {"accuracy": "accuracy", "worst_group": "worst group", "accuracy_spread": "spread", "dpd": "dpd", "eod": "eod"}


def arrow(row: Row, shown: Callable[[str], str] = plain) -> str:
    """From the raw task to its controlled twin: ``worst group 0.610 -> 0.580, ...``; nothing without a raw row."""
    if row.raw is None or row.controlled_of is None:
        return ""
    pairs = {name: (getattr(row.raw, metric), getattr(row.judgement, metric)) for metric, name in ARROWS.items()}
    told = [f"{name} {_number(raw)} -> {_number(debiased)}" for name, (raw, debiased) in pairs.items()]
    return f"{shown(row.variant)}: from {shown(row.controlled_of)} (raw) to here (debiased): {', '.join(told)}"


def _number(estimate: Estimate) -> str:
    return "undefined" if estimate.value is None else format_number(estimate.value)


def under_table(rows: Sequence[Row], shown: Callable[[str], str] = plain) -> list[str]:
    """What stands under a table: groups left out (once where it is the same for all rows), members, remarks on rows."""
    said = {shown(row.variant): left_out(row, shown) for row in rows}
    if len(set(said.values())) == 1:
        lines = [text for text in (next(iter(said.values())),) if text]
    else:
        lines = [f"{name}: {text}" for name, text in said.items() if text]
    lines += [members(row, shown) for row in rows if row.by_seed]
    lines += [text for text in (arrow(row, shown) for row in rows) if text]
    lines += [f"{shown(row.variant)}: {shown(in_a_line(block))}" for row in rows for block in row.blocks]
    return lines + [f"{shown(row.variant)}: {text}" for row in rows for text in remarks(row, shown)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table whose columns line up."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def terminal(board: Board) -> str:
    """The tables for the terminal."""
    parts = []
    for (task, axis), rows in board.tables.items():
        header = columns(rows)
        lines = [f"{plain(task)}, {plain(axis)}", table(header, [cells(row, header) for row in rows])]
        lines += [f"  {said}" for said in under_table(rows)]
        parts.append("\n".join(lines))
    notes = [f"note: {plain(note)}" for note in board.notes]
    return "\n\n".join([*parts, *notes[:20], LEGEND])


def board_markdown(board: Board) -> str:
    """``board.md``."""
    parts = ["# Fairness board", LEGEND]
    for (task, axis), rows in board.tables.items():
        parts.append(f"## {escape(task)}, {escape(axis)}")
        header = columns(rows)
        parts.append(table(header, [cells(row, header, escape) for row in rows]))
        if said := under_table(rows, escape):
            parts.append("\n".join(f"- {text}" for text in said))
        parts += [_group_section(row) for row in rows]
    if board.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {escape(note)}" for note in board.notes))
    options = board.options
    parts.append(f"Drawn with seed {options.seed} and {options.draws:,} draws.")
    return "\n\n".join(parts) + "\n"


def _group_section(row: Row) -> str:
    header = ("group", "n", "accuracy", "selection rate", "TPR", "FPR", "members - others")
    lines = [
        [escape(group), f"{rates.n:,}"]
        + [
            estimate_text(value, escape)
            for value in (rates.accuracy, rates.selection_rate, rates.tpr, rates.fpr, rates.member_gap)
        ]
        for group, rates in row.judgement.groups.items()
    ]
    positive = row.judgement.positive
    about = f"positive choice: {escape(positive)}" if positive else "rates one-vs-rest"
    chances = [
        f"{name} {text}"
        for name in ("dpd", "eopp", "eod")
        if (text := format_chance(getattr(row.judgement, name).chance))
    ]
    chance = f"; {'; '.join(chances)}" if chances else ""
    about += f"; a rate on fewer than {row.judgement.min_group} enters no gap; proof of life: {escape(row.proof)}"
    parts = [f"### {escape(row.variant)}", about + chance, *_calibration_lines(row), table(header, lines)]
    if row.by_seed:
        metrics = columns([row])[3:]
        seeds = [
            [str(one.seed), escape(one.variant), *cells(replace(row, judgement=one.judgement), metrics, escape)]
            for one in row.by_seed
        ]
        parts.append(table(("seed", "run", *metrics), seeds))
    return "\n\n".join([*parts, *map(_block, row.blocks)])


def _block(block: Block) -> str:
    rows = [["" if cell is None else escape(str(cell)) for cell in line] for line in block.rows]
    return "\n\n".join(
        [escape(block.title), table(block.columns, rows), *(f"- {escape(note)}" for note in block.notes)]
    )


def _calibration_lines(row: Row) -> list[str]:
    if row.calibration is None:
        return []
    found = row.calibration.overall
    perfect = ""
    if found.ece.chance is not None:
        perfect = f" (a perfectly calibrated model shows {format_number(found.ece.chance.median)})"
    return [
        f"calibration: ECE {estimate_text(found.ece, escape)}{perfect}, "
        f"mean confidence minus accuracy {estimate_text(found.signed_gap, escape)}, "
        f"Brier {estimate_text(found.brier, escape)}"
    ]
