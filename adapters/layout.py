"""Which tensors each PEFT method stores for a module, and in what shapes (as PEFT 0.17 to 0.21 save them)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .base_model import Module
from .peft_config import AdapterConfig

PREFIX = "base_model.model."
Shape = tuple[int | None, ...]

_PART = re.compile(
    r"^(?P<module>.+?)\.(?P<part>"
    r"lora_(?:A|B)\.(?:weight|bias)|lora_(?:embedding_A|embedding_B|A|B|E)|lora_magnitude_vector(?:\.weight)?"
    r"|ia3_l|vera_lambda_(?:b|d)|(?:hada|lokr)_(?:w|t)\w+|oft_R\.weight|oft_s|boft_(?:R|s)|hra_u|miss_block"
    r"|(?:token_adapter\.)?trainable_tokens_delta|ln_tuning_layers\.(?:weight|bias)|base_layer\.(?:weight|bias)"
    r"|(?:fourierft|vblora|randlora|road|shira|c3a|waveft|delora|gralora|lily|pvera|poly|frod|glora)_?\w*(?:\.weight)?"
    r")$"
)


@dataclass(frozen=True)
class Key:
    """A tensor's name in an adapter, taken apart.

    Attributes:
        module: the base module it belongs to.
        part: what of it: ``lora_A.weight``, ``ia3_l``, ...; ``saved`` for a module that is stored whole.
    """

    module: str
    part: str


def parse_key(name: str) -> Key | None:
    """Take a tensor's name apart; None where it is not one that PEFT writes for a module.

    >>> parse_key("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight")
    Key(module='model.layers.0.self_attn.q_proj', part='lora_A.weight')
    """
    if not name.startswith(PREFIX):
        return None
    rest = name.removeprefix(PREFIX)
    found = _PART.match(rest)
    if found:
        part = found["part"]
        return Key(found["module"], "lora_magnitude_vector" if part.startswith("lora_magnitude") else part)
    module, _, last = rest.replace(".modules_to_save.", ".").rpartition(".")
    return Key(module, f"saved.{last}") if module and not re.search(r"(^|\.)(lora|ia3|vera)_", rest) else None


def knows(config: AdapterConfig) -> bool:
    """Whether :func:`module_shapes` knows this method's tensors; else only their names are checked."""
    if config.peft_type == "LORA":
        return not config.flags.get("target_parameters")  # fused experts: shapes of their own
    return config.peft_type in _SHAPES


def module_shapes(config: AdapterConfig, module: Module, rank: int | None, feedforward: bool) -> dict[str, Shape]:
    """The tensors that an adapter must hold for one module.

    Args:
        config: the adapter's configuration.
        module: a module that it targets.
        rank: the module's rank.
        feedforward: IA3 scales this module's input.

    Returns:
        Shape by part of the name; None in a shape stands for any size.
    """
    if config.peft_type == "IA3":
        return _ia3(module, feedforward)
    if config.peft_type == "LORA":
        return _lora(config, module, rank)
    return _SHAPES[config.peft_type](module, rank)


def _lora(config: AdapterConfig, module: Module, rank: int | None) -> dict[str, Shape]:
    inputs, outputs = module.inputs, module.outputs
    shapes: dict[str, Shape]
    if module.kind == "embedding":
        shapes = {"lora_embedding_A": (rank, inputs), "lora_embedding_B": (outputs, rank)}
    elif module.kind == "convolution":
        ones = (1,) * len(module.kernel)
        shapes = {"lora_A.weight": (rank, inputs, *module.kernel), "lora_B.weight": (outputs, rank, *ones)}
    else:
        shapes = {"lora_A.weight": (rank, inputs), "lora_B.weight": (outputs, rank)}
    if config.flags.get("lora_bias") and module.kind != "embedding":
        shapes["lora_B.bias"] = (outputs,)
    if config.flags.get("use_dora"):
        convolution = module.kind == "convolution"
        shapes["lora_magnitude_vector"] = (1, outputs, *(1,) * len(module.kernel)) if convolution else (outputs,)
    return shapes


def _ia3(module: Module, feedforward: bool) -> dict[str, Shape]:
    size = module.inputs if feedforward else module.outputs
    if module.kind == "convolution":
        return {"ia3_l": (1, size, *(1,) * len(module.kernel))}
    return {"ia3_l": (1, size) if feedforward else (size, 1)}


def _adalora(module: Module, _: int | None) -> dict[str, Shape]:
    return {"lora_A": (None, module.inputs), "lora_B": (module.outputs, None), "lora_E": (None, 1)}


def _loha(module: Module, rank: int | None) -> dict[str, Shape]:
    if module.kind != "linear":
        return {"hada_w1_a": (None, None), "hada_w1_b": (None, None)}
    left, right = (module.outputs, rank), (rank, module.inputs)
    return {"hada_w1_a": left, "hada_w1_b": right, "hada_w2_a": left, "hada_w2_b": right}


def _vera(module: Module, rank: int | None) -> dict[str, Shape]:
    return {"vera_lambda_b": (module.outputs,), "vera_lambda_d": (rank,)}


def _hra(module: Module, rank: int | None) -> dict[str, Shape]:
    return {"hra_u": (module.inputs, rank) if module.kind == "linear" else (None, rank)}


def _miss(module: Module, rank: int | None) -> dict[str, Shape]:
    return {"miss_block": (rank, module.outputs) if module.kind == "linear" else (None, None)}


def _tokens(module: Module, _: int | None) -> dict[str, Shape]:
    return {"trainable_tokens_delta": (None, module.outputs)}


def _norm(module: Module, _: int | None) -> dict[str, Shape]:
    return {"ln_tuning_layers.weight": (None,)}


_SHAPES = {
    "IA3": lambda module, rank: _ia3(module, False),
    "ADALORA": _adalora,
    "LOHA": _loha,
    "VERA": _vera,
    "HRA": _hra,
    "MISS": _miss,
    "TRAINABLE_TOKENS": _tokens,
    "LN_TUNING": _norm,
}


def shared_shapes(config: AdapterConfig, modules: Mapping[str, Module]) -> dict[str, Shape]:
    """Tensors that belong to all modules together: VeRA's projections, by full name."""
    if config.peft_type != "VERA" or not config.flags.get("save_projection"):
        return {}
    inputs = max((module.inputs or 0 for module in modules.values()), default=0)
    outputs = max((module.outputs or 0 for module in modules.values()), default=0)
    return {"base_model.vera_A": (config.rank, inputs or None), "base_model.vera_B": (outputs or None, config.rank)}


def fits(shape: tuple[int, ...], expected: Shape) -> bool:
    """Whether a tensor's shape is the expected one.

    >>> fits((8, 64), (None, 64))
    True
    """
    return len(shape) == len(expected) and all(want in (None, have) for have, want in zip(shape, expected, strict=True))
