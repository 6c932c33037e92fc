"""A row of the board as the section of a model card: metadata for the hub, and a table in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..metrics import Estimate
from .board import METRICS, NOT_PROVEN
from .format import format_chance, format_decided, format_interval, format_number
from .markdown import escape, estimate_text, plain, table
from .worst import worst_name

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from .board_file import SavedGroup, SavedRow

HEADER = ("measure", "value", "95% interval", "by chance alone")
GROUP_HEADER = ("group", "n", "accuracy", "chosen as positive", "true positive rate", "false positive rate")
RATES = {"dpd": "share given the positive choice", "eopp": "true positive rate"}
TASK_TYPES = {"timm": "image-classification", "groupgap-classifier": "text-classification"}  # the hub's words
PROOFS = {
    "full": "the engine's answers to probe texts agree with those of transformers and peft, and (but for the base) "
    "differ from the base's",
    "fast": "the answers to probe texts differ from the base's; they were not compared with transformers and peft",
    "transformers": "transformers computed the answers, and on probe texts they differ from the base's",
    "none": "there was nothing to compare with",
    NOT_PROVEN: "nothing shows that it was this model, and not its base, which answered",
}
ABOUT = (
    "Measured with groupgap {version}, from the logged answers. A gap is the highest minus the lowest rate of a group, "
    "and 0 is best; *by chance alone* is the gap that the same answers show when the groups are permuted. A gap is a "
    "property of these documents, these labels and this prompt: it does not say why, and a gap of 0 is not fairness."
)


def card_section(rows: Sequence[SavedRow], version: str) -> str:
    """The section of a model card: a YAML block with the ``model-index``, then markdown.

    Args:
        rows: of one variant, one for each task and axis.
        version: of the groupgap that built the board.

    Returns:
        A text that ``huggingface_hub.ModelCard`` reads. Measures without a value are in the table only, in words:
        a ``model-index`` has no word for them. All names are made harmless for YAML, markdown and a terminal.
    """
    parts = ["## Fairness across groups", ABOUT.format(version=escape(version))]
    for row in rows:
        parts += _row_section(row)
    return "\n\n".join([*_metadata(rows), *parts]) + "\n"


def _metadata(rows: Sequence[SavedRow]) -> Iterable[str]:
    from huggingface_hub import ModelCardData

    results = [result for row in rows for result in _results(row)]
    if results:
        yield f"---\n{ModelCardData(model_name=plain(rows[0].variant), eval_results=results).to_yaml()}\n---"


def _results(row: SavedRow) -> Iterable[EvalResult]:
    from huggingface_hub import EvalResult

    for name, saved in row.metrics.items():
        words = METRICS.get(name, name)
        if saved.value is not None:
            yield EvalResult(
                task_type=TASK_TYPES.get(row.backend, "text-generation"),
                dataset_type=plain(row.task),
                dataset_name=f"{plain(row.task)}, groups by {plain(row.axis)}",
                dataset_config=plain(row.axis),
                dataset_args=None if row.shots is None else {"num_few_shot": row.shots},
                metric_type=plain(words).lower().replace(" ", "_").replace("-", "_"),
                metric_name=plain(words),
                metric_value=saved.value,
                metric_args=_arguments(row, saved.read()),
            )


def _arguments(row: SavedRow, found: Estimate) -> dict[str, Any]:
    """What belongs to the number; keys that do not apply are absent."""
    chance = found.chance
    told = {
        "n": found.n,
        "low": found.low,
        "high": found.high,
        "interval": None if found.interval is None else f"95%, {plain(found.interval)}",
        "groups": [plain(group) for group in found.groups] or None,
        "positive": None if row.positive is None else plain(row.positive),
        "min_group": row.min_group,
        "seeds": row.seeds or None,
        "chance_median": None if chance is None else chance.median,
        "chance_p95": None if chance is None else chance.p95,
        "chance_p": None if chance is None else chance.p_value,
    }
    return {key: value for key, value in told.items() if value is not None}


def _row_section(row: SavedRow) -> list[str]:
    lines = [_measure(row, name, saved.read()) for name, saved in row.metrics.items()]
    parts = [f"### {escape(row.task)}, groups by {escape(row.axis)}", _who(row), table(HEADER, lines)]
    parts += [table(GROUP_HEADER, [_group(one) for one in row.groups])] if row.groups else []
    return [*parts, "\n".join(f"- {line}" for line in _remarks(row))]


def _who(row: SavedRow) -> str:
    made = [f"**{escape(row.variant)}**"]
    made += [f"method {escape(row.method)}"] if row.method else []
    made += [f"base {escape(row.base)}"] if row.base else []
    made += [f"{row.trained_parameters:,} trained parameters"] if row.trained_parameters is not None else []
    if len(row.by_seed) > 1:
        seeds = ", ".join(map(str, row.seeds))
        made.append(f"means over {len(row.by_seed)} trainings (seeds {seeds}), with intervals over trainings")
    elif row.seeds:
        made.append(f"training seed {row.seeds[0]}")
    documents = f"{row.n:,} documents" + (", **a part of the task only**" if row.limited else "")
    return f"{', '.join(made)}; {documents}."


def _measure(row: SavedRow, name: str, found: Estimate) -> list[str]:
    words = escape(METRICS.get(name, name))
    if found.value is None:
        return [words, f"undefined: {escape(found.reason or '')} (n = {found.n:,})", "-", "-"]
    if found.groups and name == "worst_group" and "accuracy_spread" in row.metrics:
        words += f": {worst_name(found, row.metrics['accuracy_spread'].read(), escape)}"
    elif found.groups:
        words += f": {_between(name, [escape(group) for group in found.groups])}"
    decided = format_decided(found)
    value = format_number(found.value) + (f" ({escape(decided)})" if decided else "")
    chance = "-" if found.chance is None else format_chance(found.chance).removeprefix("chance ")
    return [words, value, format_interval(found) or "-", chance]


def _between(name: str, groups: Sequence[str]) -> str:
    if name == "worst_group" or len(groups) < 2:
        return " and ".join(groups)
    rate = f" in {RATES[name]}" if name in RATES else ""
    return f"{groups[0]} over {' over '.join(groups[1:])}{rate}"


def _group(one: SavedGroup) -> list[str]:
    rates = (one.accuracy, one.selection_rate, one.tpr, one.fpr)
    return [escape(one.group), f"{one.n:,}", *(estimate_text(rate.read(), escape) for rate in rates)]


def _remarks(row: SavedRow) -> Iterable[str]:
    yield f"positive choice: {escape(row.positive)}" if row.positive else "no positive choice: rates are one-vs-rest"
    if row.controlled_of:
        yield f"the debiased answers to {escape(row.controlled_of)}, asked in balanced wordings, symbols and orders"
    small = [f"{escape(one.group)} ({escape(one.left_out)})" for one in row.groups if one.left_out]
    yield f"a rate on fewer than {row.min_group} documents enters no gap" + (f": {'; '.join(small)}" if small else "")
    for level in row.proof.split(", "):
        yield f"proof of life, {escape(level)}" + (f": {PROOFS[level]}" if level in PROOFS else "")
    asked = [f"{row.shots} examples in the prompt"] if row.shots else []
    asked += [f"lm-eval {escape(version)}" for version in row.lm_eval_versions]
    yield from [", ".join(asked)] if asked else []
    yield from (escape(note) for note in row.notes)
