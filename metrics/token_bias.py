"""How much of a model's answers is the symbol and the place, how much the meaning, and whether a group gap stands out.

The effects are those of :mod:`groupgap.metrics.cell_effects`; sizes are given as log-odds (of one choice over another,
all else being equal, in the mean over documents) and as probability points. On one scale stand

- the *token effect*: the largest effect of a symbol over another of its set, or of a place over another;
- the *group effect*: the largest difference between two groups in what they are answered, one choice over another;
- the *meaning effect*: the largest mean of one choice over another, over all documents.

All three are maxima, with bounds that reckon with that (:mod:`groupgap.metrics.largest`). What can be said of a gap:

- *not measurable with this prompt*: the token effect is larger than the group effect (the whole 95% interval of their
  difference is above 0), or it is measured to be larger and is seen (its interval excludes 0) where no group effect is.
  A model without a token effect gets this verdict in at most 5% of data sets;
- *measurable*: the group effect is larger (the interval is under 0). A model whose token effect is the larger one gets
  this verdict in at most 2.5%;
- *cannot tell*: neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations, product

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from .arguments import check_confidence, check_min_group
from .cell_effects import SCALES, CellMatrix, Fit, Level, fit_cells
from .estimate import Estimate
from .largest import Maxima, combination, difference_of_largest, largest

__all__ = ["MEASURABLE", "NOT_MEASURABLE", "UNDECIDED", "Effect", "GroupEffects", "Sizes", "TokenBias", "token_bias"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NOT_MEASURABLE = "not measurable with this prompt"
MEASURABLE = "measurable"
UNDECIDED = "cannot tell"
MAX_GROUPS = 100
NO_TOKENS = "the cells do not tell symbols and places from meanings"
NO_MEANINGS = "the cells do not tell meanings from symbols and places"


@dataclass(frozen=True)
class Effect:
    """How much one level is favoured over the others of its set, all else being equal.

    Attributes:
        level: a symbol or a place; of the kind ``"meaning"`` for a choice.
        sizes: scale to the mean over documents: log-odds over the geometric mean of the others, or probability points
            above their mean.
    """

    level: Level
    sizes: dict[str, Estimate]


@dataclass(frozen=True)
class Sizes:
    """The effects on one scale, each the largest of its kind; ``groups`` of each names what it is between.

    Attributes:
        token: of one symbol over another, or one place over another.
        meaning: of one choice over another.
        group: between two groups, of one choice over another.
        token_minus_group: with its interval and p-value; ``None`` where one of them is undefined.
        token_minus_meaning: likewise.
    """

    token: Estimate
    meaning: Estimate
    group: Estimate
    token_minus_group: Maxima | None
    token_minus_meaning: Maxima | None

    @property
    def verdict(self) -> str | None:
        """Of the group effect: ``NOT_MEASURABLE``, ``MEASURABLE`` or ``UNDECIDED``; ``None`` where there is none."""
        return _verdict(self.token, self.group, self.token_minus_group)

    @property
    def verdict_of_meaning(self) -> str | None:
        """The same of the meaning effect."""
        return _verdict(self.token, self.meaning, self.token_minus_meaning)


@dataclass(frozen=True)
class GroupEffects:
    """One group by itself.

    Attributes:
        n: its documents.
        choices: effect of each choice.
        token: scale to the largest token effect among its documents.
    """

    n: int
    choices: tuple[Effect, ...]
    token: dict[str, Estimate]


@dataclass(frozen=True)
class TokenBias:
    """What of a model's answers is meaning, symbol and place.

    Attributes:
        n: documents.
        left_out: documents with a choice of probability 0, which has no log-odds.
        effects: of every choice, symbol and place that the cells tell apart.
        sizes: scale to the largest effects.
        groups: by name; groups under ``min_group`` have no part in the group effect.
        small: groups under ``min_group``.
        min_group: smallest number of documents with which a group enters the group effect.
    """

    n: int
    left_out: int
    effects: tuple[Effect, ...]
    sizes: dict[str, Sizes]
    groups: dict[str, GroupEffects] = field(default_factory=dict)
    small: tuple[str, ...] = ()
    min_group: int = 30


def token_bias(
    answers: CellMatrix,
    classes: Sequence[str],
    membership: BoolArray | None = None,
    groups: Sequence[str] = (),
    *,
    clusters: IntArray | None = None,
    min_group: int = 30,
    confidence: float = 0.95,
) -> TokenBias:
    """Split a model's answers into meaning, symbol and position effects.

    Args:
        answers: of n documents, each asked in k cells.
        classes: the C names of the meanings.
        membership: (n, G) of groups, which may overlap.
        groups: their G names.
        clusters: (n,) documents with one number are drawn together; by default each by itself.
        min_group: smallest number of documents with which a group enters the group effect.
        confidence: of the intervals.

    Raises:
        GroupgapError: for arrays that do not belong together, and for no documents.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> levels = (Level("symbol", "letters", "A"), Level("symbol", "letters", "B"))
        >>> symbols = np.tile([[0, 1], [1, 0]], (200, 1, 1))         # A stands for "no", then for "yes"
        >>> logits = rng.normal(0, 1, (200, 1, 2)) + np.where(symbols == 0, 1.5, 0.0)      # A is liked, by 1.5
        >>> asked = CellMatrix(logits, levels, symbols, np.full(symbols.shape, -1))
        >>> found = token_bias(asked, ("no", "yes"), np.arange(200)[:, None] % 2 == [0, 1], ("a", "b"))
        >>> token = found.sizes["log-odds"].token
        >>> token.groups, round(token.value, 2), found.sizes["log-odds"].verdict
        (('A', 'B'), 1.5, 'not measurable with this prompt')
    """
    check_confidence(confidence), check_min_group(min_group)
    member = np.zeros((len(answers.log_probabilities), 0), dtype=np.bool_) if membership is None else membership
    if len(classes) != answers.choices or member.shape != (len(answers.log_probabilities), len(groups)):
        raise GroupgapError(
            f"Expected {answers.choices} classes and (documents, groups) membership, but got {len(classes)} and "
            f"{member.shape}"
        )
    kept = answers.finite
    answers, member = answers.of(kept), member[kept]
    units = None if clusters is None else clusters[kept]
    if not kept.any():
        raise GroupgapError("no document has log-odds: in each some choice has probability 0")
    sizes = member.sum(axis=0)
    large = np.flatnonzero(sizes >= min_group)
    fits = {scale: fit_cells(answers, scale, member[:, large], units) for scale in SCALES}
    names = tuple(groups[index] for index in large)
    return TokenBias(
        n=len(member),
        left_out=int((~kept).sum()),
        effects=_effects(fits, classes, confidence),
        sizes={scale: effect_sizes(one, classes, names, confidence) for scale, one in fits.items()},
        groups={
            groups[index]: _group_effects(answers, classes, member[:, index], units, confidence)
            for index in np.flatnonzero(sizes)
        },
        small=tuple(groups[index] for index in np.flatnonzero(sizes < min_group)),
        min_group=min_group,
    )


@dataclass(frozen=True, eq=False)
class Candidates:
    """The contrasts whose largest is an effect: their weights (q, B), and what each is between."""

    weights: FloatArray
    names: tuple[tuple[str, ...], ...]


def token_candidates(fit: Fit) -> Candidates | None:
    """Every symbol over every other of its set, every place over every other; both at once where cells tell no more.

    ``None`` where the cells tell nothing of either.
    """
    pairs: dict[str, list[tuple[int, int]]] = {"symbol": [], "position": []}
    for one, other in permutations(range(len(fit.levels)), 2):
        if fit.levels[one].kind == fit.levels[other].kind and fit.levels[one].within == fit.levels[other].within:
            pairs[fit.levels[one].kind].append((one, other))
    found: dict[tuple[str, ...], FloatArray] = {}
    for one, other in (*pairs["symbol"], *pairs["position"]):
        weights = fit.weights((one, 1.0), (other, -1.0))
        if fit.can_tell(weights):
            found[name_of(fit, one), name_of(fit, other)] = weights
    for (one, other), (place, behind) in product(pairs["symbol"], pairs["position"]):
        weights = fit.weights((one, 1.0), (other, -1.0), (place, 1.0), (behind, -1.0))
        names = (f"{name_of(fit, one)}, {name_of(fit, place)}", f"{name_of(fit, other)}, {name_of(fit, behind)}")
        if (name_of(fit, one), name_of(fit, other)) not in found and fit.can_tell(weights):
            found[names] = weights
    return _known(fit, list(found.values()), list(found))


def name_of(fit: Fit, index: int) -> str:
    """A symbol as it is; a place as ``place 1``."""
    level = fit.levels[index]
    return level.name if level.kind == "symbol" else f"place {level.name}"


def _meaning_candidates(fit: Fit, classes: Sequence[str]) -> Candidates | None:
    found = {
        (classes[one], classes[other]): fit.weights((fit.choice(one), 1.0), (fit.choice(other), -1.0))
        for one, other in permutations(range(fit.choices), 2)
    }
    return _known(fit, list(found.values()), list(found))


def _group_candidates(fit: Fit, classes: Sequence[str], groups: Sequence[str]) -> Candidates | None:
    names, rows = [], []
    for (a, one), (b, other) in permutations(enumerate(groups), 2):
        for first, second in combinations(range(fit.choices), 2):
            names.append((classes[first], classes[second], one, other))
            signs = ((first, a, 1.0), (second, a, -1.0), (first, b, -1.0), (second, b, 1.0))
            rows.append(fit.weights(*((fit.choice(meaning, group), sign) for meaning, group, sign in signs)))
    return _known(fit, rows, names)


def _known(fit: Fit, rows: Sequence[FloatArray], names: Sequence[tuple[str, ...]]) -> Candidates | None:
    """Those that follow from the answers; ``None`` where none does."""
    kept = [index for index, weights in enumerate(rows) if fit.can_tell(weights)]
    if not kept:
        return None
    return Candidates(np.stack([rows[index] for index in kept]), tuple(names[index] for index in kept))


def effect_sizes(fit: Fit, classes: Sequence[str], groups: Sequence[str], confidence: float = 0.95) -> Sizes:
    """The largest effects on the scale of a fit.

    Args:
        fit: of the documents, with the groups as its membership.
        classes: names of the C meanings.
        groups: names of the groups.
        confidence: of the intervals.
    """
    token, meaning = token_candidates(fit), _meaning_candidates(fit, classes)
    n = len(fit.influence)
    group, why = None, f"{len(groups)} group{'' if len(groups) == 1 else 's'} large enough: a difference needs two"
    if len(groups) > MAX_GROUPS:
        why = f"{len(groups)} groups, more than {MAX_GROUPS}"
    elif len(groups) > 1:
        group, why = _group_candidates(fit, classes, groups), NO_MEANINGS

    def size(one: Candidates | None, reason: str) -> Estimate:
        return Estimate(None, n, reason) if one is None else largest(fit.means, one.weights, one.names, confidence)

    def minus(one: Candidates | None) -> Maxima | None:
        if token is None or one is None:
            return None
        return difference_of_largest(fit.means, token.weights, one.weights, confidence)

    return Sizes(size(token, NO_TOKENS), size(meaning, NO_MEANINGS), size(group, why), minus(group), minus(meaning))


def _verdict(token: Estimate, other: Estimate, difference: Maxima | None) -> str | None:
    if difference is None:
        return None
    only_tokens_seen = bool(token.low) and other.low == 0 and difference.value > 0
    if difference.low > 0 or only_tokens_seen:
        return NOT_MEASURABLE
    return MEASURABLE if difference.high < 0 else UNDECIDED


def _effects(fits: dict[str, Fit], classes: Sequence[str], confidence: float) -> tuple[Effect, ...]:
    """The effects of choices, over all documents, and of levels."""
    fit = next(iter(fits.values()))
    places = [fit.choice(meaning) for meaning in range(fit.choices)]
    sets: dict[tuple[str, str], dict[int, str]] = {("meaning", ""): dict(zip(places, classes, strict=True))}
    for index, level in enumerate(fit.levels):
        sets.setdefault((level.kind, level.within), {})[index] = level.name
    found = []
    for (kind, within), levels in sets.items():
        for place, name in levels.items():
            others = [(other, -1.0 / (len(levels) - 1)) for other in levels if other != place]
            weights = fit.weights((place, 1.0), *others)
            if others and fit.can_tell(weights):
                sizes = {scale: combination(one.means, weights, confidence) for scale, one in fits.items()}
                found.append(Effect(Level(kind, within, name), sizes))
    return tuple(found)


def _group_effects(
    answers: CellMatrix, classes: Sequence[str], members: BoolArray, units: IntArray | None, confidence: float
) -> GroupEffects:
    """A group by itself: its symbols and places have effects of their own."""
    own = answers.of(members)
    inside = None if units is None else units[members]
    fits = {scale: fit_cells(own, scale, None, inside) for scale in SCALES}
    n = int(members.sum())
    token = {}
    for scale, one in fits.items():
        candidates = token_candidates(one)
        token[scale] = (
            Estimate(None, n, NO_TOKENS)
            if candidates is None
            else largest(one.means, candidates.weights, candidates.names, confidence)
        )
    choices = tuple(one for one in _effects(fits, classes, confidence) if one.level.kind == "meaning")
    return GroupEffects(n, choices, token)
