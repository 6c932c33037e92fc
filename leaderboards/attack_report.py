"""Membership attacks judged: every target by every attack, overall and per group, and targets against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ..adapters.attack_scores import AuditScores, check_same_audit
from ..errors import GroupgapError
from ..metrics import AttackDifference, AttackJudgement, AttackPower, benjamini_hochberg, compare_attacks, judge_attack
from ..metrics.arguments import check_min_group, check_seed
from ..metrics.lira import LiraOptions, lira_scores
from ..metrics.roc import FALSE_POSITIVE_RATES
from .attack_seeds import Key, Trainings, TrainingsAgainst, against_each_other, fold_attacks
from .judging import LEAST_DRAWS

LOSS, LIRA = "loss", "lira"
MANY = 100  # pairs of targets beyond which only those of one seed are compared, and no more than so many

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AttackOptions:
    """How targets are attacked and judged.

    Attributes:
        mode: ``online``, ``offline`` or ``offline-density``; None: online where each example has shadows on both
            sides, else offline.
        variance: as :class:`~groupgap.metrics.lira.LiraOptions` has it.
        min_group: fewest members and non-members with which a group is judged.
        draws: bootstrap draws of differences of true positive rates, at least :data:`LEAST_DRAWS`.
        seed: of the draws.

    Raises:
        GroupgapError: an argument out of range.
    """

    mode: str | None = None
    variance: str | None = None
    min_group: int = 30
    draws: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no interval can be made with, before anything is trained."""
        check_min_group(self.min_group), check_seed(self.seed)
        if isinstance(self.draws, bool) or not isinstance(self.draws, int) or self.draws < LEAST_DRAWS:
            raise GroupgapError(
                f"Expected argument 'draws' to be an integer of at least {LEAST_DRAWS}, which a 95% interval takes, "
                f"but got {self.draws!r}: give {type(self).draws}, the default"
            )


