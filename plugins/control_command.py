"""``groupgap control TASK``: the YAML of a controlled task, for any ``multiple_choice`` task that lm-eval knows."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from ..harness_tasks.design import SYMBOLS, WORDS, Design
from ..harness_tasks.wordings import WORDINGS
from .discovery import tasks_path

SUFFIX = "_controlled"
TAG = "groupgap_controlled"
OURS = "groupgap.plugins.fair_task.FairTask"


@dataclass(frozen=True)
class Wanted:
    """What the command line says beside the task.

    Attributes:
        question: Jinja template of the question without options; ``None``: the raw task's prompt without "Answer:".
        turned: Jinja template of the question for the opposite.
        choices: Jinja template of the choices' texts; ``None``: the raw task's.
        symbol_sets: names; empty: all that can be balanced.
        blocks: blocks a document, each of as many cells as the document has choices.
    """

    question: str | None = None
    turned: str | None = None
    choices: str | None = None
    symbol_sets: tuple[str, ...] = ()
    blocks: int = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the task and how it is to be asked."""
    parser.add_argument("task", metavar="TASK", help="a multiple_choice task of lm-eval or of ours")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the YAML file to write; TASK_controlled.yaml by default"
    )
    parser.add_argument("--include-path", metavar="FOLDER", help="your own lm-eval tasks, as for lm_eval")
    parser.add_argument("--question", metavar="TEMPLATE", help="the question without its options, as a Jinja template")
    parser.add_argument("--turned", metavar="TEMPLATE", help="the question for the opposite (two choices)")
    parser.add_argument("--choices", metavar="TEMPLATE", help="the texts of the choices, as a Jinja template")
    parser.add_argument("--symbol-sets", metavar="NAMES", default="", help=f"of {','.join(SYMBOLS)}, with commas")
    parser.add_argument("--blocks", type=int, default=2, help="blocks of C cells a document with C choices (default 2)")


def run(args: argparse.Namespace) -> int:
    """Write the file and say how to run it."""
    sets = tuple(name for name in args.symbol_sets.split(",") if name)
    wanted = Wanted(args.question, args.turned, args.choices, sets, args.blocks)
    path, config = find_task(args.task, args.include_path)
    output = Path(args.output or f"{args.task}{SUFFIX}.yaml")
    if not output.parent.is_dir():
        raise GroupgapError(f"{output}: no such folder {output.parent}")
    text = controlled_file(args.task, path, config, wanted, output)
    if output.exists() and output.read_bytes() != text.encode():
        raise GroupgapError(
            f"{output}: is there already and says something else: move it away, or name another file by -o"
        )
    output.write_text(text, encoding="utf-8")
    print(f"{output}: {args.task}{SUFFIX}\nlm_eval --include_path {output.parent} --tasks {args.task}{SUFFIX} ...")
    return 0


def find_task(name: str, include_path: str | None = None) -> tuple[Path, dict[str, Any]]:
    """The YAML file of a task and what it says, its functions as text.

    Raises:
        GroupgapError: no such task, a group or tag of tasks, or one that is not a multiple-choice task in YAML.
    """
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    folders = [str(tasks_path()), *([include_path] if include_path else [])]
    entry = TaskManager(include_defaults=False, include_path=folders).task_index.get(name)
    entry = entry or TaskManager(include_path=folders).task_index.get(name)
    if entry is None:
        raise GroupgapError(f"no task {name!r} in lm-eval: `lm_eval ls tasks` lists them (--include-path for your own)")
    if entry.yaml_path is None or entry.kind.name not in ("TASK", "PY_TASK"):
        raise GroupgapError(f"{name} is a group or tag: name one of its tasks")
    config = load_yaml(entry.yaml_path, resolve_func=False)
    if config.get("output_type") != "multiple_choice":
        raise GroupgapError(f"{name} is a {config.get('output_type')} task: only multiple_choice tasks have choices")
    return Path(entry.yaml_path), config


