"""Merge an adapter into its base, for engines that cannot serve it as it is; the result is a full checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import GroupgapError
from .whole_weights import load_whole


def merge_adapter(base: Path, adapter: Path, target: Path) -> Path:
    """Write base + adapter as one checkpoint (safetensors), in the base's dtype, by transformers and peft.

    Args:
        base: the base's folder.
        adapter: the adapter's folder.
        target: the folder to write, whole or not at all.

    Returns:
        ``target``.

    Raises:
        GroupgapError: peft cannot load or merge it.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        model = load_whole(AutoModelForCausalLM, base, dtype="auto")
        merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(safe_merge=True)
        merged.save_pretrained(building, safe_serialization=True)
        AutoTokenizer.from_pretrained(str(base)).save_pretrained(building)
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError) as error:
        shutil.rmtree(building, ignore_errors=True)
        reason = " ".join(str(error).split())[:300]
        raise GroupgapError(f"{adapter}: cannot be merged into {base}: {reason}") from error
    shutil.rmtree(target, ignore_errors=True)
    building.replace(target)
    return target
