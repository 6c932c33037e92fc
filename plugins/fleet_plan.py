"""Who is served how: every variant of a roster found, checked, and put into the engine that will answer for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ..adapters.base_model import BaseModel, read_base
from ..adapters.check import AdapterCheck, CheckOptions, check_adapter
from ..adapters.check_full import FullCheck, check_full
from ..adapters.peft_config import CONFIG
from ..adapters.resolve import Resolved, resolve
from ..adapters.roster import Roster
from ..adapters.safe_json import read_json_object
from ..adapters.tensors import file_hashes
from ..adapters.training.record import Training, has_record, made_by, read_training
from ..adapters.variant import Variant
from ..adapters.vision_base import find_base
from ..errors import GroupgapError

OWN = "own engine"
# engine options that would put another model in the variant's place, or switch its check or proof off
OURS_TO_SET = frozenset(
    {
        "pretrained",
        "model",
        "peft",
        "adapter",
        "adapters",
        "delta",
        "tokenizer",
        "revision",
        "check_files",
        "proof",
        "url",
    }
)
PLACES = ("base_model_name_or_path", "revision", "auto_mapping")


@dataclass(frozen=True)
class Member:
    """One variant, ready to be served.

    Attributes:
        name: the variant's.
        served: ``base``, ``adapter`` (beside the base), ``full`` (its weights in the base's engine), ``own engine``,
            ``merged`` (an adapter merged into a full checkpoint), ``classifier`` or ``server``.
        folder: its own files; the base's for the base; None for a server.
        proof: ``full`` or ``fast``.
        description: what ``variant.json`` says before anything is asked.
        variant: the roster's entry, as plain values.
    """

    name: str
    served: str
    folder: str | None
    proof: str
    description: dict[str, Any]
    variant: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """The variants that one engine process answers for, one after the other.

    Attributes:
        engine: ``vllm``, ``hf``, ``classifier``, ``timm`` or ``server``.
        base: the folder that the engine starts with, or a name of timm's; None for a server.
        options: handed to the engine.
        members: at least one.
    """

    engine: str
    base: str | None
    options: dict[str, Any]
    members: tuple[Member, ...]

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.engine} on {Path(self.base).name if self.base else 'a server'}"


@dataclass(frozen=True)
class Plan:
    """The jobs of a roster, and the variants that cannot be served.

    Attributes:
        jobs: one for each engine, in the roster's order.
        refused: variant name to the reason.
    """

    jobs: tuple[Job, ...]
    refused: Mapping[str, str] = field(default_factory=dict)


def make_plan(roster: Roster, progress: Callable[[str], None] = lambda _: None) -> Plan:
    """Find and check every variant, and group them by engine.

    Args:
        roster: from :func:`groupgap.adapters.roster.load_roster`.
        progress: called with a line for each variant.
    """
    groups: dict[str, list[tuple[Variant, Member, str | None]]] = {}
    refused: dict[str, str] = {}
    look = lru_cache(maxsize=None)(_Base)
    for variant in roster.variants:
        progress(f"checking {variant.name}")
        try:
            _refuse_options(variant)
            member, base = _member(variant, look)
        except GroupgapError as error:
            refused[variant.name] = str(error)
            continue
        key = json.dumps(
            [variant.engine, base, variant.server, dict(variant.engine_options)], sort_keys=True, default=str
        )
        groups.setdefault(key, []).append((variant, member, base))
    jobs = tuple(
        Job(first.engine, base, dict(first.engine_options), _ordered(member for _, member, _ in found))
        for found in groups.values()
        for first, _, base in found[:1]
    )
    return Plan(jobs, refused)


def _ordered(members: Iterable[Member]) -> tuple[Member, ...]:
    """Those whose weights replace the base's come last: should a reload fail, nobody else waits for that engine."""
    return tuple(sorted(members, key=lambda member: member.served in ("full", "merged")))


def alone(job: Job, name: str) -> Job:
    """A job for one full fine-tune that its base's engine could not serve: an engine of its own."""
    (member,) = (member for member in job.members if member.name == name)
    own = replace(member, served=OWN, description={**member.description, "served": OWN})
    return Job(job.engine, member.folder, job.options, (own,))


def _refuse_options(variant: Variant) -> None:
    free = {"pretrained"} if variant.engine == "timm" else set()  # there it asks for random weights
    taken = sorted(set(variant.engine_options) & (OURS_TO_SET | {"checkpoint"}) - free)
    if taken:
        raise GroupgapError(f"engine_options: {taken[0]} is not an option: the roster's own keys say which model it is")


class _Base:
    """A base, read once for all its variants."""

    def __init__(self, location: str) -> None:
        self.resolved: Resolved = resolve(location)
        self.model: BaseModel = read_base(self.resolved.path)
        self.hashes = _hashes(self.resolved)


def _hashes(found: Resolved) -> Mapping[str, str]:
    return {"commit": found.commit} if found.commit else file_hashes(found.path)


def _member(variant: Variant, look: Callable[[str], _Base]) -> tuple[Member, str | None]:
    """The variant as it will be served, and the folder that its engine starts with."""
    if variant.engine == "server":
        return _make(variant, "server", None, None, {}), None
    if variant.engine == "timm":
        return _image(variant)
    base = look(variant.base) if variant.base else None
    if variant.method == "base":
        assert base is not None  # the roster refuses a base without one
        served = "classifier" if variant.engine == "classifier" else "base"
        return _make(variant, served, base.resolved, base, dict(base.hashes)), str(base.resolved.path)
    found = resolve(str(variant.weights), variant.revision)
    if variant.engine == "classifier":
        folder = base.resolved.path if base else found.path
        return _make(variant, "classifier", found, base, file_hashes(found.path)), str(folder)
    if variant.method == "full" or (variant.method == "head" and not (found.path / CONFIG).exists()):
        return _full(variant, found, base)  # a trained head of a language model lies in a whole checkpoint
    assert base is not None  # the roster refuses an adapter without one
    return _adapter(variant, found, base)


def _image(variant: Variant) -> tuple[Member, str]:
    """An image model: its base may be a name of timm's, and have no files where random weights are asked for."""
    random = variant.engine_options.get("pretrained", True) is not True
    base = find_base(variant.base, pretrained=not random) if variant.base else None
    place = base.resolved if base else None
    hashes = dict(_hashes(place)) if place and not random else {}
    told = {"base_hashes": hashes, "random": "weights" if random else ""}
    start = str(place.path) if place else str(variant.base)
    if variant.method == "base":
        return _make(variant, "base", place, None, hashes, told=told), start
    found = resolve(str(variant.weights), variant.revision)
    files = read_base(place.path) if place else None
    if not (found.path / CONFIG).exists():  # a full fine-tune, or a trained head in a whole checkpoint
        whole = check_full(found.path, files, deep=True)
        if whole.verdict == "refused":
            raise GroupgapError(_why(whole))
        own = {**told, "random": ""}
        return _make(variant, "full", found, None, whole.hashes, whole, own), start if base else str(found.path)
    check = check_adapter(found.path, files, CheckOptions(engine="hf", deep=True, other_base=variant.other_base))
    if check.verdict != "served":
        raise GroupgapError(_why(check))
    return _make(variant, "adapter", found, None, check.hashes, check, told), start


def _full(variant: Variant, found: Resolved, base: _Base | None) -> tuple[Member, str]:
    check = check_full(found.path, base.model if base else None, deep=True)
    if check.verdict == "refused":
        raise GroupgapError(_why(check))
    if variant.engine == "vllm" and base is not None and check.reload:
        return _make(variant, "full", found, base, check.hashes, check), str(base.resolved.path)
    served = OWN if variant.engine == "vllm" else "full"
    start = base.resolved.path if variant.engine == "hf" and base else found.path
    return _make(variant, served, found, base, check.hashes, check), str(start)


def _adapter(variant: Variant, found: Resolved, base: _Base) -> tuple[Member, str]:
    engine: Literal["vllm", "hf"] = "vllm" if variant.engine == "vllm" else "hf"
    check = check_adapter(found.path, base.model, CheckOptions(engine=engine, deep=True, other_base=variant.other_base))
    if check.verdict == "refused" or (check.verdict == "merged" and not variant.merge):
        raise GroupgapError(_why(check))
    served = "merged" if variant.merge else "adapter"
    return _make(variant, served, found, base, check.hashes, check), str(base.resolved.path)


def _why(check: AdapterCheck | FullCheck) -> str:
    way_out = f"; {check.way_out}" if check.way_out else ""
    return f"{check.path}: {check.reason}{way_out}"


def _training(variant: Variant, found: Resolved | None, hashes: Mapping[str, str] | None) -> Training | None:
    """What `groupgap train` wrote beside the weights; None where there is nothing, or it is not about these weights."""
    if found is None or variant.method == "base" or not has_record(found.path):
        return None
    try:
        training = read_training(found.path)
    except GroupgapError:
        return None
    return training if made_by(training, found.path, hashes) else None


def _recipe(check: AdapterCheck | FullCheck | None, training: Training | None) -> dict[str, Any] | None:
    """What two trainings of one recipe have in common: an adapter's configuration without places, and the recipe."""
    trained = {"training": dict(training.recipe)} if training else {}
    if not isinstance(check, AdapterCheck):
        return trained or None
    config = read_json_object(check.path / CONFIG)
    told = {key: value for key, value in sorted(config.items()) if key not in PLACES}
    # peft writes sets of names in any order
    plain = {key: sorted(value, key=str) if isinstance(value, list) else value for key, value in told.items()}
    return {**plain, **trained}


def _make(
    variant: Variant,
    served: str,
    found: Resolved | None,
    base: _Base | None,
    hashes: Mapping[str, str] | None,
    check: AdapterCheck | FullCheck | None = None,
    told: Mapping[str, Any] | None = None,
) -> Member:
    training = _training(variant, found, hashes)
    parameters = check.parameters if check else None
    description = {
        "schema": 1,
        "name": variant.name,
        "base": variant.base,
        "method": variant.method,
        "seed": variant.seed,
        "weights": (found.hub_id or str(found.path)) if found and variant.method != "base" else None,
        "revision": found.commit if found else None,
        "hashes": dict(hashes or {}),
        "base_hashes": dict(base.hashes) if base else {},
        "engine": variant.engine,
        "engine_options": dict(variant.engine_options),
        "labels": dict(variant.labels) if variant.labels else None,
        "server": variant.server,
        "served_as": variant.served_as,
        "merge": variant.merge,
        "other_base": variant.other_base,
        "asked_proof": variant.proof,
        "served": served,
        "licence": found.licence if found else None,
        "base_licence": base.resolved.licence if base else None,
        "trained_parameters": training.trained_parameters if training else parameters,
        "recipe": _recipe(check, training),
        **(told or {}),
    }
    plain = {item.name: getattr(variant, item.name) for item in fields(variant)}
    plain |= {"engine_options": dict(variant.engine_options), "labels": description["labels"]}
    return Member(variant.name, served, str(found.path) if found else None, variant.proof, description, plain)
