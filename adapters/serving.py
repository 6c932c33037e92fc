"""Which adapters an engine takes as they are, which only after merging, and which not at all (vLLM 0.32, PEFT 0.21)."""

from __future__ import annotations

from typing import Literal

from .base_model import HEADS
from .finding import Finding
from .peft_config import LORA_INITS_OF_THE_ADAPTER_ALONE, MERGEABLE, AdapterConfig

Engine = Literal["vllm", "hf"]
ENGINES: tuple[Engine, ...] = ("vllm", "hf")
# vLLM takes only these as max_lora_rank
ENGINE_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
_MERGE = "merge: true merges it into the base and serves that as a full variant"
_HF = "engine: hf serves it by transformers and peft"
_UNSUPPORTED = {
    "use_dora": "DoRA",
    "lora_bias": "a bias on lora_B (lora_bias)",
    "target_parameters": "LoRA on bare parameters (target_parameters)",
    "trainable_token_indices": "trained token embeddings (trainable_token_indices)",
}


def engine_rank(rank: int) -> int | None:
    """The smallest ``max_lora_rank`` of vLLM that holds a rank; None where none does.

    >>> engine_rank(24), engine_rank(600)
    (32, None)
    """
    return next((size for size in ENGINE_RANKS if size >= rank), None)


def serving(
    config: AdapterConfig, engine: Engine, rank: int | None, *, image: bool = False, without_bias: int = 0
) -> list[Finding]:
    """What keeps an engine from serving an adapter as it is.

    Args:
        config: the adapter's configuration.
        engine: ``"vllm"``, or ``"hf"`` for transformers and peft.
        rank: the largest rank of its tensors.
        image: the base is an image model: transformers and peft, or timm, answer for it whatever the engine.
        without_bias: number of target modules whose base layer has no bias: peft cannot merge a ``lora_bias`` there.
    """
    if engine == "hf" or (image and not config.is_prompt):
        return []
    if config.is_prompt:
        text = f"{config.peft_type} learns inputs, not weights: vLLM does not take it, and it cannot be merged"
        return [Finding("method", "refused", text, _HF)]
    if config.peft_type != "LORA":
        if config.peft_type in MERGEABLE:
            return [Finding("method", "merged", f"vLLM does not take {config.peft_type}", _MERGE)]
        text = f"vLLM does not take {config.peft_type}, and peft is not known to merge it"
        return [Finding("method", "refused", text, _HF)]
    return _lora(config, rank, without_bias)


def _lora(config: AdapterConfig, rank: int | None, without_bias: int) -> list[Finding]:
    findings = []
    reasons = [what for flag, what in _UNSUPPORTED.items() if config.flags.get(flag)]
    if config.flags.get("lora_bias") and without_bias:
        text = f"vLLM does not take a lora_bias, and {without_bias} of its modules have no bias to merge it into"
        findings.append(Finding("method", "refused", text, _HF))
    start = config.flags.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in LORA_INITS_OF_THE_ADAPTER_ALONE:
        reasons.append(f"init_lora_weights={start!r:.40}, which also changes the base's weights")
    if config.bias != "none":
        reasons.append(f"bias={config.bias!r:.40}")
    others = [name for name in config.modules_to_save if name not in HEADS]
    if others:
        reasons.append(f"modules_to_save other than score and classifier ({', '.join(others)!s:.120})")
    if rank is not None and engine_rank(rank) is None:
        reasons.append(f"rank {rank} (at most {ENGINE_RANKS[-1]})")
    return findings + [Finding("method", "merged", f"vLLM does not take {reason}", _MERGE) for reason in reasons]
