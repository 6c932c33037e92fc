"""vLLM's LoRA operators on CPU, as one dense product an adapter instead of one gathered weight matrix a token.

vLLM 0.32's torch operators copy an adapter's matrix for every token of the batch (``weights[indices]``) and are about
ten times slower than they need be; and where an index is -1 (a row of the base), Python's negative indexing gives it
the last slot's adapter. Here rows are grouped by adapter and multiplied once a group; rows of -1 get nothing.

vLLM loads :func:`install` in each of its processes, through the entry-point group ``vllm.general_plugins``. It changes
something only on the CPU platform, and only while vLLM's own functions are those that were read when this was written;
the day that they change, this steps aside. ``GROUPGAP_NO_CPU_LORA=1`` switches it off.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

OFF_SWITCH = "GROUPGAP_NO_CPU_LORA"
OPERATORS = "vllm.lora.ops.torch_ops.lora_ops"
# where vLLM has bound the operators by name
NAMED_IN = (OPERATORS, "vllm.lora.ops.torch_ops", "vllm.lora.punica_wrapper.punica_cpu")
# sha256 of the source of the functions that are replaced, as in vLLM 0.32.0
KNOWN = {
    "bgmv_shrink": "e7a5eafed74a2bc1b505dd46bfba7fefff868ac36985a5a5bc9ab1fda2f713e1",
    "bgmv_expand": "634dfed323317a2a7f920f09bb9ef8dc2d7e1843dcbe18a298053fd978f350a9",
    "bgmv_expand_slice": "3534905281a25201f61e4177acd527287e2674f39fed391849078d46b5cbe044",
}
_ORIGINALS: dict[str, Any] = {}


def install() -> bool:
    """Replace the operators where that is known to be right; never raises.

    Returns:
        Whether they are replaced now.
    """
    if os.environ.get(OFF_SWITCH, "") not in ("", "0"):
        return False
    try:
        from vllm.platforms import current_platform

        if not current_platform.is_cpu():
            return False
        module = __import__(OPERATORS, fromlist=["bgmv_shrink"])
        if installed(module):
            return True
        if not known(module):
            return False
        _ORIGINALS.update({name: getattr(module, name) for name in KNOWN})
        _bind({name: globals()[name] for name in KNOWN})
    except Exception:  # noqa: BLE001 - vLLM must start as it would without us
        return False
    return True


def uninstall() -> None:
    """Put vLLM's own operators back."""
    _bind(_ORIGINALS)
    _ORIGINALS.clear()


def installed(module: ModuleType) -> bool:
    """Whether vLLM's module of operators has ours."""
    return all(getattr(module, name, None) is globals()[name] for name in KNOWN)


def known(module: ModuleType) -> bool:
    """Whether a module's operators are, to the letter, those that ours replace."""
    return all(source_hash(getattr(module, name)) == sha256 for name, sha256 in KNOWN.items())


def source_hash(function: Any) -> str:
    """SHA-256 of a function's source text."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()


def _bind(functions: dict[str, Any]) -> None:
    for module in filter(None, map(sys.modules.get, NAMED_IN)):
        for name, function in functions.items():
            if hasattr(module, name):
                setattr(module, name, function)


def bgmv_shrink(
    inputs: torch.Tensor,
    lora_b_weights: torch.Tensor,
    output_tensor: torch.Tensor,
    lora_indices_tensor: torch.Tensor,
    scaling: float = 1.0,
) -> None:
    """Write ``scaling * A_i x`` for each row x with adapter i; zeros for rows of the base.

    Args:
        inputs: (rows, features).
        lora_b_weights: all slots' A, (slots, rank, features) or (slots, 1, rank, features). The name is vLLM's.
        output_tensor: (rows, at least rank); its first ``rank`` columns are written.
        lora_indices_tensor: (rows,) slot of each row, -1 for the base.
        scaling: a factor.
    """
    product = _multiply(inputs, lora_b_weights, lora_indices_tensor, output_tensor.dtype)
    output_tensor[:, : product.shape[1]] = product * scaling


def bgmv_expand(
    inputs: torch.Tensor,
    lora_b_weights: torch.Tensor,
    output_tensor: torch.Tensor,
    lora_indices_tensor: torch.Tensor,
    add_inputs: bool = True,
) -> None:
    """Add (or write) ``B_i x`` for each row x with adapter i; nothing (or zeros) for rows of the base.

    Args:
        inputs: (rows, rank).
        lora_b_weights: all slots' B, (slots, features, rank) or (slots, 1, features, rank).
        output_tensor: (rows, features), both possibly padded.
        lora_indices_tensor: (rows,) slot of each row, -1 for the base.
        add_inputs: add to the output instead of writing it.
    """
    product = _multiply(inputs, lora_b_weights, lora_indices_tensor, output_tensor.dtype)
    rows = 1 if product.shape[0] == 1 else output_tensor.shape[0]
    columns = min(product.shape[1], output_tensor.shape[1])
    _put(output_tensor[:, :columns], product[:rows, :columns], add_inputs)


def bgmv_expand_slice(
    inputs: torch.Tensor,
    lora_b_weights: torch.Tensor,
    output_tensor: torch.Tensor,
    lora_indices_tensor: torch.Tensor,
    slice_offset: int,
    slice_size: int,
    add_inputs: bool = True,
) -> None:
    """As :func:`bgmv_expand`, into ``slice_size`` columns from ``slice_offset`` on."""
    product = _multiply(inputs, lora_b_weights, lora_indices_tensor, output_tensor.dtype)
    _put(output_tensor[:, slice_offset : slice_offset + slice_size], product, add_inputs)


def _put(output: torch.Tensor, product: torch.Tensor, add: bool) -> None:
    if add:
        output += product
    else:
        output[:] = product


def _multiply(inputs: torch.Tensor, weights: torch.Tensor, indices: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return each row times its adapter's matrix, transposed: (rows, weights' second-last size).

    Raises:
        ValueError: not one index a row (vLLM's own operator fails there too: a batch of prompt log-probabilities has a
            row a token, and its indices are a sequence's).
    """
    if inputs.shape[0] != indices.shape[0]:
        raise ValueError(f"{inputs.shape[0]} rows, but adapter indices for {indices.shape[0]}")
    stacked = weights.squeeze(1) if weights.dim() == 4 else weights
    rows = inputs.to(dtype)
    slots = indices.unique().tolist()
    if len(slots) == 1 and slots[0] >= 0:
        return rows @ stacked[slots[0]].to(dtype).T
    product = rows.new_zeros(rows.shape[0], stacked.shape[1])
    for slot in slots:
        if slot >= 0:
            chosen = indices == slot
            product[chosen] = rows[chosen] @ stacked[slot].to(dtype).T
    return product
