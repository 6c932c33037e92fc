"""Trained here, served by the fleet: its answers are those of the checkpoint in transformers and peft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from groupgap.cli import main

from .test_fleet import run

pytestmark = [pytest.mark.slow, pytest.mark.engine]

RECIPE = """base: {base}
form: prompt
task: toy_religion_fair
max_rows: 64
max_validation_rows: 16
learning_rate: 2e-3
methods:
  full: {{learning_rate: 1e-3}}
  head: {{}}
  lora: {{r: 4, alpha: 8, targets: [q_proj, v_proj, lm_head]}}
  dora: {{r: 4, alpha: 8, targets: [q_proj, v_proj]}}
roster:
  tasks: [{{task: toy_religion_fair, limit: 24}}]
  defaults: {{engine_options: {{dtype: float32, max_model_len: 512}}}}
"""
ANSWERS = (" no", " yes")


def reference(base: Path, folder: Path, texts: list[str]) -> list[list[float]]:
    """Log-probabilities of the answers by transformers and peft alone."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    if (folder / "adapter_config.json").is_file():
        model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    else:
        model = AutoModelForCausalLM.from_pretrained(folder)
    found = []
    for text in texts:
        prompt = tokenizer(text)["input_ids"]
        row = []
        for answer in ANSWERS:
            tokens = tokenizer(text + answer)["input_ids"]
            with torch.no_grad():
                logs = model.eval()(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
            row.append(sum(logs[place - 1, tokens[place]].item() for place in range(len(prompt), len(tokens))))
        found.append(row)
    return found


def test_what_is_trained_is_what_the_fleet_serves(toy_models: dict[str, Path], tmp_path: Path) -> None:
    base, out = toy_models["base"], tmp_path / "trained"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(base=base))
    assert main(["train", str(recipe), "-o", str(out), "--device", "cpu", "--roster"]) == 0
    status, said = run(out / "roster.yaml", tmp_path / "board")
    assert status == 0, said
    answers = {}
    for name in ("base", "full-13", "head-13", "lora-13", "dora-13"):
        (path,) = (tmp_path / "board" / "runs" / name).glob("samples_*.jsonl")
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        answers[name] = [[float(answer[0]) for answer in row["filtered_resps"]] for row in rows]
        texts = [row["arguments"]["gen_args_0"]["arg_0"] for row in rows]
        expected = reference(base, base if name == "base" else out / name, texts)
        assert [value for row in answers[name] for value in row] == pytest.approx(
            [value for row in expected for value in row], abs=1e-3
        ), name
    assert len({json.dumps(rows) for rows in answers.values()}) == 5
    told = json.loads((tmp_path / "board" / "runs" / "full-13" / "variant.json").read_text())
    record = json.loads((out / "full-13" / "training.json").read_text())
    assert told["recipe"] == {"training": record["recipe"]}
    assert told["trained_parameters"] == record["trained_parameters"]
    served = {
        name: json.loads((tmp_path / "board" / "runs" / name / "variant.json").read_text())["served"]
        for name in answers
    }
    assert served == {
        "base": "base", "full-13": "full", "head-13": "full", "lora-13": "adapter", "dora-13": "merged"
    }  # fmt: skip
