"""The vLLM backend against transformers + peft and against lm-eval's own vLLM backend, with the faults it keeps out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from groupgap.errors import GroupgapError

from .conftest import Planted, Recipe, edit_config, edit_tensors, make_model

pytestmark = [pytest.mark.slow, pytest.mark.engine]
CONTEXTS = ("Remark: the nurse said", "Remark: the engineer was tired of them. Answer:", "Once upon a time there was a")
CHOICES = (" yes", " no", " maybe not", " yes, she would")
TOLERANCE = 1e-4


def request(*arguments: Any, kind: str = "loglikelihood") -> Any:
    """An lm-eval request."""
    from lm_eval.api.instance import Instance

    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


# as long as a cache block and a half
LONG = [request("he was tired of them " * 12 + "because" * 8, choice) for choice in CHOICES]


def pairs(choices: tuple[str, ...] = CHOICES) -> list[Any]:
    return [request(context, choice) for context in CONTEXTS for choice in choices]


def ask(engine: Any, variant: str, requests: list[Any] | None = None) -> list[tuple[float, bool]]:
    """A variant's scores."""
    engine.use(variant)
    return engine.loglikelihood(requests or pairs(), disable_tqdm=True)


def distance(some: list[tuple[float, bool]], others: list[tuple[float, bool]]) -> float:
    """The largest difference of a log-probability."""
    return max(abs(one[0] - other[0]) for one, other in zip(some, others, strict=True))


def hf_scores(
    folder: Path, adapter: Path | None = None, requests: list[Any] | None = None, max_length: int = 256
) -> Any:
    """lm-eval's transformers backend, requests encoded by lm-eval itself: the oracle."""
    from lm_eval.models.huggingface import HFLM

    model = HFLM(
        pretrained=str(folder),
        peft=str(adapter) if adapter else None,
        device="cpu",
        dtype="float32",
        max_length=max_length,
    )
    return model.loglikelihood(requests or pairs(), disable_tqdm=True)


@pytest.fixture(autouse=True)
def well_after(engine: Any) -> Iterator[None]:
    """After every test, whatever it planted, the base and a good adapter answer as before it."""
    expected = {name: ask(engine, name) for name in ("base", "attention")}
    yield
    for name, scores in expected.items():
        assert distance(ask(engine, name), scores) <= 1e-5
    assert engine.engine_adapters.places()["slots"][-1] is None


@pytest.mark.parametrize("name", ["base", "attention", "every", "head", "embedding"])
def test_scores_are_those_of_transformers_and_peft(engine: Any, planted: Planted, name: str) -> None:
    theirs = hf_scores(planted.base, None if name == "base" else planted.adapter(name))
    mine = ask(engine, name)
    assert distance(mine, theirs) <= TOLERANCE
    assert [greedy for _, greedy in mine] == [greedy for _, greedy in theirs]


def test_more_adapters_than_slots_take_turns(engine: Any) -> None:
    names = [name for name in engine.variants if name in ("attention", "every", "head", "embedding")]
    first = {name: ask(engine, name) for name in names}
    for name in [*reversed(names), *names]:
        assert distance(ask(engine, name), first[name]) <= 1e-5
        slots = engine.engine_adapters.places()["slots"]
        assert slots[-1] is None
        assert len({slot for slot in slots if slot}) == 2


def test_the_base_is_the_base_beside_adapters_of_the_head(engine: Any, planted: Planted) -> None:
    theirs = hf_scores(planted.base)
    for name in ("head", "embedding", "every"):
        engine.use(name)
        assert distance(ask(engine, "base"), theirs) <= TOLERANCE


