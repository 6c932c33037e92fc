"""Which label of a classification head is which choice of a task: by name, or as told; never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import GroupgapError

UNNAMED = re.compile(r"label_\d+", re.IGNORECASE)
_TELL = "tell it with labels=no:0;yes:1 (for each choice, a label's number or its name)"


@dataclass(frozen=True)
class LabelMapping:
    """The labels of a head that answer for the choices of a document.

    Attributes:
        indices: for each choice, the row of the head.
        unused: names of the labels that no choice maps to; they keep their share of the probability.
    """

    indices: tuple[int, ...]
    unused: tuple[str, ...]


def parse_labels(labels: Mapping[str, str | int] | str | None) -> dict[str, str | int] | None:
    """Read ``labels``: a mapping from choices to labels, or ``choice:label;choice:label`` from a command line.

    Returns:
        Labels by choice, choices without surrounding space; None where nothing is told.

    Raises:
        GroupgapError: not such a mapping, or one choice with two labels.

    >>> parse_labels("no:0; yes:hate")
    {'no': '0', 'yes': 'hate'}
    """
    if labels is None:
        return None
    if isinstance(labels, str):
        parts = [part.rpartition(":") for part in labels.split(";") if part.strip()]
        if not parts or not all(separator for _, separator, _ in parts):
            raise GroupgapError(f"labels={labels!r:.120}: expected choice:label;choice:label")
        pairs: list[tuple[object, object]] = [(choice, label.strip()) for choice, _, label in parts]
    elif isinstance(labels, Mapping):
        pairs = list(labels.items())
    else:
        raise GroupgapError(f"labels={labels!r:.120}: expected a mapping from choices to labels")
    found: dict[str, str | int] = {}
    for choice, label in pairs:
        if isinstance(label, bool) or not isinstance(label, str | int):
            raise GroupgapError(
                f"labels: choice {choice!r:.80} has {label!r:.80}: expected a label's number or its name"
            )
        name = str(choice).strip()
        if found.get(name, label) != label:
            raise GroupgapError(f"labels: choice {name!r:.80} is given twice, as {found[name]!r:.80} and {label!r:.80}")
        found[name] = label
    return found


def map_choices(
    choices: Sequence[str], names: Sequence[str], labels: Mapping[str, str | int] | None = None
) -> LabelMapping:
    """Find the label of each choice.

    Args:
        choices: the choices of a document; space around them is of the prompt, not of the choice.
        names: the names of the head's labels (``id2label``), in the order of its rows.
        labels: what was told, see :func:`parse_labels`; None to match by name, exactly but for upper and lower case.

    Raises:
        GroupgapError: a choice without a label or with several, two choices with one label, or a head whose labels are
            named ``LABEL_0`` and nothing was told.

    >>> map_choices([" yes", " no"], ["No", "Yes", "Unsure"])
    LabelMapping(indices=(1, 0), unused=('Unsure',))
    """
    stripped = [choice.strip() for choice in choices]
    if labels is None:
        indices = [_named(choice, names) for choice in stripped]
    else:
        missing = [choice for choice in stripped if choice not in labels]
        if missing:
            raise GroupgapError(
                f"labels: the choice {missing[0]!r:.80} has no label (told: {_listed(labels)}): give every choice one"
            )
        indices = [_told(choice, labels[choice], names) for choice in stripped]
    for place, index in enumerate(indices):
        if index in indices[:place]:
            first = stripped[indices.index(index)]
            raise GroupgapError(
                f"the choices {first!r:.80} and {stripped[place]!r:.80} both map to the label {names[index]!r:.80}:"
                f" every choice needs a label of its own; {_TELL}"
            )
    return LabelMapping(tuple(indices), tuple(name for index, name in enumerate(names) if index not in indices))


def _named(choice: str, names: Sequence[str]) -> int:
    if any(UNNAMED.fullmatch(name) for name in names):
        raise GroupgapError(f"the head's labels have no names ({_listed(names)}): which is {choice!r:.80}? {_TELL}")
    found = [index for index, name in enumerate(names) if name.strip().casefold() == choice.casefold()]
    if len(found) != 1:
        what = "several labels are" if found else "no label is"
        raise GroupgapError(f"{what} named {choice!r:.80} (the head's labels: {_listed(names)}): {_TELL}")
    return found[0]


def _told(choice: str, label: str | int, names: Sequence[str]) -> int:
    by_name = [index for index, name in enumerate(names) if isinstance(label, str) and name == label]
    number = int(label) if isinstance(label, int) or (label.isascii() and label.isdigit()) else None
    by_number = [number] if number is not None and 0 <= number < len(names) else []
    found = sorted({*by_name, *by_number})
    if len(found) != 1:
        what = "is a label's name and another one's number" if set(by_name) and by_number else "is no label"
        if len(by_name) > 1:
            what = "is the name of several labels"
        raise GroupgapError(
            f"labels: {label!r:.80}, given for the choice {choice!r:.80}, {what} of the head:"
            f" expected 0 to {len(names) - 1}, or one of {_listed(names)}"
        )
    return found[0]


def _listed(names: Mapping[str, str | int] | Sequence[str]) -> str:
    shown = [repr(name)[:60] for name in list(names)[:12]]
    return ", ".join([*shown, "..."] if len(names) > 12 else shown)
