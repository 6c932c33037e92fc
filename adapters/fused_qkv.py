"""timm's fused qkv: where the projection's biases stand apart, a LoRA on ``qkv`` is passed by unnoticed."""

from __future__ import annotations

from collections.abc import Collection

from .base_model import BaseModel
from .finding import Finding


def check_fused_qkv(base: BaseModel, tuned: Collection[str]) -> list[Finding]:
    """Warn of an adapter on a ``qkv`` whose forward bypasses the module (timm's Swin-v2, BEiT, BEiT-v2, EVA-02).

    There timm computes ``F.linear(x, weight=self.qkv.weight, bias=cat(q_bias, k_bias, v_bias))``: the LoRA layer around
    ``qkv`` is never called, and merging would change the model all the same.
    """
    apart = {name.removesuffix(".q_bias") + ".qkv" for name in base.tensors if name.endswith(".q_bias")}
    hit = sorted(set(tuned) & apart)
    if not hit:
        return []
    text = f"{len(hit)} of its modules are timm's fused qkv with separate biases ({hit[0]:.80}), which bypasses a LoRA"
    return [
        Finding("fused-qkv", "served", text, "set qkv_bias_separate = True on the base's attention before wrapping it")
    ]
