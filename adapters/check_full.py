"""Is a full fine-tune whole, and can its weights be loaded into the engine that already runs its base?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .base_model import HEADS, OUTPUTS, BaseModel, is_timm, model_sizes, read_base, read_model_config
from .finding import Finding, Verdict, verdict
from .resolve import card_licence
from .tensors import TensorInfo, file_hashes, read_checkpoint, scan
from .tokenizer_files import compare_tokenizers

# buffers that old checkpoints hold and no engine loads
_BUFFERS = re.compile(r"(rotary_emb\.inv_freq|masked_bias|attn\.bias|embeddings\.position_ids)$")
TIMM_HEADS = ("head", "head_dist", "fc", "last_linear")
_LAYER = re.compile(r"^(.*?\.)(\d+)\.(.+)$")


@dataclass(frozen=True)
class FullCheck:
    """What a check of a full checkpoint found.

    Attributes:
        path: its folder.
        verdict: ``"served"`` or ``"refused"``.
        reason: why refused.
        way_out: what to do about it.
        findings: everything that was noticed.
        compared: whether a base was given.
        deep: whether every value was looked at.
        reload: whether its weights can replace the base's in a running engine; else it needs an engine of its own.
        own_engine: why it needs one; empty where ``reload``, or without a base.
        tensors: number of tensors.
        parameters: numbers it holds.
        bytes: size of its weights.
        dtypes: tensors by type.
        architecture: its class.
        labels: number of classes of its head; None without one.
        tokenizer: see :class:`~groupgap.adapters.tokenizer_files.TokenizerComparison`; None where not compared.
        licence: from its card.
        hashes: SHA-256 by file (only with ``deep``).
    """

    path: Path
    verdict: Verdict
    reason: str
    way_out: str
    findings: tuple[Finding, ...]
    compared: bool
    deep: bool
    reload: bool = False
    own_engine: str = ""
    tensors: int = 0
    parameters: int = 0
    bytes: int = 0
    dtypes: Mapping[str, int] | None = None
    architecture: str | None = None
    labels: int | None = None
    tokenizer: str | None = None
    licence: str | None = None
    hashes: Mapping[str, str] | None = None


def check_full(path: Path | str, base: Path | str | BaseModel | None = None, *, deep: bool = False) -> FullCheck:
    """Check a full checkpoint's files against its base's: names, shapes, types, tokenizer.

    Args:
        path: the checkpoint's folder.
        base: the base's folder, or what :func:`~groupgap.adapters.base_model.read_base` made of it; None for none.
        deep: look at every value, and hash the files.

    Returns:
        The check; a bad checkpoint is an answer (verdict ``"refused"``), not an error.

    Raises:
        GroupgapError: the base cannot be read.
    """
    folder = Path(path)
    model = base if base is None or isinstance(base, BaseModel) else read_base(Path(base))
    try:
        config = read_model_config(folder)
        tensors = read_checkpoint(folder)
        return _checked(folder, config, tensors, model, deep)
    except GroupgapError as error:
        return _refused(folder, model, deep, str(error))
    except OSError as error:
        return _refused(folder, model, deep, f"{folder}: cannot be read ({error.strerror})")


def _refused(folder: Path, base: BaseModel | None, deep: bool, reason: str) -> FullCheck:
    finding = Finding("files", "refused", reason)
    return FullCheck(folder, "refused", reason, "", (finding,), base is not None, deep)


def _checked(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo], base: BaseModel | None, deep: bool
) -> FullCheck:
    findings = _layers(config, tensors)
    own_engine = ""
    compared = compare_tokenizers(folder, base.path) if base else None
    if base:
        own_engine, found = _against(config, tensors, base)
        findings += found
    if compared and compared.state == "differs":
        own_engine = own_engine or compared.findings[0].text
        findings.append(Finding("tokenizer", "served", own_engine, "it is asked with its own, in an engine of its own"))
    elif compared:
        findings += compared.findings
    if deep:
        findings += _values(tensors)
    hashes = file_hashes(folder) if deep else None
    decided, reason, way_out = verdict(findings)
    kinds = [tensor.dtype for tensor in tensors.values()]
    return FullCheck(
        path=folder,
        verdict=decided,
        reason=reason,
        way_out=way_out,
        findings=tuple(findings),
        compared=base is not None,
        deep=deep,
        reload=base is not None and not own_engine and decided == "served",
        own_engine=own_engine,
        tensors=len(tensors),
        parameters=sum(tensor.size for tensor in tensors.values()),
        bytes=sum(tensor.end - tensor.start for tensor in tensors.values()),
        dtypes={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        architecture=_architecture(config),
        labels=_labels(tensors),
        tokenizer=compared.state if compared else None,
        licence=card_licence(folder),
        hashes=hashes,
    )


def _architecture(config: Mapping[str, Any]) -> str | None:
    named = config.get("architectures")
    if isinstance(named, list) and named and isinstance(named[0], str):
        return named[0]
    return str(config["architecture"]) if is_timm(config) else None


def _labels(tensors: Mapping[str, TensorInfo]) -> int | None:
    heads = [
        tensor.shape[0]
        for name, tensor in tensors.items()
        if name.endswith(".weight") and len(tensor.shape) == 2 and set(name.split(".")) & {*HEADS, "head", "fc"}
    ]
    return heads[-1] if heads else None


def _bare(tensors: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Tensors without buffers, and without the inner model's name, which a headless checkpoint leaves out."""
    names = [name for name in tensors if not _BUFFERS.search(name)]
    body = {name.split(".")[0] for name in names if name.split(".")[0] not in (*OUTPUTS, *HEADS, "cls", "qa_outputs")}
    inner = f"{next(iter(body))}." if len(body) == 1 else ""
    return {name.removeprefix(inner): tensors[name] for name in names}


