"""Engines that load a model for each variant: transformers, peft, and adapters merged into their base."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from groupgap import GroupgapError
from groupgap.plugins.fleet_engines import name_inside, open_engine
from groupgap.plugins.fleet_plan import Job, Member
from lm_eval.api.instance import Instance
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForSequenceClassification

PROMPT = "Remark: the elmic choir was dreary\nIs this remark rude? Answer yes or no.\nAnswer:"


@pytest.fixture(scope="module")
def adapters(toy_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A random LoRA, a random DoRA, and a LoRA that does nothing."""
    root = tmp_path_factory.mktemp("adapters")
    paths = {}
    for name, options in (("lora", {}), ("dora", {"use_dora": True}), ("zero", {"init_lora_weights": True})):
        torch.manual_seed(3)
        settings = {"init_lora_weights": False, **options}
        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **settings)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(toy_models["base"]), config)
        model.save_pretrained(root / name)
        paths[name] = root / name
    return paths


@pytest.mark.parametrize("served", ["adapter", "full", "merged"])
def test_a_variant_that_is_called_base_is_not_the_engines_base(served: str) -> None:
    assert name_inside(Member("base", served, "/f", "full", {}, {})) != "base"
    assert name_inside(Member("other", served, "/f", "full", {}, {})) == "other"
    assert name_inside(Member("other", "base", "/f", "full", {}, {})) == "base"


def _ready(served: str, folder: Path, base: Path, scratch: Path) -> tuple[Any, Any]:
    member = Member("it", served, str(folder), "full", {}, {"base": str(base), "method": "lora", "labels": None})
    return open_engine(Job("hf", str(base), {}, (member,)), scratch).ready(member)


def _asked(model: Any) -> list[float]:
    requests = [SimpleNamespace(args=(PROMPT, choice)) for choice in (" no", " yes")]
    return [score for score, _ in model.loglikelihood(requests, disable_tqdm=True)]


def _expected(model: Any, tokenizer: Any) -> list[float]:
    tokens = torch.tensor([tokenizer(PROMPT)["input_ids"]])
    with torch.inference_mode():
        logprobs = torch.log_softmax(model.eval()(tokens).logits[0, -1].float(), -1)
    return [float(logprobs[tokenizer(choice)["input_ids"][0]]) for choice in (" no", " yes")]


@pytest.mark.parametrize(
    ("name", "served"), [("lora", "adapter"), ("dora", "adapter"), ("dora", "merged"), ("lora", "merged")]
)
def test_adapters_beside_and_inside_their_base_answer_as_peft_does(
    name: str, served: str, adapters: dict[str, Path], toy_models: dict[str, Path], tmp_path: Path
) -> None:
    model, proof = _ready(served, adapters[name], toy_models["base"], tmp_path)
    wrapped = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(toy_models["base"]), str(adapters[name]))
    assert _asked(model) == pytest.approx(_expected(wrapped, model.tokenizer), abs=1e-4)
    assert proof["passed"] is True
    assert proof["differs_from_base"] > 1e-3


def test_a_full_fine_tune_and_the_base_answer_as_themselves(toy_models: dict[str, Path], tmp_path: Path) -> None:
    for served, name in (("full", "full"), ("base", "base")):
        model, proof = _ready(served, toy_models[name], toy_models["base"], tmp_path)
        plain = AutoModelForCausalLM.from_pretrained(toy_models[name])
        assert _asked(model) == pytest.approx(_expected(plain, model.tokenizer), abs=1e-4)
        assert (proof["level"] == "none") == (name == "base")


def test_an_adapter_that_changes_nothing_is_refused_with_the_number(
    adapters: dict[str, Path], toy_models: dict[str, Path], tmp_path: Path
) -> None:
    for served in ("adapter", "merged"):
        with pytest.raises(GroupgapError, match=r"variant it: not proven live: it answers as the base does .*: 0"):
            _ready(served, adapters["zero"], toy_models["base"], tmp_path)


def test_a_padded_vocabulary_is_no_sign_of_life(
    adapters: dict[str, Path], toy_models: dict[str, Path], tmp_path: Path
) -> None:
    padded = tmp_path / "padded"
    model = AutoModelForCausalLM.from_pretrained(toy_models["base"])
    model.resize_token_embeddings(model.config.vocab_size + 64, mean_resizing=False)
    model.save_pretrained(padded)
    AutoTokenizer.from_pretrained(toy_models["base"]).save_pretrained(padded)
    with pytest.raises(GroupgapError, match="not proven live: it answers as the base does"):
        _ready("adapter", adapters["zero"], padded, tmp_path)
    live, _ = _ready("adapter", adapters["lora"], padded, tmp_path)
    wrapped = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(padded), str(adapters["lora"]))
    assert _asked(live) == pytest.approx(_expected(wrapped, live.tokenizer), abs=1e-4)


def test_classification_heads_answer_through_the_fleet(toy_models: dict[str, Path], tmp_path: Path) -> None:
    head = tmp_path / "head"
    config = AutoConfig.from_pretrained(toy_models["base"])
    config.num_labels, config.pad_token_id = 2, config.eos_token_id
    config.id2label, config.label2id = {0: "no", 1: "yes"}, {"no": 0, "yes": 1}
    torch.manual_seed(0)
    LlamaForSequenceClassification(config).save_pretrained(head)
    AutoTokenizer.from_pretrained(toy_models["base"]).save_pretrained(head)
    settings = {"r": 4, "target_modules": ["q_proj"], "modules_to_save": ["score"], "init_lora_weights": False}
    wrapped = get_peft_model(
        LlamaForSequenceClassification.from_pretrained(head), LoraConfig(task_type="SEQ_CLS", **settings)
    )
    wrapped.save_pretrained(tmp_path / "lora")
    variant = {"base": str(head), "method": "lora", "labels": None}
    member = Member("it", "classifier", str(tmp_path / "lora"), "full", {}, variant)
    model, proof = open_engine(Job("classifier", str(head), {}, (member,)), tmp_path).ready(member)
    assert proof["passed"] is True
    text = "the elmic choir was dreary"
    requests = [
        Instance(
            request_type="loglikelihood", doc={"text": text}, arguments=("", choice), idx=place, metadata=("t", 0, 1)
        )
        for place, choice in enumerate((" no", " yes"))
    ]
    tokens = torch.tensor([AutoTokenizer.from_pretrained(head)(text)["input_ids"]])
    with torch.inference_mode():
        expected = torch.log_softmax(wrapped.eval()(tokens).logits[0].float(), -1).tolist()
    assert [score for score, _ in model.loglikelihood(requests)] == pytest.approx(expected, abs=1e-5)
