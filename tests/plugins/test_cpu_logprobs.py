"""The uncompiled rank: the same numbers, everywhere that vLLM names it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")

from groupgap.plugins import cpu_logprobs  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FRESH = (
    "import vllm.v1.sample.ops.logprobs as m, vllm.v1.sample.sampler as s;"
    "from groupgap.plugins import cpu_logprobs as p;"
    "theirs = m.batched_count_greater_than; assert theirs is s.batched_count_greater_than; done = p.install();"
    "print(done, m.batched_count_greater_than is s.batched_count_greater_than is p.batched_count_greater_than)"
)


def test_it_counts_what_vllms_source_counts() -> None:
    values = torch.randn(7, 50, generator=torch.Generator().manual_seed(0))
    values[:, 3] = values[:, 4]
    for chosen in (values[:, 3:4], values.max(1, keepdim=True).values, values.min(1, keepdim=True).values):
        mine = cpu_logprobs.batched_count_greater_than(values, chosen)
        assert mine.tolist() == [sum(v >= c for v in row) for row, (c,) in zip(values, chosen, strict=True)]


@pytest.mark.slow
def test_every_place_that_names_it_gets_ours() -> None:
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=False)
    assert done.stdout.split()[-2:] == ["True", "True"], done.stderr


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
