"""vLLM's rank of a sampled token on CPU, uncompiled: log-probabilities without a C++ compiler, and 4 seconds sooner.

vLLM 0.32 compiles one small function of its sampler, ``batched_count_greater_than``, even with ``enforce_eager``. On a
CPU that takes a C++ compiler (without one, the first request for log-probabilities ends the engine with an
InductorError) and some 4 seconds in each process. The function is one comparison and one sum; here it runs as written.

vLLM loads :func:`install` in each of its processes, as it does that of :mod:`groupgap.plugins.cpu_lora`, under the same
conditions and the same switch.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from .cpu_lora import OFF_SWITCH, source_hash

if TYPE_CHECKING:
    import torch

MODULE = "vllm.v1.sample.ops.logprobs"
NAME = "batched_count_greater_than"
# sha256 of its source in vLLM 0.32.0
KNOWN = "85869de0f00bb508e22b4995ea7d0db2be72aeb33f444922abfa6f9984ea24d6"


def install() -> bool:
    """Replace the function where it is the one that we know; never raises.

    Returns:
        Whether it is replaced now.
    """
    if os.environ.get(OFF_SWITCH, "") not in ("", "0"):
        return False
    try:
        from vllm.platforms import current_platform

        if not current_platform.is_cpu():
            return False
        module = __import__(MODULE, fromlist=[NAME])
        if getattr(module, NAME) is not batched_count_greater_than:
            if source_hash(getattr(module, NAME)) != KNOWN:
                return False
            _bind(getattr(module, NAME))
    except Exception:  # noqa: BLE001 - vLLM must start as it would without us
        return False
    return True


def batched_count_greater_than(x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Count in each row of x, (rows, n), the elements that are at least the row's value, (rows, 1): (rows,)."""
    return (x >= values).sum(-1)


def _bind(theirs: object) -> None:
    """Put ours wherever vLLM has bound its function by name."""
    for name, module in list(sys.modules.items()):
        if name.startswith("vllm.v1.") and isinstance(module, ModuleType) and vars(module).get(NAME) is theirs:
            setattr(module, NAME, batched_count_greater_than)
