"""The replaced CPU operators: equal to vLLM's own where those are right, right where they are not, absent elsewhere."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")

from groupgap.plugins import cpu_lora  # noqa: E402

from .conftest import Planted  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ROWS, FEATURES, RANK, SLOTS = 23, 12, 4, 3


@pytest.fixture(scope="module")
def upstream() -> ModuleType:
    """vLLM's module of operators, with its own functions."""
    import vllm.lora.ops.torch_ops.lora_ops as module

    cpu_lora.uninstall()
    if not cpu_lora.known(module):
        pytest.skip("this vLLM has other operators than those that are replaced")
    return module


@pytest.fixture
def ours(upstream: ModuleType) -> Iterator[ModuleType]:
    """The same module with our functions."""
    assert cpu_lora.install()
    yield upstream
    cpu_lora.uninstall()


def tensors(seed: int, dtype: Any, four: bool, out: int) -> tuple[Any, Any, Any]:
    """Random rows, weights of all slots, an output that holds something."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(ROWS, FEATURES, generator=generator).to(dtype)
    weights = torch.randn(SLOTS, *([1] if four else []), RANK, FEATURES, generator=generator).to(dtype)
    return rows, weights, torch.randn(ROWS, out, generator=generator)


INDICES = {
    "one": lambda: torch.full((ROWS,), 1),
    "mixed": lambda: torch.arange(ROWS) % SLOTS,
    "blocks": lambda: (torch.arange(ROWS) > 9).long() * 2,
}


@pytest.mark.parametrize(
    ("which", "dtype", "four", "padded"),
    list(itertools.product(INDICES, (torch.float32, torch.bfloat16), (False, True), (0, 3))),
)
def test_equal_to_vllms_own(upstream: ModuleType, which: str, dtype: Any, four: bool, padded: int) -> None:
    rows, weights, output = tensors(0, dtype, four, RANK + padded)
    indices = INDICES[which]()
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("bgmv_shrink", (indices, 0.5)),
        ("bgmv_expand", (indices, True)),
        ("bgmv_expand", (indices, False)),
        ("bgmv_expand_slice", (indices, padded, RANK, True)),
        ("bgmv_expand_slice", (indices, padded, RANK, False)),
    ]
    for name, rest in calls:
        theirs, mine = output.clone(), output.clone()
        getattr(upstream, name)(rows, weights, theirs, *rest)
        getattr(cpu_lora, name)(rows, weights, mine, *rest)
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_one_row_for_a_whole_output(upstream: ModuleType) -> None:
    rows, weights, output = tensors(1, torch.float32, True, RANK)
    theirs, mine = output.clone(), output.clone()
    upstream.bgmv_expand(rows[:1], weights, theirs, torch.tensor([2]), True)
    cpu_lora.bgmv_expand(rows[:1], weights, mine, torch.tensor([2]), True)
    torch.testing.assert_close(mine, theirs)


def test_a_row_of_the_base_gets_nothing_where_vllm_gives_it_the_last_adapter(upstream: ModuleType) -> None:
    rows, weights, output = tensors(2, torch.float32, True, RANK)
    indices = torch.arange(ROWS) % (SLOTS + 1) - 1
    base = indices == -1
    theirs, mine = output.clone(), output.clone()
    upstream.bgmv_expand(rows, weights, theirs, indices, True)
    cpu_lora.bgmv_expand(rows, weights, mine, indices, True)
    torch.testing.assert_close(mine[~base], theirs[~base])
    assert torch.equal(mine[base], output[base])
    torch.testing.assert_close(theirs[base], output[base] + rows[base] @ weights[-1, 0].T)
    for slots in (indices, torch.full((ROWS,), -1)):
        cpu_lora.bgmv_shrink(rows, weights, mine, slots, 2.0)
        assert not mine[slots == -1].any()


def test_rows_without_an_index_each_are_refused_as_by_vllm(upstream: ModuleType) -> None:
    rows, weights, output = tensors(3, torch.float32, True, RANK)
    for function in (upstream.bgmv_shrink, cpu_lora.bgmv_shrink):
        with pytest.raises((RuntimeError, ValueError)):
            function(rows, weights, output, torch.zeros(5, dtype=torch.long), 1.0)


def test_all_of_vllms_callers_get_ours(ours: ModuleType) -> None:
    import vllm.lora.ops.torch_ops as package
    import vllm.lora.punica_wrapper.punica_cpu as wrapper

    assert ours.bgmv_shrink is package.bgmv_shrink is wrapper.bgmv_shrink is cpu_lora.bgmv_shrink
    rows, weights, output = tensors(4, torch.float32, True, RANK)
    one = torch.zeros(1, dtype=torch.long)
    wrapper.sgmv_shrink(rows, weights, output, one, torch.tensor([ROWS]), one - 1, 1, ROWS, ROWS, 1.0)
    assert not output.any()
    assert cpu_lora.install()
    cpu_lora.uninstall()
    assert wrapper.bgmv_expand.__module__ == cpu_lora.OPERATORS


@pytest.mark.parametrize(
    "prevent",
    [
        lambda patch: patch.setenv(cpu_lora.OFF_SWITCH, "1"),
        lambda patch: patch.setitem(cpu_lora.KNOWN, "bgmv_expand", "another function's hash"),
        lambda patch: patch.setattr("vllm.platforms.current_platform.is_cpu", lambda: False),
        lambda patch: patch.setattr(cpu_lora, "OPERATORS", "vllm.no_such_module"),
    ],
    ids=["switched off", "unknown functions", "not a CPU", "no such module"],
)
def test_it_steps_aside(
    upstream: ModuleType, monkeypatch: pytest.MonkeyPatch, prevent: Callable[[pytest.MonkeyPatch], None]
) -> None:
    prevent(monkeypatch)
    assert not cpu_lora.install()
    assert upstream.bgmv_expand.__module__ == "vllm.lora.ops.torch_ops.lora_ops"


def test_vllm_is_told_of_it() -> None:
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, function = entry_points["vllm.general_plugins"]["groupgap_cpu_lora"].partition(":")
    assert (module, getattr(cpu_lora, function)) == ("groupgap.plugins.cpu_lora", cpu_lora.install)


def empty_last_slot(model: Any) -> None:
    """Undo what only a test does: zero the slot that is to stay free."""
    for module in model.lora_manager.modules.values():
        module.reset_lora(model.lora_manager.lora_slots - 1)


def errors_in_one_call(
    engine: Any, asks: list[Any], expected: dict[str, list[list[float]]], requests: dict[str, Any]
) -> dict[str, float]:
    """Ask vLLM itself every prompt of every variant in one call; each variant's largest error."""
    from groupgap.plugins.proof import largest_difference
    from vllm import SamplingParams, TokensPrompt

    ids = list(asks[0].ids)
    rows = [(name, ask) for ask in asks for name in expected]
    outputs = engine.model.generate(
        [TokensPrompt(prompt_token_ids=list(ask.prompt)) for _, ask in rows],
        SamplingParams(temperature=0, max_tokens=1, logprob_token_ids=ids, skip_reading_prefix_cache=True),
        lora_request=[requests.get(name) for name, _ in rows],
        use_tqdm=False,
    )
    found: dict[str, list[list[float]]] = {name: [] for name in expected}
    for (name, _), output in zip(rows, outputs, strict=True):
        logprobs = output.outputs[0].logprobs[0]
        found[name].append([logprobs[token].logprob for token in ids])
    return {name: largest_difference(found[name], expected[name]) for name in expected}


