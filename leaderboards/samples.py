"""One line of a samples file: what was asked, what was answered, what was right."""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import GroupgapError

LIKELIHOODS = (
    "the board reads multiple_choice tasks, whose samples hold one log-probability for each choice; "
    "leave this task out with --skip TASK"
)

# What the source of a Python function holds, or the name of one without a source.
CODE = re.compile(r"^\s*(?:@|def |async def |<|functools\.)|\blambda\b|\breturn\b", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """An answered document.

    Attributes:
        document: its fields.
        document_hash: lm-eval's hash of the document.
        asked_hash: hash of what was asked: lm-eval's hash of the prompt, and the continuations with their delimiter.
        choices: the texts of the choices, without the delimiter between prompt and choice.
        log_probabilities: one for each choice.
        label: index of the right choice, ``None`` where the label is none of the choices.
        target: the label as lm-eval logged it.
        doc_id: lm-eval's number of the document.
        label_as_text: where the target is digits that a Python function made, and also a choice's text at another
            index: that index. The line alone does not say which of the two lm-eval took.
        right: whether lm-eval found the answer right (its ``acc``); ``None`` where it does not say.
    """

    document: Mapping[str, Any]
    document_hash: str
    asked_hash: str
    choices: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    label: int | None
    target: str
    doc_id: int
    label_as_text: int | None = None
    right: bool | None = None


def read_sample(where: str, line: Mapping[str, Any], config: Mapping[str, Any]) -> Sample:
    """Read one line of a samples file.

    Args:
        where: file and line, for messages.
        line: the parsed line.
        config: the task's configuration as lm-eval logged it.

    Returns:
        The answered document.

    Raises:
        GroupgapError: if the line is not the answer to a multiple-choice document.
    """
    document, replies, arguments = line.get("doc"), line.get("filtered_resps"), line.get("arguments")
    if (
        not isinstance(document, dict)
        or not isinstance(arguments, dict)
        or not isinstance(replies, list)
        or not replies
    ):
        raise GroupgapError(
            f"{where}: not a line of lm-eval's samples: it lacks 'doc', 'arguments' or 'filtered_resps'"
        )
    asked = [_argument(where, arguments, index) for index in range(len(replies))]
    asked, replies = _without_unconditional(asked, replies)
    choices = _choices(where, asked, str(config.get("target_delimiter") or ""))
    target, rule = str(line.get("target")), config.get("doc_to_target")
    right = line.get("acc")
    return Sample(
        document,
        _hash(line.get("doc_hash"), lambda: json.dumps(document, indent=2, ensure_ascii=False)),
        _asked_hash(line.get("prompt_hash"), asked),
        choices,
        tuple(log_probability(where, reply) for reply in replies),
        label_index(where, target, document, choices, rule),
        target,
        _doc_id(where, line),
        label_as_text(target, document, choices, rule),
        bool(right) if right in (0, 1) else None,
    )


def label_index(
    where: str, target: str, document: Mapping[str, Any], choices: tuple[str, ...], rule: object
) -> int | None:
    """Which choice the logged target means, by lm-eval's own rules (``ConfigurableTask.doc_to_target``,
    ``process_results``).

    lm-eval logs the target as a text. A text field of the document is a choice's text, even ``"1"``; a number, or
    digits that a template made, are an index. Of a Python function's digits this is one reading of two:
    :func:`label_as_text`.

    Returns:
        The index, ``None`` where the target is none of the choices.

    Raises:
        GroupgapError: if several choices are right.
    """
    own = document.get(rule) if isinstance(rule, str) else None
    if target.startswith("[") and target.endswith("]") and target not in choices:
        inside = [part.strip().strip("'\"") for part in target[1:-1].split(",") if part.strip()]
        if len(inside) != 1:
            raise GroupgapError(f"{where}: {len(inside)} right choices; the board needs one label for each document")
        target, own = inside[0], None
    if isinstance(own, bool) and target == str(own):
        return int(own)
    by_text = next((index for index, choice in enumerate(choices) if choice == target), None)
    if by_text is None:
        by_text = next((index for index, choice in enumerate(choices) if choice.strip() == target.strip()), None)
    if isinstance(own, str) and own == target:
        return by_text
    if target.isdecimal() and target.isascii() and len(target) < 6:
        return int(target) if int(target) < len(choices) else by_text
    return by_text


def label_as_text(target: str, document: Mapping[str, Any], choices: tuple[str, ...], rule: object) -> int | None:
    """The other index that a target of digits may mean, ``None`` where its meaning is known or the same.

    A Python function (``doc_to_target: !function ...``, logged as its source) may return an index or a choice's text,
    and lm-eval logs both as the same digits.

    Example:
        >>> label_as_text("1", {}, ("1", "2"), "def target(doc): ..."), label_as_text("1", {}, ("1", "2"), "{{label}}")
        (0, None)
    """
    known = isinstance(rule, int) or (isinstance(rule, str) and (rule in document or _is_template(rule)))
    if known or target not in choices or not target.isdecimal() or not target.isascii() or len(target) > 5:
        return None
    as_text = choices.index(target)
    return as_text if int(target) != as_text and int(target) < len(choices) else None


def _is_template(rule: str) -> bool:
    return not CODE.search(rule) and ("{{" in rule or "{%" in rule or rule.strip().isdecimal())


def _argument(where: str, arguments: Mapping[str, Any], index: int) -> tuple[str, str]:
    entry = arguments.get(f"gen_args_{index}")
    prompt, continuation = (entry.get("arg_0"), entry.get("arg_1")) if isinstance(entry, dict) else (None, None)
    if not isinstance(prompt, str) or not isinstance(continuation, str):
        raise GroupgapError(f"{where}: no prompt and choice in gen_args_{index}: {LIKELIHOODS}")
    return prompt, continuation


def _without_unconditional(asked: list[tuple[str, str]], replies: list[Any]) -> tuple[list[tuple[str, str]], list[Any]]:
    """Drop the second half that ``acc_mutual_info`` adds: the same choices after an empty prompt."""
    half = len(asked) // 2
    if not half or asked[half][0]:
        return asked, replies
    doubled = len(asked) == 2 * half and all(
        second == ("", first[1]) for first, second in zip(asked[:half], asked[half:], strict=True)
    )
    return (asked[:half], replies[:half]) if doubled and asked[0][0] else (asked, replies)


def _choices(where: str, asked: list[tuple[str, str]], delimiter: str) -> tuple[str, ...]:
    texts = [continuation for _, continuation in asked]
    if len(texts) < 2:
        raise GroupgapError(f"{where}: {len(texts)} choice: {LIKELIHOODS}")
    if len({prompt for prompt, _ in asked}) > 1 and len(set(texts)) == 1:
        raise GroupgapError(
            f"{where}: the choices stand in the prompt (multiple inputs), and the samples do not say which one is right"
        )
    if delimiter and all(text.startswith(delimiter) for text in texts):
        texts = [text[len(delimiter) :] for text in texts]
    return tuple(sys.intern(text) for text in texts)


def log_probability(where: str, reply: object) -> float:
    """The log-probability in a logged reply, which is a number or [number, greedy], as texts.

    Raises:
        GroupgapError: anything else, NaN, or plus infinity.
    """
    value = reply[0] if isinstance(reply, list) and len(reply) == 2 else reply
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise GroupgapError(f"{where}: a reply is not a log-probability: {LIKELIHOODS}") from None
    if math.isnan(number) or number == math.inf:
        raise GroupgapError(
            f"{where}: a log-probability is {number}: the model or its adapter is broken (NaN in its weights?)"
        )
    return number


def _doc_id(where: str, line: Mapping[str, Any]) -> int:
    doc_id = line.get("doc_id")
    if not isinstance(doc_id, int) or isinstance(doc_id, bool):
        raise GroupgapError(f"{where}: no doc_id: not a line of lm-eval's samples")
    return doc_id


def _asked_hash(logged: object, asked: list[tuple[str, str]]) -> str:
    parts = [_hash(logged, lambda: asked[0][0]), *(continuation for _, continuation in asked)]
    return sys.intern(hashlib.sha256(repr(parts).encode()).hexdigest())


def _hash(logged: object, text: Any) -> str:
    if isinstance(logged, str) and logged:
        return sys.intern(logged)
    return sys.intern(hashlib.sha256(text().encode("utf-8", "replace")).hexdigest())
