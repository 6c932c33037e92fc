"""transformers' own Trainer, with our order of rows, whole checkpoints only, and a journal of what the model saw."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import rotate_checkpoints

from ...errors import GroupgapError
from ..roster_file import nearest
from .forms import Prepared
from .journal import JOURNAL, Journal
from .order import Rows, SeededOrder
from .recipe import Method, Recipe

# arguments that a recipe's own keys decide, or that would undo what a comparison rests on
OURS = frozenset(
    {
        "output_dir", "seed", "data_seed", "num_train_epochs", "max_steps", "learning_rate",
        "per_device_train_batch_size", "gradient_accumulation_steps", "weight_decay", "warmup_steps", "warmup_ratio",
        "lr_scheduler_type", "max_grad_norm", "bf16", "fp16", "gradient_checkpointing", "eval_strategy", "eval_steps",
        "eval_on_start", "save_strategy", "save_steps", "save_total_limit", "save_only_model", "metric_for_best_model",
        "greater_is_better", "load_best_model_at_end", "remove_unused_columns", "label_names",
        "train_sampling_strategy", "dataloader_drop_last", "resume_from_checkpoint", "ignore_data_skip",
        "auto_find_batch_size", "push_to_hub", "restore_callback_states_from_checkpoint", "use_cpu", "do_train",
        "do_eval", "do_predict", "logging_strategy",
    }
)  # fmt: skip


def training_arguments(recipe: Recipe, method: Method, folder: Path, prepared: Prepared, device: str | None) -> Any:
    """The recipe's settings as transformers' ``TrainingArguments``; the seed comes later.

    Raises:
        GroupgapError: an argument that transformers does not have, that the recipe's own keys decide, or does not take.
    """
    settings, where = method.settings, f"{recipe.path}: methods.{method.name}.trainer"
    _refuse_arguments(settings.trainer, where)
    validated = bool(prepared.validation.ids)
    values: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "learning_rate": settings.learning_rate,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "weight_decay": settings.weight_decay,
        "warmup_steps": settings.warmup_ratio,
        "lr_scheduler_type": settings.schedule,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": settings.precision == "bfloat16",
        "fp16": settings.precision == "float16",
        "gradient_checkpointing": settings.gradient_checkpointing,
        "eval_strategy": "epoch" if validated else "no",
        "save_strategy": "epoch",
        "metric_for_best_model": "loss" if validated else None,
        "greater_is_better": False if validated else None,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "prediction_loss_only": prepared.metrics is None,
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,  # it would hide a diverged training
        "disable_tqdm": True,
        "report_to": "none",
        "dataloader_pin_memory": False,
        "use_cpu": device == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available()),
    }
    try:
        return TrainingArguments(**{**values, **settings.trainer})
    except (ValueError, TypeError, ImportError) as error:
        raise GroupgapError(f"{where}: transformers does not take it: {' '.join(str(error).split())[:300]}") from error


def _refuse_arguments(names: Iterable[str], where: str) -> None:
    known = sorted({item.name for item in fields(TrainingArguments) if item.init} - OURS)
    for name in names:
        if name in OURS:
            raise GroupgapError(f"{where}.{name}: a recipe says this by its own keys (docs/train.md)")
        if name not in known:
            raise GroupgapError(f"{where}: unknown argument {name!r:.60}: {nearest(name, known)}")


class SeededTrainer(Trainer):
    """The Trainer of every method.

    Args:
        model: what learns.
        args: from :func:`training_arguments`.
        prepared: the form's work.
        journal: notes what happens.
        stored_cache: the base's ``config.use_cache``, which checkpoints keep though the Trainer switches it off.
    """

    def __init__(self, model: Any, args: Any, prepared: Prepared, journal: Journal) -> None:
        from transformers import PrinterCallback

        self._cache = getattr(getattr(model, "config", None), "use_cache", None)
        self._prepared, self.journal = prepared, journal
        super().__init__(
            model=model,
            args=args,
            train_dataset=Rows(prepared.train),
            eval_dataset=Rows(prepared.validation) if prepared.validation.ids else None,
            data_collator=self._collate,
            compute_metrics=prepared.metrics,
            callbacks=[journal],
        )
        self.remove_callback(PrinterCallback)

    def _collate(self, rows: list[tuple[int, Any]]) -> dict[str, Any]:
        return {**self._prepared.collate([row for _, row in rows]), "places": [place for place, _ in rows]}

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SeededOrder(self._prepared.train.ids, self.args.seed, self._prepared.begin_epoch)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """The Trainer's own step; what went in is noted."""
        places = inputs.pop("places")
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.journal.saw(places, loss)
        return loss

    def prediction_step(self, model: Any, inputs: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        """The Trainer's own step, without our places."""
        return super().prediction_step(model, {k: v for k, v in inputs.items() if k != "places"}, *arguments, **named)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self._cache is not None:
            self.model.config.use_cache = self._cache
        super()._save(output_dir, state_dict)
        if self._cache is not None:
            self.model.config.use_cache = self.args.use_cache
        if self.args.should_save and output_dir and not hasattr(self.model, "peft_config"):
            self._prepared.save_beside(Path(output_dir))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """A checkpoint counts from the moment that its journal, written last, is there; then older ones go.

        Raises:
            GroupgapError: it could not be written; the last good one stays.
        """
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        try:
            super()._save_checkpoint(model, trial)
            told = self.journal.told()
            if self.args.should_save:
                _write_last(folder / JOURNAL, told)
        except Exception as error:
            if not _is_disk(error):
                raise
            shutil.rmtree(folder, ignore_errors=True)
            reason = " ".join(str(error).split())[:120]
            raise GroupgapError(
                f"{folder}: the checkpoint could not be written ({reason}): free some space and run the same command "
                "again; it goes on from the last good checkpoint"
            ) from error
        if self.args.should_save:
            best = self.best_checkpoint()
            rotate_checkpoints(self.args.output_dir, save_total_limit=1, best_model_checkpoint=best and str(best))

    def best_checkpoint(self) -> Path | None:
        """The checkpoint of the best epoch so far; by its step, since a folder may have been moved meanwhile."""
        step = self.state.best_global_step
        return Path(self.args.output_dir) / f"checkpoint-{step}" if step else None


def _write_last(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _is_disk(error: Exception) -> bool:
    """Whether a file could not be written: torch and safetensors have errors of their own for it."""
    said = str(error)
    words = ("No space left", "os error", "PytorchStreamWriter", "unexpected pos", "write failed")
    return isinstance(error, OSError) or any(word in said for word in words)


def good_checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints of a training, oldest first; what an interruption left half-written is removed."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
    for path in found:
        if not (path / JOURNAL).is_file():
            shutil.rmtree(path)
    whole = [path for path in found if path.is_dir()]
    return sorted(whole, key=lambda path: int(path.name.rpartition("-")[2]))
