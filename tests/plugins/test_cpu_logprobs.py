"""The uncompiled rank: the same numbers, and log-probabilities on a machine without a C++ compiler."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")

from groupgap.plugins import cpu_logprobs  # noqa: E402

from .conftest import Planted  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FRESH = (
    "import vllm.v1.sample.ops.logprobs as m, vllm.v1.sample.sampler as s;"
    "from groupgap.plugins import cpu_logprobs as p;"
    "theirs = m.batched_count_greater_than; assert theirs is s.batched_count_greater_than; done = p.install();"
    "print(done, m.batched_count_greater_than is s.batched_count_greater_than is p.batched_count_greater_than)"
)
ENGINE = """
from groupgap.plugins.vllm_model import GroupgapVLLM
from groupgap.plugins.choice_trie import Ask
model = GroupgapVLLM({base!r}, dtype="float32", enforce_eager=True, max_model_len=64)
print(model.next_tokens([Ask((5, 6, 7), (8, 9), ())])[0].logprobs)
"""


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an interpreter of this environment."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
    )


def test_it_counts_what_vllms_source_counts() -> None:
    values = torch.randn(7, 50, generator=torch.Generator().manual_seed(0))
    values[:, 3] = values[:, 4]
    for chosen in (values[:, 3:4], values.max(1, keepdim=True).values, values.min(1, keepdim=True).values):
        mine = cpu_logprobs.batched_count_greater_than(values, chosen)
        assert mine.tolist() == [sum(v >= c for v in row) for row, (c,) in zip(values, chosen, strict=True)]


@pytest.mark.slow
def test_every_place_that_names_it_gets_ours() -> None:
    assert python(FRESH).stdout.split()[-2:] == ["True", "True"]


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cpu_logprobs.OFF_SWITCH, "1")
    assert not cpu_logprobs.install()


def test_another_function_of_that_name_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import vllm.v1.sample.ops.logprobs as module

    def other(x: Any, values: Any) -> Any:
        return x

    monkeypatch.setattr(module, cpu_logprobs.NAME, other)
    assert not cpu_logprobs.install()
    assert module.batched_count_greater_than is other


def test_vllm_is_told_of_it() -> None:
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert entry_points["vllm.general_plugins"]["groupgap_cpu_logprobs"] == "groupgap.plugins.cpu_logprobs:install"


@pytest.mark.slow
@pytest.mark.engine
def test_no_compiler_is_needed(planted: Planted, tmp_path: Path) -> None:
    """An engine in a process of its own, where the compiler is one that fails and nothing compiled lies ready."""
    variables = {"CXX": "/bin/false", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    done = python(ENGINE.format(base=str(planted.base)), **variables)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "{8: -" in done.stdout
