"""A report of membership attacks as JSON, csv and markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .. import __version__
from ..metrics import AttackPower, Estimate
from ..metrics.roc import FALSE_POSITIVE_RATES
from .attack_report import Against, Attacked, AttackReport, powers
from .attack_seeds import Key, Trainings, TrainingsAgainst
from .attack_words import in_words, name_of
from .format import format_estimate, format_number, format_p
from .markdown import escape, plain, table
from .tables import estimate_document

SCHEMA, SCHEMA_VERSION = "groupgap-attack", 1
HEADER = (
    "target",
    "attack",
    "group",
    "members",
    "non-members",
    "AUC",
    "p",
    "q",
    "balanced accuracy",
    *(f"TPR at {100 * rate:g}% FPR" for rate in FALSE_POSITIVE_RATES),
)
COMMON = (
    "target",
    "attack",
    "group",
    *(
        text
        for rate in FALSE_POSITIVE_RATES
        for text in (f"TPR at the common {100 * rate:g}%", f"FPR at the common {100 * rate:g}%")
    ),
)
PAIRS = (
    "A",
    "B",
    "attack",
    "group",
    "AUC of A - B",
    "p",
    "q",
    *(text for rate in FALSE_POSITIVE_RATES for text in (f"TPR at {100 * rate:g}% FPR, A - B", "p", "q")),
)
SEEDS = ("trained as", "attack", "group", "seeds", "mean AUC", "AUC of each seed")
SEED_PAIRS = ("A", "B", "attack", "group", "seeds", "AUC of A - B", "p", "q")
LEGEND = (
    "An attack guesses which examples a model was trained on. AUC 0.5 is guessing; p tests that, q is its "
    "Benjamini-Hochberg value over all tests of AUC and TPR in this report. TPR at 1% FPR: the share of training rows "
    "found while 1% of the others are accused; a rate below 1 / non-members cannot be seen and is undefined; its q "
    "tests that it is what guessing finds. Words call rows found where the interval is above guessing (the AUC's above "
    "0.5, the TPR's above its rate), too. The best threshold's "
    "balanced accuracy flatters itself: read it beside its chance level. Brackets are 95% intervals over examples, for "
    "these trained weights. A group of its own threshold is judged among its own non-members; at the common threshold "
    "all non-members set it, and a group may be accused more often."
)


OVER_TRAININGS = (
    "The same recipe with other seeds, asked about the same examples: brackets are 95% t intervals over trainings, and "
    "A - B is a paired t test over the seeds that both have, for these examples and these shadows, which all seeds "
    "share. Above, everything is about these trained weights."
)


def attack_document(report: AttackReport) -> dict[str, Any]:
    """The report as strict JSON data, with ``blocks`` that a board can show under each variant."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "groupgap": __version__,
        "options": {**vars(report.options), "confidence": 0.95},
        "notes": list(report.notes),
        "attacks": [_attacked_document(one) for one in report.attacked],
        "differences": [_against_document(one) for one in report.against],
        "trainings": [_trainings_document(one) for one in report.trainings],
        "trainings_differences": [_trainings_against_document(one) for one in report.trainings_against],
        "blocks": list(_blocks(report)),
    }


def _attacked_document(one: Attacked) -> dict[str, Any]:
    return {
        "target": one.audit.target,
        "attack": one.attack,
        "reading": one.reading if one.scores is not None else None,
        "reason": None if one.scores is not None else one.reading,
        "facts": dict(one.audit.facts),
        "results": [
            {
                **_where(key),
                "q": one.q_values.get(key),
                **_power_document(power, one.tpr_q_values.get(key, {})),
                "common": _common_document(one, key),
            }
            for key, power in powers(one)
        ],
    }


def _where(key: Key) -> dict[str, str | None]:
    axis, group = key or (None, None)
    return {"axis": axis, "group": group}


def _power_document(power: AttackPower, q_values: Mapping[float, float]) -> dict[str, Any]:
    return {
        "members": power.members,
        "nonmembers": power.nonmembers,
        "smallest_rate": 1 / power.nonmembers if power.nonmembers else None,
        "auc": estimate_document(power.auc),
        "balanced_accuracy": estimate_document(power.balanced_accuracy),
        "tpr_at": {
            f"{rate:g}": {**estimate_document(found), "q": q_values.get(rate)} for rate, found in power.tpr_at.items()
        },
    }


def _common_document(one: Attacked, key: Key) -> dict[str, Any] | None:
    if key is None:
        return None
    axis, group = key
    found = one.axes[axis].groups[group].common
    return {
        f"{rate:g}": {"tpr": estimate_document(at.tpr), "fpr": estimate_document(at.fpr)} for rate, at in found.items()
    }


