"""From a roster to ``scores.parquet``: shadows trained by the targets' own recipes, all asked the audited rows.

Run by ``groupgap attack`` as ``python -m groupgap.plugins.attack_fleet ROSTER OUT``: the report is made a floor above.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..adapters.attack_scores import FILE, AuditScores, write_scores
from ..adapters.audit_design import (
    DESIGNS,
    AuditDesign,
    Pool,
    check_members,
    check_shadows,
    draw_audit,
    kept_together,
    units_of,
)
from ..adapters.resolve import resolve
from ..adapters.roster import Roster, TaskChoice, load_roster
from ..adapters.training.record import Training, has_record, made_by, read_training
from ..adapters.training.shadows import ShadowPlan, train_shadows
from ..adapters.variant import Variant
from ..errors import GroupgapError, one_line, one_line_for_mistakes
from .attack_asking import Asking, ask_all, check_names
from .fleet_tasks import load_task
from .run_folder import folder_name

SHADOWS = "shadows"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        roster: of the targets.
        out: for everything.
        shadows: how many for each recipe.
        design: ``offline`` or ``online``.
        shadow: ``same``, or ``lora`` for LoRA shadows for all.
        most: audit at most so many members and others.
        seed: of the audit.
        looks: 2 asks image models about each image twice, as it is and mirrored.
    """

    roster: Path
    out: Path
    shadows: int = 16
    design: str = "offline"
    shadow: str = "same"
    most: int | None = None
    seed: int = 25
    looks: int = 1


@dataclass(frozen=True)
class _Target:
    variant: Variant
    training: Training


def make_scores(request: Request, say: Say) -> Path:
    """Draw the audit, train the shadows, ask everyone, write ``scores.parquet``.

    Raises:
        GroupgapError: a variant without a training record, targets of different data, a leak, a shadow that fails.
    """
    roster = load_roster(request.roster)
    targets = _targets(roster)
    check_names([one.variant.name for one in targets])
    first = targets[0].training
    if request.looks == 2 and first.form != "image_classifier":
        raise GroupgapError("--looks 2: only images can be mirrored; texts have one look")
    task = _task(first)
    documents, held_out = _documents(task, first)
    pool = _pool(task, documents, first, held_out)
    design = draw_audit(pool, request.design, request.shadows, request.most, request.seed)
    counts = {one.variant.name: check_members(design, one.training.row_ids, one.variant.name) for one in targets}
    told = [f"{count:,} {reason.replace('_', ' ')} left out" for reason, count in design.left_out.items()]
    say("; ".join([f"audit: {len(design.members):,} training rows against {len(design.others):,} others", *told]))
    recipes = {one.variant.name: _shadow_target(one, targets, request.shadow) for one in targets}
    trained = _trained_shadows(request, design, documents, recipes, say)
    variants = _variants(request, targets, recipes, trained)
    choice = TaskChoice(first.task, options=dict(first.task_options))
    asking = Asking(request.out, roster.path, choice, task.label_field, _command(request), say)
    answers = ask_all(asking, design, variants, mirrored=request.looks == 2)
    groups = _groups(task, documents, design)
    audits = []
    for one in targets:
        name, lender = one.variant.name, recipes[one.variant.name]
        shadows = np.stack(
            [answers[_shadow_name(lender.variant.name, record)] for record in trained[lender.variant.name]]
        )
        facts = {**counts[name], "command": _command(request)}
        audits.append(replace(_audit(one, lender, design, answers[name], shadows, facts), groups=groups))
    path = request.out / FILE
    write_scores(path, audits)
    return path


def _targets(roster: Roster) -> list[_Target]:
    """The trained variants, all on the same rows of the same task; the base is no target.

    Raises:
        GroupgapError: a variant has no record, none is left, or two differ in their rows.
    """
    found = []
    for variant in roster.variants:
        if variant.method == "base":
            continue
        folder = resolve(str(variant.weights), variant.revision).path
        if not has_record(folder):
            raise GroupgapError(
                f"{variant.name}: {folder} has no training.json: only variants that `groupgap train` made say which "
                "rows they saw; leave it out of the roster, or audit it by --scores with scores of your own"
            )
        training = read_training(folder)
        if not made_by(training, folder):
            raise GroupgapError(
                f"{variant.name}: the weights in {folder} are not those that its training.json is about: which rows "
                "they saw is not known; train it again, or audit it by --scores with scores of your own"
            )
        found.append(_Target(variant, training))
    if not found:
        raise GroupgapError(f"{roster.path}: no trained variant to attack")
    first = found[0]
    for other in found[1:]:
        a, b = first.training, other.training
        if (a.task, a.task_options) != (b.task, b.task_options) or set(a.row_ids) != set(b.row_ids):
            raise GroupgapError(
                f"{first.variant.name} and {other.variant.name} were trained on different rows: one audit cannot judge "
                "both; give each a roster of its own"
            )
    if first.training.form == "language_model":
        raise GroupgapError(
            "form language_model: its documents have no right answer whose confidence could be attacked"
        )
    return found


