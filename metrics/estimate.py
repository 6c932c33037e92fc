"""What a measurement looks like: a value or ``None`` with a reason, its n, its interval, its chance level."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Chance", "Estimate", "GroupRates", "Judgement", "LeftOut"]


@dataclass(frozen=True)
class Chance:
    """What a gap looks like when group membership has nothing to do with the answers.

    Attributes:
        median: median gap over permutations of the groups.
        p95: their 95th percentile.
        p_value: ``(1 + #{permuted gap >= measured gap}) / (draws + 1)``.
        draws: number of permutations.
    """

    median: float
    p95: float
    p_value: float
    draws: int


@dataclass(frozen=True)
class Estimate:
    """A measured quantity, or the reason why there is none.

    Attributes:
        value: the estimate in its own unit (a share, or a difference of shares), ``None`` when undefined.
        n: the denominator: samples that the value rests on.
        reason: why ``value`` is ``None``.
        stderr: standard error (bootstrap for gaps); 0 where all draws agree: read the interval there.
        low: lower end of the interval.
        high: upper end of the interval.
        interval: the kind of interval, in words.
        groups: for a worst group its name; for a gap those of the highest and the lowest rate, none if all are equal.
        chance: the gap expected by chance, for gaps.
        no_chance: why there is none, where it was looked for.
        class_name: the class (one-vs-rest) at which a multi-class gap is largest.
        rate: the rate that decides an equalized odds difference, ``"tpr"`` or ``"fpr"``.
        undefined_draws: bootstrap draws in which the quantity was undefined; they do not enter ``stderr``.

    Example:
        >>> Estimate(None, 0, "no positives").text
        'undefined (no positives)'
    """

    value: float | None
    n: int
    reason: str | None = None
    stderr: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    groups: tuple[str, ...] = ()
    chance: Chance | None = None
    class_name: str | None = None
    rate: str | None = None
    undefined_draws: int = 0
    no_chance: str | None = None

    def __post_init__(self) -> None:
        """Refuse a missing value without a reason: it would be shown as nothing at all."""
        if (self.value is None) != (self.reason is not None):
            raise ValueError("an Estimate has either a value or a reason, exactly one of them")

    @property
    def text(self) -> str:
        """The value with four decimals, or ``undefined (reason)``."""
        return f"undefined ({self.reason})" if self.value is None else f"{self.value:.4f}"


@dataclass(frozen=True)
class LeftOut:
    """A group that is listed but does not enter the minimum and maximum of a rate.

    Attributes:
        group: its name.
        rate: ``"accuracy"``, ``"selection_rate"``, ``"tpr"`` or ``"fpr"``.
        n: its denominator for that rate.
        reason: in words.
        class_name: the class, for one-vs-rest rates.
    """

    group: str
    rate: str
    n: int
    reason: str
    class_name: str | None = None


@dataclass(frozen=True)
class GroupRates:
    """The rates of one group, each with a Wilson interval.

    Attributes:
        n: members; ``positives`` and ``negatives`` among them are ``None`` when there is no single positive class.
        accuracy: share of members answered right.
        selection_rate: share of members given the positive class.
        tpr: share of the positives given the positive class.
        fpr: share of the negatives given the positive class.
        member_gap: accuracy of members minus accuracy of non-members.
    """

    n: int
    positives: int | None
    negatives: int | None
    accuracy: Estimate
    selection_rate: Estimate
    tpr: Estimate
    fpr: Estimate
    member_gap: Estimate


@dataclass(frozen=True)
class Judgement:
    """Everything a board row shows of one system on one axis.

    Attributes:
        n: samples, members of a group or not.
        accuracy: over all samples.
        macro_f1: mean F1 over the classes that occur among the labels; what a task of several classes shows.
        worst_group: lowest group accuracy; ``groups`` names the groups that have it.
        accuracy_spread: highest minus lowest group accuracy.
        dpd: demographic parity difference.
        eopp: equal opportunity difference.
        eod: equalized odds difference, the worse of the TPR and the FPR gap.
        eod_mean: the mean of the TPR and the FPR gap.
        groups: rates by group name, in the order of the counts.
        left_out: groups under ``min_group``, by rate.
        min_group: the smallest denominator with which a group enters a minimum or maximum.
        seed: of the draws.
        draws: bootstrap draws and permutations.
        positive: name of the positive class, ``None`` for one-vs-rest over all classes.
    """

    n: int
    accuracy: Estimate
    macro_f1: Estimate
    worst_group: Estimate
    accuracy_spread: Estimate
    dpd: Estimate
    eopp: Estimate
    eod: Estimate
    eod_mean: Estimate
    groups: dict[str, GroupRates] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    min_group: int = 30
    seed: int = 0
    draws: int = 0
    positive: str | None = None
