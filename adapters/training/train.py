"""One training: loaded, seeded, trained by the Trainer, its best epoch taken, and put where it belongs as a whole."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any

from ...errors import GroupgapError
from ..tensors import weight_hashes
from .forms import Prepared, TaskData
from .journal import Journal
from .memory import peak_memory, start_memory
from .methods import apply_method
from .order import order_hash
from .recipe import Method, Recipe
from .record import RECORD, Training, has_record, made_by, read_training
from .trainer import SeededTrainer, good_checkpoints, training_arguments

WORK = ".training"
READ = 16  # rows whose tokens enter a training's fingerprint
_LEFT = (
    "optimizer.pt",
    "scheduler.pt",
    "scaler.pt",
    "training_args.bin",
    "trainer_state.json",
    "journal.json",
    "README.md",
)
_LIBRARIES = ("groupgap", "torch", "transformers", "peft", "accelerate", "lm_eval", "tokenizers", "safetensors", "timm")
_STALE = "the recipe, the base, the data or the weights themselves changed"


@dataclass(frozen=True)
class Job:
    """One training to be done.

    Attributes:
        recipe: the comparison.
        method: one side of it.
        seed: of order, new weights and dropout.
        prepared: the form's work, shared by all methods.
        base: folder of the base.
        base_hashes: SHA-256 by file, or the hub's commit.
        data_hash: hash of the rows, by :func:`rows_hash`.
        validation_hash: hash of the validation rows' ids; None without any.
        out: the folder of all trainings.
        device: ``cpu``, ``cuda`` or None for what is there.
        command: how it was started.
        progress: called with one line at a time.
    """

    recipe: Recipe
    method: Method
    seed: int
    prepared: Prepared
    base: Path
    base_hashes: Mapping[str, str]
    data_hash: str
    validation_hash: str | None
    out: Path
    device: str | None
    command: str
    progress: Callable[[str], None]

    @property
    def name(self) -> str:
        """Its folder's name: method and seed."""
        return f"{self.method.name}-{self.seed}"

    @property
    def folder(self) -> Path:
        """Where the result goes."""
        return self.out / self.name

    @property
    def fingerprint(self) -> str:
        """A hash of all that the result depends on, library versions apart."""
        told = [self.recipe.told(self.method), self.seed, sorted(self.base_hashes.items()), self.data_hash]
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def hash_of(what: Any) -> str:
    """``sha256:`` and the hash of plain data."""
    return f"sha256:{hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()}"


def rows_hash(data: TaskData, prepared: Prepared) -> str:
    """A hash of the rows and of how a model reads them: ids, documents, and the first rows as a text form made them,
    in which another wording of the prompt or another tokenizer shows.
    """
    images = prepared.engine == "timm"  # their files have hashes in the documents
    read = [] if images else [prepared.train.rows[place] for place in range(min(READ, len(prepared.train.ids)))]
    return hash_of([data.train.ids, data.train.documents, data.validation.ids, data.validation.documents, read])


def quiet() -> None:
    """Our own lines say how it goes: no bars and no advice of libraries between them."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def finished(job: Job) -> bool:
    """Whether the job's folder holds the result of exactly this training, its weights as they were written."""
    try:
        training = read_training(job.folder)
        return training.fingerprint == job.fingerprint and made_by(training, job.folder)
    except GroupgapError:
        return False


def train(job: Job) -> Training:
    """Train, from the last good checkpoint where there is one, and put the result into ``job.folder``.

    Raises:
        GroupgapError: PEFT or transformers do not take the recipe, the memory or the disk is too small, the loss is no
            number, something that is no training lies in the result's place, or another process trains it.
        KeyboardInterrupt: stopped by SIGINT or SIGTERM, after a checkpoint.
    """
    from accelerate import PartialState

    arguments = training_arguments(job.recipe, job.method, job.out / WORK / job.name, job.prepared, job.device)
    main = PartialState().is_main_process
    with _alone(job) if main else nullcontext():
        return _train(job, arguments, main)


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """Hold the training's lock, which the system lets go of when the process ends, however it ends."""
    place = job.out / WORK / f"{job.name}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GroupgapError(
                f"{job.folder}: another groupgap train is at work on it: let that end, or choose another -o"
            ) from None
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def _train(job: Job, arguments: Any, main: bool) -> Training:
    from accelerate import PartialState

    work = job.out / WORK / job.name
    if main:
        _begin(job, work)
    PartialState().wait_for_everyone()
    checkpoints = good_checkpoints(work)
    journal = Journal(job.name, job.prepared.train.ids, job.progress, job.method.settings.checkpoint_steps)
    start_memory()
    with _out_of_memory(job):
        model = _model(job)
        counts = _counts(model)
        arguments.seed = job.seed
        trainer = SeededTrainer(model, arguments, job.prepared, journal)
        if checkpoints:
            journal.restore(checkpoints[-1])
            job.progress(f"{job.name}: goes on from step {checkpoints[-1].name.rpartition('-')[2]}")
        with _stoppable(journal, job.progress):
            trainer.train(resume_from_checkpoint=str(checkpoints[-1]) if checkpoints else None)
    if journal.stopped:
        raise KeyboardInterrupt
    record = _record(job, trainer, counts)
    if main:
        record = _finish(job, work, _chosen(job, trainer), record)
    PartialState().wait_for_everyone()
    return record


