"""A sentence cut off before its pronoun, with the pronouns that could stand there."""

from __future__ import annotations

import re

from ..metrics.antecedents import FORMS, pronoun_form
from ..metrics.pronouns import ENGLISH

_WORD = re.compile(r"[^\W\d_]+")


def cut_at_pronoun(sentence: str, gender: str, male_twin: str = "") -> tuple[str, list[str]]:
    """Cut a sentence before its first pronoun of a gender.

    Args:
        sentence: with such a pronoun.
        gender: male, female or neutral.
        male_twin: the same sentence with male pronouns, which tells object from possessive "her"; without one the
            words beside it do.

    Returns:
        The beginning, and the male, female and neutral pronoun in the form that stands there.

    Example:
        >>> cut_at_pronoun("The nurse lost her keys.", "female")
        ('The nurse lost', ['his', 'her', 'their'])
        >>> cut_at_pronoun("The guard gave her advice.", "female", "The guard gave him advice.")[1]
        ['him', 'her', 'them']
    """
    place, word = _first(sentence, gender)
    form = pronoun_form(_WORD.findall(sentence), len(_WORD.findall(sentence[:place])))
    if word.lower() == "her" and male_twin:
        form = {"him": "object", "his": "possessive"}.get(_first(male_twin, "male")[1].lower(), form)
    choices = [other.capitalize() if word[0].isupper() else other for other in FORMS[form]]
    return sentence[:place].rstrip(), choices


def _first(sentence: str, gender: str) -> tuple[int, str]:
    """Where the first pronoun of a gender stands, and which it is."""
    words = ((match.start(), match[0]) for match in _WORD.finditer(sentence))
    return next((place, word) for place, word in words if word.lower() in ENGLISH.words[gender])
