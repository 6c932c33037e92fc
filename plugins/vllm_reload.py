"""Full fine-tunes in a running engine: their weights take the base's place, and the base's come back.

Reloading takes a fraction of a second where an engine takes ten or more. vLLM compares nothing: of an incomplete
checkpoint it keeps the base's values, of another size it dies. So names, shapes and types are compared first, and the
cache of prefixes, which holds the old weights' keys, is emptied after.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..adapters.check_full import FullCheck, check_full
from ..errors import GroupgapError


@dataclass(frozen=True)
class FullFolder:
    """A full fine-tune that can take its base's place.

    Attributes:
        name: the variant's name.
        folder: its files.
        check: what the comparison with the base found.
    """

    name: str
    folder: Path
    check: FullCheck


def check_reload(name: str, folder: Path, base: Path) -> FullFolder:
    """Compare a full checkpoint with its base; nothing is loaded.

    Raises:
        GroupgapError: it is damaged or incomplete, or needs an engine of its own.
    """
    check = check_full(folder, base, deep=True)
    if check.verdict != "served":
        way_out = f": {check.way_out}" if check.way_out else ""
        raise GroupgapError(f"variant {name}: {folder}: {check.reason}{way_out}")
    if not check.reload:
        raise GroupgapError(
            f"variant {name}: {folder}: {check.own_engine}: its weights cannot take the base's place in a running"
            f" engine; start one for it (pretrained={folder})"
        )
    return FullFolder(name, folder, check)


def replace_weights(llm: Any, folder: Path) -> None:
    """Load a checked checkpoint's weights into the engine and empty its cache of prefixes; adapters in it are dropped.

    Raises:
        GroupgapError: vLLM could not; the engine must not be asked any more.
    """
    try:
        llm.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
        llm.collective_rpc("groupgap_tie_head")
        emptied = llm.reset_prefix_cache()
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise GroupgapError(
            f"{folder}: vLLM could not reload its weights ({type(error).__name__}: {reason}): the engine is of no use"
            " any more, start a new one"
        ) from error
    if not emptied:
        raise GroupgapError(f"{folder}: vLLM did not empty its cache of prefixes, which holds the former weights' keys")
