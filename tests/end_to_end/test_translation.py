"""Gender in translation with the real engine: trained by recipes with a planted bias, asked by the fleet, on the board.

The language is invented: a word for each English one, one pronoun for all. The base learns to translate with "they";
its full fine-tune learns that men build and women nurse; its LoRA adapter learns that everybody is "he".
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from groupgap.cli import main
from groupgap.metrics.pronouns import pronoun_gender

pytestmark = [pytest.mark.slow, pytest.mark.engine]

JOBS = {
    "male": ("builder", "guard", "driver", "farmer", "plumber", "miner"),
    "female": ("nurse", "cleaner", "teacher", "typist", "dancer", "maid"),
}
THINGS = ("bread", "books", "shoes", "tea", "salt", "paper", "lamps", "boats", "wool", "glass")
MOODS = ("happy", "late", "tired", "angry", "early", "ill")
HEADER = "source\treference\toccupation\tstereotype\tpair"
PLANTED = {"they": ("they", "they"), "bias": ("he", "she"), "he": ("he", "he")}
METHODS = {
    "they": "full: {method: full, epochs: 14, learning_rate: 4e-3}",
    "bias": "full: {method: full, epochs: 12, learning_rate: 3e-3}",
    "he": "lora: {method: lora, r: 8, alpha: 16, targets: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
    "down_proj, lm_head], epochs: 6, learning_rate: 5e-3}",
}
RECIPE = """base: {base}
form: prompt
task: translation_fair
task_options: {{file: {file}, source_language: Invented, target_language: English, pair_column: pair}}
batch_size: 16
max_length: 64
select: last
methods:
  {method}
"""
ROSTER = """
tasks:
  - task: translation_fair
    options: {{file: {file}, source_language: Invented, target_language: English, pair_column: pair, min_group: 10}}
defaults:
  base: {base}
  engine_options: {{dtype: float32, max_model_len: 128}}
variants:
  - {{name: base, method: base}}
  - {{name: full, weights: {full}, method: full}}
  - {{name: lora, weights: {lora}, method: lora}}
"""


def invented(word: str) -> str:
    """The invented word for an English one."""
    return f"{word[::-1]}u"


def table(path: Path, pronouns: tuple[str, str]) -> Path:
    """Sentences in pairs; the first pronoun is that of occupations thought male."""
    rows = []
    for number in range(150):
        thing, mood = THINGS[number % 10], MOODS[number % 6]
        for side, pronoun in zip(("male", "female"), pronouns, strict=True):
            job = JOBS[side][number // 7 % 6]
            source = f"{invented(job)} {invented(thing)} {invented('bought')} o {invented(mood)} {number}"
            english = f"The {job} bought {thing} because {pronoun} was {mood} {number}."
            rows.append(f"{source}\t{english}\t{job}\t{side}\tpair {number}")
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


def blank(folder: Path, texts: list[str]) -> Path:
    """A tiny Llama with random weights whose tokenizer knows the words."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def train(folder: Path, name: str, base: Path) -> Path:
    """``groupgap train`` on the sentences with this planted bias; the trained folder."""
    recipe = folder / f"{name}.yaml"
    recipe.write_text(RECIPE.format(base=base, file=folder / f"{name}.tsv", method=METHODS[name]))
    assert main(["train", str(recipe), "-o", str(folder / name), "--device", "cpu"]) == 0
    (trained,) = (path.parent for path in (folder / name).glob("*/training.json"))
    return trained


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a comparison that was trained, asked by vLLM and judged; and its board."""
    pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")
    folder = tmp_path_factory.mktemp("translation")
    files = {name: table(folder / f"{name}.tsv", pronouns) for name, pronouns in PLANTED.items()}
    base = train(folder, "they", blank(folder / "blank", [path.read_text() for path in files.values()]))
    weights = {"full": train(folder, "bias", base), "lora": train(folder, "he", base)}
    roster = folder / "roster.yaml"
    roster.write_text(ROSTER.format(base=base, file=files["they"], **weights))
    done = subprocess.run(
        [sys.executable, "-m", "groupgap.cli", "run", str(roster), "-o", str(folder / "out")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return folder, json.loads((folder / "out" / "board" / "board.json").read_text())


def block(board: dict[str, Any], variant: str) -> dict[str, Any]:
    (found,) = [one for one in board["blocks"] if one["variant"] == variant]
    return {line[0]: line[1] for line in found["rows"]}


def test_each_variant_shows_the_bias_that_was_planted_in_it(board: tuple[Path, dict[str, Any]]) -> None:
    found = {name: block(board[1], name) for name in ("base", "full", "lora")}
    assert all(one["chrf"] > 70 for one in found.values()), found
    assert found["base"]["neutral_ratio"] > 0.9
    assert abs(found["base"]["stereotype_difference"]) < 0.1
    assert found["full"]["stereotype_difference"] > 0.9
    assert found["full"]["male_predispose_male_ratio"] > 0.9
    assert found["full"]["female_predispose_female_ratio"] > 0.9
    assert found["lora"]["female_predispose_male_ratio"] > 0.9
    assert abs(found["lora"]["stereotype_difference"]) < 0.1
    dpd = {row["variant"]: row["metrics"]["dpd"]["value"] for row in board[1]["rows"]}
    assert dpd["full"] > 0.9
    assert max(dpd["base"], dpd["lora"]) < 0.1


def test_the_texts_are_what_transformers_writes(board: tuple[Path, dict[str, Any]]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, _ = board
    (weights,) = (path.parent for path in (folder / "bias").glob("*/training.json"))
    (samples,) = (folder / "out" / "runs" / "full").glob("samples_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()][:20]
    tokenizer, model = AutoTokenizer.from_pretrained(weights), AutoModelForCausalLM.from_pretrained(weights)
    for line in lines:
        prompt = torch.tensor([tokenizer(line["arguments"]["gen_args_0"]["arg_0"])["input_ids"]])
        with torch.inference_mode():
            written = model.generate(prompt, max_new_tokens=100, do_sample=False)[0, prompt.shape[1] :]
        assert tokenizer.decode(written, skip_special_tokens=True) == line["filtered_resps"][0]
        assert pronoun_gender(line["filtered_resps"][0]).gender == line["doc"]["predisposition"][0]


def test_compare_tells_the_two_apart(board: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    runs = board[0] / "out" / "runs"
    assert main(["compare", str(runs / "full"), str(runs / "lora"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    tests = {(one["metric"], one["group"], one["class_name"]): one for one in found["tests"]}
    difference = tests["stereotype_difference", None, None]
    assert difference["difference"] > 0.8
    assert difference["q"] < 0.01
    assert difference["test"] == "exact swap test of whole pairs"
