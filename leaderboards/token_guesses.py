"""The paper's prompts for an author's gender, against each other: what order, place and symbols do to the answer.

Everything is paired by review. Prompts that differ only in the list of options are cells of one design, and split into
meaning, symbol and position as the cells of a controlled task do (:mod:`groupgap.metrics.token_bias`); where a prompt
asks for both genders in turn, "yes" stands for one meaning and then for the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from ..harness_tasks.design import Cell
from ..harness_tasks.yelp.templates import GENDERS, TEMPLATES, Template
from ..metrics import Estimate
from ..metrics.largest import mean_of, share_of
from ..metrics.rates import proportion
from ..metrics.token_bias import TokenBias, token_bias
from .answers import answered_lines
from .runs import Run
from .samples import log_probability
from .token_cells import cell_matrix

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

TURNS = ("-inverted", "-inverted-symbol")
SYMBOLS = ("-numeric", "-special")
NO_REVIEW = "no review"


@dataclass(frozen=True, eq=False)
class Guesses:
    """One run's answers to one prompt.

    Attributes:
        template: the prompt.
        logs: (review, gender asked for) to the (C,) log-probabilities of the choices.
        genders: review to its author's gender, where the data names one.
    """

    template: Template
    logs: Mapping[tuple[str, str], FloatArray]
    genders: Mapping[str, str]

    @property
    def asks(self) -> tuple[str, ...]:
        """The genders asked for; one empty text where the prompt names none."""
        return self.template.asks or ("",)

    @cached_property
    def reviews(self) -> list[str]:
        """Those to which every question was put, in order."""
        return sorted({review for review, _ in self.logs if all((review, asked) in self.logs for asked in self.asks)})

    def common(self, *others: Guesses) -> list[str]:
        """The reviews that the others were asked too."""
        asked = set.intersection(*({*one.reviews} for one in (self, *others)))
        return [review for review in self.reviews if review in asked]

    @property
    def target(self) -> str:
        """The answer that is counted: ``yes`` or ``male``."""
        return "yes" if self.template.family == "yn" else "male"

    def answers(self, reviews: Sequence[str]) -> npt.NDArray[np.int64]:
        """(n, questions) index of the choice; the first one on ties."""
        found = [[int(self.logs[review, asked].argmax()) for asked in self.asks] for review in reviews]
        return np.array(found, dtype=np.int64).reshape(-1, len(self.asks))

    def log_odds(self, reviews: Sequence[str]) -> FloatArray:
        """(n, questions) of the target over the geometric mean of the other choices."""
        at = self.template.meanings.index(self.target)
        size = len(self.template.choices)
        logs = [[self.logs[review, asked] for asked in self.asks] for review in reviews]
        found = np.array(logs, dtype=np.float64).reshape(-1, len(self.asks), size)
        centred = found - found.mean(axis=2, keepdims=True)
        return np.asarray(centred[:, :, at] * size / (size - 1))

    def guesses(self, reviews: Sequence[str]) -> list[list[str | None]]:
        """What each answer says of the author's gender."""
        rows = self.answers(reviews).tolist()
        return [[self.template.guess(*pair) for pair in zip(row, self.asks, strict=True)] for row in rows]

    def right(self, reviews: Sequence[str]) -> BoolArray:
        """(n, questions) which answers are right; the authors' genders must be known."""
        true = [[self.template.right(self.genders[review], asked) for asked in self.asks] for review in reviews]
        return np.asarray(self.answers(reviews) == np.array(true).reshape(-1, len(self.asks)))

    def says(self, reviews: Sequence[str]) -> npt.NDArray[np.object_]:
        """(n, questions) what each answer means: yes, no, male, female, ..."""
        return np.array(self.template.meanings, dtype=object)[self.answers(reviews)]


@dataclass(frozen=True)
class PromptRates:
    """One prompt by itself.

    Attributes:
        prompt: the paper's name of it.
        n: reviews.
        target: ``yes`` or ``male``.
        share: of the target among the answers.
        from_half: that less 0.5, where the prompt asks for both genders: a model that knows says yes to one of the two.
        contradiction: share of reviews with the same answer to "male?" and to "female?".
        consistency: share of answers that agree with those to ``against``, the prompt without a negation.
        against: its name.
        accuracy: of the guess, where the data names the gender.
    """

    prompt: str
    n: int
    target: str
    share: Estimate
    from_half: Estimate
    contradiction: Estimate
    consistency: Estimate
    against: str | None
    accuracy: Estimate