def test_a_batch_never_mixes_base_and_adapter(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    generate = engine.model.generate
    monkeypatch.setattr(engine.model, "generate", lambda *a, **k: seen.append(k["lora_request"]) or generate(*a, **k))
    ask(engine, "attention")
    ask(engine, "base")
    assert [type(one).__name__ for one in seen] == ["LoRARequest", "NoneType"]


def test_choices_equal_in_the_words_of_lm_eval(engine: Any, planted: Planted) -> None:
    """Trailing spaces, an empty context, a context of BOS, equal choices, one choice a prefix of another."""
    odd = [
        request("Answer: ", "yes"),
        request("Answer:  ", "no"),
        request("", "yes"),
        request("", "<s>yes"),
        request("Answer:", " yes"),
        request("Answer:", " yes"),
        request("Answer:", " yes she"),
    ]
    assert distance(ask(engine, "every", odd), hf_scores(planted.base, planted.adapter("every"), odd)) <= TOLERANCE


def test_a_context_of_spaces_is_no_context(engine: Any) -> None:
    assert ask(engine, "base", [request("  ", "yes")]) == ask(engine, "base", [request("", "  yes")])


def test_long_contexts_are_cut_from_the_left_and_choices_never(engine: Any, planted: Planted) -> None:
    long = [request("he was tired of them " * 40, choice) for choice in CHOICES]
    theirs = [engine.tok_encode(one.args[0] + one.args[1])[-255:] for one in long]
    short = engine._encode([one.args for one in long])
    cut = [(key, tokens[: 255 - len(choice)], choice) for tokens, (key, _, choice) in zip(theirs, short, strict=True)]
    engine.use("attention")
    assert distance(ask(engine, "attention", long), engine._loglikelihood_tokens(cut)) <= 1e-5
    with pytest.raises(GroupgapError, match="leaves no room for its context"):
        ask(engine, "base", [request("Answer:", " no" * 300)])


def test_more_next_tokens_than_vllm_scores_at_once(
    engine: Any, planted: Planted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from groupgap.plugins import vllm_model

    whole = ask(engine, "every")
    monkeypatch.setattr(vllm_model, "MAX_LOGPROB_TOKEN_IDS", 1)
    assert distance(ask(engine, "every"), whole) <= 1e-5
    assert "more next tokens than the 1 that vLLM scores in a request" in caplog.text


def test_tokens_are_those_of_lm_eval(engine: Any) -> None:
    texts = [("Remark: ", "he"), ("Once", " upon"), ("a  ", " b"), ("x", "y")]
    assert engine._encode(texts) == [(pair, *engine._encode_pair(*pair)) for pair in texts]


def test_batches_of_a_fixed_size_change_nothing(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ask(engine, "attention")
    monkeypatch.setattr(engine, "batch_size", 2)
    assert distance(ask(engine, "attention"), whole) <= 1e-5


def test_text_is_generated_by_the_active_variant(engine: Any, planted: Planted) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    requests = [request(context, {"until": [], "max_gen_toks": 8}, kind="generate_until") for context in CONTEXTS]
    texts = {}
    for name in ("base", "every", "head"):
        engine.use(name)
        texts[name] = engine.generate_until(requests, disable_tqdm=True)
        model = AutoModelForCausalLM.from_pretrained(planted.base)
        if name != "base":
            model = PeftModel.from_pretrained(model, str(planted.adapter(name)))
        for context, text in zip(CONTEXTS, texts[name], strict=True):
            tokens = torch.tensor([engine.tok_encode(context)])
            out = model.generate(
                input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=8, do_sample=False
            )
            assert engine.tokenizer.decode(out[0, tokens.shape[1] :]).startswith(text)
    assert len({tuple(found) for found in texts.values()}) == 3


@pytest.mark.parametrize("name", ["base", "every"])
def test_whole_strings_are_refused_beside_a_wrapped_head(engine: Any, name: str) -> None:
    engine.use(name)
    with pytest.raises(
        GroupgapError, match=rf"variant {name}: whole strings .* cannot be scored: the engine's lm_head"
    ):
        engine.loglikelihood_rolling([request("Once upon a time", kind="loglikelihood_rolling")])


def test_an_unknown_variant_names_the_known(engine: Any) -> None:
    with pytest.raises(GroupgapError, match="no variant 'other' in this engine: expected one of base, attention"):
        engine.use("other")


def test_lm_evals_cache_does_not_answer_for_two_variants(engine: Any, tmp_path: Path) -> None:
    from lm_eval.api.model import CacheHook, CachingLM

    engine.use("base")
    CachingLM(engine, str(tmp_path / "cache.db"))
    try:
        with pytest.raises(GroupgapError, match="use_cache knows a request by its text alone"):
            engine.use("attention")
    finally:
        engine.set_cache_hook(CacheHook(None))


# --- planted faults ---------------------------------------------------------------------------------------------------

Fault = tuple[Callable[[Planted, Path], Path], str, str]


def copied(planted: Planted, folder: Path, name: str = "attention") -> Path:
    return Path(shutil.copytree(planted.adapter(name), folder))


def zero(planted: Planted, folder: Path) -> Path:
    return edit_tensors(copied(planted, folder), lambda tensors: {k: 0 * v for k, v in tensors.items()})


def other_prefix(planted: Planted, folder: Path) -> Path:
    return edit_tensors(
        copied(planted, folder),
        lambda tensors: {k.replace("model.layers", "other.layers"): v for k, v in tensors.items()},
    )


def more_layers(planted: Planted, folder: Path) -> Path:
    return edit_tensors(
        copied(planted, folder),
        lambda tensors: tensors | {k.replace("layers.1", "layers.7"): v.clone() for k, v in tensors.items()},
    )


def wider_base(planted: Planted, folder: Path) -> Path:
    from .conftest import make_adapter

    return make_adapter(make_model(folder / "wide", hidden=128, seed=5), folder / "adapter", Recipe(seed=5))


def narrower_base(planted: Planted, folder: Path) -> Path:
    from .conftest import make_adapter

    return make_adapter(make_model(folder / "narrow", hidden=32, seed=6), folder / "adapter", Recipe(seed=6))


def not_a_number(planted: Planted, folder: Path) -> Path:
    return edit_tensors(copied(planted, folder), lambda tensors: {k: v * float("nan") for k, v in tensors.items()})


def rank_apart(planted: Planted, folder: Path) -> Path:
    return edit_config(copied(planted, folder), r=8)


def one_tensor_missing(planted: Planted, folder: Path) -> Path:
    return edit_tensors(copied(planted, folder), lambda tensors: dict(list(tensors.items())[1:]))


def no_tensors(planted: Planted, folder: Path) -> Path:
    return edit_tensors(copied(planted, folder), lambda tensors: {})


def dora(planted: Planted, folder: Path) -> Path:
    return edit_config(copied(planted, folder), use_dora=True)


def pickle_only(planted: Planted, folder: Path) -> Path:
    path = copied(planted, folder) / "adapter_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    return folder


def rank_too_high(planted: Planted, folder: Path) -> Path:
    from .conftest import make_adapter

    return make_adapter(planted.base, folder, Recipe(rank=64, seed=7))


# what the files' check says, and what the engine says where the check is left out ("" where only the proof sees it)
FAULTS: dict[str, Fault] = {
    "zero": (zero, "zero", ""),
    "prefix": (other_prefix, "other", "no place for 4 of its modules, e.g. other.layers"),
    "layers": (more_layers, "layers.7", "no place for 2 of its modules, e.g. model.layers.7"),
    "wider": (wider_base, "128", "refuses it|do not fit"),
    "narrower": (narrower_base, "32", "do not fit the engine's: .* reads 64 features, the adapter's A 32"),
    "nan": (not_a_number, "NaN|finite", ""),
    "rank": (rank_apart, "rank|r=8", ""),
    "half": (one_tensor_missing, "lora_A|missing", "an A without its B"),
    "empty": (no_tensors, "tensor", "vLLM refuses it"),
    "dora": (dora, "DoRA|magnitude", "vLLM refuses it .*DoRA"),
    "pickle": (pickle_only, "pickle", "pickle|refuses it"),
    "high": (rank_too_high, "", "vLLM refuses it .*rank 64 is greater"),
}


@pytest.mark.parametrize("fault", [name for name in FAULTS if FAULTS[name][1]])
def test_the_check_of_files_names_the_fault(engine: Any, planted: Planted, tmp_path: Path, fault: str) -> None:
    plant, reason, _ = FAULTS[fault]
    with pytest.raises(GroupgapError, match=rf"(?i)variant bad-{fault}: .*({reason})"):
        engine.add_adapter(f"bad-{fault}", plant(planted, tmp_path / "bad"))
    assert f"bad-{fault}" not in engine.variants


@pytest.mark.parametrize("fault", [name for name in FAULTS if FAULTS[name][2]])
def test_the_engine_names_the_fault_and_stays_well(engine: Any, planted: Planted, tmp_path: Path, fault: str) -> None:
    plant, _, reason = FAULTS[fault]
    engine.add_adapter(f"worse-{fault}", plant(planted, tmp_path / "bad"), check=False)
    engine.use("every")
    before = ask(engine, "every")
    with pytest.raises(GroupgapError, match=rf"variant worse-{fault}: .*({reason})"):
        engine.use(f"worse-{fault}")
    assert engine.active == "every"
    assert distance(engine.loglikelihood(pairs(), disable_tqdm=True), before) <= 1e-5


def test_scores_that_are_no_numbers_are_refused(engine: Any, planted: Planted, tmp_path: Path) -> None:
    engine.add_adapter("nan-scores", not_a_number(planted, tmp_path / "bad"), check=False)
    with pytest.raises(GroupgapError, match=r"variant nan-scores: .* no numbers"):
        ask(engine, "nan-scores")


def test_ids_and_names_are_never_used_twice(engine: Any) -> None:
    """vLLM serves the first adapter for two requests with one id; here each loading has an id of its own."""
    seen = []
    for name in ("attention", "every", "head", "attention", "embedding", "every"):
        engine.use(name)
        seen.append((engine.lora_request.lora_int_id, engine.lora_request.lora_name))
    assert len({number for number, _ in seen}) == len({name for _, name in seen}) >= 5


# --- full fine-tunes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(engine: Any, planted: Planted) -> Path:
    """Another model of the base's shapes, known to the engine as a full fine-tune."""
    folder = make_model(planted.root / "full", seed=11)
    engine.add_full("full", folder)
    return folder


def test_a_full_fine_tune_takes_the_bases_place_and_gives_it_back(engine: Any, planted: Planted, full: Path) -> None:
    assert distance(ask(engine, "full"), hf_scores(full)) <= TOLERANCE
    theirs = hf_scores(planted.base)
    assert distance(ask(engine, "base"), theirs) <= TOLERANCE
    assert distance(ask(engine, "full"), theirs) > 0.1
    assert distance(ask(engine, "head"), hf_scores(planted.base, planted.adapter("head"))) <= TOLERANCE


def test_no_stale_keys_after_a_reload(engine: Any, planted: Planted, full: Path) -> None:
    """A prompt longer than a cache block (128 tokens on CPU), asked of the base, then of the full fine-tune."""
    for name in ("full", "base", "full"):
        ask(engine, name, LONG)
    theirs = {"full": hf_scores(full, requests=LONG), "base": hf_scores(planted.base, requests=LONG)}
    for name in ("base", "full", "base"):
        assert distance(ask(engine, name, LONG), theirs[name]) <= TOLERANCE


def test_adapters_have_prefixes_of_their_own(engine: Any, planted: Planted) -> None:
    theirs = {name: hf_scores(planted.base, planted.adapter(name), LONG) for name in ("every", "attention")}
    for name in ("every", "attention", "every", "attention"):
        assert distance(ask(engine, name, LONG), theirs[name]) <= TOLERANCE


def test_an_incomplete_full_checkpoint_is_refused(engine: Any, planted: Planted, full: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(full, tmp_path / "incomplete"))
    edit_tensors(folder, lambda tensors: {k: v for k, v in tensors.items() if "layers.1.mlp.down_proj" not in k})
    with pytest.raises(GroupgapError, match=r"variant incomplete: .*missing.*down_proj"):
        engine.add_full("incomplete", folder)
    assert "incomplete" not in engine.variants


def test_a_full_checkpoint_of_another_size_is_refused(engine: Any, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "large", hidden=128, seed=12)
    with pytest.raises(GroupgapError, match=r"variant large: .*hidden_size 128 .*start one for it"):
        engine.add_full("large", folder)


def test_names_are_taken_once(engine: Any, full: Path) -> None:
    for name in ("base", "attention", "full"):
        with pytest.raises(GroupgapError, match=f"variant {name}: the name is taken"):
            engine.add_full(name, full)
