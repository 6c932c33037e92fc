"""Is an adapter what it says, does it fit its base, can an engine serve it? Answered from headers and JSON alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .base_model import BaseModel, read_base
from .finding import Finding, Verdict, verdict
from .fit import Fit, fit
from .fused_qkv import check_fused_qkv
from .heads import Head
from .layout import parse_key
from .peft_config import AdapterConfig, read_adapter_config
from .resolve import HUB_ID, card_licence
from .safe_json import read_json_object
from .serving import Engine, engine_rank, serving
from .tensors import ADAPTER_WEIGHTS, TensorInfo, file_hashes, inside, read_checkpoint
from .tokenizer_files import compare_tokenizers
from .values import check_values


@dataclass(frozen=True)
class AdapterCheck:
    """What a check of an adapter's files found.

    Attributes:
        path: its folder.
        verdict: ``"served"`` as it is, ``"merged"`` (only after merging into the base) or ``"refused"``.
        reason: why not better; empty where served.
        way_out: what to do about it.
        findings: everything that was noticed, remarks included.
        engine: the engine that the verdict is for: ``"vllm"`` or ``"hf"`` (transformers and peft).
        compared: whether a base was given to compare with.
        deep: whether every value was looked at.
        peft_type: PEFT's name of the method; None where the configuration cannot be read.
        method: the same as a roster spells it.
        task_type: PEFT's task type.
        base_named: the base that the configuration names.
        base_revision: and its revision.
        base_fingerprint: the given base's fingerprint.
        rank: the largest rank of its tensors (prompt methods: number of virtual tokens).
        alpha: its alpha; None for methods without one, or with several.
        engine_rank: the ``max_lora_rank`` that vLLM needs for it.
        targets: modules that each target name means in the base.
        modules: number of modules with tensors.
        expected: number of tensors asked for.
        matched: how many of them are there, in the right shape.
        parameters: numbers it holds.
        bytes: size of its weights.
        dtypes: tensors by type.
        heads: classification heads it carries.
        resized_vocabulary: rows of its token embedding where they differ from the base's.
        tokenizer: see :class:`~groupgap.adapters.tokenizer_files.TokenizerComparison`; None where not compared.
        converts_from: ``"transformers-4"`` where its names must be converted.
        licence: from its card.
        base_licence: from its base's card.
        hashes: SHA-256 by file (only with ``deep``).
    """

    path: Path
    verdict: Verdict
    reason: str
    way_out: str
    findings: tuple[Finding, ...]
    engine: Engine
    compared: bool
    deep: bool
    peft_type: str | None = None
    method: str | None = None
    task_type: str | None = None
    base_named: str | None = None
    base_revision: str | None = None
    base_fingerprint: str | None = None
    rank: int | None = None
    alpha: float | None = None
    engine_rank: int | None = None
    targets: Mapping[str, int] | None = None
    modules: int = 0
    expected: int = 0
    matched: int = 0
    parameters: int = 0
    bytes: int = 0
    dtypes: Mapping[str, int] | None = None
    heads: tuple[Head, ...] = ()
    resized_vocabulary: int | None = None
    tokenizer: str | None = None
    converts_from: str | None = None
    licence: str | None = None
    base_licence: str | None = None
    hashes: Mapping[str, str] | None = None


@dataclass(frozen=True)
class CheckOptions:
    """How an adapter is checked.

    Attributes:
        engine: the engine that is to serve it.
        deep: look at every value, and hash the files.
        other_base: take a base whose hub name is not the one that the adapter names (a mirror of the same weights).
    """

    engine: Engine = "vllm"
    deep: bool = False
    other_base: bool = False


def check_adapter(
    path: Path | str, base: Path | str | BaseModel | None = None, options: CheckOptions | None = None
) -> AdapterCheck:
    """Check an adapter's files; nothing is loaded into a model, nothing in them is run.

    Args:
        path: the adapter's folder.
        base: the base's folder, or what :func:`~groupgap.adapters.base_model.read_base` made of it; None to compare the
            adapter with itself only.
        options: engine, depth.

    Returns:
        The check; a bad adapter is an answer (verdict ``"refused"``), not an error.

    Raises:
        GroupgapError: the base cannot be read.
    """
    options, folder = options or CheckOptions(), Path(path)
    model = base if base is None or isinstance(base, BaseModel) else read_base(Path(base))
    try:
        config = read_adapter_config(folder)
        tensors = read_checkpoint(folder, ADAPTER_WEIGHTS)
        return _checked(folder, config, tensors, model, options)
    except GroupgapError as error:
        return _refused(folder, model, options, error)
    except OSError as error:
        return _refused(folder, model, options, GroupgapError(f"{folder}: cannot be read ({error.strerror})"))


def _refused(folder: Path, base: BaseModel | None, options: CheckOptions, error: GroupgapError) -> AdapterCheck:
    finding = Finding("files", "refused", str(error))
    return AdapterCheck(folder, "refused", str(error), "", (finding,), options.engine, base is not None, options.deep)


def _checked(
    folder: Path,
    config: AdapterConfig,
    tensors: Mapping[str, TensorInfo],
    base: BaseModel | None,
    options: CheckOptions,
) -> AdapterCheck:
    found = _fit(folder, config, tensors, base)
    tokenizer = compare_tokenizers(folder, base.path) if base else None
    findings = _findings(config, tensors, base, options, found) + list(tokenizer.findings if tokenizer else ())
    decided, reason, way_out = verdict(findings)
    rank = max(found.ranks, default=config.rank)
    return AdapterCheck(
        path=folder,
        verdict=decided,
        reason=reason,
        way_out=way_out,
        findings=tuple(findings),
        engine=options.engine,
        compared=base is not None,
        deep=options.deep,
        peft_type=config.peft_type,
        method=config.method,
        task_type=config.task_type,
        base_named=config.base,
        base_revision=config.base_revision,
        rank=rank,
        alpha=found.alphas[0] if len(found.alphas) == 1 else None if found.alphas else config.alpha,
        engine_rank=engine_rank(rank) if rank and config.peft_type == "LORA" else None,
        tokenizer=tokenizer.state if tokenizer else None,
        licence=card_licence(folder),
        hashes=file_hashes(folder) if options.deep else None,
        **_measured(found, tensors, base),
    )


def _measured(found: Fit, tensors: Mapping[str, TensorInfo], base: BaseModel | None) -> dict[str, Any]:
    return {
        "base_fingerprint": base.fingerprint if base else None,
        "base_licence": base.licence if base else None,
        "targets": found.targets,
        "modules": found.modules,
        "expected": found.expected,
        "matched": found.matched,
        "heads": found.heads,
        "resized_vocabulary": found.resized_vocabulary,
        "converts_from": found.converts_from,
        "parameters": sum(tensor.size for tensor in tensors.values()),
        "bytes": sum(tensor.end - tensor.start for tensor in tensors.values()),
        "dtypes": _dtypes(tensors.values()),
    }


def _findings(
    config: AdapterConfig,
    tensors: Mapping[str, TensorInfo],
    base: BaseModel | None,
    options: CheckOptions,
    found: Fit,
) -> list[Finding]:
    findings = [*_base_named(config, base, options), *found.findings]
    findings += serving(
        config,
        options.engine,
        max(found.ranks, default=config.rank),
        image=base is not None and base.is_image,
        without_bias=found.without_bias,
    )
    if base:
        findings += check_fused_qkv(base, {key.module for name in tensors if (key := parse_key(name))})
    findings += _resized(found, options)
    if options.deep:
        findings += check_values(config, tensors)
    return findings


def _dtypes(tensors: Iterable[TensorInfo]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tensor in tensors:
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + 1
    return counts


def _fit(folder: Path, config: AdapterConfig, tensors: Mapping[str, TensorInfo], base: BaseModel | None) -> Fit:
    if not tensors:
        empty = Finding("empty", "refused", "its file holds no tensors", "ask its author for the whole adapter")
        return Fit((empty,), {}, 0, 0, 0, (), (), (), None, None)
    if config.is_prompt:
        return _prompt(folder, config, tensors, base)
    return fit(config, tensors, base)


def _prompt(folder: Path, config: AdapterConfig, tensors: Mapping[str, TensorInfo], base: BaseModel | None) -> Fit:
    """Prompt methods store what they learnt for all layers in one tensor (one a layer for adaption prompts)."""
    virtual = read_json_object(inside(folder, "adapter_config.json")).get("num_virtual_tokens")
    findings = []
    embeddings = tensors.get("prompt_embeddings")
    if embeddings is not None and base is not None and type(virtual) is int:
        widths = {"PROMPT_TUNING": base.hidden_size, "P_TUNING": base.hidden_size}
        width = widths.get(config.peft_type)
        wide = len(embeddings.shape) == 2 and embeddings.shape[1]
        if not wide or embeddings.shape[0] != virtual or (width and wide != width):
            text = f"prompt_embeddings has shape {embeddings.shape}, expected ({virtual}, {width or 'any'})"
            findings.append(Finding("shape", "refused", text, "give the base it was trained on"))
        elif config.peft_type == "PREFIX_TUNING" and base.layers and wide % (2 * base.layers):
            text = f"its prefix of {wide} numbers a token does not divide by {base.layers} layers (keys and values)"
            findings.append(Finding("layers", "refused", text, "give the base it was trained on"))
    rank = (virtual,) if type(virtual) is int else ()
    return Fit(tuple(findings), {}, 0, len(tensors), len(tensors), rank, (), (), None, None)


def _base_named(config: AdapterConfig, base: BaseModel | None, options: CheckOptions) -> list[Finding]:
    named = config.base
    if base is None:
        text = f"no base given: its fit to {named or 'its base'!s:.120} is not checked"
        return [Finding("no-base", "served", text, "--base BASE checks it")]
    if named is None:
        return [Finding("base-unnamed", "served", "it names no base")]
    given = base.hub_id or str(base.path)
    if named in (given, str(base.path)):
        return []
    text = f"it names the base {named!r:.120}, given is {given!r:.120}"
    is_hub_id = HUB_ID.fullmatch(named) is not None and not Path(named).exists()
    if base.hub_id and is_hub_id and named.lower() != base.hub_id.lower() and not options.other_base:
        return [
            Finding("base-name", "refused", text, "--other-base takes it, where the weights are known to be the same")
        ]
    return [Finding("base-name", "served", text)]


def _resized(found: Fit, options: CheckOptions) -> list[Finding]:
    if found.resized_vocabulary is None:
        return []
    text = f"its embeddings have {found.resized_vocabulary} rows, the base's another number"
    way = f"resize the base's embeddings to {found.resized_vocabulary} rows before merging"
    return [Finding("resized", "merged" if options.engine == "vllm" else "served", text, way)]
