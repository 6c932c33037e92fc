"""A checkpoint that lacks a weight is refused; transformers would draw it at random and go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from groupgap.adapters.whole_weights import load_whole
from groupgap.errors import GroupgapError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig, LlamaForCausalLM


@pytest.fixture
def base(tmp_path: Path) -> Path:
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        pad_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path, safe_serialization=True)
    return tmp_path


@pytest.mark.parametrize("lost", ["model.layers.1.self_attn.q_proj.weight", "lm_head.weight", "model.norm.weight"])
def test_one_lost_weight_is_named(base: Path, lost: str) -> None:
    weights = load_file(base / "model.safetensors")
    del weights[lost]
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(GroupgapError) as error:
        load_whole(AutoModelForCausalLM, base)
    assert f"1 weights of LlamaForCausalLM are in no file, e.g. {lost}" in str(error.value)


@pytest.mark.parametrize(("dtype", "kind"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_whole_one_loads_in_the_type_that_is_asked_for(base: Path, dtype: str, kind: torch.dtype) -> None:
    model = load_whole(AutoModelForCausalLM, base, dtype=dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {kind}
    stored = load_file(base / "model.safetensors")["model.norm.weight"]
    assert torch.equal(model.state_dict()["model.norm.weight"], stored.to(kind))


def test_a_new_head_may_be_drawn(base: Path) -> None:
    load_whole(AutoModelForSequenceClassification, base, new=("score",), num_labels=2)
    with pytest.raises(GroupgapError, match=r"score\.weight"):
        load_whole(AutoModelForSequenceClassification, base, num_labels=2)
