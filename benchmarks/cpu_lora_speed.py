"""What the replaced CPU LoRA operators bring: ``python benchmarks/cpu_lora_speed.py [--hidden 128] [--documents 300]``.

One vLLM engine in this process serves a random Llama and an adapter on all its linear layers; the same choices are
scored with vLLM's own operators and with ours, in turns, the cache of prefixes emptied before each. Printed are the
median seconds and the largest difference of a log-probability; the scores of the base stand beside them, for what a
variant costs without any adapter.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

BAR_DIFFERENCE = 1e-4
EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make_models(folder: Path, hidden: int, layers: int) -> tuple[Path, Path]:
    """Save a random Llama with a small tokenizer, and an adapter of it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {token: at for at, token in enumerate(["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(
        folder / "base"
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=hidden,
            intermediate_size=4 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=hidden // 32,
            num_key_value_heads=hidden // 32,
            max_position_embeddings=256,
            initializer_range=0.1,
            bos_token_id=0,
            eos_token_id=1,
        )
    )
    model.save_pretrained(folder / "base")
    adapted = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=EVERY, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, tensor in adapted.named_parameters():
            if "lora_B" in name:
                tensor.normal_(std=0.05)
    adapted.save_pretrained(folder / "adapter")
    return folder / "base", folder / "adapter"


def requests(documents: int) -> list[Any]:
    """Two single-token choices a document of some 40 tokens."""
    from lm_eval.api.instance import Instance

    return [
        Instance(request_type="loglikelihood", doc={}, arguments=(f"Document {n}: is this rude, yes or no?", c), idx=0)
        for n in range(documents)
        for c in ("y", "n")
    ]


def main() -> int:
    """Measure; status 1 where the scores differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
    from groupgap.plugins import cpu_lora
    from groupgap.plugins.vllm_model import GroupgapVLLM

    with tempfile.TemporaryDirectory() as folder:
        base, adapter = make_models(Path(folder), arguments.hidden, arguments.layers)
        model = GroupgapVLLM(
            str(base), adapters={"adapter": adapter}, dtype="float32", enforce_eager=True, max_model_len=128
        )
        asked = requests(arguments.documents)
        ways = {
            "base": ("base", None),
            "upstream": ("adapter", cpu_lora.uninstall),
            "ours": ("adapter", cpu_lora.install),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        scores: dict[str, list[float]] = {}
        for turn in range(arguments.repeat + 1):
            for way, (variant, switch) in ways.items():
                if switch:
                    switch()
                model.use(variant)
                model.model.reset_prefix_cache()
                begin = time.perf_counter()
                scores[way] = [logprob for logprob, _ in model.loglikelihood(asked, disable_tqdm=True)]
                if turn:  # the first warms up
                    seconds[way].append(time.perf_counter() - begin)
    return report(arguments, seconds, scores)


def report(arguments: argparse.Namespace, seconds: dict[str, list[float]], scores: dict[str, list[float]]) -> int:
    """Print the medians; the exit status."""
    median = {way: statistics.median(taken) for way, taken in seconds.items()}
    difference = max(abs(one - other) for one, other in zip(scores["upstream"], scores["ours"], strict=True))
    print(f"hidden {arguments.hidden}, {arguments.layers} layers, {arguments.documents} documents")
    print(f"base {median['base']:.2f} s; adapter: vLLM's operators {median['upstream']:.2f} s", end="")
    print(f", ours {median['ours']:.2f} s ({median['upstream'] / median['ours']:.1f} times faster)")
    print(f"largest difference of a log-probability: {difference:.1e}")
    return 0 if difference <= BAR_DIFFERENCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
