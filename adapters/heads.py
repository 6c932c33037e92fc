"""What an adapter stores whole: classification heads, saved embeddings and other ``modules_to_save``, biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .alignment import Alignment
from .base_model import HEADS, BaseModel
from .finding import Finding
from .layout import PREFIX, Key
from .peft_config import AdapterConfig
from .targets import Matcher
from .tensors import TensorInfo

_EMBEDS = ("embed_tokens", "lm_head", "wte", "word_embeddings", "shared", "embed_in", "embed_out")


@dataclass(frozen=True)
class Head:
    """A classification head that an adapter carries.

    Attributes:
        name: the module.
        labels: number of classes, from its last weight's rows.
        inputs: features it takes.
    """

    name: str
    labels: int
    inputs: int


@dataclass(frozen=True)
class Saved:
    """The whole modules of an adapter.

    Attributes:
        names: tensors that are accounted for.
        expected: number of tensors that the base's modules ask for.
        matched: how many of them are there in the right shape.
        heads: classification heads.
        resized_vocabulary: rows of a saved embedding where they differ from the base's.
        findings: what is wrong or worth knowing.
    """

    names: frozenset[str] = frozenset()
    expected: int = 0
    matched: int = 0
    heads: tuple[Head, ...] = ()
    resized_vocabulary: int | None = None
    findings: tuple[Finding, ...] = ()


@dataclass
class _Tally:
    names: set[str] = field(default_factory=set)
    heads: list[Head] = field(default_factory=list)
    resized: int | None = None
    findings: list[Finding] = field(default_factory=list)
    matched: int = 0

    def refuse(self, code: str, text: str, way_out: str) -> None:
        if not any(finding.code == code for finding in self.findings):
            self.findings.append(Finding(code, "refused", text, way_out))


def check_saved(
    config: AdapterConfig,
    tensors: Mapping[str, TensorInfo],
    keys: Mapping[str, Key],
    place: Alignment,
    base: BaseModel | None,
    matcher: Matcher,
) -> Saved:
    """Compare what an adapter stores whole with its configuration and the base."""
    tally = _Tally()
    whole = {name: key for name, key in keys.items() if key.part.startswith(("saved.", "base_layer."))}
    stored = {name: key for name, key in whole.items() if matcher.saved([key.module])}
    stored = {name: key for name, key in stored.items() if _is_parameter(key, place)}
    for name, key in stored.items():
        _stored(tally, tensors[name], key, place, base)
    for name, key in whole.items():
        if name not in stored:
            _aside(tally, config, tensors[name], key, place, base)
    if config.flags.get("trainable_token_indices"):
        _token_rows(tally, config.flags["trainable_token_indices"], tensors, keys)
    required = {f"{PREFIX}{name}" for name in place.shapes if matcher.saved([name.rpartition(".")[0]])}
    have = {f"{PREFIX}{key.module}.{key.part.removeprefix('saved.')}" for key in stored.values()}
    _absent(tally, config, required - have, stored, base, matcher)
    return Saved(
        frozenset(tally.names),
        len(required | have),
        tally.matched,
        tuple(tally.heads),
        tally.resized,
        tuple(tally.findings),
    )


def _token_rows(tally: _Tally, rows: Any, tensors: Mapping[str, TensorInfo], keys: Mapping[str, Key]) -> None:
    """Rows of embeddings that were trained alone: one tensor for each embedding, one row for each token."""
    deltas = {name: key.module for name, key in keys.items() if key.part.endswith("trainable_tokens_delta")}
    tally.names |= set(deltas)
    wanted = rows if isinstance(rows, dict) else {"": rows}
    for module, tokens in wanted.items():
        shapes = [tensors[name].shape for name, found in deltas.items() if found.endswith(module)]
        if not any(shape[:1] == (len(tokens),) for shape in shapes):
            text = f"the {len(tokens)} token rows {f'of {module:.80} ' if module else ''}that it trained are missing"
            tally.refuse("saved-missing", text, "ask its author for the whole adapter")


def _is_parameter(key: Key, place: Alignment) -> bool:
    """Whether a whole tensor can be a module's parameter: the base has it, or it is a weight or bias of a new head."""
    last = key.part.rpartition(".")[2]
    own = last in ("weight", "bias") and not {"weight", "bias"} & set(key.module.split("."))
    return own or f"{key.module}.{last}" in place.shapes


