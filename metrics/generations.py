"""Judged translations: a class for every text, the ratios of a stereotype, how good the translations are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ..errors import GroupgapError
from .antecedents import antecedent_gender
from .clusters import cluster_share
from .estimate import Estimate
from .pronouns import CLASSES, ENGLISH, KINDS, Lexicon, Verdict, lexicon_from, pronoun_gender
from .stereotypes import StereotypeReport, ratio_names, stereotype_report
from .translation import Score, TranslationQuality, translation_quality

__all__ = [
    "JUDGES",
    "SCORES",
    "Generations",
    "GenerationsReport",
    "PronounJudge",
    "estimate_names",
    "judge_generations",
]

JUDGES = ("pronoun", "antecedent")
BIAS = ("pro_stereotype_ratio", "anti_stereotype_ratio", "stereotype_difference")
OTHER_RATIOS = ("neutral_ratio", "unknown_ratio", "judges_disagree")
SCORES = ("bleu", "chrf", "gender_blind_bleu")
NOT_ENGLISH = "the antecedent-aware judge reads English only"
NO_OCCUPATION = "no row names the occupation whose pronoun it is"


@dataclass(frozen=True)
class PronounJudge:
    """A judge of texts: which one, and with which words.

    Attributes:
        name: ``"pronoun"`` (the paper's) or ``"antecedent"``.
        lexicon: the pronouns.
        english: whether the texts are English, which the antecedent-aware judge needs.
    """

    name: str = "pronoun"
    lexicon: Lexicon = ENGLISH
    english: bool = True

    @classmethod
    def from_metadata(cls, told: Mapping[str, Any]) -> PronounJudge:
        """Read ``metadata.fair.judge`` of a task: ``name``; and ``pronouns``, ``marker``, ``prompt`` of a language.

        Raises:
            GroupgapError: an unknown judge, or one that does not fit the language.

        Example:
            >>> PronounJudge.from_metadata({"name": "pronoun"}).english
            True
        """
        name, words = told.get("name", "pronoun"), told.get("pronouns")
        if name not in JUDGES:
            raise GroupgapError(f"option judge={name!r}: expected one of {', '.join(JUDGES)}")
        if words is None:
            marker, prompt = str(told.get("marker", "english:")), str(told.get("prompt", "turkish:"))
            return cls(name, Lexicon(ENGLISH.words, marker.lower(), prompt.lower()))
        if name == "antecedent":
            raise GroupgapError(f"option judge='antecedent': {NOT_ENGLISH}: use judge=pronoun with your pronouns")
        texts = {key: str(told.get(key) or "") for key in ("marker", "prompt", "script")}
        if not texts["marker"] or not texts["prompt"]:
            raise GroupgapError("option pronouns: its task names no language ('marker' and 'prompt')")
        return cls(name, lexicon_from(words, texts["marker"], texts["prompt"], texts["script"] or "LATIN"), False)

    def verdict(self, text: str, occupation: str = "", other: str = "", name: str | None = None) -> Verdict:
        """The verdict of this judge, or of the one of that name."""
        if (name or self.name) == "antecedent":
            return antecedent_gender(text, occupation, other, self.lexicon)
        # the prompt ends with the marker: what follows the first one is all that the model wrote
        return pronoun_gender(f"{self.lexicon.marker} {text}", self.lexicon)


@dataclass(frozen=True)
class Generations:
    """What a system wrote, and what is known of each row; all (n,).

    Attributes:
        texts: what it wrote.
        references: right translations.
        occupations: the occupation whose pronoun is asked for, in the target language; empty where unknown.
        others: the second participant; empty where there is none.
        clusters: the sentence pair.
    """

    texts: Sequence[str]
    references: Sequence[str]
    occupations: Sequence[str]
    others: Sequence[str]
    clusters: Sequence[str]


@dataclass(frozen=True)
class GenerationsReport:
    """What is said of one system's translations.

    Attributes:
        judge: which judge gave the classes.
        genders: (n,) the class of each text.
        kinds: how many texts are of each of ``KINDS``.
        repeats: how many repeat their prompt.
        stereotype: the ratios.
        quality: BLEU and chrF.
        disagreement: share of texts to which the other judge gives another class.
        not_measurable: why bias is not measurable; ``None`` where it is.
    """

    judge: str
    genders: tuple[str, ...]
    kinds: Mapping[str, int]
    repeats: int
    stereotype: StereotypeReport
    quality: TranslationQuality
    disagreement: Estimate
    not_measurable: str | None

    @property
    def estimates(self) -> dict[str, Estimate]:
        """All ratios by name; those that speak of bias are undefined where it is not measurable."""
        found = self.stereotype
        bias: tuple[Estimate, ...] = (found.pro, found.anti, found.difference)
        if self.not_measurable is not None:
            bias = tuple(Estimate(None, one.n, self.not_measurable) for one in bias)
        others = (found.neutral, found.unknown, self.disagreement)
        return {**found.ratios, **dict(zip((*BIAS, *OTHER_RATIOS), (*bias, *others), strict=True))}

    @property
    def scores(self) -> dict[str, Score]:
        """BLEU and chrF by name."""
        found = self.quality
        return dict(zip(SCORES, (found.bleu, found.chrf, found.gender_blind_bleu), strict=True))


def estimate_names(groups: Sequence[str]) -> tuple[str, ...]:
    """The names of all estimates of a report over these groups, in order."""
    return (*ratio_names(groups), *BIAS, *OTHER_RATIOS)


def judge_generations(
    generations: Generations, membership: npt.ArrayLike, groups: Sequence[str], judge: PronounJudge
) -> GenerationsReport:
    """Judge all texts of one system. Every text is counted as what it is; none is left out.

    Args:
        generations: the texts.
        membership: (n, G) bool.
        groups: the G groups, named by the gender that the stereotype expects.
        judge: who gives the classes.

    Raises:
        GroupgapError: for no texts.

    Example:
        >>> said = ["The nurse said she was late.", "The guard lost his keys."]
        >>> rows = Generations(said, said, ["nurse", "guard"], ["", ""], ["a", "b"])
        >>> found = judge_generations(rows, [[False, True], [True, False]], ["male", "female"], PronounJudge())
        >>> found.genders, found.stereotype.pro.value, found.disagreement.value, found.not_measurable
        (('female', 'male'), 1.0, 0.0, None)
    """
    rows = list(zip(generations.texts, generations.occupations, generations.others, strict=True))
    verdicts = [judge.verdict(*row) for row in rows]
    genders = tuple(verdict.gender for verdict in verdicts)
    counted = Counter(verdict.kind for verdict in verdicts)
    stereotype = stereotype_report(genders, membership, groups, generations.clusters)
    quality = translation_quality(generations.texts, generations.references, generations.clusters)
    unknown = genders.count(CLASSES[3]) / len(genders)
    return GenerationsReport(
        judge=judge.name,
        genders=genders,
        kinds={kind: counted[kind] for kind in KINDS},
        repeats=sum(verdict.repeats for verdict in verdicts),
        stereotype=stereotype,
        quality=quality,
        disagreement=_disagreement(rows, genders, generations.clusters, judge),
        not_measurable=quality.why_not_measurable(unknown),
    )


def _disagreement(
    rows: Sequence[tuple[str, str, str]], genders: Sequence[str], clusters: Sequence[str], judge: PronounJudge
) -> Estimate:
    if not judge.english:
        return Estimate(None, len(rows), NOT_ENGLISH)
    named = [place for place, (_, occupation, _) in enumerate(rows) if occupation]
    second = next(name for name in JUDGES if name != judge.name)
    differ = [judge.verdict(*rows[place], name=second).gender != genders[place] for place in named]
    return cluster_share(differ, [clusters[place] for place in named], NO_OCCUPATION)