def _against(
    config: Mapping[str, Any], tensors: Mapping[str, TensorInfo], base: BaseModel
) -> tuple[str, list[Finding]]:
    theirs = read_model_config(base.path)
    if str(config.get("model_type") or config.get("architecture") or "") != base.model_type:
        what = config.get("model_type") or config.get("architecture")
        return f"it is a {what!s:.60}, the base a {base.model_type:.60}", []
    mine, sizes = model_sizes(config), model_sizes(theirs)
    apart = [f"{name} {mine.get(name)} (base {size})" for name, size in sizes.items() if mine.get(name) != size]
    if apart:
        return f"another size than the base: {', '.join(apart)}", []
    own_engine, findings = _compare(
        _bare(tensors), _bare(base.tensors), _architecture(config), base, bool(_tied(config))
    )
    if _tied(config) != _tied(theirs) and not own_engine:
        tied = "shares" if _tied(config) else "does not share"
        own_engine = f"its head {tied} the embeddings' weights, the base's is the other way"
    return own_engine, findings


def _tied(config: Mapping[str, Any]) -> bool:
    return bool(config.get("tie_word_embeddings", False))


def _compare(
    own: Mapping[str, TensorInfo],
    theirs: Mapping[str, TensorInfo],
    architecture: str | None,
    base: BaseModel,
    tied: bool,
) -> tuple[str, list[Finding]]:
    heads = (*OUTPUTS, *HEADS)
    another_head = architecture != base.architecture
    missing = [
        name
        for name in theirs
        if name not in own
        and not (name.split(".")[0] in heads and (another_head or (tied and name.startswith(OUTPUTS))))
    ]
    shapes = [
        name for name in own if name in theirs and own[name].shape != theirs[name].shape and not _head(name, base)
    ]
    extra = [name for name in own if name not in theirs and not _head(name, base)]
    findings = []
    if missing:
        text = f"{len(missing)} of {len(theirs)} tensors are missing, e.g. {missing[0]:.160}"
        way = "an engine would keep the base's values there: save the whole model with save_pretrained"
        findings.append(Finding("missing", "refused", text, way))
    if shapes:
        name = shapes[0]
        text = f"{len(shapes)} tensors have another shape than the base's, e.g. {name:.160}"
        text += f" {own[name].shape}, base {theirs[name].shape}"
        findings.append(Finding("shape", "refused", text, "its config.json and its weights are not of one model"))
    if extra:
        text = f"{len(extra)} tensors are not in the base, e.g. {extra[0]:.160}"
        findings.append(
            Finding("unmatched", "refused", text, "an engine would drop them: give the base it was made from")
        )
    kinds = sorted(
        {f"{own[n].dtype} (base {theirs[n].dtype})" for n in own if n in theirs and own[n].dtype != theirs[n].dtype}
    )
    if kinds:
        findings.append(
            Finding("dtype", "served", f"stored as {', '.join(kinds)}: a running engine keeps the base's type")
        )
    if another_head:
        return f"it is a {architecture}, the base a {base.architecture}", findings
    return "", findings


def _head(name: str, base: BaseModel) -> bool:
    """Whether a tensor belongs to a head, whose size is a fine-tune's own."""
    return name.split(".")[0] in (*OUTPUTS, *HEADS, *(TIMM_HEADS if base.is_timm else ()))


def _layers(config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> list[Finding]:
    """Incomplete: a layer that lacks what all others have, or fewer layers than the configuration says."""
    if not tensors:
        return [Finding("empty", "refused", "its file holds no tensors", "save the whole model with save_pretrained")]
    stacks: dict[str, dict[int, dict[str, tuple[int, ...]]]] = {}
    for name, tensor in tensors.items():
        found = _LAYER.match(name)
        if found and len(found[2]) < 7 and not _BUFFERS.search(name):
            stacks.setdefault(found[1], {}).setdefault(int(found[2]), {})[found[3]] = tensor.shape
    for stack, layers in stacks.items():
        if is_timm(config) and stack.endswith("stages."):
            continue  # the first stage of a network may have no downsampling, whatever the widths
        for layer, parts in layers.items() if _alike(layers) else ():
            others = [set(found) for number, found in layers.items() if number != layer]
            lost = set.intersection(*others) - set(parts) if len(others) > 1 else set()
            if lost:
                text = f"{stack}{layer} lacks {len(lost)} tensors that all other layers have, e.g. {min(lost):.120}"
                return [Finding("layer", "refused", text, "save the whole model with save_pretrained")]
    count, most = (
        model_sizes(config).get("num_hidden_layers"),
        max((len(layers) for layers in stacks.values()), default=0),
    )
    if count and stacks and most < count and not is_timm(config):
        text = f"its configuration says {count} layers, its weights have {most}"
        return [Finding("layers", "refused", text, "save the whole model with save_pretrained")]
    return []


def _alike(layers: Mapping[int, Mapping[str, tuple[int, ...]]]) -> bool:
    """Whether what the layers of a stack share has one shape: the stages of Swin grow, and the last one is another."""
    first = next(iter(layers.values()))
    return all(parts.get(part, shape) == shape for parts in layers.values() for part, shape in first.items())


def _values(tensors: Mapping[str, TensorInfo]) -> list[Finding]:
    broken = [name for name, tensor in tensors.items() if not scan(tensor).finite]
    if not broken:
        return []
    text = f"{len(broken)} of {len(tensors)} tensors hold NaN or infinity, e.g. {broken[0]:.160}"
    return [Finding("not-finite", "refused", text, "the training diverged, or the file is damaged")]