def _options(training: Training, **more: Any) -> dict[str, Any]:
    return {**training.task_options, **more}


def _task(training: Training) -> Any:
    """The targets' task: one answer a row, to be attacked by the log-probabilities of its choices.

    Raises:
        GroupgapError: a task that writes texts, or asks each row in several cells.
    """
    task = load_task(training.task, _options(training, part="test"))
    fair = (task.config.metadata or {}).get("fair") or {}
    if task.OUTPUT_TYPE != "multiple_choice" or fair.get("controlled") or not hasattr(task, "label_field"):
        raise GroupgapError(
            f"{training.task}: only tasks of ours that ask each row once, with choices, have a confidence that can be "
            "attacked; judge other scores by --scores"
        )
    return task


def _documents(task: Any, training: Training) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """Every row that may be audited or trained on, by id, and the ids that no target saw: the task's test part."""
    held_out = [dict(document) for document in task.test_docs()]
    known: list[Mapping[str, Any]] = [*map(dict, task.training_docs()), *held_out]
    rows = {str(document["id"]): document for document in known}
    gone = [row for row in training.row_ids if row not in rows]
    if gone:
        raise GroupgapError(
            f"{len(gone):,} of {len(training.row_ids):,} training rows are not in the training part of {training.task} "
            "any more: another version of the data, or another split"
        )
    return rows, [str(document["id"]) for document in held_out]


def _pool(task: Any, documents: Mapping[str, Mapping[str, Any]], training: Training, held_out: Sequence[str]) -> Pool:
    """The rows that are audited or trained on, which of them are one unit, and what the split keeps in one part."""
    chosen_by = task.validation_docs() if task.has_validation_docs() else ()
    validation = {str(document["id"]): dict(document) for document in chosen_by}
    pair = task.config.metadata["fair"].get("cluster")
    unseen = frozenset(held_out)
    part = {row: document for row, document in documents.items() if row not in unseen}
    together = kept_together((part, {row: documents[row] for row in held_out}, validation), pair)
    rows = dict.fromkeys(training.row_ids)
    reached = {together[row] for row in rows}
    spare = tuple(row for row in part if row not in rows and together[row] in reached)
    known = {row: documents[row] for row in (*rows, *spare, *held_out)} | validation
    units = units_of(known, {axis.field for axis in task.code.axes}, pair)
    return Pool(training.row_ids, held_out, units, tuple(validation), together, spare)


def _shadow_target(target: _Target, targets: Sequence[_Target], shadow: str) -> _Target:
    """Whose recipe a target's shadows follow: the first target of that recipe, from the same files of the base, that
    is served alike: shadows answer as their target does.
    """
    of_base = [one for one in targets if _base(one) == _base(target)]
    if shadow == "lora" and target.variant.method != "lora":
        found = [one for one in of_base if one.variant.method == "lora" and _engine(one) == _engine(target)]
        if not found:
            raise GroupgapError(
                f"--shadow lora: {target.variant.name} has no LoRA target of the same base beside it that is served by "
                "the same engine and options"
            )
        return found[0]
    return next(
        one
        for one in of_base
        if one.training.recipe == target.training.recipe and _served(one.variant) == _served(target.variant)
    )


def _base(target: _Target) -> tuple[str, dict[str, str]]:
    """What a target was trained from: the name, and the hashes of the files that it had then."""
    return target.training.base, dict(target.training.base_hashes)


def _served(variant: Variant) -> tuple[Any, ...]:
    """How a variant is served: what its answers depend on beside its weights."""
    labels = None if variant.labels is None else dict(variant.labels)
    return variant.engine, dict(variant.engine_options), labels, variant.server, variant.merge, variant.base


def _engine(target: _Target) -> tuple[Any, ...]:
    """What a whole model and an adapter can have in common of it: a whole one is laid on no base, and never merged."""
    return _served(target.variant)[:4]