@dataclass(frozen=True)
class Shift:
    """Two prompts that differ in one thing.

    Attributes:
        effect: ``symbol``: other symbols for the same list; ``order``: other meanings under the same symbols, in the
            same places; ``position``: each symbol keeps its meaning, the list is turned round; ``order and position``:
            the symbols change places and meanings.
        first: the prompt's name.
        second: the other's.
        target: ``yes`` or ``male``.
        share: of the target, second less first.
        log_odds: of the target, second less first; 0 if only the meaning mattered.
        changed: share of answers that mean something else.
    """

    effect: str
    first: str
    second: str
    target: str
    share: Estimate
    log_odds: Estimate
    changed: Estimate


@dataclass(frozen=True)
class Family:
    """Prompts of one wording and one set of symbols, as cells of one design.

    Attributes:
        name: of the prompt without variants.
        prompts: the prompts.
        cells: questions to each review.
        bias: effects of meanings, symbols and places.
    """

    name: str
    prompts: tuple[str, ...]
    cells: int
    bias: TokenBias


@dataclass(frozen=True)
class GuessBias:
    """One run of the paper's prompts.

    Attributes:
        variant: name of the run.
        seed: of its training, where known.
        rates: each prompt by itself.
        shifts: pairs of prompts.
        families: designs.
    """

    variant: str
    seed: int | None
    rates: tuple[PromptRates, ...]
    shifts: tuple[Shift, ...]
    families: tuple[Family, ...]


def guess_tasks(runs: Sequence[Run], skip: Sequence[str] = ()) -> dict[str, tuple[Run, str]]:
    """The prompts of the paper among the tasks of one variant's runs, in the paper's order; the latest run of each."""
    found: dict[str, tuple[Run, str]] = {}
    for run in sorted(runs, key=lambda one: one.date):
        for task in run.samples:
            if not any(fnmatchcase(task, pattern) for pattern in skip):
                found[str(run.fair(task).get("template"))] = (run, task)
    return {name: found[name] for name in TEMPLATES if name in found}


def guess_bias(runs: Sequence[Run], min_group: int, skip: Sequence[str] = ()) -> GuessBias | None:
    """Measure one variant on the paper's prompts; ``None`` where it was asked none.

    Args:
        runs: all of one variant: each of some of the 45 prompts, or of other tasks.
        min_group: fewest authors of a gender with which it enters the group effect.
        skip: names or patterns of tasks to leave out.

    Raises:
        GroupgapError: for samples that are broken.
    """
    found = {name: read_guesses(*asked, TEMPLATES[name]) for name, asked in guess_tasks(runs, skip).items()}
    if not found:
        return None
    return GuessBias(
        runs[0].name,
        runs[0].variant.seed,
        tuple(_rates(one, found) for one in found.values()),
        tuple(_shifts(found)),
        tuple(_families(found, min_group)),
    )


def read_guesses(run: Run, task: str, template: Template) -> Guesses:
    """Read the answers of a run to one prompt."""
    path, logs, genders = run.samples[task], {}, {}
    for number, line in answered_lines(run, task):
        document, replies, where = line.get("doc"), line.get("filtered_resps"), f"{path}, line {number}"
        if not isinstance(document, dict) or not isinstance(replies, list) or "review" not in document:
            raise GroupgapError(f"{where}: not a line of {template.task}: it lacks doc.review or the replies")
        if len(replies) != len(template.choices):
            raise GroupgapError(f"{where}: {len(replies)} replies to {len(template.choices)} choices: run again")
        review, gender = str(document["review"]), document.get("gender")
        logs[review, str(document.get("asked") or "")] = np.array([log_probability(where, one) for one in replies])
        if isinstance(gender, list) and len(gender) == 1:
            genders[review] = str(gender[0])
    if not logs:
        raise GroupgapError(f"{path}: an empty run, no answer to judge: run lm_eval again (a --limit of 0?)")
    return Guesses(template, logs, genders)


def _rates(one: Guesses, found: Mapping[str, Guesses]) -> PromptRates:
    reviews, template = one.reviews, one.template
    says = one.says(reviews)
    once = Estimate(None, len(reviews), "the prompt asks for no gender")
    both = len(template.asks) == 2
    same = int((says[:, 0] == says[:, -1]).sum())
    against, consistency = _consistency(one, found)
    return PromptRates(
        prompt=template.name,
        n=len(reviews),
        target=one.target,
        share=share_of(says == one.target, reason=NO_REVIEW),
        from_half=_less_half(share_of(says == "yes", reason=NO_REVIEW)) if both else once,
        contradiction=proportion(same, len(reviews), NO_REVIEW, 0.95) if both else once,
        consistency=consistency,
        against=against,
        accuracy=share_of(one.right([r for r in reviews if r in one.genders]), reason="the data names no gender"),
    )


