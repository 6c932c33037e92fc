"""What happened in a training, noted as it happens and kept with every checkpoint."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn

from transformers import TrainerCallback

from ...errors import GroupgapError
from ..safe_json import read_json_object
from .order import order_hash

JOURNAL = "journal.json"
_JOURNAL_BYTES = 1 << 28
_SECONDS_A_LINE = 15.0


@dataclass
class Notes:
    """The part of a journal that a checkpoint keeps.

    Attributes:
        rows: places of the rows that the model saw in the current epoch, in order.
        orders: for each finished epoch, the hash of the row ids in the order in which the model saw them.
        epochs: for each finished epoch: epoch, train (mean loss), validation (loss or None), and the form's metrics.
        loss_sum: sum of the updates' losses in the current epoch.
        updates: updates in the current epoch.
        first_loss: loss of the first update, before it.
        step_seconds: seconds that all updates took, evaluation and checkpoints apart.
        steps: updates in all.
        seconds: seconds in all, interrupted parts too.
    """

    rows: list[int] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    loss_sum: float = 0.0
    updates: int = 0
    first_loss: float | None = None
    step_seconds: float = 0.0
    steps: int = 0
    seconds: float = 0.0


class Journal(TrainerCallback):
    """Notes what the model saw and how it did, says so, and stops the training where it is asked to.

    Args:
        name: the training's, for the progress lines.
        ids: ids of the training rows.
        progress: called with one line at a time.
        checkpoint_steps: a checkpoint after every so many updates, beside those of the epochs.
    """

    def __init__(
        self, name: str, ids: Sequence[str], progress: Callable[[str], None], checkpoint_steps: int | None = None
    ) -> None:
        self.notes = Notes()
        self.stop = False
        self.stopped = False
        self._name, self._ids, self._say, self._every = name, ids, progress, checkpoint_steps
        self._losses: list[Any] = []
        self._batches: list[list[int]] = []
        self._began = self._last_line = self._step_began = time.monotonic()

    def restore(self, checkpoint: Path) -> None:
        """Take up the notes of a checkpoint.

        Raises:
            GroupgapError: another version of groupgap wrote it.
        """
        told = read_json_object(checkpoint / JOURNAL, _JOURNAL_BYTES, max_values=100_000_000)
        if missing := [item.name for item in fields(Notes) if item.name not in told]:
            raise GroupgapError(
                f"{checkpoint}: another version of groupgap wrote it ({JOURNAL} has no {missing[0]!r}): remove "
                f"{checkpoint.parent} and run the same command again"
            )
        self.notes = Notes(**{item.name: told[item.name] for item in fields(Notes)})

    def told(self) -> dict[str, Any]:
        """The notes as plain JSON, up to now; called by all processes together."""
        self._settle()
        self._gather()
        now = time.monotonic()
        self.notes.seconds += now - self._began
        self._began = now
        return dict(vars(self.notes))

    def saw(self, places: Sequence[int], loss: Any) -> None:
        """One batch went through the model: the places of its rows, and its share of the update's loss (a tensor)."""
        self._batches.append(list(places))
        self._losses.append(loss)

    def _settle(self) -> None:
        """Losses are read from the device only now and then: each reading makes the host wait for it."""
        if self._losses:
            self.notes.loss_sum += float(sum(float(loss) for loss in self._losses))
            self._losses = []

    def _gather(self) -> None:
        """Take in the rows that this process and its fellows saw, in the order in which the batches were dealt."""
        dealt = itertools.zip_longest(*_everywhere(self._batches), fillvalue=[])
        self.notes.rows.extend(place for turn in dealt for batch in turn for place in batch)
        self._batches = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The Trainer's hook."""
        self._began = self._last_line = time.monotonic()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The Trainer's hook."""
        self._step_began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The Trainer's hook: after an update."""
        notes = self.notes
        if notes.first_loss is None:
            self._settle()
            notes.first_loss = _mean(notes.loss_sum)
        notes.updates += 1
        notes.steps += 1
        now = time.monotonic()
        notes.step_seconds += now - self._step_began
        if now - self._last_line > _SECONDS_A_LINE:
            self._line(state)
        if _epoch_ends(state):
            return  # the epoch's own checkpoint comes, with its evaluation
        if self.stop:
            control.should_save = control.should_training_stop = self.stopped = True
        elif self._every and state.global_step % self._every == 0:
            control.should_save = True

    def _line(self, state: Any) -> None:
        self._last_line = time.monotonic()
        self._settle()
        notes = self.notes
        left = (state.max_steps - state.global_step) * notes.step_seconds / max(notes.steps, 1)
        self._say(
            f"{self._name}: step {state.global_step} of {state.max_steps}, loss {notes.loss_sum / notes.updates:.4f}, "
            f"{notes.step_seconds / notes.steps:.3f} s a step, about {left:.0f} s left"
        )

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The Trainer's hook: all rows seen, or stopped on the way."""
        if self.stopped:
            control.should_evaluate = control.should_save = False
            return
        self._settle()
        self._gather()
        notes = self.notes
        notes.orders.append(order_hash(self._ids[place] for place in notes.rows))
        train = _mean(notes.loss_sum / notes.updates) if notes.updates else None
        if train is not None and not math.isfinite(train):
            self._diverged()
        notes.epochs.append({"epoch": len(notes.epochs) + 1, "train": train, "validation": None})
        notes.rows, notes.loss_sum, notes.updates = [], 0.0, 0
        if not control.should_evaluate:
            self._epoch_line()
        if self.stop and state.global_step < state.max_steps:
            control.should_training_stop = self.stopped = True

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        """The Trainer's hook: the validation rows were asked."""
        found = {name.removeprefix("eval_"): value for name, value in metrics.items() if name.startswith("eval_")}
        timing = ("runtime", "samples_per_second", "steps_per_second", "loss")
        scores = {name: float(value) for name, value in found.items() if name not in timing}
        self.notes.epochs[-1] |= {"validation": float(found["loss"]), **scores}
        self._epoch_line()
        if not math.isfinite(self.notes.epochs[-1]["validation"]):
            self._diverged()

    def _diverged(self) -> NoReturn:
        raise GroupgapError(f"{self._name}: the loss is no number any more: lower its learning_rate")

    def _epoch_line(self) -> None:
        told = [
            f"{name} {value:.4f}"
            for name, value in self.notes.epochs[-1].items()
            if name != "epoch" and value is not None
        ]
        self._say(f"{self._name}: epoch {len(self.notes.epochs)}: {', '.join(told)}")


def _everywhere(value: Any) -> list[Any]:
    """The value of every process that trains, in order."""
    from accelerate import PartialState
    from accelerate.utils import gather_object

    found: list[Any] = [value] if PartialState().num_processes == 1 else gather_object([value])
    return found


def _mean(loss: float) -> float:
    losses = _everywhere(loss)
    return float(sum(losses) / len(losses))


def _epoch_ends(state: Any) -> bool:
    return state.epoch == int(state.epoch) or state.global_step >= state.max_steps
