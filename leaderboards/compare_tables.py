"""A comparison in words for the terminal, and as strict JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .. import __version__
from ..metrics import Difference
from ..metrics.token_compare import TOKEN_METRICS
from .board import METRICS
from .compare import tests_in
from .compared import Compared
from .format import format_estimate, format_number, format_p
from .markdown import plain, table
from .tables import estimate_document
from .verdict import QUESTIONS, detectable, verdict

HEADER = ("what", "A", "B", "A - B", "95% interval", "p", "q", "detectable")
NAMES = {
    **{**METRICS, "selection_rate": "selection rate", "tpr": "TPR", "fpr": "FPR"},
    **{metric: f"{metric.replace('_', ' ')} in log-odds" for metric in TOKEN_METRICS},
}
WARNING = "Significant is not important: read the difference and its interval. Not significant is not equal."


def comparison_document(found: Sequence[Compared], options: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """All comparisons as JSON-ready data; every test has ``p`` and ``q`` (``None`` where there is none)."""
    return {
        "schema": "groupgap-compare",
        "schema_version": 1,
        "groupgap": __version__,
        "options": options,
        "family": {"method": "Benjamini-Hochberg", "tests": tests_in(found)},
        "notes": list(notes),
        "comparisons": [_compared_document(one) for one in found],
    }


def _compared_document(compared: Compared) -> dict[str, Any]:
    comparison = compared.comparison
    return {
        "task": compared.task,
        "axis": compared.axis,
        "a": compared.a,
        "b": compared.b,
        "question": compared.question,
        "asks": QUESTIONS[compared.question],
        "seeds": list(compared.seeds),
        "seeds_only_a": list(compared.seeds_only_a),
        "seeds_only_b": list(compared.seeds_only_b),
        "paired": compared.paired,
        "joined": compared.joined,
        "only_a": compared.only_a,
        "only_b": compared.only_b,
        "n": comparison.n,
        "min_group": comparison.min_group,
        "positive": comparison.positive,
        "notes": list(compared.notes),
        "tests": [_test_document(one, _asked(compared)) for one in comparison.differences],
    }


def _asked(compared: Compared) -> str | None:
    """The question that a verdict must name: with one run of each there is only one."""
    return compared.question if compared.of_methods else None


def _test_document(one: Difference, asked: str | None) -> dict[str, Any]:
    smallest, why_none = detectable(one)
    return {
        "metric": one.metric,
        "group": one.group,
        "class_name": one.class_name,
        "a": estimate_document(one.a),
        "b": estimate_document(one.b),
        "difference": one.value,
        "reason": one.reason,
        "n": one.n,
        "low": one.low,
        "high": one.high,
        "interval": one.interval,
        "stderr": one.stderr,
        "p": one.p_value,
        "q": one.q_value,
        "test": one.test,
        "null": one.null,
        "minimal_detectable": smallest,
        "minimal_detectable_reason": why_none,
        "by_seed": list(one.by_seed),
        "only_a": one.only_a,
        "only_b": one.only_b,
        "undefined_draws": one.undefined_draws,
        "verdict": verdict(one, question=asked),
    }


def comparison_text(found: Sequence[Compared], notes: Sequence[str]) -> str:
    """The comparisons for the terminal: tables, verdicts, and the null hypothesis of each test."""
    parts = [_compared_text(one) for one in found]
    parts.append(_nulls(found))
    parts += [f"note: {plain(note)}" for note in notes]
    parts.append(f"q: Benjamini-Hochberg over the {tests_in(found)} p-values above. {WARNING}")
    return "\n\n".join(parts)


def _compared_text(compared: Compared) -> str:
    asked = _asked(compared)
    lines = [
        f"{plain(compared.task)}, {plain(compared.axis)}",
        f"A = {plain(compared.a)}",
        f"B = {plain(compared.b)}",
    ]
    if asked:
        lines += [f"Question: {QUESTIONS[asked]}", f"{len(compared.seeds)} seeds: {_listed(compared.seeds)}"]
    if compared.paired:
        lines.append(f"{compared.joined:,} documents answered by both")
    lines += [f"note: {plain(note)}" for note in compared.notes]
    overall = [one for one in compared.comparison.differences if one.group is None]
    by_group = [one for one in compared.comparison.differences if one.group is not None]
    lines += ["", table(HEADER, [_cells(one) for one in overall])]
    lines += _by_seed(compared.seeds, overall)
    lines += ["", *(f"{_what(one)}: {plain(verdict(one, question=asked))}" for one in overall)]
    if by_group:
        lines += ["", table(HEADER, [_cells(one) for one in by_group])]
        told = [one for one in by_group if one.q_value is not None and one.q_value < 0.05]
        lines += ["", *(f"{_what(one)}: {plain(verdict(one, question=asked))}" for one in told)]
        lines += [] if told else ["no rate of a single group can be told apart"]
    return "\n".join(lines)


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


def _by_seed(seeds: Sequence[int], differences: Sequence[Difference]) -> list[str]:
    """The difference in every seed, as data."""
    known = [one for one in differences if one.by_seed]
    if not known:
        return []
    rows = [[_what(one), *(format_number(value) for value in one.by_seed)] for one in known]
    return ["", table(("A - B by seed", *map(str, seeds)), rows)]


def _what(one: Difference) -> str:
    name = NAMES.get(one.metric, one.metric)
    group = "" if one.group is None else f" of {plain(one.group)}"
    return f"{name}{group}" + (f" ({plain(one.class_name)})" if one.class_name else "")


def _cells(one: Difference) -> list[str]:
    a, b = (plain(format_estimate(estimate, interval=False)) for estimate in (one.a, one.b))
    if one.value is None:
        return [_what(one), a, b, f"undefined ({plain(one.reason or '')})", "", "", "", ""]
    interval = "" if one.low is None or one.high is None else f"[{format_number(one.low)}, {format_number(one.high)}]"
    p = "no test" if one.p_value is None else format_p(one.p_value)
    q = "" if one.q_value is None else format_p(one.q_value)
    found, _ = detectable(one)
    smallest = "" if one.minimal_detectable is None else "none" if found is None else format_number(found)
    return [_what(one), a, b, format_number(one.value), interval, p, q, smallest]


def _nulls(found: Iterable[Compared]) -> str:
    nulls: dict[str, None] = {}
    for compared in found:
        for one in compared.comparison.differences:
            if one.null is not None:
                null = one.null if one.group is None else one.null.replace(f" of {one.group}", " of the group")
                nulls[f"  {one.test}: {plain(null)}"] = None
    return "Null hypotheses:\n" + "\n".join(nulls)
