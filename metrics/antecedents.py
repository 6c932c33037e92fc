"""Whose pronoun is it? The gender that a text gives to the person of one occupation, by the sentence's structure.

WinoMT's sentences name two participants and one fact about one of them. The rules, in the words of binding theory
(Chomsky 1981, principles A and B):

* a reflexive is its clause's subject; an object pronoun never is;
* a pronoun follows what it refers to, unless its clause is fronted ("Before she left, the nurse ...");
* who is "his manager" is not "he";
* two genders are two people; "them" and "their" beside a gendered pronoun are things or others.

A pronoun that these rules leave to both participants counts for the occupation asked about, since WinoMT's sentences
are made so; what they leave to nobody, or to two genders, is unknown. English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .pronouns import CLASSES, ENGLISH, FEMALE, MALE, NEUTRAL, UNKNOWN, Lexicon, Verdict, pronoun_gender

__all__ = ["FORMS", "antecedent_gender", "first_answer", "pronoun_form"]

# form -> its words by class, in the order male, female, neutral
FORMS: dict[str, tuple[str, str, str]] = {
    "subject": ("he", "she", "they"),
    "object": ("him", "her", "them"),
    "possessive": ("his", "her", "their"),
    "reflexive": ("himself", "herself", "themselves"),
}
_EXTRA = {"hers": FEMALE, "theirs": NEUTRAL, "themself": NEUTRAL}
_GENDER = {word: CLASSES[place] for words in FORMS.values() for place, word in enumerate(words)} | _EXTRA


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


SUBORDINATORS = _words(
    "because since as when while after before until if though although whenever where whereas unless once"
)
_BREAKS = SUBORDINATORS | _words("and but so that who whom which or then")
# after "her", these say that nothing is possessed
_NOT_POSSESSED = _BREAKS | _words(
    "to for at in on with about by from of into over under again too very is was were are has had will would could",
    "should a an the this that these those up down out off away back home yesterday today tomorrow how what why not",
    "some any more than there here now",
)
# before "her", these say that somebody gets something, or does it: "gave her flowers", "let her try"
_DATIVE = _words(
    "gave give gives told tell tells wished charged let lets made makes lent handed taught helped help helps"
)
_COORDINATORS = ("and", "but", "or", "then", ",", "so")
_SUBJECTS = (*FORMS["subject"], "i", "you", "we", "it", "this", "that", "there")
_NOUN_BEGINS = (*_SUBJECTS, "the", "a", "an", "someone", "his", "her", "their", "my", "your", "our")
_TOKEN = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|[.,;:!?]")


@dataclass(frozen=True)
class _Clause:
    """A part of a sentence: its tokens from ``start`` to before ``end``, and the word that opens it."""

    start: int
    end: int
    opener: str


def first_answer(text: str, lexicon: Lexicon = ENGLISH) -> str:
    """What a model wrote before it broke off or repeated its prompt: the first line that says something.

    Example:
        >>> first_answer(" The nurse said she was late. Turkish: O geldi. English: He came.")
        'The nurse said she was late.'
    """
    kept = text.strip().split("\n", 1)[0]
    lowered = kept.lower()
    if lowered.startswith(lexicon.marker):
        kept, lowered = kept[len(lexicon.marker) :], lowered[len(lexicon.marker) :]
    ends = [place for mark in (lexicon.prompt, lexicon.marker) if (place := lowered.find(mark)) >= 0]
    return kept[: min(ends, default=len(kept))].strip()


def pronoun_form(tokens: Sequence[str], place: int) -> str:
    """The form of the pronoun at a place: subject, object, possessive or reflexive; "her" by the words beside it.

    Example:
        >>> pronoun_form("asked her to stop".split(), 1), pronoun_form("lost her keys".split(), 1)
        ('object', 'possessive')
    """
    word = tokens[place].lower()
    if word in ("hers", "theirs"):
        return "possessive"
    if word == "themself":
        return "reflexive"
    if word == "her":
        after = tokens[place + 1].lower() if place + 1 < len(tokens) else "."
        owned = after[0].isalpha() and not after.endswith("ly") and after not in _NOT_POSSESSED
        return "possessive" if owned and (not place or tokens[place - 1].lower() not in _DATIVE) else "object"
    return next(form for form, words in FORMS.items() if word in words)


def antecedent_gender(text: str, occupation: str, other: str = "", lexicon: Lexicon = ENGLISH) -> Verdict:
    """The gender that a text gives the person of an occupation.

    Args:
        text: a model's output without its prompt.
        occupation: the person asked about, as the text names them ("nurse", "construction worker").
        other: the second participant; empty where there is none.
        lexicon: the marker and prompt that tell a repeated prompt.

    Returns:
        As :func:`~groupgap.metrics.pronouns.pronoun_gender`; unknown too where the occupation is not named.

    Example:
        >>> said = "The clerk hid his plans from the manager but failed to trick her."
        >>> antecedent_gender(said, "manager", "clerk").gender, antecedent_gender(said, "clerk", "manager").gender
        ('female', 'male')
        >>> antecedent_gender("The nurse helped him.", "nurse").gender
        'unknown'
    """
    plain = pronoun_gender(f"{lexicon.marker} {text}", lexicon)
    tokens = _TOKEN.findall(first_answer(text, lexicon))
    lowered = [token.lower() for token in tokens]
    mine, theirs = (_mentions(lowered, name) for name in (occupation, other))
    found = list(_owners(lowered, mine, theirs)) if mine else []
    gender = _decide(found)
    kind = _kind(gender, plain)
    return Verdict(gender, kind, plain.repeats)


def _kind(gender: str, plain: Verdict) -> str:
    """The class, or why there is none: what the other judge found, or that a pronoun is nobody's for sure."""
    if gender != UNKNOWN:
        return gender
    return plain.kind if plain.gender == UNKNOWN else "not the occupation's"


