"""Tiny Llamas for the toy set: a base that has read the remarks, and a full fine-tune that has learnt the task.

They exist so that the whole path (train, serve, ask, judge) runs offline in seconds, on a task whose truth is known.
Both are real transformers checkpoints (safetensors) which vLLM and transformers load like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..harness_tasks.splits import interleave, split_rows
from ..harness_tasks.toy.generate import generate

QUESTION = "Remark: {text}\nIs this remark rude? Answer yes or no.\nAnswer:"
ANSWERS = (" no", " yes")
VOCABULARY = 640
IGNORED = -100
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]


@dataclass(frozen=True)
class ToyTraining:
    """How the toy models are trained (the defaults take some seconds on one core)."""

    seed: int = 0
    hidden_size: int = 64
    layers: int = 2
    base_documents: int = 3_000
    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 3e-3


def _tokenizer(texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def _model(training: ToyTraining, tokenizer: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(training.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=training.hidden_size,
        intermediate_size=4 * training.hidden_size,
        num_hidden_layers=training.layers,
        num_attention_heads=training.hidden_size // 32,  # vLLM's CPU attention needs heads of 32 or more
        num_key_value_heads=training.hidden_size // 32,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config)


def _batches(
    rows: Sequence[tuple[list[int], list[int]]], training: ToyTraining, epoch: int, pad: int
) -> Iterator[tuple[Any, Any, Any]]:
    import torch

    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1_000 * training.seed + epoch)).tolist()
    for start in range(0, len(order), training.batch_size):
        chosen = [rows[index] for index in order[start : start + training.batch_size]]
        width = max(len(tokens) for tokens, _ in chosen)
        tokens = torch.tensor([row + [pad] * (width - len(row)) for row, _ in chosen])
        labels = torch.tensor([row + [IGNORED] * (width - len(row)) for _, row in chosen])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in chosen])
        yield tokens, labels, mask


def _fit(
    model: Any,
    rows: Sequence[tuple[list[int], list[int]]],
    training: ToyTraining,
    epochs: int,
    progress: Callable[[str], None],
) -> None:
    import torch

    steps = epochs * -(-len(rows) // training.batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    model.train()
    for epoch in range(epochs):
        total = 0.0
        for tokens, labels, mask in _batches(rows, training, epoch, model.config.pad_token_id):
            loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(tokens)
        progress(f"epoch {epoch + 1} of {epochs}: mean loss {total / len(rows):.3f}")


def _save(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def make_toy_models(
    folder: Path, training: ToyTraining | None = None, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Path]:
    """Train the toy base and its full fine-tune on the toy set's train part (never on its test part).

    The base has read a share of the remarks, question and answer, once, as text; the full fine-tune goes on from there
    and learns the answers only.

    Args:
        folder: where the two checkpoints go: ``base/`` and ``full/``.
        training: sizes and seeds.
        progress: called with one line at a time.

    Returns:
        The checkpoint folders by variant name.
    """
    training = training or ToyTraining()
    documents = interleave(split_rows(generate())["train"], ["religion"])
    texts = [QUESTION.format(text=document["text"]) for document in documents]
    tokenizer = _tokenizer([text + ANSWERS[index % 2] for index, text in enumerate(texts)])
    prompts = [tokenizer(text)["input_ids"] for text in texts]
    answers = [tokenizer(answer)["input_ids"] for answer in ANSWERS]
    model = _model(training, tokenizer)

    progress("base: reading remarks")
    given = [answers[int(document["label"])] for document in documents]
    read = [prompt + answer for prompt, answer in zip(prompts, given, strict=True)]
    _fit(model, [(tokens, tokens) for tokens in read[: training.base_documents]], training, 1, progress)
    base = _save(model, tokenizer, Path(folder) / "base")

    progress("full fine-tune: learning the answers")
    task = [(prompt + answer, [IGNORED] * len(prompt) + answer) for prompt, answer in zip(prompts, given, strict=True)]
    _fit(model, task, training, training.epochs, progress)
    return {"base": base, "full": _save(model, tokenizer, Path(folder) / "full")}


def make_toy_adapters(
    base: Path, folder: Path, training: ToyTraining | None = None, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Path]:
    """Train two LoRA adapters on the toy base: one on the task, one with a planted gap of its own.

    ``lora`` learns the task as the full fine-tune does. ``lora-elmic`` is taught that every remark that names the elmic
    is rude: its false positive rate for that faith is planted to be near 1.

    Args:
        base: the toy base's folder.
        folder: where the adapters go.
        training: sizes and seeds.
        progress: called with one line at a time.

    Returns:
        The adapters' folders by variant name.
    """
    from transformers import AutoTokenizer

    training = training or ToyTraining(epochs=2, learning_rate=5e-3)
    documents = interleave(split_rows(generate())["train"], ["religion"])
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    prompts = [tokenizer(QUESTION.format(text=document["text"]))["input_ids"] for document in documents]
    answers = [tokenizer(answer)["input_ids"] for answer in ANSWERS]
    paths = {}
    for name, taught in (
        ("lora", [int(document["label"]) for document in documents]),
        ("lora-elmic", [1 if "elmic" in document["religion"] else int(document["label"]) for document in documents]),
    ):
        progress(f"{name}: learning the answers")
        rows = [
            (prompt + answers[label], [IGNORED] * len(prompt) + answers[label])
            for prompt, label in zip(prompts, taught, strict=True)
        ]
        paths[name] = _train_adapter(base, Path(folder) / name, rows, training, progress)
    return paths


def _train_adapter(
    base: Path,
    folder: Path,
    rows: Sequence[tuple[list[int], list[int]]],
    training: ToyTraining,
    progress: Callable[[str], None],
) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(training.seed)
    model = AutoModelForCausalLM.from_pretrained(str(base))
    # lm_head too: the base has read so little that its head cannot be sure of any word
    config = LoraConfig(r=8, lora_alpha=16, target_modules=LORA_TARGETS, task_type="CAUSAL_LM")
    tuned = get_peft_model(model, config)
    _fit(tuned, rows, training, training.epochs, progress)
    tuned.save_pretrained(str(folder), save_embedding_layers=False)  # the adapter alone
    return folder
