"""A sequence classifier in transformers (and peft), whose every weight comes from a file: no random head answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..adapters.check import AdapterCheck, CheckOptions, check_adapter
from ..adapters.check_full import check_full
from ..adapters.laid import has_body, lay, quiet_transformers, supplied
from ..adapters.serving import Engine
from ..errors import GroupgapError

log = logging.getLogger(__name__)
_LOADING = (ValueError, RuntimeError, KeyError, TypeError, AttributeError, OSError, ImportError, AssertionError)


@dataclass(frozen=True)
class ClassifierFiles:
    """The files of a classifier, checked.

    Attributes:
        base: folder of the whole checkpoint.
        adapter: folder of the adapter; None for the checkpoint alone.
        check: what the check of the adapter's files found.
    """

    base: Path
    adapter: Path | None = None
    check: AdapterCheck | None = None

    @property
    def labels(self) -> int | None:
        """Number of labels of the adapter's own head; None where it carries none."""
        heads = self.check.heads if self.check else ()
        last = [head for head in heads if head.name.endswith("out_proj")] or heads[-1:]
        return last[0].labels if last else None


def check_files(base: Path, adapter: Path | None, engine: Engine, *, other_base: bool = False) -> ClassifierFiles:
    """Check a classifier's files before anything loads them.

    Args:
        base: folder of the whole checkpoint.
        adapter: folder of the adapter, or None.
        engine: what is to compute it.
        other_base: take a base of another name than the adapter's configuration has.

    Raises:
        GroupgapError: a file that is damaged, a pickle, or an adapter that does not fit or has no head.
    """
    whole = check_full(base)
    if whole.verdict == "refused":
        raise GroupgapError(f"{base}: {whole.reason}{f': {whole.way_out}' if whole.way_out else ''}")
    if adapter is None:
        return ClassifierFiles(base)
    check = check_adapter(adapter, base, CheckOptions(engine=engine, deep=True, other_base=other_base))
    if check.verdict != "served":
        way_out = check.way_out if check.verdict == "refused" else "engine=hf serves it by transformers and peft"
        raise GroupgapError(f"{adapter}: {check.reason}{f': {way_out}' if way_out else ''}")
    return ClassifierFiles(base, adapter, check)


def label_names(config: Any, count: int | None = None) -> tuple[str, ...]:
    """The names of a head's labels, in the order of its rows.

    Args:
        config: the base's configuration (transformers).
        count: the head's number of labels, where an adapter brings its own; other than the configuration's, its names
            are not this head's.

    Raises:
        GroupgapError: a head that answers several labels at once, or a number.
    """
    number = count or config.num_labels
    if config.problem_type == "multi_label_classification":
        raise GroupgapError(
            "the head is a multi-label one (problem_type in config.json): its labels do not exclude each other, and a"
            " softmax over them would be no probability of a choice"
        )
    if number < 2 or config.problem_type == "regression":
        raise GroupgapError(f"the head has {number} output(s): a number (regression), not one of several labels")
    names = config.id2label if number == config.num_labels else {}
    return tuple(str(names.get(index, f"LABEL_{index}")) for index in range(number))


