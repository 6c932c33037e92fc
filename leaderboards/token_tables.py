"""A token-bias report as JSON, and as one flat table for csv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from .. import __version__
from ..metrics import Estimate
from ..metrics.cell_effects import SCALES
from ..metrics.largest import Maxima
from ..metrics.token_bias import Effect, Sizes, TokenBias
from .format import format_estimate, format_number
from .tables import estimate_document
from .token_guesses import GuessBias, PromptRates, Shift
from .token_report import AxisBias, GroupAnswers, TaskBias, TokenReport, Way

SCHEMA, SCHEMA_VERSION = "groupgap-token-bias", 1
RATES = ("share", "from_half", "contradiction", "consistency", "accuracy")
MOVES = ("share", "log_odds", "changed")
READINGS = ("raw", "debiased", "calibrated")
SIZES = ("token", "meaning", "group")
COLUMNS = ("variant", "seed", "task", "axis", "part", "name", "scale", "n", "value", "low", "high", "interval")


def token_document(report: TokenReport) -> dict[str, Any]:
    """The report as strict JSON data, with ``blocks`` that a board can show under each variant."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "groupgap": __version__,
        "options": {"min_group": report.min_group, "confidence": 0.95},
        "notes": list(report.notes),
        "tasks": [_task_document(one) for one in report.tasks],
        "prompts": [_guess_document(one) for one in report.guesses],
        "blocks": [*_task_blocks(report), *_guess_blocks(report)],
    }


def _task_document(one: TaskBias) -> dict[str, Any]:
    return {
        "variant": one.variant,
        "seed": one.seed,
        "task": one.task,
        "controlled_of": one.raw_task,
        "classes": list(one.classes),
        "cells": one.cells,
        "contradiction": estimate_document(one.contradiction),
        "prior": dict(one.prior) or None,
        "inputs_without_content": one.inputs,
        "axes": [_axis_document(axis) for axis in one.axes],
        "notes": list(one.notes),
    }


def _axis_document(one: AxisBias) -> dict[str, Any]:
    return {
        "axis": one.axis,
        **bias_document(one.bias),
        "ways": [_way_document(way) for way in one.ways],
        "answers": [
            {"group": group, **{reading: _named(getattr(found, reading)) for reading in READINGS}}
            for group, found in one.groups.items()
        ],
    }


def bias_document(bias: TokenBias) -> dict[str, Any]:
    """Effects, largest effects and groups."""
    return {
        "n": bias.n,
        "left_out": bias.left_out,
        "min_group": bias.min_group,
        "sizes": {scale: _sizes_document(one) for scale, one in bias.sizes.items()},
        "effects": [_effect_document(one) for one in bias.effects],
        "groups": [
            {
                "group": group,
                "n": found.n,
                "small": group in bias.small,
                "choices": [_effect_document(one) for one in found.choices],
                "token": _named(found.token),
            }
            for group, found in bias.groups.items()
        ],
    }


def _sizes_document(one: Sizes) -> dict[str, Any]:
    return {
        **{size: estimate_document(getattr(one, size)) for size in SIZES},
        "token_minus_group": _maxima_document(one.token_minus_group),
        "token_minus_meaning": _maxima_document(one.token_minus_meaning),
        "verdict": one.verdict,
        "verdict_of_meaning": one.verdict_of_meaning,
    }


def _maxima_document(one: Maxima | None) -> dict[str, float | None] | None:
    if one is None:
        return None
    return {"value": one.value, "low": _finite(one.low), "high": _finite(one.high), "p": one.p_value}


def _finite(value: float) -> float | None:
    """A bound, or ``None`` where there is none."""
    return value if isfinite(value) else None


def _effect_document(one: Effect) -> dict[str, Any]:
    return {"kind": one.level.kind, "within": one.level.within, "name": one.level.name, "sizes": _named(one.sizes)}


def _way_document(way: Way) -> dict[str, Any]:
    estimates = {name: estimate_document(getattr(way, name)) for name in ("accuracy", "dpd", "worst_group")}
    return {"name": way.name, "n": way.n, **estimates, "selection": _named(way.selection)}


def _named(found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate_document(one) for name, one in found.items()}


def _guess_document(one: GuessBias) -> dict[str, Any]:
    return {
        "variant": one.variant,
        "seed": one.seed,
        "rates": [_rates_document(rates) for rates in one.rates],
        "shifts": [_shift_document(shift) for shift in one.shifts],
        "families": [
            {"name": family.name, "prompts": list(family.prompts), "cells": family.cells, **bias_document(family.bias)}
            for family in one.families
        ],
    }


def _rates_document(one: PromptRates) -> dict[str, Any]:
    named = {"prompt": one.prompt, "n": one.n, "target": one.target, "against": one.against}
    return {**named, **{name: estimate_document(getattr(one, name)) for name in RATES}}


def _shift_document(one: Shift) -> dict[str, Any]:
    named = {"effect": one.effect, "first": one.first, "second": one.second, "target": one.target}
    return {**named, **{name: estimate_document(getattr(one, name)) for name in MOVES}}


def _task_blocks(report: TokenReport) -> Iterator[dict[str, Any]]:
    for one in report.tasks:
        for axis in one.axes:
            yield {
                "variant": one.variant,
                "task": one.task,
                "title": f"Token bias, {axis.axis}",
                "columns": ["effect", *SCALES],
                "rows": list(_block_rows(axis.bias)),
                "notes": [*_verdict_notes(axis.bias), *one.notes],
            }


