"""What a run tells beyond groups and gaps, as blocks of the board: judged translations, and a covariate's slope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import GroupgapError
from ..metrics import Estimate, GroupRates, Judgement
from ..metrics.covariate import CovariateReport, covariate_report
from ..metrics.generations import SCORES, Generations, GenerationsReport, judge_generations
from ..metrics.seeds import mean_over_seeds
from ..metrics.stereotypes import NULL
from .answers import Answers
from .format import format_number
from .judged import judge_of
from .report_blocks import Block

COLUMNS = ("what", "value", "low", "high", "about")
UNITS = "each unit of the covariate ({unit}) is one observation"
LINES = "the pair is the unit of these ratios, as of the rates and gaps of the table"
# what a terminal shows of a block
IN_A_LINE = ("chrf", "bleu", "stereotype_difference", "unknown_ratio", "judges_disagree", "slope", "correlation")
ACCURACY = "accuracy is the share of texts that have the gender of the reference, which the source may not tell"
Line = tuple[str | float | int | None, ...]


@dataclass(frozen=True)
class Details:
    """What one run tells beyond groups and gaps.

    Attributes:
        translations: for a task with a judge of texts.
        covariate: for a task with a covariate.
        about: the covariate's name and the class whose probability follows it.
        unit: the field of its units.
    """

    translations: GenerationsReport | None = None
    covariate: CovariateReport | None = None
    about: tuple[str, str] = ("", "")
    unit: str = ""


def details_of(answers: Answers, fair: Mapping[str, Any]) -> Details:
    """Read what a run's answers tell.

    Args:
        answers: along one axis.
        fair: the task's ``metadata.fair``.

    Raises:
        GroupgapError: for a judge or covariate that is not known.
    """
    if "generation" in answers.kept:
        return Details(translations=_translations(answers, fair))
    if "covariate" not in answers.kept:
        return Details()
    told = fair["covariate"]
    name, unit = str(told.get("class")), str(fair.get("cluster") or "document")
    if name not in answers.classes:
        raise GroupgapError(
            f"task {answers.task}: metadata.fair.covariate: class {name!r} is not one of {', '.join(answers.classes)}"
        )
    found = covariate_report(
        answers.probabilities[:, answers.classes.index(name)],
        answers.kept["covariate"],
        [str(one) for one in answers.kept.get("cluster", answers.documents)],
    )
    return Details(covariate=found, about=(str(told.get("name", told["field"])), name), unit=unit)


def _translations(answers: Answers, fair: Mapping[str, Any]) -> GenerationsReport:
    texts = {role: [str(value) for value in values] for role, values in answers.kept.items()}
    rows = Generations(texts["generation"], texts["reference"], texts["occupation"], texts["other"], texts["cluster"])
    return judge_generations(rows, answers.membership, answers.groups, judge_of(answers.task, fair))


def where_measurable(judgement: Judgement, details: Details) -> Judgement:
    """The judgement; all of it undefined where the texts are no translations, since nothing would be fair there."""
    reason = None if details.translations is None else details.translations.not_measurable
    if reason is None:
        return judgement
    groups: dict[str, GroupRates] = {
        name: replace(rates, **_undefined(rates, reason)) for name, rates in judgement.groups.items()
    }
    return replace(judgement, groups=groups, **_undefined(judgement, reason))


def _undefined(found: Judgement | GroupRates, reason: str) -> dict[str, Any]:
    estimates = {one.name: getattr(found, one.name) for one in fields(found)}
    return {name: Estimate(None, one.n, reason) for name, one in estimates.items() if isinstance(one, Estimate)}


def blocks_of(variant: str, task: str, seeds: Sequence[Details]) -> Iterator[Block]:
    """The blocks of a row.

    Args:
        variant: name of the row.
        task: name of the task.
        seeds: of each of its runs.
    """
    judged = [one.translations for one in seeds if one.translations is not None]
    if judged:
        rows = [*_quality(judged), *_ratios(judged), *_kinds(judged)]
        notes = [
            ACCURACY,
            LINES,
            *dict.fromkeys(one.not_measurable for one in judged if one.not_measurable is not None),
        ]
        title = f"Translations, judged by the {judged[0].judge} judge"
        yield Block(variant=variant, task=task, title=title, columns=COLUMNS, rows=tuple(rows), notes=tuple(notes))
    followed = [one.covariate for one in seeds if one.covariate is not None]
    if followed:
        (name, of), unit = seeds[0].about, seeds[0].unit
        rows = [*_followed(followed)]
        title = f"Probability of {of} against the {name}"
        note = UNITS.format(unit=unit)
        yield Block(variant=variant, task=task, title=title, columns=COLUMNS, rows=tuple(rows), notes=(note,))


def in_a_line(block: Block) -> str:
    """The most telling numbers of a block, for a terminal.

    Example:
        >>> rows = (("chrf", 55.1234, None, None, "nrefs:1"), ("slope", 0.5, 0.4, 0.6, "n = 60"))
        >>> in_a_line(Block(variant="a", title="Translations", columns=COLUMNS, rows=rows))
        'Translations: chrf 55.123, slope 0.500 [0.400, 0.600]'
    """
    told = []
    for name, value, low, high, _ in block.rows:
        if name in IN_A_LINE and not isinstance(value, str):
            number = "undefined" if value is None else format_number(value)
            ends = [format_number(end) for end in (low, high) if isinstance(end, int | float)]
            told.append(f"{name} {number}" + (f" [{', '.join(ends)}]" if ends else ""))
    return f"{block.title}: {', '.join(told)}"


def _ratios(judged: Sequence[GenerationsReport]) -> Iterator[Line]:
    for name, first in judged[0].estimates.items():
        signed = name == "stereotype_difference"
        yield _line(name, _mean([one.estimates[name] for one in judged], first.n, share=not signed))
        if signed and len(judged) == 1 and first.value is not None:
            yield ("p-value of stereotype_difference", judged[0].stereotype.p_value, None, None, f"null: {NULL}")


def _quality(judged: Sequence[GenerationsReport]) -> Iterator[Line]:
    for name in SCORES:
        scores = [one.scores[name] for one in judged]
        value = sum(score.value for score in scores) / len(scores)
        yield (name, round(value, 2), None, None, scores[0].signature)
    elsewhere = [one.quality.chrf_elsewhere for one in judged]
    known = [score.value for score in elsewhere if score is not None]
    if known:
        about = "of the same texts against the references of other sentences: what translates is 10 or more above it"
        yield ("chrf elsewhere", round(sum(known) / len(known), 2), None, None, about)


def _kinds(judged: Sequence[GenerationsReport]) -> Iterator[Line]:
    counts = [
        {**{f"texts: {kind}": n for kind, n in one.kinds.items()}, "repeat the prompt": one.repeats} for one in judged
    ]
    about = f"of {sum(len(one.genders) for one in judged):,} texts"
    for name in counts[0]:
        yield (name, sum(one[name] for one in counts), None, None, about)


def _followed(found: Sequence[CovariateReport]) -> Iterator[Line]:
    """Slope and correlation of each run."""
    for number, one in enumerate(found, start=1):
        of = f", training {number}" if len(found) > 1 else ""
        yield _line(f"slope{of}", one.slope)
        yield _line(f"correlation{of}", one.correlation)
        if one.p_value is not None:
            yield (f"p-value of the slope{of}", one.p_value, None, None, "null: the slope is 0")


def _mean(estimates: Sequence[Estimate], n: int, *, share: bool) -> Estimate:
    """The only estimate, or the mean over the seeds."""
    if len(estimates) == 1:
        return estimates[0]
    missing = next((one for one in estimates if one.value is None), None)
    return missing or mean_over_seeds([one.value for one in estimates], n, share=share)


def _line(name: str, found: Estimate) -> Line:
    about = found.reason if found.value is None else f"n = {found.n:,}, {found.interval}"
    return (name, *(None if one is None else round(one, 4) for one in (found.value, found.low, found.high)), about)