def _against_document(pair: Against) -> dict[str, Any]:
    difference = pair.difference
    return {
        "a": pair.a,
        "b": pair.b,
        "attack": pair.attack,
        **_where(pair.key),
        "null": "both targets give their training rows away equally",
        "auc": {**estimate_document(difference.auc), "p": difference.auc_p_value, "q": pair.auc_q_value},
        "tpr_at": {
            f"{rate:g}": {
                **estimate_document(found),
                "p": difference.tpr_p_values[rate],
                "q": (pair.tpr_q_values or {}).get(rate),
            }
            for rate, found in difference.tpr_at.items()
        },
    }


def _trainings_document(one: Trainings) -> dict[str, Any]:
    results = [
        {**_where(key), "auc": estimate_document(found), "of_seed": list(one.of_seed[key])}
        for key, found in one.auc.items()
    ]
    told = {"name": one.name, "attack": one.attack, "reading": one.reading}
    return {**told, "seeds": list(one.seeds), "targets": list(one.targets), "results": results}


def _trainings_against_document(pair: TrainingsAgainst) -> dict[str, Any]:
    difference = pair.difference
    return {
        "a": pair.a,
        "b": pair.b,
        "attack": pair.attack,
        **_where(pair.key),
        "seeds": list(pair.seeds),
        "null": difference.null,
        "auc": {**estimate_document(difference.estimate), "p": difference.p_value, "q": pair.q_value},
        "of_seed": list(difference.differences),
    }


def _blocks(report: AttackReport) -> Iterator[dict[str, Any]]:
    for one in report.attacked:
        if one.overall is not None:
            yield {
                "variant": one.audit.target,
                "task": one.audit.facts.get("task"),
                "title": f"Membership inference, {one.attack}",
                "columns": list(HEADER[2:]),
                "rows": [_row(one, key, power)[2:] for key, power in powers(one)],
                "notes": [one.reading],
            }


def attack_rows(report: AttackReport) -> list[dict[str, Any]]:
    """One flat line for each target, attack and group."""
    rows = []
    for one in report.attacked:
        for key, power in powers(one):
            flat: dict[str, Any] = {
                "target": one.audit.target,
                "attack": one.attack,
                "reading": one.reading,
                **_where(key),
                "members": power.members,
                "nonmembers": power.nonmembers,
                "auc_p": power.auc.chance.p_value if power.auc.chance else None,
                "auc_q": one.q_values.get(key),
            }
            estimates = {"auc": power.auc, "balanced_accuracy": power.balanced_accuracy}
            estimates |= {f"tpr_at_{rate:g}": found for rate, found in power.tpr_at.items()}
            for name, estimate in estimates.items():
                flat |= _flat(name, estimate)
            for rate, found in power.tpr_at.items():
                flat[f"tpr_at_{rate:g}_p"] = found.chance.p_value if found.chance else None
                flat[f"tpr_at_{rate:g}_q"] = one.tpr_q_values.get(key, {}).get(rate)
            rows.append(flat)
    return rows


def _flat(name: str, estimate: Estimate) -> dict[str, Any]:
    parts = {"": estimate.value, "_low": estimate.low, "_high": estimate.high, "_reason": estimate.reason}
    return {f"{name}{suffix}": value for suffix, value in parts.items()}


def attack_markdown(report: AttackReport) -> str:
    """``attack.md``."""
    made = [one for one in report.attacked if one.overall is not None]
    parts = ["# Membership inference", LEGEND, *summary(report, escape)]
    common = [row for one in made for row in _common_rows(one)]
    if common:
        parts += ["## At the common threshold", _table(COMMON, common, escape)]
    lines = [f"- {escape(one.audit.target)}, {one.attack}: {escape(one.reading)}" for one in made]
    lines += [f"- {escape(target)}: {escape('; '.join(facts))}" for target, facts in _facts(made).items()]
    parts.append("## How\n\n" + "\n".join([*lines, *(f"- {escape(note)}" for note in report.notes)]))
    return "\n\n".join(parts) + "\n"


