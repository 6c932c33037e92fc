"""The check accepts what PEFT itself saves, and agrees with PEFT and vLLM on what it is."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.adapters.base_model import read_base
from groupgap.adapters.check import CheckOptions, check_adapter
from groupgap.adapters.fit import fit
from groupgap.adapters.layout import knows
from groupgap.adapters.peft_config import MERGEABLE, OTHER_METHODS, PROMPT_METHODS, AdapterConfig, read_adapter_config
from groupgap.adapters.targets import Matcher
from groupgap.adapters.tensors import ADAPTER_WEIGHTS, read_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

SERVED = {
    "plain", "regex", "all_linear", "one_layer", "excluded", "rank_pattern", "rslora", "embeddings", "gaussian",
    "classifier",
}  # fmt: skip
UNMERGEABLE = {"prefix", "prompt", "p_tuning", "lora_bias"}  # a Llama has no biases to merge a lora_bias into


def test_true_adapters_get_the_verdict_that_vllm_leaves(zoo: dict[str, Path], base: Path) -> None:
    model = read_base(base)
    checks = {name: check_adapter(folder, model, CheckOptions(deep=True)) for name, folder in zoo.items()}
    verdicts = {name: check.verdict for name, check in checks.items()}
    expected = {name: "served" if name in SERVED else "refused" if name in UNMERGEABLE else "merged" for name in zoo}
    assert verdicts == expected, {name: checks[name].reason for name in zoo if verdicts[name] != expected[name]}


def test_transformers_and_peft_serve_every_true_adapter(zoo: dict[str, Path], base: Path) -> None:
    model = read_base(base)
    for name, folder in zoo.items():
        check = check_adapter(folder, model, CheckOptions(engine="hf", deep=True))
        assert (name, check.verdict, check.reason) == (name, "served", "")


def test_without_a_base_the_verdicts_are_the_same_and_it_says_so(zoo: dict[str, Path], base: Path) -> None:
    model = read_base(base)
    for name, folder in zoo.items():
        alone = check_adapter(folder)
        if name != "lora_bias":  # that the base has no biases cannot be known
            assert (name, alone.verdict) == (name, check_adapter(folder, model).verdict), alone.reason
        assert not alone.compared
        assert "no-base" in {finding.code for finding in alone.findings}


def test_expected_tensors_are_exactly_those_that_peft_saves(zoo: dict[str, Path], base: Path) -> None:
    model = read_base(base)
    aside = {"embeddings": 2, "token_rows": 1}  # base layers of embeddings, token rows: stored beside what is expected
    for name, folder in zoo.items():
        config, tensors = read_adapter_config(folder), read_checkpoint(folder, ADAPTER_WEIGHTS)
        if not knows(config) or config.is_prompt:
            continue
        found = fit(config, tensors, model)
        assert (name, found.expected, found.matched) == (name, len(tensors) - aside.get(name, 0), found.expected)


def test_what_a_check_tells(zoo: dict[str, Path], base: Path) -> None:
    check = check_adapter(zoo["rank_pattern"], base, CheckOptions(deep=True))
    assert (check.method, check.rank, check.engine_rank, check.alpha) == ("lora", 8, 8, None)
    assert check.targets == {"q_proj": 2, "down_proj": 2}
    assert check.dtypes == {"F32": 8}
    assert check.bytes == 4 * check.parameters
    assert set(check.hashes or {}) == {"adapter_config.json", "adapter_model.safetensors"}
    assert check.base_named == str(base)
    head = check_adapter(zoo["classifier"], base).heads[0]
    assert (head.name, head.labels, head.inputs) == ("score", 3, 16)


def test_a_checkpoint_of_the_inner_model_serves_adapters_of_the_whole(
    zoo: dict[str, Path], base: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(base / "model.safetensors")
    inner = {name.removeprefix("model."): value for name, value in tensors.items() if name != "lm_head.weight"}
    save_file(inner, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((base / "config.json").read_text())
    assert check_adapter(zoo["plain"], tmp_path).verdict == "served"


@pytest.fixture(scope="module")
def lora_folders(zoo: dict[str, Path]) -> dict[str, Path]:
    return {name: folder for name, folder in zoo.items() if read_adapter_config(folder).peft_type == "LORA"}


def test_vllm_refuses_what_the_check_says_must_be_merged(lora_folders: dict[str, Path], base: Path) -> None:
    helper = pytest.importorskip("vllm.lora.peft_helper", exc_type=ImportError).PEFTHelper
    from vllm.config.lora import LoRAConfig

    engine = LoRAConfig(max_lora_rank=8, max_cpu_loras=1)
    for name, folder in lora_folders.items():
        served = check_adapter(folder, base).verdict == "served"
        try:
            loaded = helper.from_local_dir(str(folder), max_position_embeddings=64)
            loaded.validate_legal(engine)
            taken = True
        except (ValueError, TypeError):
            taken = False
        if name == "token_rows":  # vLLM notices these only when it meets the tensors
            continue
        assert (name, taken) == (name, served)


def test_peft_can_merge_what_the_check_calls_mergeable(zoo: dict[str, Path], base: Path) -> None:
    from peft import PeftModel
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from transformers import AutoModelForCausalLM

    known = {kind.value for kind in PEFT_TYPE_TO_TUNER_MAPPING}
    assert known >= MERGEABLE
    assert known <= MERGEABLE | PROMPT_METHODS | OTHER_METHODS
    whole = AutoModelForCausalLM.from_pretrained(base)
    for name, folder in zoo.items():
        if name == "classifier" or name in UNMERGEABLE:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            merged = PeftModel.from_pretrained(copy.deepcopy(whole), folder).merge_and_unload()
        names = {parameter for parameter, _ in merged.named_parameters()}
        assert names == {parameter for parameter, _ in whole.named_parameters()}, name


MODULES = [
    f"model.layers.{layer}.{part}"
    for layer in (0, 1, 10)
    for part in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj", "mlp.experts.3.up_proj")
] + ["model.embed_tokens", "lm_head", "score"]
NAMES = [
    "q_proj",
    "v_proj",
    "self_attn.q_proj",
    "model.layers.1.self_attn.q_proj",
    "proj",
    "experts.3.up_proj",
    "score",
]
REGEXES = [r".*q_proj", r".*layers\.1\..*", r"(?!.*experts).*(up|down)_proj", r"lm_head"]
names_or_regex = st.one_of(st.lists(st.sampled_from(NAMES), min_size=1).map(tuple), st.sampled_from(REGEXES))


@given(
    target=names_or_regex,
    exclude=st.one_of(st.none(), names_or_regex),
    layers=st.one_of(st.none(), st.lists(st.sampled_from([0, 1, 3, 10]), min_size=1).map(tuple)),
    pattern=st.sampled_from([(), ("layers",), ("experts",)]),
    saved=st.sampled_from([(), ("score",), ("lm_head", "mlp")]),
)
@settings(max_examples=200, deadline=None)
def test_modules_are_matched_as_peft_matches_them(
    target: Any, exclude: Any, layers: Any, pattern: Any, saved: Any
) -> None:
    from peft.tuners.tuners_utils import check_target_module_exists

    configuration = SimpleNamespace(
        target_modules=list(target) if isinstance(target, tuple) else target,
        exclude_modules=list(exclude) if isinstance(exclude, tuple) else exclude,
        layers_to_transform=list(layers) if layers else None,
        layers_pattern=list(pattern),
        modules_to_save=list(saved),
        target_parameters=None,
    )
    ours = AdapterConfig(
        "LORA",
        target_modules=target,
        exclude_modules=exclude,
        layers_to_transform=layers,
        layers_pattern=pattern,
        modules_to_save=saved,
    )
    theirs = [name for name in MODULES if check_target_module_exists(configuration, name)]
    assert Matcher(ours).targets(MODULES) == theirs


@given(st.dictionaries(st.sampled_from([*NAMES, *REGEXES, r"layers\.\d+\.self_attn\.q_proj"]), st.integers(1, 64)))
def test_ranks_are_chosen_as_peft_chooses_them(pattern: dict[str, int]) -> None:
    from peft.utils.other import get_pattern_key

    matcher = Matcher(AdapterConfig("LORA", rank=4, rank_pattern=pattern))
    for name in MODULES:
        assert matcher.rank(name) == pattern.get(get_pattern_key(list(pattern), name), 4)
