"""Generated texts as answers: each is one of its judge's classes, so that every metric of the board applies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from ..metrics.generations import PronounJudge
from ..metrics.pronouns import CLASSES
from .roles import GENERATION

Lines = Iterable[tuple[int, Mapping[str, Any]]]


def judge_of(task: str, fair: Mapping[str, Any]) -> PronounJudge:
    """The judge that a task names.

    Raises:
        GroupgapError: for one that is not known.
    """
    try:
        return PronounJudge.from_metadata(fair["judge"])
    except GroupgapError as error:
        raise GroupgapError(f"task {task}: metadata.fair.judge: {error}") from None


def judged_lines(path: Path, lines: Lines, task: str, fair: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line of generated text as the line of a multiple-choice task whose choices are the judge's classes.

    Args:
        path: the samples file, for messages.
        lines: its numbered lines.
        task: name of the task.
        fair: its ``metadata.fair``.

    Raises:
        GroupgapError: for a line that holds no text, prompt or label.
    """
    judge, told = judge_of(task, fair), fair["judge"]
    for number, line in lines:
        where = f"{path}, line {number}"
        document, replies, arguments = line.get("doc"), line.get("filtered_resps"), line.get("arguments")
        text = replies[0] if isinstance(replies, list) and len(replies) == 1 else None
        asked = arguments.get("gen_args_0") if isinstance(arguments, dict) else None
        prompt = asked.get("arg_0") if isinstance(asked, dict) else None
        if not isinstance(document, dict) or not isinstance(text, str) or not isinstance(prompt, str):
            raise GroupgapError(f"{where}: not a generated text of lm-eval's samples: no doc, prompt or one reply")
        label = document.get(str(told.get("label")))
        if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < len(CLASSES):
            raise GroupgapError(f"{where}: the field doc.{told.get('label')} holds no index of {', '.join(CLASSES)}")
        names = (str(document.get(str(told.get(role)), "")) for role in ("occupation", "other"))
        yield number, _as_choices(line, text, label, judge.verdict(text, *names).gender)


def _as_choices(line: Mapping[str, Any], text: str, label: int, gender: str) -> dict[str, Any]:
    document, asked = line["doc"], line["arguments"]["gen_args_0"]
    own_hash = line.get("doc_hash") or _hash(json.dumps(document, indent=2, ensure_ascii=False))
    prompt_hash = line.get("prompt_hash") or _hash(asked["arg_0"])
    settings = json.dumps(asked.get("arg_1"), sort_keys=True, default=str)
    return {
        **{key: line.get(key) for key in ("doc_id", "filter")},
        "doc": {**document, GENERATION: text},
        "doc_hash": own_hash,
        "prompt_hash": _hash(f"{prompt_hash} {settings}"),
        "target": str(label),
        "arguments": {
            f"gen_args_{place}": {"arg_0": asked["arg_0"], "arg_1": name} for place, name in enumerate(CLASSES)
        },
        "filtered_resps": [["0.0" if name == gender else "-inf", "False"] for name in CLASSES],
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