@dataclass(frozen=True, eq=False)
class Attacked:
    """One attack on one target.

    Attributes:
        audit: what was attacked.
        attack: ``loss`` or ``lira``.
        reading: which reading of it, in words; the reason where it could not be made.
        scores: (n,) membership scores; None where it could not be made.
        overall: over all audited examples.
        axes: per axis.
        q_values: (axis, group), None for all examples, to the q-value of its AUC.
        tpr_q_values: the same, to false positive rate to the q-value of the true positive rate there.
    """

    audit: AuditScores
    attack: str
    reading: str
    scores: FloatArray | None
    overall: AttackJudgement | None
    axes: dict[str, AttackJudgement]
    q_values: dict[Key, float] = field(default_factory=dict)
    tpr_q_values: dict[Key, dict[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Against:
    """Target A against target B by one attack, on all examples or on one group's.

    Attributes:
        a: name of A.
        b: name of B.
        attack: ``loss`` or ``lira``.
        key: axis and group; None for all examples.
        difference: A minus B.
        auc_q_value: over all p-values of the report; None where there is none.
        tpr_q_values: false positive rate to q.
    """

    a: str
    b: str
    attack: str
    key: Key
    difference: AttackDifference
    auc_q_value: float | None = None
    tpr_q_values: dict[float, float | None] | None = None


@dataclass(frozen=True)
class AttackReport:
    """All of it.

    Attributes:
        attacked: target by target, loss before LiRA.
        against: pairs.
        notes: what a reader should know.
        options: how it was judged.
        trainings: recipes of which several seeds were attacked.
        trainings_against: pairs of these.
    """

    attacked: tuple[Attacked, ...]
    against: tuple[Against, ...]
    notes: tuple[str, ...]
    options: AttackOptions
    trainings: tuple[Trainings, ...] = ()
    trainings_against: tuple[TrainingsAgainst, ...] = ()


def build_report(audits: Sequence[AuditScores], options: AttackOptions | None = None) -> AttackReport:
    """Attack and judge.

    Args:
        audits: one for each target.
        options: how.

    Raises:
        GroupgapError: an unknown mode or variance.
    """
    options = options or AttackOptions()
    attacked = [one for audit in audits for one in (_by_loss(audit, options), _by_lira(audit, options))]
    against, notes = _pairs(attacked, options)
    notes = [
        f"{one.audit.target}: no {one.attack} attack: {one.reading}" for one in attacked if one.scores is None
    ] + notes
    trainings, apart = fold_attacks(attacked, [dict(powers(one)) for one in attacked])
    notes += apart
    report = AttackReport(tuple(attacked), tuple(against), tuple(dict.fromkeys(notes)), options, trainings)
    return _with_q_values(replace(report, trainings_against=tuple(against_each_other(trainings))))


def _by_loss(audit: AuditScores, options: AttackOptions) -> Attacked:
    """Score: minus the loss of the true class, ``-log(1 + exp(-statistic))``, averaged over augmentations.

    Of one augmentation the statistic itself, which ranks the same and is not flat where the loss is near 0.
    """
    single = audit.statistic.shape[1] == 1
    scores = audit.statistic[:, 0] if single else -np.logaddexp(0.0, -audit.statistic).mean(axis=1)
    return _judged(audit, LOSS, "-loss of the true class", scores, options)


def _by_lira(audit: AuditScores, options: AttackOptions) -> Attacked:
    mode, reason = _mode(audit, options.mode)
    if mode is None:
        return Attacked(audit, LIRA, reason, None, None, {})
    chosen = LiraOptions(mode, options.variance)
    shadows = len(audit.shadows)
    reading = f"{mode}, {shadows} shadows, variance {chosen.variance_for(shadows)}"
    return _judged(audit, LIRA, reading, lira_scores(audit.statistic, audit.shadows, audit.inside, chosen), options)


def _mode(audit: AuditScores, asked: str | None) -> tuple[str | None, str]:
    """The mode that the shadows allow, or why there is none."""
    if not len(audit.shadows):
        return None, "no shadows"
    into, out = audit.inside.sum(axis=0), (~audit.inside).sum(axis=0)
    if (out < 2).any():
        return None, f"{int((out < 2).sum()):,} examples have fewer than 2 shadows that were not trained on them"
    both = bool((into >= 2).all())
    if asked == "online" and not both:
        return (
            None,
            f"{int((into < 2).sum()):,} examples have fewer than 2 shadows that were trained on them: not online",
        )
    return asked or ("online" if both else "offline"), ""


def _judged(audit: AuditScores, attack: str, reading: str, scores: FloatArray, options: AttackOptions) -> Attacked:
    nobody = np.empty((len(scores), 0), dtype=np.bool_)
    overall = judge_attack(scores, audit.member, nobody, (), options.min_group)
    axes = {}
    for axis in audit.groups:
        matrix, names = audit.membership(axis)
        axes[axis] = judge_attack(scores, audit.member, matrix, names, options.min_group)
    return Attacked(audit, attack, reading, scores, overall, axes)


def _pairs(attacked: Sequence[Attacked], options: AttackOptions) -> tuple[list[Against], list[str]]:
    found: list[Against] = []
    notes: list[str] = []
    for attack in (LOSS, LIRA):
        made = [one for one in attacked if one.attack == attack and one.scores is not None]
        pairs, left_out = _chosen(made)
        notes += left_out
        for a, b in pairs:
            try:
                check_same_audit((a.audit, b.audit))
            except GroupgapError as error:
                notes.append(str(error))
                continue
            reason = _not_compared(a, b)
            if reason:
                notes.append(f"{a.audit.target} and {b.audit.target}: not compared by the {attack} attack: {reason}")
                continue
            notes += [
                f"{a.audit.target} and {b.audit.target}: not compared by {axis}: other groups of the same examples"
                for axis, rows in a.audit.groups.items()
                if b.audit.groups.get(axis, rows) != rows
            ]
            found += _against(a, b, options)
    return found, notes


def _chosen(made: Sequence[Attacked]) -> tuple[list[tuple[Attacked, Attacked]], list[str]]:
    """All pairs; of many only those of one training seed, where the methods differ, and of these the first."""
    pairs = list(combinations(made, 2))
    if len(pairs) <= MANY:
        return pairs, []
    of_one_seed = []
    for a, b in pairs:
        seeds = a.audit.facts.get("seed"), b.audit.facts.get("seed")
        if seeds[0] is not None and seeds[0] == seeds[1]:
            of_one_seed.append((a, b))
    kept = of_one_seed[:MANY]
    which = "those trained with the same seed" if len(kept) == len(of_one_seed) else f"{MANY} with the same seed"
    return kept, [f"of {len(pairs):,} pairs of targets only {which} are compared: {len(kept):,}"]


def _not_compared(a: Attacked, b: Attacked) -> str | None:
    if a.reading != b.reading:
        return "attacked in two ways"
    for one in (a, b):
        if one.overall is None or one.overall.overall.auc.value is None:
            return f"{one.audit.target} cannot be judged: {one.overall.overall.auc.reason if one.overall else ''}"
    return None


def _against(a: Attacked, b: Attacked, options: AttackOptions) -> Iterator[Against]:
    assert a.scores is not None
    assert b.scores is not None
    names = (a.audit.target, b.audit.target, a.attack)
    member = a.audit.member
    whole = compare_attacks(a.scores, b.scores, member, FALSE_POSITIVE_RATES, options.draws, options.seed)
    yield Against(*names, None, whole)
    for axis, rows in a.audit.groups.items():
        if b.audit.groups.get(axis) != rows:
            continue
        matrix, groups = a.audit.membership(axis)
        for column, group in enumerate(groups):
            inside = matrix[:, column]
            if any(one.axes[axis].groups[group].own.auc.value is None for one in (a, b)):
                continue
            sides = a.scores[inside], b.scores[inside]
            part = compare_attacks(*sides, member[inside], FALSE_POSITIVE_RATES, options.draws, options.seed)
            yield Against(*names, (axis, group), part)


def _with_q_values(report: AttackReport) -> AttackReport:
    """Benjamini and Hochberg's q over all p-values of the report: one family."""
    tests: list[tuple[tuple[Any, ...], float]] = []
    for place, one in enumerate(report.attacked):
        for key, power in powers(one):
            for rate, found in ((None, power.auc), *power.tpr_at.items()):
                if found.chance is not None and found.value is not None:
                    tests.append((("attack", place, key, rate), found.chance.p_value))
    for place, pair in enumerate(report.against):
        p_values = ((None, pair.difference.auc_p_value), *pair.difference.tpr_p_values.items())
        tests += [(("pair", place, rate), p_value) for rate, p_value in p_values if p_value is not None]
    for place, folded in enumerate(report.trainings_against):
        if folded.difference.p_value is not None:
            tests.append((("trainings", place), folded.difference.p_value))
    q = dict(zip([key for key, _ in tests], benjamini_hochberg([p for _, p in tests]).tolist(), strict=True))
    attacked = (_with_its_q_values(one, place, q) for place, one in enumerate(report.attacked))
    against = (
        replace(
            pair,
            auc_q_value=q.get(("pair", place, None)),
            tpr_q_values={rate: q.get(("pair", place, rate)) for rate in pair.difference.tpr_at},
        )
        for place, pair in enumerate(report.against)
    )
    folds = (replace(pair, q_value=q.get(("trainings", place))) for place, pair in enumerate(report.trainings_against))
    return replace(report, attacked=tuple(attacked), against=tuple(against), trainings_against=tuple(folds))


def _with_its_q_values(one: Attacked, place: int, q: dict[tuple[Any, ...], float]) -> Attacked:
    auc: dict[Key, float] = {}
    tpr: dict[Key, dict[float, float]] = {}
    for key, power in powers(one):
        if ("attack", place, key, None) in q:
            auc[key] = q["attack", place, key, None]
        tpr[key] = {rate: q["attack", place, key, rate] for rate in power.tpr_at if ("attack", place, key, rate) in q}
    return replace(one, q_values=auc, tpr_q_values=tpr)


def powers(one: Attacked) -> Iterator[tuple[Key, AttackPower]]:
    """(axis, group) and what the attack achieves there; first None: all examples."""
    if one.overall is None:
        return
    yield None, one.overall.overall
    for axis, judgement in one.axes.items():
        for group, power in judgement.groups.items():
            yield (axis, group), power.own
