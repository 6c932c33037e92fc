"""The fleet with the real engine: one process serves base, adapters and full fine-tune; nothing dead gets through."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

pytestmark = [pytest.mark.slow, pytest.mark.engine]

BIN = Path(sys.executable).parent
ROSTER = """
tasks: [{{task: toy_religion_fair, limit: {limit}}}]
defaults:
  base: {base}
  engine_options: {{dtype: float32, max_model_len: 512}}
variants:
  - {{name: base}}
  - {{name: lora, method: lora, weights: {lora}}}
  - {{name: full, method: full, weights: {full}}}
"""


@pytest.fixture(scope="session")
def toy_adapters(toy_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two LoRA adapters on the toy base, trained once for all tests."""
    from groupgap.adapters.toy_models import make_toy_adapters

    return make_toy_adapters(toy_models["base"], tmp_path_factory.mktemp("toy_adapters"))


def write_roster(folder: Path, models: dict[str, Path], adapters: dict[str, Path], limit: int, more: str = "") -> Path:
    """A roster of base, adapter and full fine-tune, and more."""
    roster = folder / "roster.yaml"
    roster.write_text(
        ROSTER.format(limit=limit, base=models["base"], lora=adapters["lora"], full=models["full"]) + more
    )
    return roster


def start(roster: Path, out: Path) -> subprocess.Popen[str]:
    """``groupgap run`` in a process group of its own."""
    return subprocess.Popen(
        [str(BIN / "groupgap"), "run", str(roster), "-o", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        start_new_session=True,
    )


def run(roster: Path, out: Path) -> tuple[int, str]:
    """``groupgap run`` to its end: status and everything it said."""
    process = start(roster, out)
    said, _ = process.communicate(timeout=400)
    return process.returncode, said


def answers(out: Path, variant: str) -> dict[str, list[float]]:
    """Document to the log-probabilities of its choices, each document once."""
    (path,) = (out / "runs" / variant).glob("samples_*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    found = {row["doc"]["id"]: [float(answer[0]) for answer in row["filtered_resps"]] for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture(scope="module")
def undisturbed(
    toy_models: dict[str, Path], toy_adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, int, str]:
    """A run with two dead adapters among the living: roster, output folder, status, what it said."""
    folder = tmp_path_factory.mktemp("fleet")
    zero = folder / "zero"
    shutil.copytree(toy_adapters["lora"], zero)
    tensors = load_file(zero / "adapter_model.safetensors")
    save_file(
        {name: tensor * (0.0 if "lora_B" in name else 1.0) for name, tensor in tensors.items()},
        zero / "adapter_model.safetensors",
    )
    wide = folder / "wide"
    shutil.copytree(toy_adapters["lora"], wide)
    save_file(
        {name: tensor.repeat(1, 2).contiguous() for name, tensor in tensors.items()}, wide / "adapter_model.safetensors"
    )
    more = f"  - {{name: zero, method: lora, weights: {zero}}}\n  - {{name: wide, method: lora, weights: {wide}}}\n"
    roster = write_roster(folder, toy_models, toy_adapters, 300, more)
    status, said = run(roster, folder / "out")
    return roster, folder / "out", status, said


def test_the_dead_are_refused_by_name_and_the_others_go_on(undisturbed: tuple[Path, Path, int, str]) -> None:
    _, out, status, said = undisturbed
    assert status == 1, said
    failures = [line for line in said.splitlines() if line.startswith("groupgap: failed: ")]
    assert [line.split(": ")[2] for line in failures] == ["zero", "wide"]
    assert {path.name for path in (out / "runs").iterdir() if path.is_dir()} >= {"base", "lora", "full"}
    assert not list((out / "runs").rglob("zero/samples_*"))
    board = json.loads((out / "board" / "board.json").read_text())
    assert {row["variant"]: row["proof"] for row in board["rows"]} == dict.fromkeys(("base", "lora", "full"), "full")


def test_each_variant_says_who_answered_and_how_that_was_proven(undisturbed: tuple[Path, Path, int, str]) -> None:
    for name, served in (("base", "base"), ("lora", "adapter"), ("full", "full")):
        told: dict[str, Any] = json.loads((undisturbed[1] / "runs" / name / "variant.json").read_text())
        assert (told["name"], told["served"], told["proof"]["passed"]) == (name, served, True)
        assert told["proof"]["agrees_with_reference"] < 1e-4
        assert told["hashes"]
        if name != "base":
            assert told["proof"]["differs_from_base"] > 0.1


def test_the_fleet_answers_as_transformers_and_peft_do(
    undisturbed: tuple[Path, Path, int, str], toy_models: dict[str, Path], toy_adapters: dict[str, Path]
) -> None:
    import torch
    from groupgap.adapters.toy_models import ANSWERS, QUESTION
    from groupgap.harness_tasks.toy.generate import generate
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = {document["id"]: document["text"] for document in generate()}
    tokenizer = AutoTokenizer.from_pretrained(toy_models["base"])
    choices = [tokenizer(answer)["input_ids"][0] for answer in ANSWERS]
    plain = AutoModelForCausalLM.from_pretrained
    models = {
        "base": plain(toy_models["base"]),
        "full": plain(toy_models["full"]),
        "lora": PeftModel.from_pretrained(plain(toy_models["base"]), str(toy_adapters["lora"])),
    }
    for name, model in models.items():
        model.eval()
        for document, found in list(answers(undisturbed[1], name).items())[:40]:
            tokens = torch.tensor([tokenizer(QUESTION.format(text=texts[document]))["input_ids"]])
            with torch.inference_mode():
                expected = torch.log_softmax(model(tokens).logits[0, -1].float(), -1)[choices].tolist()
            assert found == pytest.approx(expected, abs=1e-4)


def test_what_is_answered_is_not_asked_again(undisturbed: tuple[Path, Path, int, str]) -> None:
    roster, out, _, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("samples_*")}
    status, said = run(roster, out)
    assert status == 1
    assert "0 answered, 3 kept from before" in said
    assert "starting vllm" not in said or "zero" in said
    assert before == {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("samples_*")}


@pytest.mark.parametrize("moment", ["starting", "proven live", "answered"])
def test_kill_9_and_again_gives_the_answers_of_an_undisturbed_run(
    moment: str,
    undisturbed: tuple[Path, Path, int, str],
    toy_models: dict[str, Path],
    toy_adapters: dict[str, Path],
    tmp_path: Path,
) -> None:
    roster = write_roster(tmp_path, toy_models, toy_adapters, 300)
    process = start(roster, tmp_path / "out")
    assert process.stdout is not None
    for line in process.stdout:
        if moment in line:
            break
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    status, said = run(roster, tmp_path / "out")
    assert status == 0, said
    for name in ("base", "lora", "full"):
        expected = answers(undisturbed[1], name)
        found = answers(tmp_path / "out", name)
        assert found.keys() == expected.keys()
        for document, values in expected.items():
            assert found[document] == pytest.approx(values, abs=1e-5)
