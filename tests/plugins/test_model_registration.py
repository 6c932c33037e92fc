"""``--model groupgap-vllm`` from a bare ``lm_eval``: known, not imported before it is asked for, and right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from groupgap.plugins.discovery import MODELS, add_models

from .conftest import Planted, edit_config

ROOT = Path(__file__).resolve().parents[2]
LOOK = (
    "import sys; from lm_eval.api.registry import get_model, model_registry; import lm_eval.models;"
    "print('groupgap-vllm' in model_registry, 'vllm' in model_registry, 'vllm' in sys.modules)"
)


def python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an interpreter of this environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
    )


def test_a_bare_lm_eval_knows_our_models_and_its_own() -> None:
    assert python("-c", LOOK).stdout.split() == ["True", "True", "False"]


def test_the_startup_file_can_be_switched_off() -> None:
    assert python("-c", LOOK, GROUPGAP_NO_STARTUP="1").stdout.split() == ["False", "True", "False"]


def test_a_name_that_lm_eval_knows_stays_as_it_is() -> None:
    from lm_eval.api.registry import model_registry

    add_models()
    before = dict(model_registry.items())
    add_models()
    assert dict(model_registry.items()) == before
    assert set(MODELS) <= set(before)


def test_lm_eval_is_told_of_the_same_models() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["lm_eval.models"]
    assert declared == MODELS


def lm_eval(base: Path, adapter: Path, output: Path) -> subprocess.CompletedProcess[str]:
    """One bare run on some documents of the toy task: the engine in a process of its own, no C++ compiler at hand."""
    arguments = f"pretrained={base},peft={adapter},dtype=float32,enforce_eager=True,max_model_len=256,proof=full"
    options = ["--model_args", arguments, "--tasks", "toy_religion_fair", "--limit", "24", "--log_samples"]
    compiler = {"CXX": "/bin/false", "TORCHINDUCTOR_CACHE_DIR": str(output / "nothing compiled")}
    variables = {"VLLM_ENABLE_V1_MULTIPROCESSING": "1", **compiler}
    return python("-m", "lm_eval", "--model", "groupgap-vllm", *options, "--output_path", str(output), **variables)


@pytest.mark.slow
@pytest.mark.engine
def test_a_whole_run_with_an_adapter(planted: Planted, tmp_path: Path) -> None:
    from .test_vllm_model import distance, hf_scores, request

    pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")
    adapter = planted.adapter("every")
    done = lm_eval(planted.base, adapter, tmp_path)
    assert done.returncode == 0, done.stderr[-2_000:]
    results = json.loads(next(tmp_path.rglob("results_*.json")).read_text())
    assert results["config"]["groupgap_variant"] == "every"
    assert "every" in next(tmp_path.rglob("results_*.json")).parent.name
    samples = [json.loads(line) for line in next(tmp_path.rglob("samples_*.jsonl")).read_text().splitlines()]
    assert len(samples) == 24
    requests = [request(*arguments.values()) for sample in samples for arguments in sample["arguments"].values()]
    found = [(float(answer[0][0]), answer[0][1] == "True") for sample in samples for answer in sample["resps"]]
    assert distance(found, hf_scores(planted.base, adapter, requests, max_length=255)) <= 1e-4


@pytest.mark.slow
@pytest.mark.engine
def test_a_bad_adapter_is_one_line_and_status_2(planted: Planted, tmp_path: Path) -> None:
    import shutil

    pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")
    folder = edit_config(shutil.copytree(planted.adapter("attention"), tmp_path / "bad"), r=8)
    done = lm_eval(planted.base, folder, tmp_path / "out")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("groupgap: error: variant bad: ")
