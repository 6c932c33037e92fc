"""A base model as its files describe it: sizes from ``config.json``, modules and shapes from safetensors headers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .resolve import cached_snapshot, card_licence
from .safe_json import read_json_object
from .tensors import TensorInfo, inside, read_checkpoint

# Conv1D of the GPT-2 family stores (in, out) where a linear layer stores (out, in)
TRANSPOSED = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer"})
EMBEDDINGS = re.compile(
    r"(^|\.)(embed_tokens|wte|wpe|embed_in|shared|word_embeddings|position_embeddings|token_type_embeddings"
    r"|tok_embeddings|embed_positions|relative_attention_bias|embedding|embeddings)$"
)
OUTPUTS = ("lm_head", "embed_out", "output_layer")
HEADS = ("score", "classifier")
# checkpoints keep the names of transformers 4 where modules have those of 5 (transformers' conversion_mapping.py)
RENAMED = frozenset({"vit", "deit", "beit", "vit_msn", "vit_mae", "ijepa", "dinov2", "dinov2_with_registers", "vivit"})
IMAGE_TYPES = RENAMED | {"swin", "swinv2", "convnext", "convnextv2", "resnet"}
_RENAMES = (
    (re.compile(r"(^|\.)attention\.attention\.(query|key|value)($|\.)"), r"\1attention.\2_proj\3"),
    (re.compile(r"(^|\.)attention\.(q|k|v)(?:uery|ey|alue)_proj($|\.)"), r"\1attention.\2_proj\3"),
    (re.compile(r"(^|\.)attention\.output\.dense($|\.)"), r"\1attention.o_proj\2"),
)
_VIT_RENAMES = (
    (re.compile(r"(^|\.)encoder\.layer\.(\d+)\."), r"\1layers.\2."),
    (re.compile(r"(^|\.)intermediate\.dense($|\.)"), r"\1mlp.fc1\2"),
    (re.compile(r"(^|\.)output\.dense($|\.)"), r"\1mlp.fc2\2"),
)


@dataclass(frozen=True)
class Module:
    """One module of a base that holds a weight.

    Attributes:
        name: as the running model (transformers 5) names it.
        stored: as the checkpoint names it; transformers 4 named the module so.
        kind: ``linear``, ``embedding``, ``convolution``, ``other`` or ``packed`` (quantised: its shape says nothing).
        inputs: features it takes (an embedding: number of rows); None where packed.
        outputs: features it gives (an embedding: their size).
        kernel: a convolution's kernel.
        tied: an output layer without a tensor of its own.
    """

    name: str
    stored: str
    kind: str
    inputs: int | None
    outputs: int | None
    kernel: tuple[int, ...] = ()
    tied: bool = False


@dataclass(frozen=True)
class BaseModel:
    """What is known of a base without loading it.

    Attributes:
        path: its folder.
        hub_id: its name on the hub; None for a folder.
        commit: hub commit.
        licence: from its card.
        model_type: transformers' name of the family, or timm's name of the architecture.
        architecture: its class.
        hidden_size: width; None where the configuration has none.
        layers: number of layers.
        vocabulary: rows of the token embedding.
        tied: output and input embeddings are one tensor.
        is_timm: a timm checkpoint.
        tensors: all tensors by the names in its files.
        modules: the modules by name.
        fingerprint: SHA-256 over configuration sizes, names, types and shapes (not over values).
    """

    path: Path
    hub_id: str | None
    commit: str | None
    licence: str | None
    model_type: str
    architecture: str | None
    hidden_size: int | None
    layers: int | None
    vocabulary: int | None
    tied: bool
    is_timm: bool
    tensors: Mapping[str, TensorInfo]
    modules: Mapping[str, Module]
    fingerprint: str

    @property
    def is_image(self) -> bool:
        """Whether it is an image model."""
        return self.is_timm or self.model_type in IMAGE_TYPES


def to_transformers_5(name: str, model_type: str) -> str:
    """A module's name as transformers 5 has it; unchanged for families that were not renamed.

    >>> to_transformers_5("vit.encoder.layer.0.attention.attention.query", "vit")
    'vit.layers.0.attention.q_proj'
    """
    if model_type not in RENAMED:
        return name
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    if not model_type.startswith("dinov2"):
        for pattern, replacement in _VIT_RENAMES:
            name = pattern.sub(replacement, name)
    return name


def read_base(
    path: Path, *, hub_id: str | None = None, commit: str | None = None, licence: str | None = None
) -> BaseModel:
    """Read a base's configuration and headers.

    Hub id, commit and licence are read from the folder (a snapshot in the hub's cache, a card) where not given.

    Raises:
        GroupgapError: no ``config.json``, no safetensors weights, or damaged ones.
    """
    config = read_model_config(path)
    tensors = read_checkpoint(path)
    if hub_id is None:
        hub_id, commit = cached_snapshot(Path(path))
    sizes = model_sizes(config)
    model_type = str(config.get("model_type") or config.get("architecture") or "")
    modules = _modules(tensors, model_type, sizes)
    shapes = [f"{tensor.name} {tensor.dtype} {tensor.shape}" for tensor in tensors.values()]
    digest = hashlib.sha256("\n".join([model_type, str(sorted(sizes.items())), *sorted(shapes)]).encode())
    return BaseModel(
        path=path,
        hub_id=hub_id,
        commit=commit,
        licence=licence or card_licence(path),
        model_type=model_type,
        architecture=_architecture(config),
        hidden_size=sizes.get("hidden_size"),
        layers=sizes.get("num_hidden_layers"),
        vocabulary=sizes.get("vocab_size"),
        tied=any(module.tied for module in modules.values()),
        is_timm=is_timm(config),
        tensors=tensors,
        modules=modules,
        fingerprint=digest.hexdigest(),
    )


def read_model_config(path: Path) -> dict[str, Any]:
    """A model's ``config.json``, refused where it names code of its own.

    Raises:
        GroupgapError: absent, not JSON, or one that needs ``trust_remote_code``.
    """
    config = read_json_object(inside(path, "config.json"))
    if config.get("auto_map"):
        raise GroupgapError(
            f"{path}/config.json: auto_map names classes of its own: trust_remote_code is never used here"
        )
    return config


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether this is the configuration of a timm checkpoint."""
    return isinstance(config.get("architecture"), str) and "model_type" not in config


def model_sizes(config: Mapping[str, Any]) -> dict[str, int]:
    """hidden_size, num_hidden_layers, vocab_size and the like, under transformers' usual names."""
    names = {
        "hidden_size": ("hidden_size", "n_embd", "d_model", "embed_dim", "dim"),
        "num_hidden_layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers"),
        "vocab_size": ("vocab_size",),
        "intermediate_size": ("intermediate_size", "n_inner", "d_ff"),
        "num_attention_heads": ("num_attention_heads", "n_head", "num_heads"),
        "num_key_value_heads": ("num_key_value_heads",),
        "head_dim": ("head_dim",),
    }
    text = config.get("text_config")
    sources = [config, text] if isinstance(text, dict) else [config]
    found = {}
    for size, spellings in names.items():
        values = [source[name] for source in sources for name in spellings if type(source.get(name)) is int]
        if values:
            found[size] = values[0]
    return found


