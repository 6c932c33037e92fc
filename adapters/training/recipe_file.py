"""The recipe's YAML: one comparison, with everything that its methods share and what each has of its own.

Numbers may be written as 1e-3, which YAML 1.1 itself would take for a text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from ..roster_file import Located, OptionsFile, Path_, Seed, TaskFile, nearest, parse_yaml

Form = Literal["prompt", "classifier", "language_model", "image_classifier"]
Schedule = Literal["linear", "cosine", "constant", "constant_with_warmup"]
Precision = Literal["float32", "bfloat16", "float16"]
Select = Literal["best", "last"]
Scale = Literal["alpha", "alpha_over_r"]
_LITERALS = {"form": Form, "schedule": Schedule, "precision": Precision, "select": Select, "scale": Scale}
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SettingsFile(_Strict):
    """How a model is trained: for all methods, or for one."""

    epochs: StrictInt | None = Field(None, ge=1, description="passes over the training rows; 1 where absent")
    max_steps: StrictInt | None = Field(None, ge=1, description="stop after so many optimizer steps, to try a recipe")
    learning_rate: Positive | None = Field(None, description="its peak; needed, for all or for each method")
    batch_size: StrictInt | None = Field(None, ge=1, description="rows a step on each device; 8 where absent")
    gradient_accumulation: StrictInt | None = Field(None, ge=1, description="steps that make one update; 1")
    weight_decay: Annotated[float, Field(ge=0)] | None = Field(None, description="of AdamW; 0 where absent")
    warmup_ratio: Share | None = Field(None, description="share of the steps in which the rate rises; 0")
    schedule: Schedule | None = Field(None, description="how the rate falls; linear where absent")
    max_grad_norm: Annotated[float, Field(ge=0)] | None = Field(None, description="0 clips nothing; 1 where absent")
    precision: Precision | None = Field(None, description="of the arithmetic; weights stay float32; float32")
    gradient_checkpointing: StrictBool | None = Field(None, description="less memory for more time; false")
    select: Select | None = Field(None, description="the epoch with the best validation loss, or the last; best")
    checkpoint_steps: StrictInt | None = Field(None, ge=1, description="a checkpoint every so many updates too")
    trainer: dict[StrictStr, Any] | None = Field(None, description="more of transformers' TrainingArguments: fsdp, ...")


class MethodFile(SettingsFile):
    """One side of the comparison."""

    method: StrictStr | None = Field(None, description="full, head, lora, dora, ...; the entry's name where absent")
    r: StrictInt | None = Field(None, ge=0, description="rank; 0 trains the head alone")
    ranks: list[Annotated[StrictInt, Field(ge=0)]] | None = Field(None, min_length=1, description="one variant a rank")
    alpha: Positive | None = Field(None, description="lora_alpha; PEFT's own where absent")
    scale: Scale | None = Field(
        None, description="what stays while ranks differ: alpha, or alpha/r as it is at rank r (8 where absent)"
    )
    dropout: Share | None = Field(None, description="dropout before the adapter; 0 where absent")
    targets: list[StrictStr] | StrictStr | None = Field(None, description="target_modules; PEFT's own where absent")
    options: dict[StrictStr, Any] = Field(default_factory=dict, description="more fields of PEFT's configuration")


class RosterPart(_Strict):
    """What ``--roster`` writes beside the variants."""

    tasks: list[
        Annotated[
            TaskFile,
            BeforeValidator(
                lambda value: {"task": value} if isinstance(value, str) else value,
                json_schema_input_type=str | TaskFile,
            ),
        ]
    ] = Field(default_factory=list, description="what is asked; the recipe's own task where absent")
    defaults: OptionsFile = Field(
        default_factory=lambda: OptionsFile.model_validate({}), description="the roster's defaults: engine_options, ..."
    )


class RecipeFile(SettingsFile):
    """A recipe: the same base, rows, order and start for every method and, by seed, for every repetition."""

    base: StrictStr = Field(min_length=1, description="folder or hub id ORG/NAME[@REVISION] of the base model")
    form: Form = Field(description="what the model learns to give")
    task: StrictStr = Field(min_length=1, description="lm-eval task; its training and validation parts are used")
    task_options: dict[StrictStr, Any] = Field(default_factory=dict, description="as lm_eval --metadata hands them")
    form_options: dict[StrictStr, Any] = Field(default_factory=dict, description="options of the form itself")
    max_rows: StrictInt | None = Field(None, ge=1, description="train on so many rows, chosen by hashed id")
    max_validation_rows: StrictInt | None = Field(None, ge=1, description="validate on so many rows, by hashed id")
    max_length: StrictInt | None = Field(None, ge=2, description="tokens a row; what the model takes where absent")
    seeds: list[Seed] = Field([13], min_length=1, description="one training for each, of every method")
    methods: dict[Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+=@-]{0,59}$")], MethodFile] = Field(
        min_length=1, description="what is compared: name -> method and settings of its own"
    )
    roster: RosterPart = Field(
        default_factory=lambda: RosterPart.model_validate({}), description="for the roster that --roster writes"
    )


def read_recipe_file(path: Path, overrides: dict[str, Any] | None = None) -> tuple[RecipeFile, Located]:
    """Read a recipe's file and check its keys.

    Args:
        path: the YAML file.
        overrides: keys of the top level that replace the file's.

    Raises:
        GroupgapError: not readable, not YAML, an unknown key or a value that is not allowed; with the line.
    """
    located = parse_yaml(path, "recipe")
    if not isinstance(located.data, dict):
        located.fail((), f"expected the keys {', '.join(RecipeFile.model_fields)}")
    try:
        return RecipeFile.model_validate({**located.data, **(overrides or {})}), located
    except ValidationError as error:
        _explain(error, located)


def _explain(error: ValidationError, located: Located) -> NoReturn:
    found = error.errors(include_url=False)
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])  # a slip shows as two errors
    where: Path_ = tuple(part for part in first["loc"] if part not in ("str", "list[constrained-str]", "[key]"))
    name, got = str(where[-1]), first.get("input")
    if first["type"] == "extra_forbidden":
        located.fail(where, f"unknown key {name!r:.80}: {nearest(name, _allowed(where[:-1]))}")
    if first["type"] == "missing":
        located.fail(where[:-1], f"the key {name!r} is missing")
    if first["type"] == "literal_error" and name in _LITERALS:
        located.fail(where, f"{got!r:.60} is not allowed: {nearest(str(got), list(get_args(_LITERALS[name])))}")
    message = str(first["msg"])
    located.fail(where, f"{message[:1].lower()}{message[1:]}, got {got!r:.60}")


def _allowed(where: Path_) -> list[str]:
    """The keys that a place takes."""
    model: type[BaseModel] = RecipeFile
    if where[:1] == ("methods",):
        model = MethodFile
    elif where[:1] == ("roster",):
        model = RosterPart if len(where) == 1 else OptionsFile if where[1] == "defaults" else TaskFile
    return list(model.model_fields)
