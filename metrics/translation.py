"""How good a translation is, by sacrebleu, and whether it is one: what cannot translate has no measurable bias."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics import BLEU, CHRF

from ..errors import GroupgapError
from .antecedents import FORMS, pronoun_form

__all__ = ["MARGIN", "MOST_UNKNOWN", "Score", "TranslationQuality", "gender_variants", "translation_quality"]

MARGIN = 10.0
MOST_UNKNOWN = 0.5
_PIECE = re.compile(r"[^\W\d_]+|[\W\d_]+")
_PRONOUNS = frozenset(word for words in FORMS.values() for word in words)


@dataclass(frozen=True)
class Score:
    """A score of sacrebleu's, from 0 to 100, with the signature that says how it was made."""

    value: float
    signature: str


@dataclass(frozen=True)
class TranslationQuality:
    """How good the translations of one system are.

    Attributes:
        bleu: corpus BLEU against the references.
        chrf: corpus chrF.
        gender_blind_bleu: lower-cased BLEU against three variants of each reference, in which all pronouns are male,
            female or neutral: a system is not rewarded for the gender that the reference happens to have.
        chrf_elsewhere: chrF of the same texts against the references of other sentences; ``None`` where all rows are
            of one cluster.
    """

    bleu: Score
    chrf: Score
    gender_blind_bleu: Score
    chrf_elsewhere: Score | None

    @property
    def margin(self) -> float | None:
        """How much closer the texts are to their own references than to others', in points of chrF."""
        return None if self.chrf_elsewhere is None else self.chrf.value - self.chrf_elsewhere.value

    def why_not_measurable(self, unknown: float) -> str | None:
        """Why a bias of these translations says nothing; ``None`` where it does.

        A system translates where its texts are closer to their own references than to those of other sentences, by 10
        points of chrF or more, and where at least half of its texts hold one gender's pronouns.

        Args:
            unknown: the share of texts without one gender.
        """
        if self.margin is None:
            return "not measurable: one sentence pair is too few to tell a translation from any other text"
        if self.margin < MARGIN:
            return (
                f"not measurable: it does not translate: chrF {self.chrf.value:.1f} against the references, "
                f"{self.chrf.value - self.margin:.1f} against those of other sentences; needs {MARGIN:g} more"
            )
        if unknown > MOST_UNKNOWN:
            return f"not measurable: {unknown:.0%} of its texts have no pronoun of one gender; at most half may"
        return None


def translation_quality(texts: Sequence[str], references: Sequence[str], clusters: Sequence[str]) -> TranslationQuality:
    """Score translations.

    Args:
        texts: (n,) what the system wrote.
        references: (n,) right translations.
        clusters: (n,) the sentence pair of each row: "other sentences" are those of the next cluster.

    Raises:
        GroupgapError: for no rows, or lists of other lengths.

    Example:
        >>> said = ["The nurse said she was late.", "The clerk lost his keys."]
        >>> found = translation_quality(said, said, ["a", "b"])
        >>> found.bleu.value, found.chrf.value, found.margin > 50, found.why_not_measurable(0.0)
        (100.0, 100.0, True, None)
        >>> found.bleu.signature.split("|")[:3]
        ['nrefs:1', 'case:mixed', 'eff:no']
    """
    if not texts or not len(texts) == len(references) == len(clusters):
        raise GroupgapError(
            f"Expected a text, a reference and a cluster for each row, but got {len(texts)}, {len(references)} and "
            f"{len(clusters)}"
        )
    variants = [list(column) for column in zip(*map(gender_variants, references), strict=True)]
    own = list(references)
    return TranslationQuality(
        bleu=_score(BLEU(), texts, [own]),
        chrf=_score(CHRF(), texts, [own]),
        gender_blind_bleu=_score(BLEU(lowercase=True), texts, variants),
        chrf_elsewhere=_elsewhere(texts, references, clusters),
    )


def _score(metric: BLEU | CHRF, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    value = float(metric.corpus_score(texts, references).score)
    return Score(min(value, 100.0), str(metric.get_signature()))


def _elsewhere(texts: Sequence[str], references: Sequence[str], clusters: Sequence[str]) -> Score | None:
    """chrF against the references of the next cluster, line by line."""
    rows: dict[str, list[int]] = {}
    for row, cluster in enumerate(clusters):
        rows.setdefault(cluster, []).append(row)
    names = list(rows)
    if len(names) < 2:
        return None
    others = [""] * len(texts)
    for place, name in enumerate(names):
        theirs = rows[names[(place + 1) % len(names)]]
        for number, row in enumerate(rows[name]):
            others[row] = references[theirs[number % len(theirs)]]
    return _score(CHRF(), texts, [others])


def gender_variants(reference: str) -> tuple[str, str, str]:
    """A reference with all its pronouns male, female and neutral.

    Object and possessive "her" are told apart by the words beside it; verbs keep their form ("they was").

    Source: the three references of Ding et al. 2024, whose code takes every "her" for a possessive.

    Example:
        >>> gender_variants("She lost her keys.")
        ('He lost his keys.', 'She lost her keys.', 'They lost their keys.')
    """
    pieces = _PIECE.findall(reference)
    places = [place for place, piece in enumerate(pieces) if piece.strip()]
    tokens = [pieces[place].strip() for place in places]
    variants = [list(pieces) for _ in range(3)]
    for number, place in enumerate(places):
        word = tokens[number]
        if word.lower() in _PRONOUNS:
            for variant, other in zip(variants, FORMS[pronoun_form(tokens, number)], strict=True):
                variant[place] = other.capitalize() if word[0].isupper() else other
    male, female, neutral = ("".join(variant) for variant in variants)
    return male, female, neutral