def _stored(tally: _Tally, tensor: TensorInfo, key: Key, place: Alignment, base: BaseModel | None) -> None:
    tally.names.add(tensor.name)
    last = key.part.removeprefix("saved.")
    asked = place.shapes.get(f"{key.module}.{last}")
    name = key.module.split(".")
    head = next((part for part in name if part in (*HEADS, "head", "fc")), None)
    if head and last == "weight" and len(tensor.shape) == 2:
        tally.heads.append(Head(key.module, *tensor.shape))
    if asked is None or tensor.shape == asked:
        tally.matched += 1
        if asked is None and base and head and name[-1] in HEADS and len(tensor.shape) == 2:
            _head_width(tally, tensor, base)
        return
    if name[-1] in _EMBEDS and len(asked) == 2 and tensor.shape[1:] == asked[1:]:
        tally.resized = tensor.shape[0]
        tally.matched += 1
        return
    if head and tensor.shape[1:] == asked[1:]:
        tally.matched += 1  # another number of labels than the base's head
        return
    text = f"{tensor.name.removeprefix(PREFIX):.160} has shape {tensor.shape}, the base's is {asked}"
    tally.refuse("saved-shape", text, "it was trained on another base: give that one")


def _head_width(tally: _Tally, tensor: TensorInfo, base: BaseModel) -> None:
    if base.hidden_size and tensor.shape[1] != base.hidden_size and not base.is_image:
        name = tensor.name.removeprefix(PREFIX)
        text = f"its head {name:.120} takes {tensor.shape[1]} features, the base gives {base.hidden_size}"
        tally.refuse("head-shape", text, "it was trained on another base: give that one")


def _aside(
    tally: _Tally, config: AdapterConfig, tensor: TensorInfo, key: Key, place: Alignment, base: BaseModel | None
) -> None:
    """A whole tensor of a module that ``modules_to_save`` does not name: embeddings and biases are stored so."""
    last = key.part.rpartition(".")[2]
    module = place.modules.get(key.module)
    embedding = key.module.split(".")[-1] in _EMBEDS or (module is not None and module.kind == "embedding")
    if last == "bias" and config.bias != "none":
        asked = place.shapes.get(f"{key.module}.bias")
        tally.names.add(tensor.name)
        if base and asked != tensor.shape:
            text = f"{tensor.name.removeprefix(PREFIX):.160} has shape {tensor.shape}, the base's is {asked}"
            tally.refuse("saved-shape", text, "it was trained on another base: give that one")
    elif last == "weight" and embedding:
        tally.names.add(tensor.name)
        _embedding(tally, tensor, key, place)


def _embedding(tally: _Tally, tensor: TensorInfo, key: Key, place: Alignment) -> None:
    module = place.modules.get(key.module)
    if key.part == "saved.weight":
        text = f"it stores the embedding {key.module:.120} whole"
        tally.findings.append(Finding("saved-embedding", "merged", text, "merge it into the base (merge: true)"))
    if module is None or module.inputs is None or len(tensor.shape) != 2:
        return
    rows, width = (module.inputs, module.outputs) if module.kind == "embedding" else (module.outputs, module.inputs)
    if tensor.shape[1] != width:
        text = f"{tensor.name.removeprefix(PREFIX):.160} is {tensor.shape[1]} wide, the base's is {width}"
        tally.refuse("saved-shape", text, "it was trained on another base: give that one")
    elif tensor.shape[0] != rows:
        tally.resized = tensor.shape[0]


def _absent(
    tally: _Tally,
    config: AdapterConfig,
    missing: set[str],
    stored: Mapping[str, Key],
    base: BaseModel | None,
    matcher: Matcher,
) -> None:
    if missing:
        example = min(missing).removeprefix(PREFIX)
        text = f"{len(missing)} tensors of its modules_to_save are missing, e.g. {example:.160}"
        tally.refuse("saved-missing", text, "ask its author for the whole adapter")
    carried = {part for key in stored.values() for part in key.module.split(".")}
    heads = [name for name in config.modules_to_save if name in HEADS]
    named = [n for n in config.modules_to_save if n not in HEADS and n.split(".")[-1] not in carried]
    if named and not missing and not (base and any(matcher.saved([m]) for m in base.modules)):
        text = f"modules_to_save names {named[0]!r:.120}, and neither it nor the base holds such a module"
        tally.refuse("saved-missing", text, "ask its author for the whole adapter")
    has_head = bool(tally.heads) or any(part in HEADS for part in carried)
    base_has = base is not None and any(name.split(".")[-1] in (*HEADS, "head", "fc") for name in base.modules)
    image = base is not None and base.is_image
    if has_head or not (config.task_type == "SEQ_CLS" or heads or image):
        return
    if base_has:
        text = "it carries no head of its own: the base's head answers"
        tally.findings.append(Finding("head", "served", text))
        return
    where = "neither does the base" if base else "give --base where the base has one"
    text = f"it is a classification adapter without its head (score or classifier), and {where}"
    tally.refuse("head", text, 'train and save it with modules_to_save=["score"] (or ["classifier"])')
