"""Who answered: a run's variant, from ``variant.json`` where there is one, else from lm-eval's model arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from .paths import shortening

# Where the weights are; their order is the order in which they are shown.
WEIGHTS = ("pretrained", "model", "path", "engine", "peft", "delta", "lora_local_path", "adapter", "revision")
ADAPTERS = ("peft", "delta", "lora_local_path", "adapter")

# Arguments that say how a model is run, not which model it is. Whatever may change its answers (dtype, quantization,
# tokenizer, revision, add_bos_token, a maximal length, lora_target_modules, ...) is not here: such runs stay apart.
ENGINE_OPTIONS = frozenset(
    """
    async_scheduling auth_token batch_size block_size ca_cert_path compilation_config cpu_offload_gb
    data_parallel_backend data_parallel_size device device_map disable_custom_all_reduce disable_log_requests
    disable_log_stats distributed_executor_backend enable_chunked_prefill enable_expert_parallel enable_lora
    enable_prefix_caching enforce_eager fully_sharded_loras gpu_memory_utilization gpus header
    image_folder num_workers
    kv_cache_memory_bytes load_format logits_cache long_prefill_token_threshold lora_dtype max_batch_size
    max_cpu_loras max_cpu_memory max_gen_toks max_lora_rank max_loras max_memory_per_gpu
    max_num_batched_tokens max_num_seqs max_parallel_loading_workers max_retries nnodes num_concurrent
    num_gpu_blocks_override offload_folder parallelize pipeline_parallel_size preemption_mode seed swap_space
    tensor_parallel_size timeout tokenizer_mode tp_plan trust_remote_code use_fast_tokenizer use_tqdm
    verify_certificate worker_cls
    """.split()  # noqa: SIM905 - one word a line would fill a page
)

# Entries of variant.json that differ between two trainings of the same recipe, or that record what happened while it
# was served.
PER_SEED = frozenset(
    {"seed", "name", "weights", "path", "revision", "sha256", "hashes", "proof", "command", "date", "versions"}
)

# What no board may pass on, whatever a run's arguments hold.
SECRETS = frozenset(
    ["access_token", "api_key", "auth_token", "hf_token", "password", "secret", "token", "use_auth_token"]
)
LOGIN = re.compile(r"(?<=://)[^/@\s]*@")

RANDOM = "random weights"
PROVENANCE_ENTRIES = 60
MOST_PARAMETERS = 1 << 63
PROVENANCE_LENGTH = 2_000


@dataclass(frozen=True)
class Variant:
    """A model to be judged.

    Attributes:
        name: how it is shown.
        identity: what tells it from others, as one string; equal for two runs of the same model.
        base: its base model, where known.
        method: ``base``, ``full``, ``lora``, ..., where known.
        seed: of its training, where ``variant.json`` says it.
        recipe: what is left of the identity when the seed is taken away; variants with one recipe are seeds of one row.
        details: the entries that the identity was made of, for telling variants of one name apart.
        proof: the level of its proof of life (``full``, ``fast``, ``transformers``, ...); ``None`` where none is told.
        chosen: whether somebody chose the name (``variant.json`` has one), so that it must not stand for two variants.
        licence: of its weights, where ``variant.json`` says it.
        trained_parameters: how many parameters its training moved, where ``variant.json`` says it.
        provenance: all that its run tells of itself (command, hashes, versions, ...), as texts of bounded length.
        audit: whether the run was made for an attack, and so asks rows that models were trained on.
    """

    name: str
    identity: str
    base: str | None = None
    method: str | None = None
    seed: int | None = None
    recipe: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    chosen: bool = False
    proof: str | None = None
    licence: str | None = None
    trained_parameters: int | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    audit: bool = False


def variant_from_file(entries: Mapping[str, Any], otherwise: str = "unnamed") -> Variant:
    """The variant that a ``variant.json`` describes.

    Args:
        entries: the file's entries; ``name``, ``base``, ``method`` and ``seed`` have a meaning, all others are
            compared as they are.
        otherwise: its name where the file tells none, nor a base or method.

    Returns:
        Its identity is the whole file but for ``proof``, ``command``, ``date``, ``versions``. Its recipe, for a
        training seed, is what is left without ``PER_SEED``: the fleet's ``recipe`` (an adapter's configuration without
        its places) is part of it.
    """
    entries = _without_secrets(entries)
    told = {key: value for key, value in entries.items() if key not in ("proof", "command", "date", "versions")}
    seed = entries.get("seed")
    seed = seed if type(seed) is int and abs(seed) < MOST_PARAMETERS else None
    base, method = _text(entries.get("base")), _text(entries.get("method"))
    if entries.get("random") == "weights":
        method = f"{method or 'base'}, {RANDOM}"
    recipe = None
    if seed is not None:
        kept = {key: value for key, value in entries.items() if key not in PER_SEED}
        recipe = _canonical({**kept, "recipe": _unordered(kept.get("recipe"))})
    chosen = _text(entries.get("name"))
    name = chosen or " ".join(part for part in (last_part(base or ""), method) if part) or otherwise
    details = {key: value if isinstance(value, str) else _canonical(value) for key, value in told.items()}
    proof = entries.get("proof")
    level = _text(proof.get("level")) if isinstance(proof, Mapping) and proof.get("passed") is True else None
    parameters = entries.get("trained_parameters")
    return Variant(
        name=name,
        identity=_canonical(told),
        base=base,
        method=method,
        seed=seed,
        recipe=recipe,
        details=details,
        chosen=chosen is not None,
        proof=level,
        licence=_text(entries.get("licence")),
        trained_parameters=parameters if type(parameters) is int and 0 <= parameters < MOST_PARAMETERS else None,
        provenance=_provenance(entries),
        audit=entries.get("audit") is True,
    )


def variant_from_arguments(backend: str, arguments: object, model_name: str | None) -> Variant:
    """The variant of a run of plain lm-eval.

    Args:
        backend: lm-eval's ``--model``: ``hf``, ``vllm``, ...
        arguments: ``config.model_args`` of the results file, a mapping or lm-eval's ``a=b,c=d``.
        model_name: the results file's ``model_name``; only used where the arguments name no weights and no model.

    Returns:
        Its identity is the backend and the arguments without ``ENGINE_OPTIONS``, sorted.

    Example:
        >>> variant_from_arguments("vllm", "pretrained=org/base,lora_local_path=/runs/a,enforce_eager=True", None).name
        'org/base + a'
    """
    given = _without_secrets(parse_arguments(arguments))
    kept = {key: value for key, value in given.items() if key not in ENGINE_OPTIONS}
    random = kept.get("pretrained", "").lower() == "false" and "checkpoint" not in kept
    if kept.get("pretrained", "").lower() in ("true", "false"):  # the timm backend's switch, no place of weights
        del kept["pretrained"]
    weights = [kept[key] for key in WEIGHTS[:4] if key in kept]
    adapters = [kept[key] for key in ADAPTERS if key in kept]
    # A backend without arguments (dummy) has a random name for each run: it tells nothing.
    shown = last_part(weights[0]) if weights else backend
    name = " + ".join([shown, *map(last_part, adapters)])
    if kept.get("revision", "main") != "main":
        name += f" @ {kept['revision']}"
    name += f" ({RANDOM})" if random else ""
    details = {"backend": backend, **{key: kept[key] for key in sorted(kept)}, **({RANDOM: "yes"} if random else {})}
    if not kept and model_name and backend not in ("dummy", ""):
        details["model_name"] = model_name
    identity = ", ".join(f"{key}={value}" for key, value in details.items())
    base = weights[0] if weights else None
    return Variant(name, identity, base, None, details=details, provenance=_provenance(details))


def parse_arguments(arguments: object) -> dict[str, str]:
    """Read lm-eval's model arguments into texts; commas inside brackets and quotes do not separate.

    Example:
        >>> parse_arguments("pretrained=m,lora_target_modules=['q_proj','v_proj']")
        {'pretrained': 'm', 'lora_target_modules': "['q_proj','v_proj']"}
    """
    if isinstance(arguments, Mapping):
        return {str(key): value if isinstance(value, str) else _canonical(value) for key, value in arguments.items()}
    pairs = (part.partition("=") for part in _split(str(arguments or "")) if part.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _split(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for character in text:
        if character == "," and not depth and not quote:
            parts.append("")
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        depth += (character in "[({") - (character in "])}")
        parts[-1] += character
    return parts


def told_apart(variants: Sequence[Variant]) -> list[str]:
    """Names for variants of different identities: short where that is enough, with the entries that differ where it
    is not.

    Args:
        variants: one for each identity.

    Returns:
        A name for each, all different.
    """
    by_name: dict[str, list[Variant]] = {}
    for variant in variants:
        by_name.setdefault(variant.name, []).append(variant)
    return [_full_name(variant, by_name[variant.name]) for variant in variants]


def _full_name(variant: Variant, namesakes: Sequence[Variant]) -> str:
    if len(namesakes) == 1:
        return variant.name
    keys = dict.fromkeys(key for other in namesakes for key in other.details)
    differing = [key for key in keys if len({other.details.get(key) for other in namesakes}) > 1]
    short = shortening(value for other in namesakes for value in other.details.values())
    shown = [f"{key}={short(variant.details[key])}" if key in variant.details else f"no {key}" for key in differing]
    return f"{variant.name} ({', '.join(shown)})"


def _without_secrets(told: Any) -> Any:
    """The same without keys and passwords, however deep they lie."""
    if isinstance(told, Mapping):
        return {key: _without_secrets(value) for key, value in told.items() if str(key).lower() not in SECRETS}
    if isinstance(told, list):
        return [_without_secrets(value) for value in told]
    return LOGIN.sub("", told) if isinstance(told, str) else told


def last_part(location: str) -> str:
    """The last part of a path; a hub id (``org/name``) as it is."""
    if location.startswith(("/", ".", "~")) or location.count("/") > 1 or "\\" in location:
        return PurePosixPath(location.replace("\\", "/")).name or location
    return location


def _provenance(entries: Mapping[str, Any]) -> dict[str, str]:
    """The entries that say something, as texts; a page shows them, so that neither may be endless."""
    told = {key: value for key, value in entries.items() if value not in (None, "", {}, [])}
    texts = {key: value if isinstance(value, str) else _canonical(value) for key, value in told.items()}
    return {
        key: text if len(text) <= PROVENANCE_LENGTH else f"{text[:PROVENANCE_LENGTH]}…"
        for key, text in list(texts.items())[:PROVENANCE_ENTRIES]
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _unordered(value: object) -> object:
    """An adapter's configuration with its lists of names sorted: peft writes sets, each time in another order."""
    if isinstance(value, Mapping):
        return {key: _unordered(inner) for key, inner in value.items()}
    if isinstance(value, list) and all(isinstance(inner, str) for inner in value):
        return sorted(value)
    return value


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
