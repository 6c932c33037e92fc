"""The arguments of the ``groupgap-vllm`` backend: what it sets itself, and what it makes of the user's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..adapters.resolve import resolve
from ..adapters.serving import ENGINE_RANKS
from ..errors import GroupgapError
from .vllm_adapters import AdapterFolder

BASE = "base"
PROOFS = ("fast", "full", "none")
OURS_TO_SET = ("enable_lora", "lora_local_path", "max_cpu_loras", "worker_extension_cls")
CPU_CACHE_BYTES = 1 << 30
DEFAULT_RANK = 16


def refuse_arguments(arguments: Mapping[str, Any], proof: str) -> None:
    """Refuse what this backend sets itself, or cannot serve rightly.

    Raises:
        GroupgapError: such an argument.
    """
    taken = [name for name in OURS_TO_SET if name in arguments]
    if taken:
        raise GroupgapError(f"groupgap-vllm: {taken[0]} is set by this backend: name adapters by adapter=PATH")
    if int(arguments.get("data_parallel_size", 1)) > 1:
        raise GroupgapError(
            "groupgap-vllm: data_parallel_size > 1 starts engines anew for every call, in which no adapter can be"
            " proven: use tensor_parallel_size, or one process a part of the data"
        )
    if proof not in PROOFS:
        raise GroupgapError(f"groupgap-vllm: proof={proof!r}: expected one of {', '.join(PROOFS)}")


def adapter_folders(adapter: str | None, adapters: Mapping[str, str | Path]) -> dict[str, Path]:
    """Resolve the adapters; a single one from the command line is named after its folder or repository."""
    if adapter and adapters:
        raise GroupgapError("groupgap-vllm: adapter= and adapters= together: give one of them")
    found = {name: resolve(location).path for name, location in adapters.items()}
    if adapter:
        name = Path(adapter.partition("@")[0]).name
        found[name if name != BASE else "adapter"] = resolve(adapter).path
    if BASE in found:
        raise GroupgapError(f"groupgap-vllm: the name {BASE} is the base's own: give the adapter another")
    return found


def lora_rank(adapters: Mapping[str, AdapterFolder], asked: int | None) -> int:
    """``max_lora_rank`` for the engine: what was asked, or the smallest that holds them all."""
    needed = [adapter.check.engine_rank or 0 for adapter in adapters.values() if adapter.check]
    unknown = [DEFAULT_RANK] if len(needed) < len(adapters) else []
    rank = int(asked) if asked else max([*needed, *unknown])
    if rank not in ENGINE_RANKS or rank < max(needed, default=0):
        raise GroupgapError(
            f"groupgap-vllm: max_lora_rank={rank}: expected one of {', '.join(map(str, ENGINE_RANKS))}, and"
            f" {max(needed, default=1)} or more for these adapters"
        )
    return rank


def with_memory(arguments: dict[str, Any]) -> dict[str, Any]:
    """Bound the CPU build's cache, whose default asks for more memory than a small machine has."""
    from vllm.platforms import current_platform

    named = ("gpu_memory_utilization", "kv_cache_memory_bytes")
    if (
        not current_platform.is_cpu()
        or any(key in arguments for key in named)
        or "VLLM_CPU_KVCACHE_SPACE" in os.environ
    ):
        return arguments
    return arguments | {"kv_cache_memory_bytes": CPU_CACHE_BYTES}
