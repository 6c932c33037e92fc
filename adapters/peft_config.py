"""``adapter_config.json`` as data: the fields that decide what the tensors must be, with their types checked.

PEFT imports modules that a configuration names (``auto_mapping``, ``megatron_core``) and opens paths that it names; we
do neither, and refuse a configuration that names code outside the libraries that PEFT itself trusts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .safe_json import read_json_object
from .tensors import inside

CONFIG = "adapter_config.json"
# what PEFT's own import allowlist has (peft/auto.py), and timm, whose models it also wraps
TRUSTED_LIBRARIES = ("transformers", "timm", "torch", "diffusers", "peft")
PROMPT_METHODS = frozenset(
    {"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CPT", "CARTRIDGE"}
)
# PEFT's tuners with merge_and_unload, as PEFT 0.21 has them; the tests hold this against PEFT
MERGEABLE = frozenset(
    {
        "LORA", "ADALORA", "BOFT", "IA3", "LOHA", "LOKR", "OFT", "LN_TUNING", "VERA", "FOURIERFT", "HRA", "VBLORA",
        "MISS", "RANDLORA", "ROAD", "TRAINABLE_TOKENS", "SHIRA", "C3A", "WAVEFT", "DELORA", "GRALORA",
    }
)  # fmt: skip
# the rest of PEFT 0.21: served by transformers and peft only
OTHER_METHODS = frozenset(
    {
        "ADAMSS", "BEFT", "LILY", "POLY", "FROD", "PVERA", "GLORA", "XLORA", "UNILORA", "HIRA", "OSF", "TINYLORA",
        "PSOFT", "PEANUT", "SHADOW", "SUPERTUNING", "DEFT", "BONE",
    }
)  # fmt: skip
# kinds of LoRA whose tensors or whose serving we do not know, by the key that switches them on
_UNKNOWN_LAYOUTS = (
    "arrow_config", "alora_invocation_tokens", "layer_replication", "use_bdlora", "use_qalora", "velora_config",
    "kasa_config", "monteclora_config",
)  # fmt: skip
LORA_INITS_OF_THE_ADAPTER_ALONE = ("gaussian", "eva", "orthogonal", "mica", "lora_ga", "true", "false")
LORA_INITS_WITH_THE_BASE = ("pissa", "olora", "corda", "loftq")
_PISSA_STEPS = re.compile(r"pissa_niter_\d{1,3}")
_SWITCHES = (
    "use_dora", "use_rslora", "lora_bias", "use_qalora", "fan_in_fan_out", "inference_mode", "ensure_weight_tying",
    "init_ia3_weights", "save_projection", "init_weights", "use_effective_conv2d", "module_dropout_enabled",
)  # fmt: skip
_OBJECTS = (
    "loftq_config", "eva_config", "corda_config", "lora_ga_config", "arrow_config", "velora_config", "kasa_config",
    "monteclora_config", "use_bdlora", "runtime_config",
)  # fmt: skip
_NUMBERS = (
    "lora_dropout", "rank_dropout", "module_dropout", "vera_dropout", "qalora_group_size", "num_virtual_tokens",
    "encoder_hidden_size", "boft_dropout", "d_initial", "projection_prng_key", "deltaT", "tinit", "tfinal", "beta1",
    "beta2", "orth_reg_weight", "target_r", "total_step",
)  # fmt: skip
TASK_TYPES = ("SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION")
# ranks that PEFT assumes where the configuration names none
_DEFAULT_RANKS = {"LORA": 8, "LOHA": 8, "LOKR": 8, "HRA": 8, "VERA": 256, "MISS": 64}
MAX_RANK = 1 << 16
MAX_NAMES = 100_000
MAX_NAME = 1_000


@dataclass(frozen=True)
class AdapterConfig:
    """What an adapter says of itself.

    Attributes:
        peft_type: PEFT's name of the method, upper case.
        task_type: e.g. ``"SEQ_CLS"``; None where it names none.
        base: ``base_model_name_or_path``; None where it names none (timm models).
        base_revision: the base's revision it was trained on.
        rank: ``r``; None for methods without one.
        alpha: ``lora_alpha`` (or the method's ``alpha``).
        target_modules: names or one regular expression or ``"all-linear"``.
        exclude_modules: as ``target_modules``.
        feedforward_modules: IA3's, as ``target_modules``.
        layers_to_transform: layer numbers; None where all.
        layers_pattern: names of the module list that is meant.
        rank_pattern: rank by pattern of module names.
        alpha_pattern: alpha by pattern of module names.
        modules_to_save: names of modules that are saved whole.
        bias: ``none``, ``all`` or ``lora_only``.
        flags: every other field that is switched on (not None, False, empty), by name.
    """

    peft_type: str
    task_type: str | None = None
    base: str | None = None
    base_revision: str | None = None
    rank: int | None = None
    alpha: float | None = None
    target_modules: tuple[str, ...] | str | None = None
    exclude_modules: tuple[str, ...] | str | None = None
    feedforward_modules: tuple[str, ...] | str | None = None
    layers_to_transform: tuple[int, ...] | None = None
    layers_pattern: tuple[str, ...] = ()
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    modules_to_save: tuple[str, ...] = ()
    bias: str = "none"
    flags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The variant's method as a roster spells it: ``lora``, ``dora``, ``rslora``, ``ia3``, ..."""
        if self.peft_type == "LORA":
            return "dora" if self.flags.get("use_dora") else "rslora" if self.flags.get("use_rslora") else "lora"
        return self.peft_type.lower()

    @property
    def is_prompt(self) -> bool:
        """Whether the method learns inputs instead of weights."""
        return self.peft_type in PROMPT_METHODS


_READ = (
    "peft_type", "task_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "alpha", "target_modules",
    "exclude_modules", "feedforward_modules", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern",
    "modules_to_save", "bias",
)  # fmt: skip


class _Fields:
    """A configuration's fields, each asked for by name and type."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self._path, self._values = path, values

    def wrong(self, name: str, expected: str) -> GroupgapError:
        value = self._values.get(name)
        return GroupgapError(f"{self._path}: expected {name!r} to be {expected}, got {value!r:.60}")

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > MAX_NAME):
            raise self.wrong(name, f"a string of at most {MAX_NAME} characters")
        return value

    def number(self, name: str) -> float | None:
        value = self._values.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self.wrong(name, "a number")
        if value is not None and not 0 < abs(value) < 1e9:
            raise self.wrong(name, "a number between 0 and 1e9")
        return value

    def rank(self, name: str = "r") -> int | None:
        value = self._values.get(name)
        if value is not None and (type(value) is not int or not 0 <= value <= MAX_RANK):
            raise self.wrong(name, f"a whole number of 1 to {MAX_RANK}")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        value = self._values.get(name) or []
        value = [value] if isinstance(value, str) else value
        whole = isinstance(value, list) and len(value) <= MAX_NAMES
        if not whole or not all(isinstance(item, str) and 0 < len(item) <= MAX_NAME for item in value):
            raise self.wrong(name, "a list of names")
        return tuple(value)

    def names_or_pattern(self, name: str) -> tuple[str, ...] | str | None:
        value = self._values.get(name)
        if value is None or value == []:
            return None
        return self.text(name) if isinstance(value, str) else self.names(name)

    def layers(self, name: str) -> tuple[int, ...] | None:
        value = self._values.get(name)
        value = [value] if type(value) is int else value
        if value is None or value == []:
            return None
        if not isinstance(value, list) or len(value) > MAX_NAMES or not all(type(item) is int for item in value):
            raise self.wrong(name, "a list of layer numbers")
        return tuple(value)

    def pattern(self, name: str) -> dict[str, Any]:
        value = self._values.get(name, {})
        if not isinstance(value, dict) or len(value) > MAX_NAMES:
            raise self.wrong(name, "an object of patterns and numbers")
        for key, item in value.items():
            number = isinstance(item, int | float) and not isinstance(item, bool) and 0 < item <= 1e9
            if not number or len(key) > MAX_NAME or (name == "rank_pattern" and not isinstance(item, int)):
                raise self.wrong(name, "an object of patterns and positive numbers")
        return value


def read_adapter_config(folder: Path) -> AdapterConfig:
    """Read and check ``adapter_config.json`` of a folder.

    Raises:
        GroupgapError: absent, not JSON, a field of another type, a method without a name, or a name that is code.
    """
    path = inside(folder, CONFIG)
    values = read_json_object(path)
    fields = _Fields(path, values)
    kind = fields.text("peft_type")
    if not kind or kind.upper() not in PROMPT_METHODS | MERGEABLE | OTHER_METHODS:
        raise fields.wrong("peft_type", "the name of a PEFT method, e.g. 'LORA'")
    _refuse_code(path, values)
    _check_switches(fields, values)
    adaptive = kind.upper() == "ADALORA"  # its rank_pattern holds masks, its rank is init_r
    return AdapterConfig(
        peft_type=kind.upper(),
        task_type=fields.text("task_type"),
        base=fields.text("base_model_name_or_path") or None,
        base_revision=fields.text("revision"),
        rank=fields.rank("init_r") if adaptive else fields.rank("r") or _DEFAULT_RANKS.get(kind.upper()),
        alpha=fields.number("lora_alpha") if "lora_alpha" in values else fields.number("alpha"),
        target_modules=fields.names_or_pattern("target_modules"),
        exclude_modules=fields.names_or_pattern("exclude_modules"),
        feedforward_modules=fields.names_or_pattern("feedforward_modules"),
        layers_to_transform=fields.layers("layers_to_transform"),
        layers_pattern=fields.names("layers_pattern"),
        rank_pattern={} if adaptive else fields.pattern("rank_pattern"),
        alpha_pattern=fields.pattern("alpha_pattern"),
        modules_to_save=fields.names("modules_to_save"),
        bias=fields.text("bias") or "none",
        flags={name: value for name, value in values.items() if name not in _READ and value},
    )


def _check_switches(fields: _Fields, values: Mapping[str, Any]) -> None:
    for name in _SWITCHES:
        if not isinstance(values.get(name, False), bool | None):
            raise fields.wrong(name, "true or false")
    for name in _OBJECTS:
        if not isinstance(values.get(name), dict | None):
            raise fields.wrong(name, "an object")
    for name in _NUMBERS:
        if isinstance(values.get(name), bool) or not isinstance(values.get(name), int | float | None):
            raise fields.wrong(name, "a number")
    if values.get("task_type") not in (None, *TASK_TYPES):
        raise fields.wrong("task_type", f"one of {', '.join(TASK_TYPES)}")
    if values.get("layers_pattern") and values.get("layers_to_transform") in (None, []):
        raise fields.wrong("layers_pattern", "absent: there are no layers_to_transform")
    parameters = values.get("target_parameters")
    if parameters is not None and not (
        isinstance(parameters, list) and all(isinstance(item, str) for item in parameters)
    ):
        raise fields.wrong("target_parameters", "a list of names")
    _check_tokens(fields, values)
    for name in _UNKNOWN_LAYOUTS:
        if values.get(name) not in (None, False, []):  # PEFT takes an empty object for switched on
            raise fields.wrong(name, "absent: this kind of LoRA is not known here; give its merged checkpoint instead")
    if values.get("bias") not in (None, "none", "all", "lora_only", "boft_only", "vera_only"):
        raise fields.wrong("bias", "'none', 'all' or 'lora_only'")
    start = values.get("init_lora_weights", True)
    known = (*LORA_INITS_OF_THE_ADAPTER_ALONE, *LORA_INITS_WITH_THE_BASE)
    if not isinstance(start, bool | str | None) or (
        isinstance(start, str) and start.lower() not in known and not _PISSA_STEPS.fullmatch(start)
    ):
        raise fields.wrong("init_lora_weights", f"true, false or one of {', '.join(known)}")


def _check_tokens(fields: _Fields, values: Mapping[str, Any]) -> None:
    rows = values.get("trainable_token_indices")
    listed = rows.values() if isinstance(rows, dict) else [rows or []]
    whole = all(isinstance(row, list) and all(type(item) is int and item >= 0 for item in row) for row in listed)
    if not whole or len(rows or ()) > MAX_NAMES:
        raise fields.wrong("trainable_token_indices", "a list of token ids, or one for each embedding")


def _refuse_code(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse what PEFT or transformers would import, run or unpickle on the configuration's word."""
    reason = _code(values)
    if reason:
        raise GroupgapError(f"{path}: {reason}: this can run code and is refused; ask its author for a plain adapter")


def _code(values: Mapping[str, Any]) -> str | None:
    mapping = values.get("auto_mapping") or {}
    if not isinstance(mapping, dict):
        return f"auto_mapping is {mapping!r:.60}"
    library = mapping.get("parent_library")
    named = f"auto_mapping names the module {library!r:.80}"
    if library is not None and not isinstance(library, str):
        return named
    if isinstance(library, str) and (
        library.split(".")[0] not in TRUSTED_LIBRARIES or not all(part.isidentifier() for part in library.split("."))
    ):
        return named
    if mapping.get("auto_map") or values.get("auto_map"):
        return "auto_map names classes of its own"
    if values.get("megatron_config") or values.get("megatron_core") not in (None, "megatron.core"):
        return f"megatron_core names the module {values.get('megatron_core')!r:.80}"
    tokenizer = values.get("tokenizer_kwargs")
    if values.get("trust_remote_code") or (isinstance(tokenizer, dict) and tokenizer.get("trust_remote_code")):
        return "trust_remote_code is set"
    for name in ("_custom_modules", "custom_modules", "prompt_tuning_init_state_dict_path"):
        if values.get(name):
            return f"{name} is set"
    return None
