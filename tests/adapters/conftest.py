"""Tiny Llamas wrapped and saved by PEFT itself: what a check must accept, and what faults are planted into."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Edit = Callable[[dict[str, np.ndarray], dict[str, Any]], None]
TARGETS = ["q_proj", "down_proj"]


def llama(
    folder: Path, *, hidden: int = 16, layers: int = 2, vocabulary: int = 48, tied: bool = False, seed: int = 0
) -> Path:
    """Save a tiny Llama of random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def wrap(base: Path, config: Any, folder: Path, *, classes: int | None = None) -> Path:
    """Wrap a base by PEFT, give all that is trained random values, and save the adapter."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if classes:
            model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=classes)
        else:
            model = AutoModelForCausalLM.from_pretrained(base)
        torch.manual_seed(1)
        wrapped = get_peft_model(model, config)
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.data += 0.1 * torch.randn_like(parameter)
        wrapped.save_pretrained(folder)
    return folder


def zoo_configs() -> dict[str, Any]:
    """PEFT configurations by name, each with the verdict that vLLM leaves and whether it is a causal model."""
    import peft

    def lora(**options: Any) -> Any:
        return peft.LoraConfig(**{"r": 4, "target_modules": TARGETS, "task_type": "CAUSAL_LM"} | options)

    causal = {"target_modules": TARGETS, "task_type": "CAUSAL_LM"}
    tokens = {"num_virtual_tokens": 3, "task_type": "CAUSAL_LM"}
    return {
        "plain": lora(),
        "regex": lora(target_modules=r".*layers\.1\..*(q_proj|v_proj)"),
        "all_linear": lora(target_modules="all-linear"),
        "one_layer": lora(layers_to_transform=[1], layers_pattern="layers"),
        "excluded": lora(target_modules=["q_proj", "v_proj"], exclude_modules=["model.layers.0.self_attn.v_proj"]),
        "rank_pattern": lora(rank_pattern={"down_proj": 2, r"layers\.0.*q_proj": 8}, alpha_pattern={"q_proj": 3}),
        "rslora": lora(use_rslora=True),
        "embeddings": lora(target_modules=["embed_tokens", "lm_head", "q_proj"]),
        "gaussian": lora(init_lora_weights="gaussian"),
        "dora": lora(use_dora=True),
        "lora_bias": lora(lora_bias=True),
        "pissa": lora(init_lora_weights="pissa"),
        "saved": lora(modules_to_save=["lm_head", "norm"]),
        "token_rows": lora(trainable_token_indices=[1, 2]),
        "ia3": peft.IA3Config(
            **causal | {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
        ),
        "vera": peft.VeraConfig(r=4, **causal | {"target_modules": ["q_proj"]}),
        "vera_unsaved": peft.VeraConfig(r=4, save_projection=False, **causal),
        "loha": peft.LoHaConfig(r=4, **causal),
        "lokr": peft.LoKrConfig(r=4, **causal),
        "adalora": peft.AdaLoraConfig(init_r=4, target_r=2, total_step=9, **causal),
        "oft": peft.OFTConfig(r=0, oft_block_size=4, **causal),
        "boft": peft.BOFTConfig(boft_block_size=4, **causal),
        "hra": peft.HRAConfig(r=4, **causal),
        "miss": peft.MissConfig(r=4, **causal),
        "ln_tuning": peft.LNTuningConfig(task_type="CAUSAL_LM"),
        "shira": peft.ShiraConfig(r=2, **causal),
        "trainable_tokens": peft.TrainableTokensConfig(token_indices=[1, 2], task_type="CAUSAL_LM"),
        "prefix": peft.PrefixTuningConfig(**tokens),
        "prompt": peft.PromptTuningConfig(**tokens),
        "p_tuning": peft.PromptEncoderConfig(encoder_hidden_size=8, **tokens),
    }


@pytest.fixture(scope="session")
def make_llama() -> Callable[..., Path]:
    """:func:`llama`."""
    return llama


@pytest.fixture(scope="session")
def make_adapter() -> Callable[..., Path]:
    """:func:`wrap`."""
    return wrap


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama: hidden 16, 2 layers, 48 tokens."""
    return llama(tmp_path_factory.mktemp("bases") / "base")


@pytest.fixture(scope="session")
def zoo(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One adapter of each method, on :func:`base`."""
    import peft

    root = tmp_path_factory.mktemp("zoo")
    made = {name: wrap(base, config, root / name) for name, config in zoo_configs().items()}
    head = peft.LoraConfig(r=4, target_modules=TARGETS, task_type="SEQ_CLS")
    return made | {"classifier": wrap(base, head, root / "classifier", classes=3)}


@pytest.fixture
def edited(zoo: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """Copy an adapter and edit its tensors and configuration."""
    from safetensors.numpy import load_file, save_file

    def edit(change: Edit, name: str = "plain") -> Path:
        folder = tmp_path / f"edited-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(zoo[name], folder)
        weights, configuration = folder / "adapter_model.safetensors", folder / "adapter_config.json"
        tensors, config = load_file(weights), json.loads(configuration.read_text())
        change(tensors, config)
        save_file(tensors, weights)
        configuration.write_text(json.dumps(config))
        return folder

    return edit