def _begin(job: Job, work: Path) -> None:
    """Remove what belongs to another recipe, base or data, and note what this belongs to.

    Raises:
        GroupgapError: where the result is to go lies something that is no training.
    """
    if has_record(job.folder):
        job.progress(f"{job.name}: {_STALE}: trained anew, and what is in {job.folder} is replaced at the end")
    elif job.folder.exists():
        raise GroupgapError(
            f"{job.folder}: is there and holds no {RECORD}, so it is not replaced: move it away, or choose another -o"
        )
    mark = work / "fingerprint"
    if work.is_dir() and (not mark.is_file() or mark.read_text() != job.fingerprint):
        job.progress(f"{job.name}: {_STALE}: its checkpoints go")
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    mark.write_text(job.fingerprint)


def _model(job: Job) -> Any:
    """The base with its head, and the method's adapter: each from a seed of its own, so that heads start alike."""
    from transformers import set_seed

    set_seed(job.seed)
    model = job.prepared.load()
    set_seed(job.seed + 1)
    return apply_method(model, job.recipe, job.method, job.prepared, job.recipe.base)


def _counts(model: Any) -> tuple[int, int]:
    """Trained and all parameters; tied ones once."""
    return (
        sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        sum(parameter.numel() for parameter in model.parameters()),
    )


@contextmanager
def _stoppable(journal: Journal, progress: Callable[[str], None]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM end the training at a checkpoint, and the second at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if journal.stop:
            raise KeyboardInterrupt
        journal.stop = True
        progress("stopping after this step, with a checkpoint (again to stop at once)")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _out_of_memory(job: Job) -> Iterator[None]:
    import torch

    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in str(error):
            raise
        settings = job.method.settings
        raise GroupgapError(
            f"{job.recipe.path}: methods.{job.method.name}: out of memory: lower batch_size ({settings.batch_size}) "
            f"and raise gradient_accumulation ({settings.gradient_accumulation}) as much, lower max_length, or set "
            "gradient_checkpointing: true, precision: bfloat16, or, on several GPUs, trainer: {fsdp: ...}"
        ) from error


def _chosen(job: Job, trainer: SeededTrainer) -> Path:
    """The checkpoint whose weights are the result.

    Raises:
        GroupgapError: no epoch has a validation loss that is a number, or the checkpoint holds no weights.
    """
    best = trainer.best_checkpoint() if job.method.settings.select == "best" else None
    chosen = best or good_checkpoints(Path(trainer.args.output_dir))[-1]
    if not list(chosen.glob("*.safetensors")):
        raise GroupgapError(
            f"{chosen}: holds no safetensors weights: with FSDP say fsdp_config: {{state_dict_type: FULL_STATE_DICT}}, "
            "with DeepSpeed stage3_gather_16bit_weights_on_model_save"
        )
    return chosen


def _record(job: Job, trainer: SeededTrainer, counts: tuple[int, int]) -> Training:
    notes, recipe = trainer.journal.notes, job.recipe
    losses = notes.epochs
    selected = losses[-1]["epoch"]
    if job.method.settings.select == "best":
        selected = min(losses, key=lambda epoch: epoch["validation"])["epoch"]
    peak, peak_of = peak_memory()
    assert notes.first_loss is not None  # noted at the first of at least one update
    return Training(
        name=job.name,
        recipe=recipe.told(job.method),
        method=job.method.method,
        seed=job.seed,
        base=recipe.base,
        base_hashes=dict(job.base_hashes),
        form=recipe.form,
        task=recipe.task,
        task_options=dict(recipe.task_options),
        row_ids=job.prepared.document_ids,
        validation_ids_hash=job.validation_hash,
        batch_order=order_hash(notes.orders),
        epoch_orders=tuple(notes.orders),
        first_loss=notes.first_loss,
        losses=tuple(losses),
        selected_epoch=selected,
        trained_parameters=counts[0],
        total_parameters=counts[1],
        steps=notes.steps,
        seconds=round(notes.seconds, 3),
        seconds_per_step=round(notes.step_seconds / notes.steps, 6),
        peak_memory_bytes=peak,
        peak_memory_of=peak_of,
        world_size=trainer.args.world_size,
        device=_device(trainer.args.device),
        versions=_versions(),
        command=job.command,
        fingerprint=job.fingerprint,
        notes=job.prepared.notes,
    )


def _device(device: Any) -> str:
    import torch

    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type}, {torch.get_num_threads()} threads"
    )


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _finish(job: Job, work: Path, chosen: Path, record: Training) -> Training:
    """Build the result beside its place, and put it there in one step; the record with the hashes of its weights."""
    build = job.out / WORK / f"{job.name}.result"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    try:
        for path in sorted(chosen.iterdir()):
            if path.is_file() and path.name not in _LEFT and not path.name.startswith(("rng_state", ".")):
                shutil.copyfile(path, build / path.name)
        record = replace(record, weights=weight_hashes(build))
        (build / RECORD).write_text(json.dumps(record.to_json(), indent=1, allow_nan=False), encoding="utf-8")
        for path in build.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    except OSError as error:
        shutil.rmtree(build, ignore_errors=True)
        raise GroupgapError(
            f"{job.folder}: cannot be written ({error.strerror}): free some space and run the same command again"
        ) from error
    old = job.out / WORK / f"{job.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if job.folder.exists():
        job.folder.rename(old)
    build.rename(job.folder)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(work)
    return record