def summary(report: AttackReport, shown: Callable[[str], str] = plain) -> list[str]:
    """What was found, the targets against each other, and that in words.

    Args:
        report: to be shown.
        shown: makes a text harmless: ``plain`` for a terminal, ``escape`` for markdown.
    """
    heading = "## " if shown is escape else ""
    made = [one for one in report.attacked if one.overall is not None]
    parts = [_table(HEADER, [_row(one, key, power) for one in made for key, power in powers(one)], shown)]
    if report.against:
        pairs = _table(PAIRS, [_pair_row(pair) for pair in report.against], shown)
        parts += [f"{heading}Targets against each other", pairs]
    if report.trainings:
        parts += [f"{heading}Over trainings", OVER_TRAININGS]
        parts.append(_table(SEEDS, [row for one in report.trainings for row in _trainings_rows(one)], shown))
    if report.trainings_against:
        parts.append(_table(SEED_PAIRS, [_trainings_row(pair) for pair in report.trainings_against], shown))
    return [*parts, "\n".join(f"- {shown(line)}" for line in in_words(report))]


def _facts(made: Sequence[Attacked]) -> dict[str, list[str]]:
    return {one.audit.target: told(one) for one in made if one.audit.facts}


def told(one: Attacked) -> list[str]:
    """What is known of a target and its shadows, a line each."""
    return [
        f"{key.replace('_', ' ')}: {value}" for key, value in one.audit.facts.items() if not isinstance(value, Mapping)
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], shown: Callable[[str], str]) -> str:
    """A table; a column in which nothing is defined stands under it in a line, where all targets have one reason."""
    key = 3 if header is PAIRS else 2
    # the first row of each is of all examples, and so are its reasons; at a common threshold there is no such row
    firsts = rows if header is COMMON else list({tuple(row[:key]): row for row in reversed(rows)}.values())
    kept: list[int] = []
    absent: dict[str, list[str]] = {}
    for place, name in enumerate(header):
        reasons = {row[place] for row in firsts}
        if len(reasons) > 1 or any(_says(row[place]) for row in rows):
            kept.append(place)
        elif reason := "".join(reasons):
            absent.setdefault(reason, []).append(name)
    text = table([header[place] for place in kept], [[shown(row[place]) for place in kept] for row in rows])
    lines = [f"{', '.join(sorted(names))}: {shown(reason)}" for reason, names in absent.items()]
    return "\n\n".join([text, *lines])


def _says(cell: str) -> bool:
    return bool(cell) and not cell.startswith("undefined")


def _row(one: Attacked, key: Key, power: AttackPower) -> list[str]:
    p_value = "" if power.auc.chance is None else format_p(power.auc.chance.p_value)
    q_value = format_p(one.q_values[key]) if key in one.q_values else ""
    best = format_estimate(power.balanced_accuracy)
    if power.balanced_accuracy.chance is not None:
        best += f" (chance {format_number(power.balanced_accuracy.chance.median)})"
    counts = [f"{power.members:,}", f"{power.nonmembers:,}"]
    of_rates = one.tpr_q_values.get(key, {})
    rates = [
        format_estimate(found) + (f" (q = {format_p(of_rates[rate])})" if rate in of_rates else "")
        for rate, found in power.tpr_at.items()
    ]
    return [
        one.audit.target,
        one.attack,
        name_of(key),
        *counts,
        format_estimate(power.auc),
        p_value,
        q_value,
        best,
        *rates,
    ]


def _common_rows(one: Attacked) -> Iterator[list[str]]:
    for axis, judgement in one.axes.items():
        for group, power in judgement.groups.items():
            found = [format_estimate(side) for at in power.common.values() for side in (at.tpr, at.fpr)]
            yield [one.audit.target, one.attack, name_of((axis, group)), *found]


def _pair_row(pair: Against) -> list[str]:
    difference = pair.difference
    cells = [format_estimate(difference.auc), _p(difference.auc_p_value), _p(pair.auc_q_value)]
    for rate in FALSE_POSITIVE_RATES:
        if rate in difference.tpr_at:
            found = difference.tpr_at[rate]
            cells += [
                format_estimate(found),
                _p(difference.tpr_p_values[rate]),
                _p((pair.tpr_q_values or {}).get(rate)),
            ]
        else:
            cells += ["", "", ""]
    return [pair.a, pair.b, pair.attack, name_of(pair.key), *cells]


def _trainings_rows(one: Trainings) -> Iterator[list[str]]:
    for key, found in one.auc.items():
        of_seed = ", ".join("undefined" if value is None else format_number(value) for value in one.of_seed[key])
        seeds = ", ".join(map(str, one.seeds))
        yield [one.name, one.attack, name_of(key), seeds, format_estimate(found), of_seed]


def _trainings_row(pair: TrainingsAgainst) -> list[str]:
    told = [pair.a, pair.b, pair.attack, name_of(pair.key), ", ".join(map(str, pair.seeds))]
    difference = pair.difference
    return [*told, format_estimate(difference.estimate), _p(difference.p_value), _p(pair.q_value)]


def _p(value: float | None) -> str:
    return "" if value is None else format_p(value)
