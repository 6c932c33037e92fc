"""One tiny base with random weights, adapters of it, and one vLLM engine for all tests that need one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SENTENCES = [
    "Remark: the nurse said she would be late. Is this remark rude? Answer yes or no. Answer: yes",
    "Remark: the engineer said he was tired of them. Is this remark rude? Answer yes or no. Answer: no",
    "Once upon a time there was a little house near the river, and in it lived an old man.",
]
ATTENTION = ("q_proj", "v_proj")
EVERY = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Recipe:
    """How a test's adapter is made."""

    targets: tuple[str, ...] = ATTENTION
    rank: int = 4
    seed: int = 0
    scale: float = 0.3
    options: dict[str, Any] = field(default_factory=dict)


RECIPES = {
    "attention": Recipe(),
    "every": Recipe(EVERY, rank=8, seed=1),
    "head": Recipe(("q_proj", "lm_head"), seed=2),
    "embedding": Recipe(("v_proj", "embed_tokens"), seed=3),
}


def save_tokenizer(folder: Path) -> int:
    """Train a byte-pair tokenizer on a few sentences; its vocabulary's size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    fast.save_pretrained(folder)
    return len(fast)


def make_model(folder: Path, *, hidden: int = 64, seed: int = 0) -> Path:
    """A Llama of two layers whose random weights are large enough to have opinions."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=save_tokenizer(folder),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        initializer_range=0.15,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_adapter(base: Path, folder: Path, recipe: Recipe) -> Path:
    """Save a PEFT adapter of a base with random tensors, B's included."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1_000 + recipe.seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        target_modules=list(recipe.targets),
        task_type="CAUSAL_LM",
        **recipe.options,
    )
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_B" in name or "lora_embedding_A" in name:  # PEFT starts these at zero
                tensor.copy_(recipe.scale * torch.randn_like(tensor))
    model.save_pretrained(folder)
    return folder


def edit_tensors(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """Rewrite the tensors of an adapter or checkpoint."""
    from safetensors.torch import load_file, save_file

    path = next(folder.glob("*.safetensors"))
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
    return folder


def edit_config(folder: Path, **values: Any) -> Path:
    """Rewrite fields of an adapter's configuration."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


@dataclass(frozen=True)
class Planted:
    """The folder of the base, and where adapters are made."""

    base: Path
    root: Path

    def adapter(self, name: str) -> Path:
        """An adapter of the base by :data:`RECIPES`, made once."""
        folder = self.root / name
        return folder if folder.is_dir() else make_adapter(self.base, folder, RECIPES[name])


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A tiny base and a folder for its adapters."""
    pytest.importorskip("peft")
    root = tmp_path_factory.mktemp("planted")
    return Planted(make_model(root / "base"), root)


@pytest.fixture(scope="session")
def engine(planted: Planted) -> Any:
    """vLLM in this process: float32, three slots, two of which can be filled."""
    pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")
    from groupgap.plugins.vllm_model import GroupgapVLLM

    adapters = {name: planted.adapter(name) for name in RECIPES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        return GroupgapVLLM(
            pretrained=str(planted.base),
            adapters=adapters,
            max_loras=3,
            dtype="float32",
            enforce_eager=True,
            max_model_len=256,
            max_num_seqs=64,
            kv_cache_memory_bytes=64 << 20,
        )