def _guess_blocks(report: TokenReport) -> Iterator[dict[str, Any]]:
    for one in report.guesses:
        for family in one.families:
            yield {
                "variant": one.variant,
                "task": None,
                "title": f"Token bias of {', '.join(family.prompts)}",
                "columns": ["effect", *SCALES],
                "rows": list(_block_rows(family.bias)),
                "notes": _verdict_notes(family.bias),
            }


def _block_rows(bias: TokenBias) -> Iterator[list[str]]:
    for size in SIZES:
        found = [getattr(bias.sizes[scale], size) for scale in SCALES]
        yield [f"largest {size} effect", *(format_estimate(one) for one in found)]
    for effect in bias.effects:
        name = f"{effect.level.kind} {effect.level.name}"
        yield [name, *(format_estimate(effect.sizes[scale]) for scale in SCALES)]


def _verdict_notes(bias: TokenBias) -> list[str]:
    """The verdict in words, of the group effect where there is one."""
    sizes = bias.sizes[SCALES[0]]
    what, found, verdict = "group", sizes.token_minus_group, sizes.verdict
    if found is None:
        what, found, verdict = "meaning", sizes.token_minus_meaning, sizes.verdict_of_meaning
    if found is None:
        return ["no verdict: an effect is undefined"]
    interval = f"[{format_number(found.low)}, {format_number(found.high)}]"
    return [f"{what} effect: {verdict}; token effect less {what} effect {format_number(found.value)} {interval}"]


def token_rows(report: TokenReport) -> list[dict[str, Any]]:
    """One flat line a number: ``part`` and ``name`` say of what."""
    rows = []
    for one in report.tasks:
        about: dict[str, Any] = {"variant": one.variant, "seed": one.seed, "task": one.task}
        rows.append(_row({**about, "part": "contradiction"}, one.contradiction))
        for name, value in one.prior.items():
            rows.append(_row({**about, "part": "prior", "name": name}, Estimate(value, one.inputs)))
        for axis in one.axes:
            rows += _bias_rows({**about, "axis": axis.axis}, axis.bias)
            rows += _answer_rows({**about, "axis": axis.axis}, axis)
    for guess in report.guesses:
        about = {"variant": guess.variant, "seed": guess.seed}
        for rates in guess.rates:
            named = {**about, "task": rates.prompt, "part": "prompt"}
            rows += [_row({**named, "name": name}, getattr(rates, name)) for name in RATES]
        for shift in guess.shifts:
            named = {**about, "task": f"{shift.first} to {shift.second}", "part": f"{shift.effect} effect"}
            rows += [_row({**named, "name": f"{name} of {shift.target}"}, getattr(shift, name)) for name in MOVES]
        for family in guess.families:
            rows += _bias_rows({**about, "task": " + ".join(family.prompts)}, family.bias)
    return rows


def _bias_rows(about: dict[str, Any], bias: TokenBias) -> Iterator[dict[str, Any]]:
    for scale, sizes in bias.sizes.items():
        for size in SIZES:
            yield _row({**about, "part": "largest effect", "name": size, "scale": scale}, getattr(sizes, size))
        for other, difference, verdict in (
            ("group", sizes.token_minus_group, sizes.verdict),
            ("meaning", sizes.token_minus_meaning, sizes.verdict_of_meaning),
        ):
            if difference is not None:
                low, high = _finite(difference.low), _finite(difference.high)
                found = Estimate(difference.value, bias.n, low=low, high=high, interval="simultaneous t over documents")
                named = {**about, "part": "token less other", "name": other, "scale": scale}
                yield {**_row(named, found), "p": difference.p_value, "verdict": verdict}
    for effect in bias.effects:
        for scale, one in effect.sizes.items():
            yield _row({**about, "part": effect.level.kind, "name": effect.level.name, "scale": scale}, one)
    for group, effects in bias.groups.items():
        for scale, one in effects.token.items():
            yield _row({**about, "part": "token effect of a group", "name": group, "scale": scale}, one)


def _answer_rows(about: dict[str, Any], axis: AxisBias) -> Iterator[dict[str, Any]]:
    for way in axis.ways:
        for part in ("accuracy", "dpd", "worst_group"):
            yield _row({**about, "part": f"{part} by way of asking", "name": way.name}, getattr(way, part))
        for name, one in way.selection.items():
            yield _row({**about, "part": f"share of {name} by way of asking", "name": way.name}, one)
    for group, found in axis.groups.items():
        yield from _group_rows(about, group, found)


def _group_rows(about: dict[str, Any], group: str, found: GroupAnswers) -> Iterator[dict[str, Any]]:
    for reading in READINGS:
        for name, one in getattr(found, reading).items():
            yield _row({**about, "part": f"share of {name}, {reading}", "name": group}, one)


def _row(about: Mapping[str, Any], one: Estimate) -> dict[str, Any]:
    numbers = {"n": one.n, "value": one.value, "low": one.low, "high": one.high, "interval": one.interval}
    found = {column: {**about, **numbers}.get(column) for column in COLUMNS}
    return {**found, "undefined": one.reason, "between": " / ".join(one.groups), "p": None, "verdict": None}
