"""Does an adapter fit: is every tensor there that its configuration asks for, in the right shape, and no other?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .alignment import Alignment, align, strangers, without_base
from .base_model import HEADS, OUTPUTS, BaseModel
from .finding import Finding
from .heads import Head, Saved, check_saved
from .layout import PREFIX, Key, Shape, fits, knows, module_shapes, parse_key, shared_shapes
from .peft_config import AdapterConfig
from .targets import ALL_LINEAR, Matcher, suffixes
from .tensors import TensorInfo

_TRAINED = ("F32", "F16", "BF16", "F64")


@dataclass(frozen=True)
class Fit:
    """How an adapter's tensors lie on the base's modules.

    Attributes:
        findings: what is wrong or worth knowing.
        targets: number of modules by the name in ``target_modules`` that means them.
        modules: number of modules with tensors.
        expected: number of tensors that the configuration and the base ask for.
        matched: how many of these are there, in the right shape.
        ranks: ranks that the tensors have.
        alphas: alphas of the modules.
        heads: heads that the adapter carries.
        resized_vocabulary: rows of its token embedding where they differ from the base's.
        converts_from: see :class:`~groupgap.adapters.alignment.Alignment`.
        without_bias: target modules whose base layer has no bias; 0 where no base is given.
    """

    findings: tuple[Finding, ...]
    targets: Mapping[str, int]
    modules: int
    expected: int
    matched: int
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    heads: tuple[Head, ...]
    resized_vocabulary: int | None
    converts_from: str | None
    without_bias: int = 0


def fit(config: AdapterConfig, tensors: Mapping[str, TensorInfo], base: BaseModel | None) -> Fit:
    """Compare an adapter's tensors with what its configuration and its base ask for.

    Args:
        config: the adapter's configuration.
        tensors: its tensors.
        base: the base; None to compare the adapter with itself only.

    Raises:
        GroupgapError: a pattern of module names that is none, or takes too long to match.
    """
    keys = {name: key for name in tensors if (key := parse_key(name))}
    tuned = {key.module for key in keys.values() if not key.part.startswith(("saved.", "base_layer."))}
    place = align(tuned, base) if base else without_base(keys, tensors)
    matcher = Matcher(config)
    chosen = _targets(config, matcher, place)
    shared = shared_shapes(config, {name: place.modules[name] for name in chosen})
    expected = {**_expected(config, matcher, place, chosen), **shared}
    saved = check_saved(config, tensors, keys, place, base, matcher)
    findings = [*place.findings, *saved.findings]
    if base and (strange := strangers(tuned, base, place.modules)):
        findings.append(strange)
    else:
        findings += _compare(config, tensors, keys, expected, saved, base)
        findings += _unasked(config, tensors, keys, expected, saved, chosen)
    findings += _types(config, tensors)
    sizes = {tensors[n].shape[0] for n, key in keys.items() if _leads_with_rank(key) and tensors[n].shape}
    return Fit(
        findings=tuple(findings),
        targets=_counts(config, chosen),
        modules=len(tuned),
        expected=len(expected) + saved.expected,
        matched=sum(name in tensors and fits(tensors[name].shape, shape) for name, shape in expected.items())
        + saved.matched,
        ranks=tuple(sorted(sizes)),
        alphas=tuple(sorted({alpha for name in chosen if (alpha := matcher.alpha(name)) is not None})),
        heads=saved.heads,
        resized_vocabulary=saved.resized_vocabulary,
        converts_from=place.converts_from,
        without_bias=sum(f"{name}.bias" not in place.shapes for name in chosen) if base else 0,
    )


def _leads_with_rank(key: Key) -> bool:
    return key.part in ("lora_A.weight", "lora_embedding_A", "lora_A", "hada_w1_b", "vera_lambda_d")


def _targets(config: AdapterConfig, matcher: Matcher, place: Alignment) -> list[str]:
    if config.target_modules is None and config.flags.get("target_parameters"):
        return []
    kinds = ("other",) if config.peft_type == "LN_TUNING" else ("linear", "embedding", "convolution", "packed")
    able = [name for name, module in place.modules.items() if module.kind in kinds or not place.shapes]
    outside = (*OUTPUTS, *HEADS)
    linear = [n for n in able if place.modules[n].kind in ("linear", "packed") and n.split(".")[-1] not in outside]
    if config.target_modules is None:
        return list(place.modules) if not place.shapes else []
    return matcher.targets(able, linear)


def _expected(config: AdapterConfig, matcher: Matcher, place: Alignment, chosen: Collection[str]) -> dict[str, Shape]:
    if not knows(config):
        return {}
    found: dict[str, Shape] = {}
    for name in chosen:
        shapes = module_shapes(config, place.modules[name], matcher.rank(name), matcher.feedforward(name))
        found |= {f"{PREFIX}{name}.{part}": shape for part, shape in shapes.items()}
    return found


def _counts(config: AdapterConfig, chosen: Collection[str]) -> dict[str, int]:
    if not isinstance(config.target_modules, tuple):
        return {config.target_modules or ALL_LINEAR: len(chosen)} if chosen or config.target_modules else {}
    counts = dict.fromkeys(config.target_modules, 0)
    for name in chosen:
        for ending in suffixes(name):
            if ending in counts:
                counts[ending] += 1
                break
    return counts


def _compare(
    config: AdapterConfig,
    tensors: Mapping[str, TensorInfo],
    keys: Mapping[str, Key],
    expected: Mapping[str, Shape],
    saved: Saved,
    base: BaseModel | None,
) -> list[Finding]:
    findings = []
    spelled = {_canonical(name, keys): name for name in tensors}
    missing = [name for name in expected if name not in spelled]
    if missing:
        text = f"{len(missing)} of {len(expected)} tensors are missing, e.g. {missing[0].removeprefix(PREFIX):.160}"
        way = "ask its author for the whole adapter" + (", or give the base it was trained on" if base else "")
        findings.append(Finding("missing", "refused", text, way))
    wrong = [
        name for name, shape in expected.items() if name in spelled and not fits(tensors[spelled[name]].shape, shape)
    ]
    ranks = [name for name in wrong if _only_rank(tensors[spelled[name]].shape, expected[name], config)]
    if ranks:
        name = ranks[0]
        text = (
            f"the configuration's rank and the tensors' differ: {name.removeprefix(PREFIX):.160}"
            f" has shape {tensors[spelled[name]].shape}, expected {_shape(expected[name])}"
        )
        findings.append(Finding("rank", "refused", text, "its file and its adapter_config.json are not of one adapter"))
    others = [name for name in wrong if name not in ranks]
    if others:
        name = others[0]
        text = (
            f"{len(others)} tensors have another shape than the base asks for, e.g. {name.removeprefix(PREFIX):.160}"
            f" has {tensors[spelled[name]].shape}, expected {_shape(expected[name])}"
        )
        findings.append(Finding("shape", "refused", text, "it was trained on another base: give that one"))
    return findings


def _canonical(name: str, keys: Mapping[str, Key]) -> str:
    key = keys.get(name)
    return f"{PREFIX}{key.module}.{key.part}" if key else name


def _shape(shape: Shape) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def _only_rank(shape: tuple[int, ...], expected: Shape, config: AdapterConfig) -> bool:
    if len(shape) != len(expected) or config.rank is None:
        return False
    apart = [(have, want) for have, want in zip(shape, expected, strict=True) if want not in (None, have)]
    widths = [want for want in expected if want is not None]
    return len(apart) == 1 and apart[0][1] in {config.rank, *config.rank_pattern.values()} and bool(widths)


def _unasked(
    config: AdapterConfig,
    tensors: Mapping[str, TensorInfo],
    keys: Mapping[str, Key],
    expected: Mapping[str, Shape],
    saved: Saved,
    chosen: Collection[str],
) -> list[Finding]:
    """Tensors that nothing asks for: an engine drops them without a word."""
    targets, parts = set(chosen), {key.part for key in keys.values()}
    extra = []
    for name in tensors:
        key = keys.get(name)
        if _canonical(name, keys) in expected or name in saved.names:
            continue
        if key and not knows(config) and (key.module in targets or not targets) and key.part in parts:
            continue
        extra.append(name)
    if extra:
        text = f"{len(extra)} tensors belong to nothing that the configuration names, e.g. {extra[0]:.160}"
        way = "an engine would drop them: save the adapter with save_pretrained of peft"
        return [Finding("unmatched", "refused", text, way)]
    if not expected and not knows(config):
        return _uneven(keys, targets)
    if not expected and not saved.expected:
        named = (
            config.target_modules if isinstance(config.target_modules, str) else ", ".join(config.target_modules or ())
        )
        text = f"target_modules ({named or 'none'!s:.120}) means no module of the base"
        return [Finding("targets", "refused", text, "give the base it was trained on")]
    return []


def _uneven(keys: Mapping[str, Key], targets: set[str]) -> list[Finding]:
    """Methods whose shapes we do not know: every module must at least have the same parts."""
    parts: dict[str, set[str]] = {name: set() for name in targets}
    for key in keys.values():
        if not key.part.startswith(("saved.", "base_layer.")):
            parts.setdefault(key.module, set()).add(key.part)
    whole: set[str] = set().union(*parts.values()) if parts else set()
    short = sorted(name for name, have in parts.items() if not have)
    if short or not whole:
        text = f"{len(short)} of {len(parts)} target modules have no tensors" + (
            f", e.g. {short[0]:.120}" if short else ""
        )
        return [Finding("missing", "refused", text, "ask its author for the whole adapter")]
    text = "the shapes of this method's tensors are not checked, only their names"
    return [Finding("shapes-unchecked", "served", text)]


def _types(config: AdapterConfig, tensors: Mapping[str, TensorInfo]) -> list[Finding]:
    if not knows(config):
        return []
    odd = sorted(name for name, tensor in tensors.items() if tensor.dtype not in _TRAINED)
    if not odd:
        return []
    text = f"{len(odd)} tensors are {tensors[odd[0]].dtype}, e.g. {odd[0]:.160}: expected {', '.join(_TRAINED)}"
    return [Finding("dtype", "refused", text, "save the adapter in float32, bfloat16 or float16")]