def _architecture(config: Mapping[str, Any]) -> str | None:
    named = config.get("architectures")
    if isinstance(named, list) and named and isinstance(named[0], str):
        return named[0]
    return str(config["architecture"]) if is_timm(config) else None


def _modules(tensors: Mapping[str, TensorInfo], model_type: str, sizes: Mapping[str, int]) -> dict[str, Module]:
    found = {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if part in ("weight", "qweight", "weight_packed") and module:
            renamed = to_transformers_5(module, model_type)
            found[renamed] = _module((renamed, module), part, tensor, model_type)
    embedding = next((m for m in found.values() if m.kind == "embedding" and m.inputs == sizes.get("vocab_size")), None)
    if embedding and not any(name.split(".")[-1] in (*OUTPUTS, *HEADS) for name in found):
        found["lm_head"] = Module("lm_head", "lm_head", "linear", embedding.outputs, embedding.inputs, tied=True)
    return found


def _module(names: tuple[str, str], part: str, tensor: TensorInfo, model_type: str) -> Module:
    shape, (name, _) = tensor.shape, names
    if part != "weight" or tensor.dtype in ("U8", "I8", "I32", "U32", "F4"):
        return Module(*names, "packed", None, None)
    if len(shape) == 2 and EMBEDDINGS.search(name):
        return Module(*names, "embedding", shape[0], shape[1])
    if len(shape) == 2:
        outputs, inputs = reversed(shape) if model_type in TRANSPOSED and not name.endswith(OUTPUTS) else shape
        return Module(*names, "linear", inputs, outputs)
    if len(shape) in (3, 4, 5):
        return Module(*names, "convolution", shape[1], shape[0], tuple(shape[2:]))
    return Module(*names, "other", None, None)
