"""Planted faults: each one is refused, with the reason, before any engine sees the files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groupgap.adapters.base_model import read_base
from groupgap.adapters.check import AdapterCheck, CheckOptions, check_adapter

Edited = Callable[..., Path]
Make = Callable[..., Path]
TARGETS = ["q_proj", "down_proj"]
Q0 = "base_model.model.model.layers.0.self_attn.q_proj"


def refused(check: AdapterCheck, code: str) -> AdapterCheck:
    """The check, which must refuse for the one reason."""
    assert check.verdict == "refused"
    assert {finding.code for finding in check.findings if finding.level == "refused"} == {code}, check.reason
    return check


def test_an_adapter_that_was_never_trained_is_dead_but_only_a_deep_look_sees_it(edited: Edited, base: Path) -> None:
    def zero(tensors: dict[str, np.ndarray], _: Any) -> None:
        for name in tensors:
            if "lora_B" in name:
                tensors[name] *= 0

    folder = edited(zero)
    assert check_adapter(folder, base).verdict == "served"
    assert "it changes nothing" in refused(check_adapter(folder, base, CheckOptions(deep=True)), "dead").reason


def test_one_dead_module_is_a_remark(edited: Edited, base: Path) -> None:
    folder = edited(lambda tensors, _: tensors.update({f"{Q0}.lora_B.weight": 0 * tensors[f"{Q0}.lora_B.weight"]}))
    check = check_adapter(folder, base, CheckOptions(deep=True))
    assert check.verdict == "served"
    assert [finding.text for finding in check.findings] == [
        "1 of 4 modules change nothing (a factor is all zero), e.g. model.layers.0.self_attn.q_proj"
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(edited: Edited, base: Path, value: float) -> None:
    def spoil(tensors: dict[str, np.ndarray], _: Any) -> None:
        tensors[f"{Q0}.lora_A.weight"][3, 5] = value

    check = refused(check_adapter(edited(spoil), base, CheckOptions(deep=True)), "not-finite")
    assert "1 of 8 tensors" in check.reason


def test_keys_under_another_prefix(edited: Edited, base: Path) -> None:
    def rename(tensors: dict[str, np.ndarray], _: Any) -> None:
        for name in list(tensors):
            tensors[name.replace("model.model.layers", "model.transformer.model.layers")] = tensors.pop(name)

    check = refused(check_adapter(edited(rename), base), "prefix")
    assert "another prefix" in check.reason
    assert "answer as the base" in check.way_out


def test_an_adapter_of_a_wider_base(base: Path, tmp_path: Path, make_llama: Make, make_adapter: Make) -> None:
    import peft

    config = peft.LoraConfig(r=4, target_modules=TARGETS, task_type="CAUSAL_LM")
    wider = make_llama(tmp_path / "wider", hidden=32)
    folder = make_adapter(wider, config, tmp_path / "adapter")
    assert check_adapter(folder, wider).verdict == "served"
    check = refused(check_adapter(folder, base), "shape")
    assert "expected (4, 16)" in check.reason or "expected (16, 4)" in check.reason


def test_an_adapter_of_a_deeper_and_of_a_shallower_base(
    base: Path, tmp_path: Path, make_llama: Make, make_adapter: Make
) -> None:
    import peft

    config = peft.LoraConfig(r=4, target_modules=TARGETS, task_type="CAUSAL_LM")
    deeper = make_adapter(make_llama(tmp_path / "deep", layers=3), config, tmp_path / "deeper")
    assert "has tensors for 3 layers, the base has 2" in refused(check_adapter(deeper, base), "layers").reason
    config = peft.LoraConfig(r=4, target_modules=TARGETS, task_type="CAUSAL_LM")
    shallow = make_adapter(make_llama(tmp_path / "shallow", layers=1), config, tmp_path / "shallower")
    assert "4 of 8 tensors are missing" in refused(check_adapter(shallow, base), "missing").reason


def test_the_rank_of_the_configuration_and_of_the_tensors(edited: Edited, base: Path) -> None:
    for given in (base, None):
        check = refused(check_adapter(edited(lambda _, config: config.update(r=8)), given), "rank")
        assert "expected (8, " in check.reason


def test_one_lora_b_is_missing(edited: Edited, base: Path) -> None:
    folder = edited(lambda tensors, _: tensors.pop(f"{Q0}.lora_B.weight"))
    for given in (base, None):
        assert "1 of 8 tensors are missing" in refused(check_adapter(folder, given), "missing").reason


def test_no_tensors_at_all(edited: Edited, base: Path) -> None:
    refused(check_adapter(edited(lambda tensors, _: tensors.clear()), base), "empty")


def test_tensors_that_nothing_asks_for(edited: Edited, base: Path) -> None:
    def add(tensors: dict[str, np.ndarray], _: Any) -> None:
        tensors[f"{Q0.replace('q_proj', 'k_proj')}.lora_A.weight"] = np.ones((4, 16), np.float32)

    assert "1 tensors belong to nothing" in refused(check_adapter(edited(add), base), "unmatched").reason


def test_keys_that_still_hold_the_adapters_name(edited: Edited, base: Path) -> None:
    def name_them(tensors: dict[str, np.ndarray], _: Any) -> None:
        for name in list(tensors):
            tensors[name.replace(".weight", ".default.weight")] = tensors.pop(name)

    codes = {finding.code for finding in check_adapter(edited(name_them), base).findings}
    assert {"missing", "unmatched"} <= codes


def test_integers_where_weights_should_be(edited: Edited, base: Path) -> None:
    def round_off(tensors: dict[str, np.ndarray], _: Any) -> None:
        tensors[f"{Q0}.lora_A.weight"] = tensors[f"{Q0}.lora_A.weight"].astype(np.int32)

    refused(check_adapter(edited(round_off), base), "dtype")


def test_targets_that_mean_nothing(edited: Edited, base: Path) -> None:
    def retarget(tensors: dict[str, np.ndarray], config: dict[str, Any]) -> None:
        config["target_modules"] = ["query_key_value"]

    assert check_adapter(edited(retarget), base).verdict == "refused"


def test_a_dora_without_a_magnitude(edited: Edited, base: Path) -> None:
    check = check_adapter(edited(lambda tensors, _: tensors.pop(f"{Q0}.lora_magnitude_vector"), "dora"), base)
    assert check.verdict == "refused"
    assert "1 of 12 tensors are missing" in check.reason


def test_a_classifier_without_its_head(edited: Edited, base: Path) -> None:
    def behead(tensors: dict[str, np.ndarray], config: dict[str, Any]) -> None:
        tensors.pop("base_model.model.score.weight")

    for given in (base, None):
        check = refused(check_adapter(edited(behead, "classifier"), given), "head")
        assert "without its head" in check.reason


def test_a_head_of_another_width(edited: Edited, base: Path) -> None:
    def widen(tensors: dict[str, np.ndarray], _: Any) -> None:
        tensors["base_model.model.score.weight"] = np.ones((3, 32), np.float32)

    assert "takes 32 features" in refused(check_adapter(edited(widen, "classifier"), base), "head-shape").reason


def test_a_module_to_save_that_was_not_saved(edited: Edited, base: Path) -> None:
    check = check_adapter(edited(lambda tensors, _: tensors.pop("base_model.model.lm_head.weight"), "saved"), base)
    assert check.verdict == "refused"
    assert "lm_head.weight" in check.reason


def test_resized_embeddings_are_merged_and_said(edited: Edited, base: Path) -> None:
    def resize(tensors: dict[str, np.ndarray], _: Any) -> None:
        tensors["base_model.model.model.embed_tokens.weight"] = np.ones((50, 16), np.float32)
        tensors["base_model.model.lm_head.weight"] = np.ones((50, 16), np.float32)

    check = check_adapter(edited(resize), base)
    assert (check.verdict, check.resized_vocabulary) == ("merged", 50)
    assert "50 rows" in check.reason


def test_a_rank_above_vllms_maximum_is_merged(base: Path, tmp_path: Path, make_adapter: Make) -> None:
    import peft

    folder = make_adapter(
        base, peft.LoraConfig(r=600, target_modules=["q_proj"], task_type="CAUSAL_LM"), tmp_path / "wide"
    )
    check = check_adapter(folder, base)
    assert (check.verdict, check.engine_rank) == ("merged", None)
    assert "rank 600 (at most 512)" in check.reason


def test_a_base_of_another_name_on_the_hub(edited: Edited, base: Path) -> None:
    folder = edited(lambda _, config: config.update(base_model_name_or_path="some-org/other-base"))
    assert check_adapter(folder, base).verdict == "served"
    given = read_base(base, hub_id="some-org/this-base")
    check = refused(check_adapter(folder, given), "base-name")
    assert "some-org/other-base" in check.reason
    assert "some-org/this-base" in check.reason
    assert check_adapter(folder, given, CheckOptions(other_base=True)).verdict == "served"


def test_a_pickle_is_refused_unopened(zoo: dict[str, Path], base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    shutil.copy(zoo["plain"] / "adapter_config.json", folder)
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.")
    check = refused(check_adapter(folder, base), "files")
    assert "only as a pickle (adapter_model.bin)" in check.reason


@pytest.mark.parametrize(
    "change",
    [
        {"auto_mapping": {"base_model_class": "X", "parent_library": "evil_package.models"}},
        {"auto_mapping": {"base_model_class": "X", "parent_library": "transformers_modules.evil"}},
        {"megatron_config": {"a": 1}, "megatron_core": "evil"},
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"tokenizer_kwargs": {"trust_remote_code": True}},
        {"prompt_tuning_init_state_dict_path": "evil.bin"},
    ],
)
def test_names_that_are_code(edited: Edited, base: Path, change: dict[str, Any]) -> None:
    check = refused(check_adapter(edited(lambda _, config: config.update(change)), base), "files")
    assert "can run code" in check.reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peft_type", 3), ("peft_type", "LO RA\n"), ("r", "8"), ("r", True), ("r", -1), ("r", 10**12),
        ("lora_alpha", "x"), ("target_modules", {"a": 1}), ("target_modules", [1]), ("rank_pattern", {"a": "b"}),
        ("rank_pattern", {"a": 1.5}), ("alpha_pattern", [1]), ("layers_to_transform", ["0"]), ("bias", 1),
        ("modules_to_save", 5), ("base_model_name_or_path", []), ("target_modules", "(unclosed"),
    ],
)  # fmt: skip
def test_fields_of_another_type(edited: Edited, base: Path, field: str, value: Any) -> None:
    assert check_adapter(edited(lambda _, config: config.update({field: value})), base).verdict == "refused"


def test_a_pattern_that_never_ends_is_stopped(edited: Edited, base: Path) -> None:
    folder = edited(lambda _, config: config.update(target_modules=r"(?:.*?.*?)*[QZ]{2}"))
    assert "more than 2 s" in refused(check_adapter(folder, base), "files").reason


def test_a_configuration_without_end(edited: Edited, base: Path) -> None:
    folder = edited(lambda *_: None)
    for text in ("[" * 100_000, '{"a":' * 100_000, "{" + '"peft_type": "LORA", ' * 2 + '"r": 1}', '{"r": NaN}', "[1]"):
        (folder / "adapter_config.json").write_text(text)
        refused(check_adapter(folder, base), "files")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "x": "y" * (1 << 20)}))
    assert "larger than" in refused(check_adapter(folder, base), "files").reason