def controlled_file(task: str, path: Path, config: Mapping[str, Any], wanted: Wanted, output: Path) -> str:
    """The text of the YAML file.

    Args:
        task: name of the raw task.
        path: its file.
        config: what that says, functions as text.
        wanted: from the command line.
        output: where the text is to stand, for the path to the raw task.

    Raises:
        GroupgapError: a task that cannot be controlled so.
    """
    ours = str(config.get("class", "")).endswith(OURS)
    if "class" in config and not ours:
        raise GroupgapError(f"{task} has a class of its own in Python, which this cannot wrap: only plain YAML tasks")
    _refuse_symbols(task, config, wanted)
    metadata = config.get("metadata") or {}
    fair = {**metadata.get("fair", {}), "controlled": task, "design": _design(config, wanted)}
    same = output.resolve().parent == path.resolve().parent
    kind = "ControlledTask" if ours else "ControlledChoices"
    lines = [
        f"# made by groupgap control {task}",
        f"include: {path.name if same else os.fspath(path.resolve())}",
        f"task: {task}{SUFFIX}",
        f"tag: [{TAG}]" if ours else "tag: []",
        f"class: !function groupgap.plugins.controlled_task.{kind}",
    ]
    rest: dict[str, Any] = {}
    if wanted.choices:
        rest["doc_to_choice"] = wanted.choices
    if not ours:
        rest["metric_list"] = [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]
    rest["metadata"] = {**metadata, "fair": fair}
    return "\n".join(lines) + "\n" + _dumped(rest)


def _dumped(entries: Mapping[str, Any]) -> str:
    """YAML whose texts of several lines stay readable: in double quotes, with ``\\n``."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """lm-eval's files are read back by any loader; only the style differs."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if "\n" in value else None)

    Dumper.add_representer(str, text)
    return str(yaml.dump(dict(entries), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000))


def _refuse_symbols(task: str, config: Mapping[str, Any], wanted: Wanted) -> None:
    choices = config.get("doc_to_choice")
    if (
        isinstance(choices, list)
        and all(len(str(c)) == 1 for c in choices)
        and not (wanted.choices and wanted.question)
    ):
        raise GroupgapError(
            f"{task}: its choices are symbols already ({', '.join(map(str, choices))}), and what they stand for is in "
            "the prompt: give the question without options (--question TEMPLATE) and their texts (--choices TEMPLATE)"
        )


def _design(config: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    known = WORDINGS.get(str(config.get("metadata", {}).get("fair", {}).get("prompt")), {})
    own = {key: text for key, text in (("ask", wanted.question), ("turned", wanted.turned)) if text}
    wordings: dict[str, Any] = {"direct": own} if own or not known else dict(known)
    turned = all("turned" in texts for texts in wordings.values())
    sets = wanted.symbol_sets or tuple(name for name in SYMBOLS if name != WORDS or turned)
    entry = {
        "blocks": wanted.blocks,
        "symbol_sets": list(sets),
        "wordings": wordings,
        "content": _content(config, wanted),
    }
    Design.read(entry, {})
    return entry


def _content(config: Mapping[str, Any], wanted: Wanted) -> list[str]:
    """The fields that the question shows and the choices do not: empty in a content-free input."""
    if "fair" in (config.get("metadata") or {}):
        return ["text"]
    question, choices = wanted.question or config.get("doc_to_text"), wanted.choices or config.get("doc_to_choice")
    return sorted(_fields(question) - _fields(choices))


def _fields(template: object) -> set[str]:
    from jinja2 import Environment, TemplateSyntaxError, meta

    if not isinstance(template, str):
        return set()
    if template.isidentifier():
        return {template}
    try:
        return set(meta.find_undeclared_variables(Environment(autoescape=False).parse(template)))
    except TemplateSyntaxError:
        return set()  # a path to a function
