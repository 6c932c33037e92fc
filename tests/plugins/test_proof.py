"""Proof of life: good variants pass with numbers that peft confirms, dead and wrong ones are refused by name."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from groupgap.errors import GroupgapError
from groupgap.plugins.proof import FLOORS, TOLERANCES, Proof, ProofError, largest_difference, mean_difference, why_not

from .conftest import Planted, edit_config, edit_tensors, make_model

GOOD = Proof("a", "full", "float32", 8, 1.5, 1e-7, 1e-5, 1e-6, 1e-4, 14, 14)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"differs_from_base": None}, ""),
        ({"agrees_with_reference": None, "mean_error": None, "tolerance": None}, ""),
        ({"differs_from_base": 0.0}, "answers as the base does"),
        ({"differs_from_base": FLOORS["float32"]}, "answers as the base does"),
        ({"differs_from_base": 0.1, "self_noise": 0.05}, "answers as the base does"),
        ({"differs_from_base": 0.11, "self_noise": 0.05}, ""),
        ({"differs_from_base": math.nan}, "no numbers"),
        ({"self_noise": math.inf}, "no numbers"),
        ({"agrees_with_reference": math.nan}, "no numbers"),
        ({"agrees_with_reference": 1.01e-4}, "not answer as in transformers and peft"),
        ({"agrees_with_reference": 1e-4}, ""),
        ({"tensors_matched": 13}, "not apply all of its tensors"),
        ({"mean_error": 3e-7, "mean_effect": 1e-6}, ""),
        ({"mean_error": 4e-7, "mean_effect": 1e-6}, "not small beside its effect"),
        (
            {"dtype": "bfloat16", "tolerance": 0.4, "mean_error": 0.05, "mean_effect": 0.1},
            "not small beside its effect",
        ),
    ],
)
def test_the_numbers_decide(change: dict[str, Any], reason: str) -> None:
    found = why_not(replace(GOOD, **change))
    assert reason in found
    assert bool(found) == bool(reason)


def test_every_dtype_that_has_a_tolerance_has_a_floor_below_it() -> None:
    assert TOLERANCES.keys() == FLOORS.keys()
    assert all(FLOORS[dtype] < TOLERANCES[dtype] for dtype in FLOORS)


def test_the_line_has_the_numbers() -> None:
    failed = replace(GOOD, differs_from_base=0.0, passed=False, reason="it answers as the base does")
    assert str(ProofError(failed)) == (
        "variant a: not proven live: it answers as the base does; 14 of 14 tensors matched, differs from the base by 0"
        " (the base from itself by 1e-07), from transformers and peft by 1e-05 (allowed: 0.0001)"
    )
    assert "not compared with transformers" in replace(GOOD, agrees_with_reference=None, tolerance=None).line


def test_differences_by_hand() -> None:
    assert largest_difference([[1.0, 2.0], [3.0]], [[1.5, 2.0], [0.0]]) == 3.0
    assert mean_difference([[1.0, 2.0], [3.0]], [[1.5, 2.0], [0.0]]) == pytest.approx(3.5 / 3)
    with pytest.raises(ValueError, match="zip"):
        largest_difference([[1.0]], [[1.0, 2.0]])


@pytest.fixture
def prove(engine: Any) -> Any:
    """``prove`` on the one engine; the base is active afterwards."""
    from groupgap.plugins.proof import prove

    yield lambda name, **options: prove(engine, name, **options)
    engine.use("base")


@pytest.fixture(scope="module")
def reference(engine: Any) -> Any:
    """One copy of the base in transformers for all variants."""
    from groupgap.plugins.proof import Reference

    return Reference(engine.base_folder, engine.dtype)


@pytest.mark.slow
@pytest.mark.engine
class TestOnTheEngine:
    """What needs vLLM."""

    @pytest.mark.parametrize("name", ["attention", "every", "head", "embedding"])
    def test_good_adapters_pass(self, engine: Any, prove: Any, reference: Any, planted: Planted, name: str) -> None:
        from safetensors import safe_open

        proof = prove(name, reference=reference)
        assert (proof.passed, proof.reason, proof.level, proof.dtype) == (True, "", "full", "float32")
        assert proof.differs_from_base > 0.1
        assert proof.self_noise <= 1e-6
        assert proof.mean_error <= proof.agrees_with_reference <= proof.tolerance == 1e-4
        with safe_open(planted.adapter(name) / "adapter_model.safetensors", "pt") as file:
            assert proof.tensors_matched == proof.tensors_expected == sum("lora_" in key for key in file.keys())  # noqa: SIM118
        assert engine.active == name

    def test_the_base_and_a_full_fine_tune_pass(
        self, engine: Any, prove: Any, reference: Any, planted: Planted, tmp_path: Path
    ) -> None:
        assert prove("base", reference=reference).differs_from_base is None
        if "proven" not in engine.variants:
            engine.add_full("proven", make_model(tmp_path / "full", seed=21))
        proof = prove("proven", reference=reference)
        assert proof.differs_from_base > 0.1
        assert proof.agrees_with_reference <= 1e-4
        assert proof.tensors_matched == proof.tensors_expected == 0  # nobody counts a checkpoint's
        assert prove("attention", reference=reference).passed

    def test_fast_leaves_the_reference_out(self, prove: Any) -> None:
        proof = prove("every", level="fast")
        assert (proof.agrees_with_reference, proof.mean_error, proof.tolerance) == (None, None, None)

    def test_every_probe_is_computed_anew(self, engine: Any, prove: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A prompt from the cache beside one computed anew: rounding would look like a difference."""
        seen = []
        generate = engine.model.generate
        monkeypatch.setattr(
            engine.model, "generate", lambda *a, **k: seen.extend(k["sampling_params"]) or generate(*a, **k)
        )
        prove("every", level="fast")
        assert len(seen) == 3 * 8
        assert all(parameters.skip_reading_prefix_cache for parameters in seen)

    def test_a_zero_adapter_is_the_base(self, engine: Any, prove: Any, planted: Planted, tmp_path: Path) -> None:
        folder = shutil.copytree(planted.adapter("attention"), tmp_path / "zero")
        edit_tensors(folder, lambda tensors: {k: 0 * v if "lora_B" in k else v for k, v in tensors.items()})
        engine.add_adapter("zero-b", folder, check=False)
        with pytest.raises(ProofError, match="variant zero-b: not proven live: it answers as the base does") as caught:
            prove("zero-b", level="fast")
        assert caught.value.proof.differs_from_base == 0.0
        assert engine.active == "base"

    def test_a_wrong_scale_disagrees_with_peft(
        self, engine: Any, prove: Any, planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """vLLM takes alpha / r from the configuration: what it applies is not what peft applies."""
        folder = shutil.copytree(planted.adapter("attention"), tmp_path / "scale")
        engine.add_adapter("other-scale", folder, check=False)
        engine.engine_adapters.load("other-scale")
        edit_config(folder, lora_alpha=9)
        with pytest.raises(
            ProofError, match="not proven live: it does not answer as in transformers and peft"
        ) as caught:
            prove("other-scale")
        assert caught.value.proof.agrees_with_reference > 0.01

    def test_config_and_tensor_rank_apart(self, engine: Any, prove: Any, planted: Planted, tmp_path: Path) -> None:
        folder = edit_config(shutil.copytree(planted.adapter("attention"), tmp_path / "rank"), r=8)
        engine.add_adapter("rank-apart", folder, check=False)
        with pytest.raises(
            GroupgapError, match=r"variant rank-apart: transformers and peft cannot load .*size mismatch"
        ):
            prove("rank-apart")

    def test_not_a_number(self, engine: Any, prove: Any, planted: Planted, tmp_path: Path) -> None:
        folder = shutil.copytree(planted.adapter("attention"), tmp_path / "nan")
        edit_tensors(folder, lambda tensors: {k: v * math.nan for k, v in tensors.items()})
        engine.add_adapter("nan-proof", folder, check=False)
        with pytest.raises(GroupgapError, match="variant nan-proof: its log-probabilities are no numbers"):
            prove("nan-proof")
        assert prove("every", level="fast").passed

    def test_another_adapter_in_its_place(self, engine: Any, prove: Any, planted: Planted, reference: Any) -> None:
        """What vLLM does for two adapters with one id: the first one answers for both."""
        engine.add_adapter("impostor", planted.adapter("attention"))
        engine.use("every")
        engine.use("impostor")
        requests = engine.engine_adapters._requests
        own = requests["impostor"]
        requests["impostor"] = requests["every"]
        try:
            with pytest.raises(ProofError, match="variant impostor: not proven live: it does not answer as in"):
                prove("impostor", reference=reference)
        finally:
            requests["impostor"] = own