@pytest.mark.slow
@pytest.mark.engine
class TestOnTheEngine:
    """What needs vLLM's engine."""

    @pytest.mark.parametrize("name", ["attention", "every", "head", "embedding"])
    def test_scores_do_not_change(self, engine: Any, upstream: ModuleType, planted: Planted, name: str) -> None:
        from groupgap.plugins.proof import PROBES, Reference, ask, largest_difference, probe_asks

        asks = probe_asks(engine, PROBES)
        before = ask(engine, name, asks)
        assert cpu_lora.install()
        try:
            after = ask(engine, name, asks)
        finally:
            cpu_lora.uninstall()
        assert largest_difference(after, before) <= 1e-5
        reference = Reference(planted.base, "float32").logprobs(asks, name, "adapter", planted.adapter(name))
        assert largest_difference(after, reference) <= 1e-4

    def test_base_and_adapters_mixed_with_every_slot_taken(
        self, engine: Any, upstream: ModuleType, planted: Planted
    ) -> None:
        """The fault that the backend never comes near: vLLM as it is gives the base's rows the last slot's adapter."""
        from groupgap.plugins.proof import PROBES, ask, largest_difference, probe_asks
        from vllm.lora.request import LoRARequest

        asks = probe_asks(engine, PROBES)
        names = ("attention", "every", "head")
        expected = {name: ask(engine, name, asks) for name in ("base", *names)}
        engine.use("base")
        taken = list(engine.engine_adapters._requests)
        for name in taken:
            engine.engine_adapters._take_out(name)
        requests = [LoRARequest(f"raw {name}", 9_000 + at, str(planted.adapter(name))) for at, name in enumerate(names)]
        by_name = dict(zip(names, requests, strict=True))
        try:
            for request in requests:
                engine.model.llm_engine.add_lora(request)
            assert None not in engine.engine_adapters.places()["slots"]
            wrong = errors_in_one_call(engine, asks, expected, by_name)
            assert wrong["base"] > 0.1
            assert max(wrong[name] for name in names) <= 1e-4
            assert cpu_lora.install()
            assert max(errors_in_one_call(engine, asks, expected, by_name).values()) <= 1e-4
            cpu_lora.uninstall()
            for request in requests:
                engine.model.llm_engine.remove_lora(request.lora_int_id)
            # the last slot is free again, still holds an adapter of lm_head, and a batch of the base alone gets that
            assert largest_difference(ask(engine, "base", asks), expected["base"]) > 0.1
            assert cpu_lora.install()
            assert largest_difference(ask(engine, "base", asks), expected["base"]) <= 1e-4
        finally:
            cpu_lora.uninstall()
            for request in requests:
                engine.model.llm_engine.remove_lora(request.lora_int_id)
            engine.model.apply_model(empty_last_slot)
        assert largest_difference(ask(engine, "base", asks), expected["base"]) <= 1e-5