def _trained_shadows(
    request: Request,
    design: AuditDesign,
    documents: Mapping[str, Mapping[str, Any]],
    recipes: Mapping[str, _Target],
    say: Say,
) -> dict[str, tuple[Training, ...]]:
    """Name of the target that lent its recipe -> its shadows, checked against the design."""
    trained = {}
    for target in {one.variant.name: one for one in recipes.values()}.values():
        name = target.variant.name
        plan = ShadowPlan(_shadow_folder(request, name), target.training, documents, None, _command(request), say)
        trained[name] = train_shadows(plan, design.shadow_rows)
        check_shadows(design, {record.name: record.row_ids for record in trained[name]})
    return trained


def _shadow_folder(request: Request, target: str) -> Path:
    return request.out / SHADOWS / folder_name(target)


def _variants(
    request: Request,
    targets: Sequence[_Target],
    recipes: Mapping[str, _Target],
    trained: Mapping[str, Sequence[Training]],
) -> list[Variant]:
    """Everyone who is asked; shadows are served as their target is."""
    lenders = {one.variant.name: one.variant for one in recipes.values()}
    found = [one.variant for one in targets]
    for name, records in trained.items():
        for record in records:
            weights = str((_shadow_folder(request, name) / record.name).resolve())
            shadow = replace(lenders[name], name=_shadow_name(name, record), weights=weights, revision=None)
            found.append(replace(shadow, seed=record.seed))
    return found


def _shadow_name(target: str, record: Training) -> str:
    return f"{target} {record.name}"


def _groups(
    task: Any, documents: Mapping[str, Mapping[str, Any]], design: AuditDesign
) -> dict[str, tuple[tuple[str, ...], ...]]:
    return {
        axis.name: tuple(tuple(map(str, documents[row][axis.field])) for row in design.examples)
        for axis in task.code.axes
    }


def _audit(
    target: _Target, lender: _Target, design: AuditDesign, statistic: Any, shadows: Any, facts: Mapping[str, Any]
) -> AuditScores:
    told = {
        "task": target.training.task,
        "method": target.variant.method,
        "seed": target.training.seed,
        "base": target.training.base,
        "training": {
            "name": target.training.name.removesuffix(f"-{target.training.seed}"),
            "recipe": _recipe_hash(target),
            "shadows": _recipe_hash(lender),
        },
        **facts,
        **design.left_out,
        "design": design.kind,
        "audit_seed": design.seed,
        "shadow_method": lender.variant.method,
        "shadow_rows": f"{min(map(len, design.shadow_rows)):,} to {max(map(len, design.shadow_rows)):,}",
    }
    if lender.training.recipe != target.training.recipe:
        told["warning"] = (
            f"shadows are {lender.variant.method}, the target is {target.variant.method}: the attack measures how far "
            "the two methods differ too, and what it finds is no upper bound for this target"
        )
    member = np.array([True] * len(design.members) + [False] * len(design.others))
    return AuditScores(
        target.variant.name,
        design.examples,
        member,
        statistic,
        shadows,
        design.inside,
        {},
        told,
    )


def _recipe_hash(target: _Target) -> str:
    """What two targets that differ in their seed have in common: how they were trained, and how they are served."""
    training = target.training
    told = [training.recipe, training.base, training.base_hashes, _served(target.variant)]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _command(request: Request) -> str:
    told = ["groupgap", "attack", str(request.roster), "-o", str(request.out), "--shadows", str(request.shadows)]
    told += ["--design", request.design, "--shadow", request.shadow, "--audit-seed", str(request.seed)]
    told += ["--looks", str(request.looks)] if request.looks != 1 else []
    return shlex.join(told + (["--audit", str(request.most)] if request.most is not None else []))


def main(argv: Sequence[str]) -> int:
    """The command line that ``groupgap attack`` starts."""
    parser = argparse.ArgumentParser(prog="groupgap attack")
    parser.add_argument("roster", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shadows", type=int, default=16)
    parser.add_argument("--design", choices=DESIGNS, default="offline")
    parser.add_argument("--shadow", choices=("same", "lora"), default="same")
    parser.add_argument("--audit", type=int)
    parser.add_argument("--audit-seed", type=int, default=25)
    parser.add_argument("--looks", type=int, choices=(1, 2), default=1)
    args = parser.parse_args(argv)
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {one_line(line)}", file=sys.stderr, flush=True)

    args.out.mkdir(parents=True, exist_ok=True)
    request = Request(
        args.roster, args.out, args.shadows, args.design, args.shadow, args.audit, args.audit_seed, args.looks
    )
    make_scores(request, say)
    return 0


if __name__ == "__main__":
    one_line_for_mistakes()
    sys.exit(main(sys.argv[1:]))
