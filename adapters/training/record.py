"""``training.json``: what a model was trained on, how, and what that cost; written once, read by whoever judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ...errors import GroupgapError
from ..safe_json import read_json_object
from ..tensors import SAFETENSORS, inside, weight_hashes

RECORD = "training.json"
SCHEMA = "groupgap.training/1"
RECORD_BYTES = 1 << 28
MAX_VALUES = 20_000_000


@dataclass(frozen=True)
class Training:
    """One finished training.

    Attributes:
        name: ``<method>-<seed>``, its folder's name.
        recipe: the resolved recipe of its method: what two trainings that differ in the seed have in common.
        method: as rosters spell it.
        seed: of order, new weights and dropout.
        base: folder or hub id of the base.
        base_hashes: SHA-256 by file, or the hub's commit.
        form: the recipe's form.
        task: lm-eval task.
        task_options: as the task was loaded.
        part: the task's part that was trained on.
        row_ids: the documents that were trained on.
        validation_ids_hash: hash of the validation documents' ids in order; None without any.
        batch_order: hash over all epochs of the row ids in the order in which the model saw them.
        epoch_orders: the same for each epoch: methods with another number of epochs share those that both have.
        first_loss: mean loss of the first update's rows, before that update.
        losses: for each epoch ``{"epoch", "train", "validation", ...}``; validation is None without validation rows.
        selected_epoch: the one whose weights these are, from 1.
        trained_parameters: numbers that were learnt.
        total_parameters: numbers of the whole model while it was trained, the adapter's included.
        steps: updates.
        seconds: wall time of the training, interrupted parts included, loading apart.
        seconds_per_step: mean wall time of an update, evaluation and checkpoints apart.
        peak_memory_bytes: of the GPU where one was used, else of the process; None where the system does not tell.
        peak_memory_of: ``cuda`` or ``process``.
        world_size: processes that trained together.
        device: what it ran on.
        versions: of the libraries.
        command: how it was started.
        notes: what a reader should know.
        fingerprint: hash of all that the result depends on, library versions apart.
        weights: SHA-256 of the safetensors files that it wrote, by name.
    """

    name: str
    recipe: Mapping[str, Any]
    method: str
    seed: int
    base: str
    base_hashes: Mapping[str, str]
    form: str
    task: str
    task_options: Mapping[str, Any]
    row_ids: tuple[str, ...]
    validation_ids_hash: str | None
    batch_order: str
    epoch_orders: tuple[str, ...]
    first_loss: float
    losses: tuple[Mapping[str, Any], ...]
    selected_epoch: int
    trained_parameters: int
    total_parameters: int
    steps: int
    seconds: float
    seconds_per_step: float
    peak_memory_bytes: int | None
    peak_memory_of: str
    world_size: int
    device: str
    versions: Mapping[str, str]
    command: str
    fingerprint: str
    weights: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    part: str = "train"
    schema: str = field(default=SCHEMA)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the schema first."""
        return {"schema": self.schema, **{key: value for key, value in asdict(self).items() if key != "schema"}}


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "Mapping[str, Any]": (dict,),
    "Mapping[str, str]": (dict,),
    "tuple[str, ...]": (list,),
    "tuple[Mapping[str, Any], ...]": (list,),
    "str | None": (str, type(None)),
    "int | None": (int, type(None)),
}


def read_training(folder: Path | str) -> Training:
    """Read a folder's ``training.json``, which a stranger may have written.

    Raises:
        GroupgapError: absent, not JSON, of another schema, or a field that is missing or of another type.
    """
    path = inside(Path(folder), RECORD)
    told = read_json_object(path, RECORD_BYTES, max_values=MAX_VALUES)
    if told.get("schema") != SCHEMA:
        raise GroupgapError(f"{path}: expected the schema {SCHEMA!r}, got {told.get('schema')!r:.60}")
    values: dict[str, Any] = {}
    for item in fields(Training):
        value = told.get(item.name)
        inner = dict if "Mapping" in str(item.type) else str
        if (
            not isinstance(value, _KINDS[str(item.type)])
            or isinstance(value, bool)
            or (isinstance(value, list) and not all(isinstance(one, inner) for one in value))
        ):
            raise GroupgapError(f"{path}: expected {item.name!r} to be {item.type}, got {value!r:.60}")
        values[item.name] = tuple(value) if isinstance(value, list) else value
    return Training(**values)


def made_by(training: Training, folder: Path, hashes: Mapping[str, str] | None = None) -> bool:
    """Whether the weights in a folder are those that the training wrote: a record beside other weights says nothing.

    Args:
        training: what the folder's record says.
        folder: where the weights are.
        hashes: SHA-256 of the folder's files, where they are known already.
    """
    known = {name: digest for name, digest in (hashes or {}).items() if name.endswith(SAFETENSORS)}
    return bool(training.weights) and dict(training.weights) == (known or weight_hashes(folder))


def has_record(folder: Path) -> bool:
    """Whether a folder says how it was trained."""
    return (folder / RECORD).is_file()
