"""A sequence classifier in vLLM's pooling runner, an adapter beside the base where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..adapters.base_model import HEADS
from ..adapters.tensors import read_checkpoint
from ..errors import GroupgapError, MissingExtraError, one_line_for_mistakes
from .classifier_weights import ClassifierFiles, label_names
from .vllm_adapters import AdapterFolder
from .vllm_arguments import lora_rank, with_memory

# set here, or an invitation to run code of the checkpoint
_TAKEN = ("model", "runner", "convert", "enable_lora", "max_loras", "trust_remote_code", "tokenizer", "task")


class VllmClassifier:
    """Base, head and adapter in an engine of vLLM's.

    Args:
        files: checked files; the base needs a head of its own, or vLLM would make one up.
        dtype: vLLM's name of a dtype, or ``auto``.
        window: most tokens of a text.
        options: further arguments of ``vllm.LLM``.

    Raises:
        GroupgapError: a base without a head, an argument that is set here, or an engine that does not start.
    """

    def __init__(self, files: ClassifierFiles, dtype: str, window: int | None, options: Mapping[str, Any]) -> None:
        taken = [name for name in options if name in _TAKEN]
        if taken:
            raise GroupgapError(f"groupgap-classifier: {taken[0]} is set by this backend, or not taken: leave it out")
        if not any(part in HEADS for name in read_checkpoint(files.base) for part in name.split(".")):
            raise GroupgapError(
                f"{files.base}: has no classification head (score or classifier), and vLLM would make one up:"
                " engine=hf takes the adapter's"
            )
        self.names, self.comparable, self._request = self._names(files), True, None
        self.expected = self.matched = 0
        self._llm = self._start(files, dtype, window, dict(options))
        if files.adapter is not None:
            self._load(files)

    @staticmethod
    def _names(files: ClassifierFiles) -> tuple[str, ...]:
        from transformers import AutoConfig

        return label_names(AutoConfig.from_pretrained(str(files.base)), files.labels)

    @staticmethod
    def _start(files: ClassifierFiles, dtype: str, window: int | None, options: dict[str, Any]) -> Any:
        try:
            from vllm import LLM
            from vllm.platforms import current_platform
        except ModuleNotFoundError as error:
            raise MissingExtraError("engine=vllm", "vllm", "cpu' or 'groupgap[vllm]") from error
        if current_platform.is_cpu():
            options = {"enforce_eager": True, **options}
        if files.check is not None:
            adapter = AdapterFolder("adapter", files.check.path, files.check)
            rank = lora_rank({"adapter": adapter}, options.pop("max_lora_rank", None))
            options |= {"enable_lora": True, "max_loras": 2, "max_lora_rank": rank}  # a slot stays free: vLLM #48421
        if window:
            options["max_model_len"] = window
        try:
            return LLM(model=str(files.base), runner="pooling", convert="classify", dtype=dtype, **with_memory(options))
        except Exception as error:  # vLLM raises whatever stopped it
            reason = " ".join(str(error).split())[:300]
            raise GroupgapError(
                f"{files.base}: vLLM does not start it as a classifier ({type(error).__name__}: {reason}):"
                " engine=hf serves it by transformers and peft"
            ) from error
        finally:
            one_line_for_mistakes()  # torch.distributed's hook for uncaught errors, set meanwhile, swallows our line

    def _load(self, files: ClassifierFiles) -> None:
        from vllm.lora.request import LoRARequest

        request = LoRARequest("adapter", 1, str(files.adapter))
        try:
            loaded = self._llm.llm_engine.add_lora(request)
        except Exception as error:  # vLLM raises whatever the file made Python raise
            reason = " ".join(str(error).split())[:300]
            raise GroupgapError(f"{files.adapter}: vLLM refuses it ({type(error).__name__}: {reason})") from error
        if not loaded:
            raise GroupgapError(f"{files.adapter}: vLLM does not take it, and says no reason")
        self._request = request

    @property
    def dtype(self) -> str:
        """The engine's, e.g. ``"float32"``."""
        return str(self._llm.llm_engine.model_config.dtype).removeprefix("torch.")

    @property
    def window(self) -> int:
        """Most tokens of a text."""
        return int(self._llm.llm_engine.model_config.max_model_len)

    def logits(self, texts: Sequence[Sequence[int]], *, base: bool = False, quiet: bool = True) -> NDArray[np.float64]:
        """Compute the head's logits; see :meth:`TransformersClassifier.logits`."""
        from vllm import PoolingParams

        answers = self._llm.classify(
            [{"prompt_token_ids": list(text)} for text in texts],
            pooling_params=PoolingParams(use_activation=False),
            lora_request=None if base else self._request,
            use_tqdm=not quiet,
        )
        return np.array([answer.outputs.probs for answer in answers], dtype=np.float64)
