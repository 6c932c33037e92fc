"""Adapters in one vLLM engine: checked before vLLM sees them, under ids of their own, with one slot always left free.

Three silent faults of vLLM 0.32 are kept out here. Two requests with one ``lora_int_id`` (or one name) get the first
adapter: ids and names are never used twice. With every slot taken, rows of the base get the last slot's adapter: the
last slot is never filled, so at most ``slots - 1`` adapters lie in the engine at a time and the oldest makes room. An
adapter that ``generate`` finds out to be bad makes the next calls hang: every adapter goes through ``add_lora`` first,
and what the worker has no place for is refused there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..adapters.check import AdapterCheck, CheckOptions, check_adapter
from ..adapters.tensors import ADAPTER_WEIGHTS, read_checkpoint
from ..errors import GroupgapError


@dataclass(frozen=True)
class AdapterFolder:
    """An adapter that an engine is to serve.

    Attributes:
        name: the variant's name.
        folder: its files.
        check: what the check of its files found; None where it was skipped.
    """

    name: str
    folder: Path
    check: AdapterCheck | None = None


@dataclass(frozen=True)
class Match:
    """What the engine made of an adapter's tensors, over all its workers.

    Attributes:
        expected: tensors in the adapter's file, copies of the base's own left out.
        matched: how many of them the engine applies; where it packs experts beyond counting, all or none.
        unmatched: modules of the adapter that no worker has a place for.
        misfits: modules of another size than the engine's, in words.
    """

    expected: int
    matched: int
    unmatched: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()

    @property
    def fault(self) -> str:
        """What is wrong, in words; empty where nothing is."""
        if self.unmatched:
            count, example = len(self.unmatched), self.unmatched[0]
            return f"the engine has no place for {count} of its modules, e.g. {example:.160}"
        if self.misfits:
            return f"{len(self.misfits)} of its tensors do not fit the engine's: {self.misfits[0]:.200}"
        if self.matched != self.expected or not self.expected:
            return f"the engine applies {self.matched} of its {self.expected} tensors"
        return ""


def check_folder(name: str, folder: Path, base: Path, other_base: bool = False) -> AdapterFolder:
    """Check an adapter's files, values included, against its base.

    Raises:
        GroupgapError: vLLM cannot serve it as it is.
    """
    check = check_adapter(folder, base, CheckOptions(engine="vllm", deep=True, other_base=other_base))
    if check.verdict != "served":
        way_out = f": {check.way_out}" if check.way_out else ""
        raise GroupgapError(f"variant {name}: {folder}: {check.reason}{way_out}")
    return AdapterFolder(name, folder, check)


class EngineAdapters:
    """Loads adapters into a running engine and takes them out again.

    Args:
        llm: vLLM's ``LLM``, started with ``enable_lora`` and our worker extension.
        adapters: those that it is to serve, by name.
        slots: the engine's ``max_loras``, 2 or more.
    """

    def __init__(self, llm: Any, adapters: Mapping[str, AdapterFolder], slots: int) -> None:
        if slots < 2:
            raise GroupgapError(f"max_loras={slots}: 2 or more are needed, one slot stays free for the base's own rows")
        self._engine, self._llm = llm.llm_engine, llm
        self._adapters, self._slots = dict(adapters), slots
        self._requests: dict[str, Any] = {}  # of what lies in the engine, the longest unused first
        self._matches: dict[str, Match] = {}
        self._ids = 0

    def load(self, name: str) -> Match:
        """Put an adapter into the engine, unless it lies there already.

        Raises:
            GroupgapError: vLLM refuses it, or has no place for some of it; the engine then stands as before.
        """
        if name in self._requests:
            self._requests[name] = self._requests.pop(name)
            return self._matches[name]
        moved = [self._take_out(next(iter(self._requests))) for _ in range(len(self._requests) - self._slots + 2)]
        request = self._new_request(name)
        try:
            self._engine.add_lora(request)
            match = self._match(name, request.lora_int_id)
            fault = match.fault
        except Exception as error:  # noqa: BLE001 - vLLM raises whatever the file made Python raise
            reason = " ".join(str(error).split())[:300] or "no reason given"
            fault = f"vLLM refuses it ({type(error).__name__}: {reason})"
        if fault:
            self._engine.remove_lora(request.lora_int_id)
            for former, old in reversed(moved):
                self._engine.add_lora(old)
                self._requests = {former: old, **self._requests}
            raise GroupgapError(f"variant {name}: {self._adapters[name].folder}: {fault}")
        self._requests[name], self._matches[name] = request, match
        return match

    def _take_out(self, name: str) -> tuple[str, Any]:
        request = self._requests.pop(name)
        self._engine.remove_lora(request.lora_int_id)
        return name, request

    def _new_request(self, name: str) -> Any:
        from vllm.lora.request import LoRARequest

        self._ids += 1
        # vLLM compares requests, and keys its prefix cache, by the name
        return LoRARequest(f"{name}#{self._ids}", self._ids, str(self._adapters[name].folder))

    def add(self, adapter: AdapterFolder) -> None:
        """Make an adapter known to :meth:`load`; nothing goes into the engine yet."""
        self._adapters[adapter.name] = adapter

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters that :meth:`load` knows."""
        return tuple(self._adapters)

    def adapter(self, name: str) -> AdapterFolder:
        """One of them."""
        return self._adapters[name]

    def request(self, name: str) -> Any:
        """Load an adapter and return the ``LoRARequest`` to ask with."""
        self.load(name)
        return self._requests[name]

    def forget(self) -> None:
        """Count no adapter as loaded (the engine drops them all when its base weights are replaced)."""
        self._requests.clear()

    def _match(self, name: str, adapter_id: int) -> Match:
        answers = self._llm.collective_rpc("groupgap_adapter", args=(adapter_id,))
        # a worker of a pipeline holds some layers only: unmatched is what no worker has a place for
        unmatched = set.intersection(*(set(answer["unmatched"]) for answer in answers))
        misfits = {text for answer in answers for text in answer["misfits"]}
        applied = {module: count for answer in answers for module, count in answer["applied"].items()}
        # PEFT saves a copy of the base's own embeddings beside their LoRA, which no engine needs
        tensors = read_checkpoint(self._adapters[name].folder, ADAPTER_WEIGHTS)
        expected = sum(".base_layer." not in tensor for tensor in tensors)
        counted = expected if -1 in applied.values() else sum(applied.values())
        return Match(expected, counted, tuple(sorted(unmatched)), tuple(sorted(misfits)))

    def places(self) -> dict[str, list[Any]]:
        """Say which modules of the engine take adapters (``modules``), and the ids in its ``slots`` (None: free)."""
        answers = self._llm.collective_rpc("groupgap_places")
        return {
            "modules": sorted({module for answer in answers for module in answer["modules"]}),
            "slots": list(answers[0]["slots"]),
        }
