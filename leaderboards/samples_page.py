"""``samples.html``: documents and answers, each closed behind a click. Made only where a user asks for it by name."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .answers import Answers
from .collection import Collection, Entry
from .markdown import plain
from .untrusted import read_json_lines

NAME = "samples.html"
MOST_DOCUMENTS = 500  # a task
LONGEST = 20_000
STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:auto;padding:1rem;overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap}.warning{border:.2rem solid;padding:1rem}summary{cursor:pointer}"
)
POLICY = (
    "default-src 'none'; style-src '{style}'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def samples_page(collection: Collection) -> str:
    """The page: no script, no request, every text escaped, what is invisible written out.

    Args:
        collection: the answers; the texts are read from the samples file of each task's first run.
    """
    tasks: dict[str, list[Entry]] = {}
    for entry in collection.entries:
        tasks.setdefault(entry.task, []).append(entry)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["plain"] = plain
    template = files(__package__).joinpath("samples.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        policy=Markup(POLICY.format(style=f"sha256-{digest}")),
        style=Markup(STYLE),
        tasks=[_task(name, entries) for name, entries in tasks.items()],
    )


def _task(name: str, entries: Sequence[Entry]) -> dict[str, Any]:
    first = entries[0]
    shown = first.answers[0].keys[:MOST_DOCUMENTS]
    wanted = {document for document, _ in shown}
    lines = read_json_lines(first.run.samples[name])
    texts = {document: _prompt(line) for _, line in lines if (document := str(line.get("doc_hash"))) in wanted}
    places = [{key: row for row, key in enumerate(entry.answers[0].keys)} for entry in entries]
    documents = [_document(key, entries, places, texts) for key in shown]
    size = first.answers[0].n
    return {"name": name, "run": first.run.name, "shown": len(shown), "size": size, "documents": documents}


def _prompt(line: Mapping[str, Any]) -> str:
    """What was asked first of the document."""
    arguments = line.get("arguments")
    asked = next(iter(arguments.values()), None) if isinstance(arguments, dict) else None
    prompt = asked.get("arg_0") if isinstance(asked, dict) else None
    return prompt if isinstance(prompt, str) else ""


def _document(
    key: tuple[str, int],
    entries: Sequence[Entry],
    places: Sequence[Mapping[tuple[str, int], int]],
    texts: Mapping[str, str],
) -> dict[str, Any]:
    answers: dict[str, list[str]] = {}
    wrong = asked = 0
    for entry, place in zip(entries, places, strict=True):
        found = entry.answers[0]
        if (row := place.get(key)) is not None:
            answers.setdefault(found.classes[found.predictions[row]], []).append(entry.run.name)
            wrong += int(found.predictions[row] != found.labels[row])
            asked += 1
    first, row = entries[0].answers[0], places[0][key]
    groups = [name for answers_of in entries[0].answers for name in _groups(answers_of, row)]
    return {
        "groups": ", ".join(groups) or "no group",
        "wrong": wrong,
        "asked": asked,
        "label": first.classes[first.labels[row]],
        "text": _readable(texts.get(key[0], "")) or "(the samples file holds no text for it)",
        "answers": answers,
    }


def _groups(answers: Answers, row: int) -> Iterable[str]:
    return (name for name, inside in zip(answers.groups, answers.membership[row], strict=True) if inside)


def _readable(text: str) -> str:
    """A text with its lines, bounded in length; all else that is invisible is written out."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return "\n".join(plain(line) for line in cut.split("\n"))
