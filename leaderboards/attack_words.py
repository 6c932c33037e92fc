"""What a report of membership attacks says in words: only what its tests say, all of one family, at q < 0.05."""

from __future__ import annotations

from collections.abc import Iterator

from ..metrics import Estimate
from .attack_report import Against, Attacked, AttackReport, powers
from .attack_seeds import Key, TrainingsAgainst
from .format import LEVEL, format_p

EVERYBODY = "all"
NOT_ABOVE, BELOW = "{} is not shown to be above guessing", "{} is below guessing"


def in_words(report: AttackReport) -> list[str]:
    """A line for each finding, and for what was looked for and not found."""
    lines = [line for one in report.attacked for line in _of_target(one)]
    by_name = {(one.audit.target, one.attack): one for one in report.attacked}
    apart = [line for pair in report.against for line in _of_pair(pair, by_name)]
    apart += [line for folded in report.trainings_against for line in _of_trainings(folded, report)]
    if report.against and not apart:
        apart.append(f"no two targets could be told apart at q < {LEVEL:g}; that is not the same as being equal")
    return lines + apart


def name_of(key: Key) -> str:
    """What a table calls all examples, or a group of an axis."""
    return EVERYBODY if key is None else f"{key[0]}: {key[1]}"


def _of_target(one: Attacked) -> Iterator[str]:
    who, attack = one.audit.target, f"{one.attack} attack"
    if one.overall is None:
        yield f"{who}: no {attack}: {one.reading}"
        return
    if one.overall.overall.auc.value is None:
        yield f"{who}: the {attack} cannot be judged: {one.overall.overall.auc.reason}"
        return
    sides = {name_of(key): _side(one, key, None) for key, _ in powers(one)}
    given, wrong = ([name for name, side in sides.items() if side == wanted] for wanted in (1, -1))
    if given:
        yield f"{who}: the {attack} finds training rows of {', '.join(given)}"
    found = False
    for rate in one.overall.overall.tpr_at:
        names = [name_of(key) for key, _ in powers(one) if _side(one, key, rate) > 0]
        found |= bool(names)
        if names:
            yield (
                f"{who}: accusing {100 * rate:g}% of the others, the {attack} finds a larger share of the training "
                f"rows of {', '.join(names)}"
            )
    if not given and not found:
        yield f"{who}: the {attack} does no better than guessing that could be seen"
    if wrong:
        yield f"{who}: the {attack} is below guessing for {', '.join(wrong)}: is the audit right?"


def _side(one: Attacked, key: Key, rate: float | None) -> int:
    """1 where the attack is above guessing at q < 0.05, -1 where its AUC is below, else 0.

    The interval must tell the same: that of an AUC lies on the same side of 1/2, that of a true positive rate above the
    false positive rate.
    """
    power = dict(powers(one)).get(key)
    if power is None:
        return 0
    found = power.auc if rate is None else power.tpr_at[rate]
    q_value = one.q_values.get(key, 1.0) if rate is None else one.tpr_q_values.get(key, {}).get(rate, 1.0)
    if q_value >= LEVEL:
        return 0
    if rate is not None:
        return int(found.low is not None and found.low > rate)
    return next((side for side in (1, -1) if _clear(found, side)), 0)


def _of_pair(pair: Against, by_name: dict[tuple[str, str], Attacked]) -> Iterator[str]:
    tests: list[tuple[float | None, Estimate, float | None]] = [(None, pair.difference.auc, pair.auc_q_value)]
    tests += [(rate, found, (pair.tpr_q_values or {}).get(rate)) for rate, found in pair.difference.tpr_at.items()]
    for rate, found, q_value in tests:
        if found.value is None or q_value is None or q_value >= LEVEL:
            continue
        more, less = (pair.a, pair.b) if found.value > 0 else (pair.b, pair.a)
        above, below = (_side(by_name[name, pair.attack], pair.key, rate) for name in (more, less))
        why = NOT_ABOVE.format(more) if above <= 0 else BELOW.format(less) if below < 0 else ""
        where = f"({pair.attack}, {name_of(pair.key)}, q = {format_p(q_value)})"
        number = "the AUC" if rate is None else f"the TPR at {100 * rate:g}% FPR"
        at = "" if rate is None or why else f", at {100 * rate:g}% FPR"
        yield _told(more, less, f"{at} {where}", number, why)


def _of_trainings(folded: TrainingsAgainst, report: AttackReport) -> Iterator[str]:
    value, q_value = folded.difference.estimate.value, folded.q_value
    if value is None or q_value is None or q_value >= LEVEL:
        return
    more, less = (folded.a, folded.b) if value > 0 else (folded.b, folded.a)
    of_both = (one for one in report.trainings if one.attack == folded.attack and one.name in (more, less))
    means = {one.name: one.auc[folded.key] for one in of_both}
    why = BELOW.format(less) if _clear(means[less], -1) else ""
    why = why if _clear(means[more], 1) else NOT_ABOVE.format(more)
    where = f" ({folded.attack}, {name_of(folded.key)}, q = {format_p(q_value)})"
    yield f"over {len(folded.seeds)} trainings {_told(more, less, where, 'the mean AUC', why)}"


def _clear(auc: Estimate, side: int) -> bool:
    """Whether the interval of an AUC, or of a mean of them, is on this side of guessing."""
    limit = auc.low if side > 0 else auc.high
    return limit is not None and side * (limit - 0.5) > 0


def _told(more: str, less: str, where: str, number: str, why: str) -> str:
    if why:
        return f"{number} of {more} is above that of {less}{where}, but {why}"
    return f"{more} gives training rows away more than {less}{where}"
