"""Vision adapters of transformers 4, renamed so that PEFT can load them beside transformers 5."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .base_model import RENAMED, to_transformers_5
from .layout import PREFIX, Key, parse_key
from .peft_config import CONFIG, read_adapter_config
from .safe_json import read_json_object
from .targets import Matcher
from .tensors import ADAPTER_WEIGHTS, TensorInfo, inside, pieces, read_checkpoint


def convert_to_transformers_5(folder: Path, target: Path, model_type: str) -> Path:
    """Write an adapter again with the module names of transformers 5; the values are copied as they are.

    Args:
        folder: an adapter whose check says ``converts_from="transformers-4"``.
        target: the folder to write; must not exist.
        model_type: the base's, e.g. ``"vit"``.

    Returns:
        ``target``.

    Raises:
        GroupgapError: a family that was not renamed, or an adapter that cannot be read or written.
    """
    if model_type not in RENAMED:
        raise GroupgapError(f"{folder}: the modules of {model_type} were not renamed in transformers 5")
    tensors = read_checkpoint(folder, ADAPTER_WEIGHTS)
    keys = {name: key for name in tensors if (key := parse_key(name))}
    today = {key.module: to_transformers_5(key.module, model_type) for key in keys.values()}
    header = json.dumps({"__metadata__": {"format": "pt"}, **_header(tensors, keys, today)}).encode()
    tuned = {key.module: today[key.module] for key in keys.values() if not key.part.startswith("saved.")}
    values = _configuration(folder, tuned)
    try:
        target.mkdir(parents=True)
        (target / CONFIG).write_text(json.dumps(values, indent=2))
        with (target / ADAPTER_WEIGHTS).open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            for tensor in tensors.values():
                file.writelines(pieces(tensor))
    except OSError as error:
        raise GroupgapError(f"{target}: cannot be written ({error.strerror})") from None
    return target


def _header(
    tensors: Mapping[str, TensorInfo], keys: Mapping[str, Key], today: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    header, reached = {}, 0
    for name, tensor in tensors.items():
        size = tensor.end - tensor.start
        key = keys.get(name)
        if key:
            name = f"{PREFIX}{today[key.module]}.{name.removeprefix(f'{PREFIX}{key.module}.')}"
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [reached, reached + size]}
        reached += size
    return header


def _configuration(folder: Path, tuned: Mapping[str, str]) -> dict[str, Any]:
    """The configuration with every tuned module named in full, so that no pattern has to be translated."""
    values, matcher = read_json_object(inside(folder, CONFIG)), Matcher(read_adapter_config(folder))
    values |= {"target_modules": sorted(tuned.values()), "exclude_modules": None, "layers_to_transform": None}
    values["layers_pattern"] = None
    if values.get("rank_pattern"):
        values["rank_pattern"] = {new: matcher.rank(old) for old, new in tuned.items()}
    if values.get("alpha_pattern"):
        values["alpha_pattern"] = {new: matcher.alpha(old) for old, new in tuned.items()}
    return values
