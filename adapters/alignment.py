"""Finds the base's modules under the names that an adapter uses for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from .base_model import HEADS, OUTPUTS, BaseModel, Module, to_transformers_5
from .finding import Finding
from .layout import Key
from .tensors import TensorInfo

# names of the inner model that a checkpoint of the model without its head leaves out
T = TypeVar("T")
_INNER = frozenset({"model", "transformer", "bert", "roberta", "electra", "deberta", "distilbert", "albert"})
_LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class Alignment:
    """The base's modules and tensors by the names that the adapter uses.

    Attributes:
        modules: the base's modules.
        shapes: shapes of the base's tensors.
        converts_from: ``"transformers-4"`` where the names have to be converted before the adapter can be loaded.
        findings: what was noticed on the way.
    """

    modules: Mapping[str, Module]
    shapes: Mapping[str, tuple[int, ...]]
    converts_from: str | None = None
    findings: tuple[Finding, ...] = ()


def align(tuned: Collection[str], base: BaseModel) -> Alignment:
    """Choose the spelling of the base's names in which the adapter's modules are found.

    Args:
        tuned: names of the modules that the adapter holds tensors for.
        base: the base.
    """
    modules = dict(base.modules)
    today = {name: to_transformers_5(name.rpartition(".")[0], base.model_type) for name in base.tensors}
    shapes = {f"{today[name]}.{name.rpartition('.')[2]}": tensor.shape for name, tensor in base.tensors.items()}
    if not tuned or any(name in modules for name in tuned):
        return Alignment(modules, shapes)
    stored = {module.stored: module for module in modules.values()}
    if any(name in stored for name in tuned):
        note = Finding(
            "transformers-4",
            "served",
            "its tensors have the names of transformers 4, which peft cannot load since transformers 5",
            "adapters.convert.convert_to_transformers_5 writes it with the names of today",
        )
        plain = {name: tensor.shape for name, tensor in base.tensors.items()}
        return Alignment(stored, plain, "transformers-4", (note,))
    first = {name.split(".")[0] for name in tuned}
    inner = next(iter(first)) if len(first) == 1 else ""
    tops = {name.split(".")[0] for name in modules} - {*OUTPUTS, *HEADS}
    if inner in _INNER | {base.model_type} and inner not in tops and len(tops) > 1:  # a checkpoint of the inner model
        return Alignment(_under(inner, modules), _under(inner, shapes))
    return Alignment(modules, shapes)


def _under(inner: str, named: Mapping[str, T]) -> dict[str, T]:
    outside = (*OUTPUTS, *HEADS)
    return {name if name.split(".")[0] in outside else f"{inner}.{name}": value for name, value in named.items()}


def without_base(keys: Mapping[str, Key], tensors: Mapping[str, TensorInfo]) -> Alignment:
    """What an adapter's own tensors say of the modules, where no base is given: kinds, no sizes."""
    modules: dict[str, Module] = {}
    for name, key in keys.items():
        if key.part.startswith(("saved.", "base_layer.")):
            continue
        shape = tensors[name].shape
        kind = "linear"
        kernel: tuple[int, ...] = ()
        if key.part.startswith("lora_embedding"):
            kind = "embedding"
        elif key.part == "lora_A.weight" and len(shape) > 2:
            kind, kernel = "convolution", shape[2:]
        if key.module not in modules or kind != "linear":
            modules[key.module] = Module(key.module, key.module, kind, None, None, kernel)
    return Alignment(modules, {})


def strangers(tuned: Collection[str], base: BaseModel, modules: Collection[str]) -> Finding | None:
    """Say why an adapter's modules are not in the base: more layers, another prefix, or another model."""
    unknown = sorted(name for name in tuned if name not in modules)
    if not unknown:
        return None
    count = f"{len(unknown)} of {len(tuned)} modules are not in the base, e.g. {unknown[0]:.120}"
    beyond = [name for name in unknown if _LAYER.sub(".0.", name, count=1) in modules]
    if len(beyond) == len(unknown):
        layers = 1 + max(int(found[1]) for name in tuned if (found := _LAYER.search(name)))
        text = f"has tensors for {layers} layers, the base has {base.layers}: {count}"
        return Finding("layers", "refused", text, "give the base it was trained on")
    known = {ending for name in modules for ending in _endings(name)}
    if all(any(ending in known for ending in _endings(name)) for name in unknown):
        example = next(name for name in sorted(modules) if set(_endings(name)) & set(_endings(unknown[0])))
        text = f"its tensors stand under another prefix than the base's, which has {example}: {count}"
        return Finding(
            "prefix", "refused", text, "an engine would skip them and answer as the base: rename the tensors"
        )
    return Finding("modules", "refused", count, "give the base it was trained on")


def _endings(name: str) -> list[str]:
    """Endings of a name that begin at a layer number or later, with at least two parts."""
    parts = name.split(".")
    starts = [index for index, part in enumerate(parts) if part.isdigit()]
    return [".".join(parts[starts[0] :])] if starts and len(parts) - starts[0] > 1 else [parts[-1]]