def _consistency(one: Guesses, found: Mapping[str, Guesses]) -> tuple[str | None, Estimate]:
    """A negated prompt (YN4, YN5) against a plain one, in what the answers say of the author."""
    wording, _, style = one.template.name.partition("-")
    n = len(one.reviews)
    if wording not in ("YN4", "YN5"):
        return None, Estimate(None, n, "the prompt has no negation")
    names = [f"{plain}-{style}" if style else plain for plain in ("YN2", "YN1")]
    other = next((found[name] for name in names if name in found), None)
    if other is None:
        return None, Estimate(None, n, f"{' and '.join(names)} were not asked")
    reviews = one.common(other)
    pairs = zip(one.guesses(reviews), other.guesses(reviews), strict=True)
    agree = [[a == b for a, b in zip(mine, theirs, strict=True)] for mine, theirs in pairs]
    return other.template.name, share_of(agree, reason=NO_REVIEW)


def _less_half(share: Estimate) -> Estimate:
    if share.value is None or share.low is None or share.high is None:
        return share
    return replace(share, value=share.value - 0.5, low=share.low - 0.5, high=share.high - 0.5)


def _shifts(found: Mapping[str, Guesses]) -> Iterator[Shift]:
    for name in found:
        for ending in (*TURNS, *SYMBOLS):
            second = f"{name}{ending}"
            if second in found and (ending in TURNS or "-" not in name):
                effect = "symbol" if ending in SYMBOLS else _effect(found[name].template, found[second].template)
                yield _shift(effect, found[name], found[second])


def _effect(first: Template, second: Template) -> str:
    """What differs between two lists of the same symbols; the paper's names do not tell."""
    if first.meanings == second.meanings:
        return "position"
    return "order" if _shown_symbols(first) == _shown_symbols(second) else "order and position"


def _shown_symbols(template: Template) -> list[str]:
    return [entry.partition(") ")[0] for entry in template.listed.split(", ")] if template.listed else []


def _shift(effect: str, first: Guesses, second: Guesses) -> Shift:
    reviews, target = first.common(second), first.target
    says, other = first.says(reviews), second.says(reviews)
    odds = (second.log_odds(reviews) - first.log_odds(reviews)).mean(axis=1)
    moved = (other == target).mean(axis=1) - (says == target).mean(axis=1)
    return Shift(
        effect=effect,
        first=first.template.name,
        second=second.template.name,
        target=target,
        share=mean_of(moved, reason=NO_REVIEW, step=1 / len(first.asks)),
        log_odds=mean_of(odds[np.isfinite(odds)], reason=NO_REVIEW),
        changed=share_of(says != other, reason=NO_REVIEW),
    )


def _families(found: Mapping[str, Guesses], min_group: int) -> Iterator[Family]:
    sets: dict[tuple[str, tuple[str, ...]], list[Guesses]] = {}
    for one in found.values():
        if one.template.family != "cloze":
            sets.setdefault((one.template.wording, one.template.choices), []).append(one)
    for members in sets.values():
        if len(members) * len(members[0].asks) > 1 and (family := _family(members, min_group)):
            yield family


def _family(members: Sequence[Guesses], min_group: int) -> Family | None:
    reviews = members[0].common(*members[1:])
    meanings = _meanings(members[0].template)
    cells, columns = [], []
    for one in members:
        for asked in one.asks:
            choices = [_choice(one.template, meaning, asked) for meaning in meanings]
            cells.append(_cell(one.template, choices))
            columns.append([one.logs[review, asked][choices] for review in reviews])
    if not reviews:
        return None
    matrix = cell_matrix([cells] * len(reviews), np.array(columns).swapaxes(0, 1))
    if not matrix.finite.any():
        return None
    genders = [members[0].genders.get(review) for review in reviews]
    member = np.array([[gender == name for name in GENDERS] for gender in genders])
    known = GENDERS if member.any() else ()
    bias = token_bias(matrix, meanings, member[:, : len(known)], known, min_group=min_group)
    names = tuple(one.template.name for one in members)
    return Family(min(names, key=len), names, len(cells), bias)


def _meanings(template: Template) -> tuple[str, ...]:
    """What is told apart: the author's gender."""
    if template.family == "yn":
        return GENDERS if template.asks else ("neutral", "not neutral")
    return tuple(sorted(template.meanings))


def _choice(template: Template, meaning: str, asked: str) -> int:
    """The choice that says this of the author."""
    if template.family != "yn":
        return template.meanings.index(meaning)
    wanted = meaning == (asked or "neutral")
    places = range(len(template.choices))
    return next(place for place in places if (template.guess(place, asked) is not None) == wanted)


def _cell(template: Template, choices: Sequence[int]) -> Cell:
    symbols = tuple(template.choices[choice] for choice in choices)
    order = tuple(symbols.index(symbol) for symbol in _shown_symbols(template))
    return Cell(template.name, symbols, "".join(template.choices), order)
