"""What of a model learns: all of it, its head, or an adapter of PEFT's."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

from ...errors import GroupgapError
from ..roster_file import nearest
from .forms import Prepared
from .recipe import Method, Recipe

# the field of PEFT's configuration that holds it, by method; the first that is there
_ALPHA = ("lora_alpha", "alpha")
_DROPOUT = ("lora_dropout", "vera_dropout", "module_dropout", "boft_dropout")
_VARIANTS_OF_LORA = {"lora": {}, "dora": {"use_dora": True}, "rslora": {"use_rslora": True}}
# fields that we set, or by which PEFT would import a module that the recipe names
_OURS = frozenset(
    {
        "peft_type", "task_type", "inference_mode", "base_model_name_or_path", "revision", "auto_mapping",
        "megatron_config", "megatron_core",
    }
)  # fmt: skip


def apply_method(model: Any, recipe: Recipe, method: Method, prepared: Prepared, base: str) -> Any:
    """Freeze what does not learn, and put the adapter in, if there is one.

    Args:
        model: as the form loaded it.
        recipe: for error messages.
        method: what learns.
        prepared: the form's work.
        base: how the adapter's configuration names its base.

    Returns:
        The model to train: the same object for ``full``, a PEFT model for adapters.

    Raises:
        GroupgapError: a configuration that PEFT does not take, or modules that the base does not have.
    """
    if method.method == "full":
        return model.requires_grad_(True)
    if method.method == "head" and not prepared.new_head:
        return _output_layer_alone(model)
    import peft

    config = _config(recipe, method, prepared)
    if config.is_prompt_learning and prepared.new_head:
        raise GroupgapError(
            f"{recipe.path}: methods.{method.name}: {method.method} learns inputs, and what it stores of a new head no "
            "engine here reads: leave it out of this form"
        )
    if prepared.new_head and prepared.task_type != "SEQ_CLS":  # there PEFT names the heads itself
        config.modules_to_save = sorted({*(config.modules_to_save or ()), *prepared.head})
    config.base_model_name_or_path = base
    try:
        learner = peft.get_peft_model(model, config)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise GroupgapError(
            f"{recipe.path}: methods.{method.name}: PEFT does not take it on this base: {reason}"
        ) from error
    _refuse_zero_rows(learner, f"{recipe.path}: methods.{method.name}", recipe.base)
    # no token is ever added here: the adapter alone, without the base's embeddings beside it
    learner.save_pretrained = partial(learner.save_pretrained, save_embedding_layers=False)
    return learner


def _refuse_zero_rows(learner: Any, where: str, base: str) -> None:
    """DoRA divides by the length of each row of a weight; rows of zeros (padded heads, say) would give NaN.

    Raises:
        GroupgapError: the base has such rows.
    """
    for name, lengths in learner.named_parameters():
        if "lora_magnitude_vector" in name and not bool(lengths.all()):
            module = name.split(".lora_magnitude_vector")[0].rpartition(".")[2]
            raise GroupgapError(
                f"{where}.targets: DoRA divides by the length of each row of a weight, and {module} of {base} has rows "
                f"of zeros: leave {module} out"
            )


def _output_layer_alone(model: Any) -> Any:
    """Everything frozen but a language model's output layer; one that shares the embeddings' weights gets its own."""
    import torch

    model.requires_grad_(False)
    head = model.get_output_embeddings()
    if head.weight is model.get_input_embeddings().weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
        model.config.tie_word_embeddings = model.config.get_text_config().tie_word_embeddings = False
    head.requires_grad_(True)
    return model


def _config(recipe: Recipe, method: Method, prepared: Prepared) -> Any:
    from peft import LoraConfig, PeftType
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from peft.utils.constants import DUMMY_TARGET_MODULES

    where = f"{recipe.path}: methods.{method.name}"
    if method.method == "head":  # PEFT takes no rank 0: its own mark for "no module at all", and the head beside it
        return LoraConfig(r=1, target_modules=DUMMY_TARGET_MODULES, task_type=prepared.task_type)
    kind = PeftType("LORA" if method.method in _VARIANTS_OF_LORA else method.method.upper())
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[kind]
    known = {item.name for item in fields(config_class) if item.init} - _OURS
    values: dict[str, Any] = {"task_type": prepared.task_type, **_VARIANTS_OF_LORA.get(method.method, {})}
    told: dict[str, tuple[Any, tuple[str, ...]]]
    told = {"r": (method.r, ("r",)), "alpha": (method.alpha, _ALPHA), "dropout": (method.dropout or None, _DROPOUT)}
    targets = list(method.targets) if isinstance(method.targets, tuple) else method.targets
    told["targets"] = (targets, ("target_modules",))
    for key, (value, names) in told.items():
        name = next((name for name in names if name in known), None)
        if value is not None and name is None:
            raise GroupgapError(f"{where}.{key}: {method.method} has none")
        if value is not None:
            values[str(name)] = int(value) if name == "lora_alpha" and float(value).is_integer() else value
    for name, value in method.options.items():
        if name not in known:
            raise GroupgapError(f"{where}.options: unknown option {name!r:.60}: {nearest(name, sorted(known))}")
        values[name] = value
    try:
        return config_class(**values)
    except (ValueError, TypeError) as error:
        raise GroupgapError(f"{where}: PEFT does not take it: {' '.join(str(error).split())[:300]}") from error
