"""One line of a samples file: which choice its target means."""

from __future__ import annotations

from typing import Any

import pytest
from groupgap.errors import GroupgapError
from groupgap.leaderboards.samples import label_as_text, label_index

LABELS = [
    ("1", {"label": 1}, "label", ("no", "yes"), 1),
    ("1", {"label": "1"}, "label", ("1", "2"), 0),  # a text field is a choice's text
    ("1", {"label": 1}, "label", ("1", "2"), 1),  # a number is an index
    ("1", {}, "{{label}}", ("1", "2"), 1),  # digits of a template are an index
    ("yes", {"label": "yes"}, "label", ("no", "yes"), 1),
    ("yes", {}, "{{label}}", ("no", "yes"), 1),
    (" yes", {}, None, ("no", "yes"), 1),
    ("True", {"label": True}, "label", ("no", "yes"), 1),
    ("[1]", {"label": [1]}, "label", ("no", "yes"), 1),
    ("2", {"label": 2}, "label", ("no", "yes"), None),
    ("-1", {"label": -1}, "label", ("no", "yes"), None),
    ("maybe", {"label": "maybe"}, "label", ("no", "yes"), None),
]


@pytest.mark.parametrize(("target", "document", "rule", "choices", "expected"), LABELS)
def test_labels_are_read_as_lm_eval_reads_them(
    target: str, document: dict[str, Any], rule: str | None, choices: tuple[str, ...], expected: int | None
) -> None:
    assert label_index("here", target, document, choices, rule) == expected


FUNCTION = "def target(doc):\n    return str(doc['label'] + 1)  # {{not a template}}\n"


@pytest.mark.parametrize(
    ("target", "document", "rule", "choices", "expected"),
    [
        ("1", {}, FUNCTION, ("1", "2"), 0),
        ("2", {}, FUNCTION, ("1", "2"), None),  # no choice has that index
        ("1", {}, FUNCTION, ("no", "yes"), None),
        ("1", {}, FUNCTION, ("0", "1"), None),  # both readings are the same
        ("1", {}, "<function target at 0x7f>", ("1", "2"), 0),
        ("1", {}, "{{label}}", ("1", "2"), None),
        ("1", {}, "1", ("1", "2"), None),
        ("1", {"label": 1}, "label", ("1", "2"), None),
        ("1", {}, 1, ("1", "2"), None),
    ],
)
def test_digits_of_a_function_have_two_readings(
    target: str, document: dict[str, Any], rule: object, choices: tuple[str, ...], expected: int | None
) -> None:
    assert label_as_text(target, document, choices, rule) == expected


def test_several_right_choices_are_refused() -> None:
    with pytest.raises(GroupgapError, match="2 right choices"):
        label_index("here", "[0, 1]", {"label": [0, 1]}, ("no", "yes"), "label")
