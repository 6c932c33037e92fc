"""The roster's YAML: its keys, what they may hold, and the line of each, for the error message."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from ..errors import GroupgapError
from .variant import ADAPTER_METHODS, METHODS

ROSTER_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_DEPTH = 16
Path_ = tuple[str | int, ...]

Seed = Annotated[StrictInt, Field(ge=0, lt=1 << 63)]
Engine = Literal["vllm", "hf", "classifier", "timm", "server"]
Scalar = StrictBool | StrictInt | float | StrictStr | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TaskFile(_Strict):
    """A task with options of its own."""

    task: StrictStr = Field(description="name of an lm-eval task, group or tag", min_length=1)
    num_fewshot: StrictInt | None = Field(None, ge=0, description="examples in the prompt; the task's own where absent")
    limit: StrictInt | None = Field(None, ge=1, description="ask only the first so many documents")
    options: dict[str, Any] = Field(default_factory=dict, description="handed to the task, as lm_eval --metadata does")


class OptionsFile(_Strict):
    """What every variant may say, and ``defaults`` for all of them."""

    base: StrictStr | None = Field(
        None, description="folder or hub id ORG/NAME[@REVISION] of the base model; engine timm: a name of timm's too"
    )
    method: StrictStr | None = Field(None, description="how it was made", json_schema_extra={"enum": [*METHODS, None]})
    weights: StrictStr | None = Field(
        None, description="folder or hub id ORG/NAME[@REVISION] of the adapter or full checkpoint; may be a glob"
    )
    revision: StrictStr | None = Field(None, description="hub revision of the weights: branch, tag or commit")
    seed: Seed | None = Field(None, description="seed it was trained with")
    engine: Engine | None = Field(None, description="what computes its answers; vllm where absent")
    engine_options: dict[str, Any] = Field(default_factory=dict, description="handed to the engine as they are")
    merge: StrictBool | None = Field(None, description="merge the adapter into its base and serve that")
    labels: dict[StrictStr, StrictStr | StrictInt] | None = Field(
        None, description="choice of the task -> label of the classifier (name or number)"
    )
    server: StrictStr | None = Field(
        None, pattern=r"^https?://\S+$", description="URL of a running `vllm serve`, instead of an engine"
    )
    served_as: StrictStr | None = Field(
        None, description="name of the model on that server; the variant's where absent"
    )
    proof: Literal["full", "fast"] | None = Field(None, description="fast leaves out the reference by transformers")
    other_base: StrictBool | None = Field(None, description="accept a base of another name than the adapter's")


class VariantFile(OptionsFile):
    """One variant, or one for each match of the glob in ``weights``."""

    name: StrictStr = Field(min_length=1, max_length=120, description="its name; {match} is the folder a glob found")


class MatrixFile(OptionsFile):
    """One variant for each seed and method; {seed} and {method} stand for them in name, weights and served_as."""

    name: StrictStr = Field("{method}-{seed}", min_length=1, max_length=120, description="pattern of the names")
    seeds: list[Seed] = Field(min_length=1, description="training seeds")
    methods: Annotated[
        dict[StrictStr, OptionsFile],
        BeforeValidator(
            lambda value: {item: {} for item in value} if _names(value) else value,
            json_schema_input_type=list[str] | dict[str, OptionsFile],
        ),
    ] = Field(min_length=1, description="methods, or names for them with options of their own")


class RosterFile(_Strict):
    """A roster: which models are compared, on which tasks."""

    tasks: list[
        Annotated[
            TaskFile,
            BeforeValidator(
                lambda value: {"task": value} if isinstance(value, str) else value,
                json_schema_input_type=str | TaskFile,
            ),
        ]
    ] = Field(min_length=1, description="what is asked")
    defaults: OptionsFile = Field(
        default_factory=lambda: OptionsFile.model_validate({}),
        description="for every variant that does not say otherwise",
    )
    variants: list[VariantFile] = Field(default_factory=list, description="who is asked")
    matrix: Annotated[
        list[MatrixFile],
        BeforeValidator(
            lambda value: [value] if isinstance(value, dict) else value,
            json_schema_input_type=MatrixFile | list[MatrixFile],
        ),
    ] = Field(default_factory=list, description="who else is asked: seeds x methods")


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


class Located:
    """A roster's data with the line of every key.

    Args:
        path: the file.
        data: the parsed data.
        lines: line number (from 1) by path of keys.
    """

    def __init__(self, path: Path, data: Any, lines: Mapping[Path_, int]) -> None:
        self.path, self.data, self.lines = path, data, lines

    def fail(self, where: Path_, what: str) -> NoReturn:
        """Raise the one-line error for a place in the file.

        Raises:
            GroupgapError: always.
        """
        near = next((where[:end] for end in range(len(where), -1, -1) if where[:end] in self.lines), ())
        line = f":{self.lines[near]}" if near in self.lines else ""
        place = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
        raise GroupgapError(f"{self.path}{line}: {place + ': ' if place else ''}{what}")


def read_roster_file(path: Path) -> tuple[RosterFile, Located]:
    """Read a roster's file and check its keys.

    Raises:
        GroupgapError: not readable, not YAML, an unknown key or a value that is not allowed; with the line.
    """
    located = parse_yaml(path)
    if not isinstance(located.data, dict):
        located.fail((), "expected the keys tasks, defaults, variants and matrix")
    normal = _aligned(located)
    try:
        return RosterFile.model_validate(located.data), normal
    except ValidationError as error:
        _explain(error, normal)


def _aligned(located: Located) -> Located:
    """Lines by the paths that validation uses: a single matrix is a list of one."""
    if not isinstance(located.data.get("matrix"), dict):
        return located
    lines = {
        (*where[:1], 0, *where[1:]) if where[:1] == ("matrix",) else where: n for where, n in located.lines.items()
    }
    return Located(located.path, located.data, lines)


def parse_yaml(path: Path, kind: str = "roster") -> Located:
    """Read a YAML file that a person wrote, with the line of every key.

    Raises:
        GroupgapError: not readable, not YAML, too large or too deep, or a key that stands there twice.
    """
    try:
        with path.open("rb") as file:
            data = file.read(ROSTER_BYTES + 1)
    except OSError as error:
        raise GroupgapError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > ROSTER_BYTES:
        raise GroupgapError(f"{path}: larger than {ROSTER_BYTES:,} bytes: not a {kind}")
    try:
        loader = yaml.SafeLoader(data.decode("utf-8"))
        node = loader.get_single_node()
        lines: dict[Path_, int] = {}
        if node is not None:
            _walk(node, (), lines, path)
        return Located(path, loader.construct_document(node) if node is not None else None, lines)
    except UnicodeDecodeError:
        raise GroupgapError(f"{path}: not a text file in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise GroupgapError(f"{path}{line}: not YAML: {' '.join(str(error.problem).split())[:120]}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise GroupgapError(f"{path}: not YAML: {' '.join(str(error).split())[:120]}") from None


def _walk(node: Any, where: Path_, lines: dict[Path_, int], path: Path) -> None:
    """Note the line of every key; a repeated key, or more nodes than a roster can have, is an error."""
    line = node.start_mark.line + 1
    if len(lines) > MAX_NODES or len(where) > MAX_DEPTH:
        raise GroupgapError(f"{path}:{line}: too many or too deeply nested keys for such a file")
    lines.setdefault(where, line)
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _walk(child, (*where, index), lines, path)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            name = str(key.value)
            if name in seen:
                raise GroupgapError(f"{path}:{key.start_mark.line + 1}: the key {name!r:.60} stands there twice")
            seen.add(name)
            lines[(*where, name)] = key.start_mark.line + 1
            _walk(child, (*where, name), lines, path)


_MODELS: dict[str, type[BaseModel]] = {"tasks": TaskFile, "variants": VariantFile, "matrix": MatrixFile}


def _allowed(where: Path_) -> list[str]:
    if not where:
        return list(RosterFile.model_fields)
    if where[0] == "defaults" or "methods" in where:
        return list(OptionsFile.model_fields)
    return list(_MODELS[str(where[0])].model_fields)


def nearest(word: str, allowed: tuple[str, ...] | list[str]) -> str:
    """``did you mean ...?`` for a word that is not allowed, and the words that are.

    >>> nearest("wieghts", ["weights", "name"])
    "did you mean 'weights'? Allowed: weights, name"
    """
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return (f"did you mean {close[0]!r}? " if close else "") + f"Allowed: {', '.join(allowed)}"


def _explain(error: ValidationError, located: Located) -> NoReturn:
    first = error.errors(include_url=False)[0]
    where: Path_ = tuple(first["loc"])
    if first["type"] == "extra_forbidden":
        located.fail(
            where[:-1] + where[-1:], f"unknown key {where[-1]!r}: {nearest(str(where[-1]), _allowed(where[:-1]))}"
        )
    if first["type"] == "missing":
        located.fail(where[:-1], f"the key {where[-1]!r} is missing")
    got = first.get("input")
    if first["type"] == "literal_error":
        field = {"engine": get_args(Engine), "proof": ("full", "fast")}.get(str(where[-1]), ())
        located.fail(where, f"{got!r:.60} is not allowed: {nearest(str(got), list(field))}")
    message = str(first["msg"])
    hint = ": put it in quotes" if first["type"] == "string_type" and isinstance(got, int | float) else ""
    where = tuple(part for part in where if part not in ("str", "int", "bool", "float", "constrained-int"))
    located.fail(where, f"{message[:1].lower()}{message[1:]}, got {got!r:.60}{hint}")


def check_method(name: str, located: Located, where: Path_) -> None:
    """Refuse a method that does not exist, and name the nearest that does."""
    if name not in METHODS:
        located.fail(where, f"method {name!r:.60} is not known: {nearest(name, ('base', 'full', *ADAPTER_METHODS))}")