class TransformersClassifier:
    """Base, head and adapter in transformers and peft.

    Args:
        files: checked files.
        dtype: torch's name of a dtype, or ``auto`` for the checkpoint's own.
        device: where torch computes.
        batch_size: texts computed together.

    Raises:
        GroupgapError: it cannot be loaded, or some weight is in no file.
    """

    def __init__(self, files: ClassifierFiles, dtype: str, device: str, batch_size: int) -> None:
        self._device, self._batch_size = device, batch_size
        self.expected = self.matched = 0
        try:
            self._base, fresh = _load_base(files, dtype)
            self._model = self._base.to(device).eval()
            if files.adapter is not None:
                laid = lay(self._base, files.adapter, device, own_head=not fresh)
                self._model, self.expected, self.matched = laid.model, laid.expected, laid.matched
        except _LOADING as error:
            reason = " ".join(str(error).split())[:300]
            what = files.adapter or files.base
            raise GroupgapError(f"{what}: transformers and peft cannot load it as a classifier: {reason}") from error
        self.names = label_names(self._base.config, files.labels)
        padding = self._base.config.get_text_config().pad_token_id
        self._own_padding = padding if isinstance(padding, int) and padding >= 0 else None
        self.comparable = not fresh or has_body(Path(str(files.adapter)))

    @property
    def dtype(self) -> str:
        """Of the base's weights, e.g. ``"float32"``."""
        return str(self._base.dtype).removeprefix("torch.")

    def logits(self, texts: Sequence[Sequence[int]], *, base: bool = False, quiet: bool = True) -> NDArray[np.float64]:
        """Compute the head's logits.

        Args:
            texts: tokens of each text, special ones included, within the model's window.
            base: leave the adapter out.
            quiet: show no progress.

        Returns:
            (texts, labels).
        """
        import torch
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        found: dict[int, NDArray[np.float64]] = {}
        bar = tqdm(total=len(texts), desc="Classifying texts", disable=quiet)
        with torch.inference_mode(), self._without_adapter(base):
            for places in self._batches(order, texts):
                rows = self._batch([texts[place] for place in places])
                found |= dict(zip(places, rows, strict=True))
                bar.update(len(places))
        bar.close()
        return np.stack([found[place] for place in range(len(texts))])

    @contextmanager
    def _without_adapter(self, leave_out: bool) -> Iterator[None]:
        if not leave_out or self._model is self._base:
            yield
            return
        with self._model.disable_adapter():
            yield

    def _batches(self, order: Sequence[int], texts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        for start in range(0, len(order), self._batch_size):
            batch = list(order[start : start + self._batch_size])
            if self._padding([texts[place] for place in batch]) is None:
                yield from ([place] for place in batch)
            else:
                yield batch

    def _padding(self, batch: Sequence[Sequence[int]]) -> int | None:
        """The token to pad with: the configuration's; without one, any that no text of the batch holds.

        Decoders look for a text's last token by the padding's id, so that it must not be a text's own; None where the
        batch uses up the whole vocabulary.
        """
        config = self._base.config.get_text_config()
        if self._own_padding is not None:
            return self._own_padding
        used = {token for text in batch for token in text}
        return next((token for token in range(config.vocab_size) if token not in used), None)

    def _batch(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        import torch

        padding = self._padding(batch)
        if self._own_padding is None:
            self._base.config.get_text_config().pad_token_id = padding
        width = max(map(len, batch))
        tokens = [[*text, *[padding or 0] * (width - len(text))] for text in batch]
        mask = [[1] * len(text) + [0] * (width - len(text)) for text in batch]
        answer = self._model(
            input_ids=torch.tensor(tokens, device=self._device), attention_mask=torch.tensor(mask, device=self._device)
        )
        rows: NDArray[np.float64] = answer.logits.double().cpu().numpy()
        return rows


def _load_base(files: ClassifierFiles, dtype: str) -> tuple[Any, set[str]]:
    """The base with a head, and the names of its weights that are in no file of its own (the adapter has them)."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(str(files.base))
    label_names(config, files.labels)
    own_head: dict[str, Any] = {}
    if files.labels is not None and files.labels != config.num_labels:
        own_head = {"num_labels": files.labels, "ignore_mismatched_sizes": True}
    with quiet_transformers():
        model, info = AutoModelForSequenceClassification.from_pretrained(
            str(files.base),
            dtype="auto" if dtype == "auto" else getattr(torch, dtype),
            use_safetensors=True,
            output_loading_info=True,
            **own_head,
        )
    fresh = set(info["missing_keys"]) | {entry[0] for entry in info["mismatched_keys"]}
    random = sorted(fresh - (supplied(files.adapter) if files.adapter else set()))
    if random:
        whose = "neither it nor the adapter has" if files.adapter else "its checkpoint lacks"
        raise GroupgapError(
            f"{files.base}: {whose} {len(random)} of the classifier's weights, e.g. {random[0]:.120}: they would be"
            " random, and so would every answer; give a checkpoint that was saved as a sequence classifier, or an"
            ' adapter saved with modules_to_save=["score"] (or ["classifier"]) that holds them'
        )
    return model, fresh
