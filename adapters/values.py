"""The deep look: every value of an adapter's tensors, one tensor at a time."""

from __future__ import annotations

from collections.abc import Mapping

from .finding import Finding
from .layout import PREFIX, parse_key
from .peft_config import AdapterConfig
from .tensors import Content, TensorInfo, scan

# a module changes nothing where one of these factors is all zero
_FACTORS = (
    "lora_A.weight", "lora_B.weight", "lora_embedding_A", "lora_embedding_B", "lora_E", "vera_lambda_b",
    "vera_lambda_d", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "lokr_w1", "lokr_w2", "lokr_w1_a",
    "lokr_w1_b", "lokr_w2_a", "lokr_w2_b", "miss_block", "oft_R.weight", "boft_R", "shira_weight",
)  # fmt: skip


def check_values(config: AdapterConfig, tensors: Mapping[str, TensorInfo]) -> list[Finding]:
    """Look for NaN and infinity, and for an adapter that changes nothing.

    Raises:
        GroupgapError: a file that is cut off while it is read.
    """
    contents = {name: scan(tensor) for name, tensor in tensors.items()}
    broken = sorted(name for name, content in contents.items() if not content.finite)
    if broken:
        text = (
            f"{len(broken)} of {len(contents)} tensors hold NaN or infinity, e.g. {broken[0].removeprefix(PREFIX):.160}"
        )
        return [Finding("not-finite", "refused", text, "the training diverged, or the file is damaged")]
    return _dead(config, contents)


def _dead(config: AdapterConfig, contents: Mapping[str, Content]) -> list[Finding]:
    modules: dict[str, bool] = {}
    whole, tuned = 0, 0
    for name, content in contents.items():
        key = parse_key(name)
        if key is None or key.part.startswith("saved."):
            whole += 1
            continue
        if key.part == "base_layer.weight":
            continue
        tuned += 1
        still = content.one if key.part == "ia3_l" else content.zero and key.part in _FACTORS
        modules[key.module] = modules.get(key.module, False) or still
    if config.flags.get("use_dora") or not tuned:
        return _all_zero(contents)
    still_modules = [name for name, still in modules.items() if still]
    if len(still_modules) < len(modules):
        return [_some(still_modules, len(modules))] if still_modules else []
    if whole and not all(content.zero for content in contents.values()):
        text = f"its {len(modules)} tuned modules change nothing (a factor is all zero): only what it stores whole does"
        return [Finding("dead-but-head", "served", text, "was it trained past timm's fused qkv, or not at all?")]
    text = f"it changes nothing: in all {len(modules)} modules a factor is zero"
    return [
        Finding("dead", "refused", text, "it was never trained, or saved before training: it would answer as the base")
    ]


def _all_zero(contents: Mapping[str, Content]) -> list[Finding]:
    if contents and all(content.zero for content in contents.values()):
        text = "it changes nothing: all its tensors are zero"
        return [Finding("dead", "refused", text, "it was never trained, or its file is damaged")]
    return []


def _some(still: list[str], count: int) -> Finding:
    text = f"{len(still)} of {count} modules change nothing (a factor is all zero), e.g. {still[0]:.120}"
    return Finding("partly-dead", "served", text)
