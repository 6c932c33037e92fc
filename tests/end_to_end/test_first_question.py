"""Install, ask, judge, show: a bare ``lm_eval`` with the real engine, then ``groupgap board``; the truth is known."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from groupgap.harness_tasks.toy.generate import planted_truth
from scipy.stats import binomtest

pytestmark = [pytest.mark.slow, pytest.mark.engine]

BIN = Path(sys.executable).parent
ENGINE = {
    "vllm": "pretrained={model},dtype=float32,max_model_len=512,enforce_eager=True",
    "hf": "pretrained={model},dtype=float32",
}
QUIET = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


# An engine's threads can end Python abnormally once its table is printed and its files are written (docs/backends.md).
ABORTED = "terminate called without an active exception\n"


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this environment; on failure show the end of what it said."""
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    aborted = command[0] == "lm_eval" and done.returncode == -signal.SIGABRT and done.stderr.endswith(ABORTED)
    assert done.returncode == 0 or aborted, (done.stdout + done.stderr)[-3000:]
    return done


def ask(task: str, engine: str, model: Path, out: Path, **environment: str) -> str:
    """One bare ``lm_eval``; returns what it printed."""
    command = ["lm_eval", "--tasks", task, "--model", engine, "--model_args", ENGINE[engine].format(model=model)]
    command += ["--batch_size", "auto" if engine == "vllm" else "64", "--log_samples", "--output_path", str(out)]
    if engine == "hf":
        command += ["--device", "cpu"]
    return run(command, **{**QUIET, **environment}).stdout


def samples(folder: Path, task: str) -> list[dict[str, Any]]:
    """The logged samples of the one run under a folder, by document."""
    (path,) = folder.rglob(f"samples_{task}_*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(rows, key=lambda row: row["doc_id"])


@pytest.fixture(scope="session")
def toy_runs(toy_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The toy base and its full fine-tune, asked by vLLM: the folder of runs, and lm-eval's table of the fine-tune."""
    out = tmp_path_factory.mktemp("runs")
    ask("toy_religion_fair", "vllm", toy_models["base"], out)
    return out, ask("toy_religion_fair", "vllm", toy_models["full"], out)


def test_lm_evals_own_table_shows_the_gaps(toy_runs: tuple[Path, str]) -> None:
    rows = [[cell.strip() for cell in line.split("|")] for line in toy_runs[1].splitlines()]
    table = {row[5]: (float(row[7]), float(row[9])) for row in rows if len(row) > 9 and row[3] == "none"}
    for metric in ("acc", "worst_group_acc", "acc_spread", "dpd", "eod", "acc[elmic]"):
        value, stderr = table[metric]
        assert 0 <= value <= 1
        assert 0 < stderr < 0.2


def test_the_board_names_the_group_that_is_treated_worst(toy_runs: tuple[Path, str], tmp_path: Path) -> None:
    out = tmp_path / "board"
    printed = run(["groupgap", "board", str(toy_runs[0]), "-o", str(out)]).stdout
    assert "elmic" in printed
    assert {path.name for path in out.iterdir()} >= {"board.csv", "board.json", "board.md", "index.html"}
    with (out / "board.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {row["task"] for row in rows} == {"toy_religion_fair"}
    best = max(rows, key=lambda row: float(row["accuracy"]))
    assert best["worst_group_groups"] == "elmic"


def test_the_fine_tune_reaches_the_planted_ceilings(toy_runs: tuple[Path, str], toy_models: dict[str, Path]) -> None:
    """The planted accuracy of each group lies inside the exact 99% interval of what was measured."""
    (folder,) = [path for path in toy_runs[0].iterdir() if path.name.endswith("full")]
    rows = samples(folder, "toy_religion_fair")
    for faith, truth in planted_truth().items():
        hits = [row["acc"] for row in rows if faith in row["doc"]["religion"]]
        interval = binomtest(int(sum(hits)), len(hits)).proportion_ci(0.99)
        assert interval.low <= truth.accuracy <= interval.high, (faith, interval, truth.accuracy)


def test_transformers_and_vllm_agree_on_real_data(shared: Path, tmp_path: Path) -> None:
    """The same predictions and log-probabilities (1e-4) by both engines, on ToxiGen with a pretrained Llama."""
    model = shared / "models" / "stories260K"
    for engine in ("hf", "vllm"):
        ask("toxigen_fair", engine, model, tmp_path / engine, GROUPGAP_DATA=str(shared / "data"))
    pairs = zip(samples(tmp_path / "hf", "toxigen_fair"), samples(tmp_path / "vllm", "toxigen_fair"), strict=True)
    count = 0
    for ours, theirs in pairs:
        assert ours["doc_hash"] == theirs["doc_hash"]
        left, right = ([float(answer[0]) for answer in row["filtered_resps"]] for row in (ours, theirs))
        assert left == pytest.approx(right, abs=1e-4)
        assert max(range(2), key=left.__getitem__) == max(range(2), key=right.__getitem__)
        count += 1
    assert count > 1_500