def _mentions(tokens: Sequence[str], name: str) -> list[int]:
    """The places of a participant's last word, singular or plural."""
    words = name.lower().split()
    if not words:
        return []
    last = {words[-1], f"{words[-1]}s"}
    return [place for place, token in enumerate(tokens) if token in last]


def _owners(tokens: Sequence[str], mine: Sequence[int], theirs: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Each pronoun with its owner by structure: ``mine``, ``theirs``, ``either`` or ``nobody``."""
    clauses = list(_clauses(tokens))
    for index, clause in enumerate(clauses):
        for place in range(clause.start, clause.end):
            gender = _GENDER.get(tokens[place])
            if gender is not None:
                owners = _possible(tokens, place, clauses[: index + 1], mine, theirs)
                named = {frozenset({"mine"}): "mine", frozenset({"theirs"}): "theirs", frozenset(): "nobody"}
                yield gender, named.get(frozenset(owners), "either")


def _clauses(tokens: Sequence[str]) -> Iterator[_Clause]:
    """Clauses end at conjunctions, at punctuation, and at "to" (whose subject is not said)."""
    start, opener = 0, ""
    for place, token in enumerate(tokens):
        if token in _BREAKS or token == "to" or not token[0].isalpha():
            if place > start:
                yield _Clause(start, place, opener)
            start, opener = place + 1, token
    if len(tokens) > start:
        yield _Clause(start, len(tokens), opener)


def _possible(
    tokens: Sequence[str], place: int, clauses: Sequence[_Clause], mine: Sequence[int], theirs: Sequence[int]
) -> set[str]:
    """Which participants the pronoun at a place can be."""
    places = {"mine": mine, "theirs": theirs}
    owners = {who for who, own in places.items() if any(mention < place for mention in own)}
    fronted = not owners and clauses[-1].opener in SUBORDINATORS
    if fronted:
        first = min((mention, who) for who, own in places.items() for mention in own)
        owners = {first[1]}
    form = pronoun_form(tokens, place)
    subject = _subject(tokens, clauses, mine, theirs, place)
    if form == "reflexive":
        return {subject} if subject in owners else owners
    if form == "object":
        owners.discard(subject)
    if form == "possessive":
        owners -= {who for who, own in places.items() if place + 1 in own}
    return owners


def _subject(
    tokens: Sequence[str], clauses: Sequence[_Clause], mine: Sequence[int], theirs: Sequence[int], place: int
) -> str:
    """Who the subject of the pronoun's clause is, ``""`` where that is not said."""
    if clauses[-1].opener == "to":
        return ""
    for clause in reversed([clause for clause in clauses if clause.opener != "to"]):
        start = tokens[clause.start]
        shared = clause.opener in _COORDINATORS and start not in _NOUN_BEGINS and clause.start not in (*mine, *theirs)
        for position in range(clause.start, clause.start if shared else min(place, clause.end)):
            if position in mine or position in theirs:
                return "mine" if position in mine else "theirs"
            if tokens[position] in _SUBJECTS:
                return ""
        if clause.opener not in _COORDINATORS:
            return ""
    return ""


def _decide(found: Sequence[tuple[str, str]]) -> str:
    """The class of the occupation from all pronouns and their owners."""
    mine = _one_gender({gender for gender, who in found if who == "mine"})
    if mine is not None:
        return mine
    others = {gender for gender, who in found if who == "theirs"}
    open_ = {gender for gender, who in found if who == "either"}
    if len(open_) > 1 or len(others) == 1:
        open_ -= others
    return _one_gender(open_) or UNKNOWN


def _one_gender(genders: set[str]) -> str | None:
    """The one class among these, ``UNKNOWN`` for two genders, ``None`` for none; gendered words outdo neutral ones."""
    gendered = genders & {MALE, FEMALE}
    if len(gendered) == 2:
        return UNKNOWN
    return next(iter(gendered or genders), None)
