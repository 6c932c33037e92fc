"""The classifier backend against a plain loop of transformers and peft, and what it refuses."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from groupgap.errors import GroupgapError

from .conftest import SENTENCES, edit_tensors, save_tokenizer

pytest.importorskip("peft")
TEXTS = [*SENTENCES, "yes", "no no no", "Once upon a time", "the engineer said that the nurse was tired " * 3]
NAMES = ("No", "Yes", "Unsure")


def save_classifier(folder: Path, kind: str, *, names: Sequence[str] = NAMES, seed: int = 0, **options: Any) -> Path:
    """A tiny sequence classifier (llama, gpt2, bert or roberta) with random weights that have opinions."""
    import torch
    import transformers

    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "llama": {"intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 1},
        "gpt2": {"n_layer": 2, "n_head": 2, "n_embd": 64, "bos_token_id": 0, "eos_token_id": 1},
        "bert": {"intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 1},
    }["bert" if kind == "roberta" else kind]
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=save_tokenizer(folder), hidden_size=64, max_position_embeddings=128,
        initializer_range=0.15, id2label=dict(enumerate(names)), **{**sizes, **options},
    )  # fmt: skip
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


def save_body(folder: Path, kind: str, seed: int = 0) -> Path:
    """A tiny language model, which has no classification head."""
    import torch
    import transformers

    save_classifier(folder, kind, seed=seed)
    torch.manual_seed(seed)
    config = transformers.AutoConfig.from_pretrained(folder)
    auto = transformers.AutoModelForMaskedLM if kind == "bert" else transformers.AutoModelForCausalLM
    auto.from_config(config).save_pretrained(folder)
    return folder


def save_adapter(base: Path, folder: Path, *, labels: int = 3, head: str = "score", seed: int = 0) -> Path:
    """A LoRA adapter with a head of its own."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(100 + seed)
    targets = ["q_proj", "v_proj"] if head == "score" else ["query", "value"]
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="SEQ_CLS", modules_to_save=[head])
    model = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=labels, ignore_mismatched_sizes=True, dtype=torch.float32
    )
    tuned = get_peft_model(model, config)
    with torch.no_grad():
        for name, tensor in tuned.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                tensor.copy_(0.3 * torch.randn_like(tensor))
    tuned.save_pretrained(folder)
    return folder


def by_hand(base: Path, adapter: Path | None = None, labels: int = 3) -> list[list[float]]:
    """Log-probabilities of the texts, one text at a time: the oracle."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    sizes = {"num_labels": labels, "ignore_mismatched_sizes": True} if adapter else {}
    model = AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32, **sizes)
    model = PeftModel.from_pretrained(model, str(adapter)).eval() if adapter else model.eval()
    with torch.no_grad():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0] for text in TEXTS]
    return [torch.log_softmax(row.double(), -1).tolist() for row in logits]


def requests(texts: Sequence[str] = TEXTS, choices: Sequence[str] = (" yes", " no"), **extra: Any) -> list[Any]:
    """lm-eval's requests for documents with these texts."""
    from lm_eval.api.instance import Instance

    return [
        Instance("loglikelihood", {"text": text, **extra}, (f"Rude? {text}", choice), place, ("a_task", number, 1))
        for number, text in enumerate(texts)
        for place, choice in enumerate(choices)
    ]


def classifier(*arguments: Any, **options: Any) -> Any:
    from groupgap.plugins.classifier_model import GroupgapClassifier

    return GroupgapClassifier(*arguments, **{"device": "cpu", "batch_size": 3, **options})


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture(scope="module")
def adapted(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(llama, tmp_path_factory.mktemp("adapted") / "adapter")


def assert_equal(model: Any, expected: list[list[float]], rows: tuple[int, ...] = (1, 0)) -> None:
    """Its answers for " yes" and " no" are the expected rows, to 1e-5, and the flag is the best of all labels."""
    answers = iter(model.loglikelihood(requests(), disable_tqdm=True))
    for row in expected:
        for label in rows:
            logprob, greedy = next(answers)
            assert logprob == pytest.approx(row[label], abs=1e-5)
            assert greedy == (row[label] == max(row))


@pytest.mark.parametrize("kind", ["llama", "bert", "roberta", "gpt2"])
def test_a_whole_classifier_answers_as_in_transformers(kind: str, tmp_path: Path) -> None:
    """gpt2 has no padding token: texts of different lengths in one batch must find their last token all the same."""
    base = save_classifier(tmp_path, kind)
    model = classifier(base)
    assert_equal(model, by_hand(base))
    assert model.get_model_info()["groupgap_labels"] == {"yes": "Yes", "no": "No"}


def test_the_gpu_that_lm_eval_asks_for_need_not_be_there(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert classifier(llama, device="cuda:0").device == "cpu"


def test_an_adapter_with_a_head_answers_as_in_peft(llama: Path, adapted: Path) -> None:
    from groupgap.plugins.classifier_model import prove

    model = classifier(llama, adapter=adapted)
    assert_equal(model, by_hand(llama, adapted))
    numbers = prove(model)
    assert numbers["tensors_matched"] == numbers["tensors_expected"] == 9
    assert float(numbers["differs_from_base"]) > 0.01
    assert float(numbers["self_noise"]) < 1e-6


@pytest.mark.parametrize(("kind", "head"), [("llama", "score"), ("bert", "classifier"), ("roberta", "classifier")])
def test_an_adapter_brings_a_head_of_another_size(kind: str, head: str, tmp_path: Path) -> None:
    base = save_classifier(tmp_path / "base", kind)
    adapter = save_adapter(base, tmp_path / "adapter", labels=2, head=head)
    with pytest.raises(GroupgapError, match="have no names"):
        classifier(base, peft=adapter).loglikelihood(requests(), disable_tqdm=True)
    assert_equal(classifier(base, peft=adapter, labels="no:0;yes:1"), by_hand(base, adapter, labels=2))


def test_a_language_model_takes_the_adapters_head_and_nobody_elses(tmp_path: Path) -> None:
    base = save_body(tmp_path / "base", "llama")
    adapter = save_adapter(base, tmp_path / "adapter")
    assert_equal(classifier(base, adapter=adapter, labels={"no": 0, "yes": 1}), by_hand(base, adapter))
    with pytest.raises(GroupgapError, match=r"score\.weight: they would be random"):
        classifier(base, labels={"no": 0, "yes": 1})

    def without_head(tensors: dict[str, Any]) -> dict[str, Any]:
        return {name: tensor for name, tensor in tensors.items() if "score" not in name}

    with pytest.raises(GroupgapError, match=r"head|missing"):
        classifier(base, adapter=edit_tensors(adapter, without_head), labels={"no": 0, "yes": 1})


def test_a_pooler_that_is_in_no_file_is_refused(tmp_path: Path) -> None:
    """A masked language model has no pooler: BERT's head would read a random one, another one at every start."""
    base = save_body(tmp_path / "base", "bert")
    adapter = save_adapter(base, tmp_path / "adapter", head="classifier")
    with pytest.raises(GroupgapError, match=r"pooler.*random"):
        classifier(base, adapter=adapter, labels={"no": 0, "yes": 1})


def test_a_dead_adapter_is_refused(llama: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    adapter = save_adapter(llama, tmp_path / "adapter")
    head = load_file(llama / "model.safetensors")["score.weight"]

    def dead(tensors: dict[str, Any]) -> dict[str, Any]:
        return {
            name: head.clone() if "score" in name else tensor * 0 if "lora_B" in name else tensor
            for name, tensor in tensors.items()
        }

    with pytest.raises(GroupgapError, match=r"zero|answers as the base does"):
        classifier(llama, adapter=edit_tensors(adapter, dead))


def test_the_proof_sees_an_adapter_that_does_nothing(llama: Path, adapted: Path) -> None:
    from groupgap.plugins.classifier_model import prove

    model = classifier(llama, adapter=adapted, proof="none")
    model.head._model.disable_adapter_layers()
    with pytest.raises(GroupgapError, match="answers as the base does"):
        prove(model, level="fast")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    base = save_classifier(tmp_path, "llama")
    edit_tensors(base, lambda tensors: tensors | {"score.weight": tensors["score.weight"] * math.nan})
    with pytest.raises(GroupgapError, match="no numbers"):
        classifier(base)


def test_heads_whose_softmax_is_no_probability_are_refused(tmp_path: Path) -> None:
    several = save_classifier(tmp_path / "several", "llama", problem_type="multi_label_classification")
    with pytest.raises(GroupgapError, match="multi-label"):
        classifier(several)
    number = save_classifier(tmp_path / "number", "llama", names=["score"])
    with pytest.raises(GroupgapError, match="regression"):
        classifier(number)


def test_long_texts_are_cut_and_that_is_said(llama: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model = classifier(llama, max_length=5)
        model.loglikelihood(requests(), disable_tqdm=True)
    assert "texts are longer than 5 tokens and were cut" in caplog.text
    assert max(map(len, model.encode(TEXTS))) == 5
    assert "the prompt is not read" in caplog.text
    assert "keep their share of the probability: Unsure" in caplog.text
    with pytest.raises(GroupgapError, match="max_length=500: expected 1 to 128"):
        classifier(llama, max_length=500)


@pytest.mark.parametrize(
    ("choices", "labels", "message"),
    [
        ((" rude", " kind"), None, "no label is named 'rude'"),
        ((" yes", " no"), {"yes": 1}, "the choice 'no' has no label"),
        ((" yes", " no"), {"yes": 1, "no": 1}, "both map to the label 'Yes'"),
        ((" yes", " no"), {"yes": 1, "no": 7}, "expected 0 to 2"),
        ((" yes", " no"), {"yes": "Si", "no": 0}, "'Si', given for the choice 'yes', is no label"),
        ((" yes", " no"), "yes=1", "expected choice:label"),
        ((" yes", " no"), {"yes": True, "no": 0}, "expected a label's number"),
    ],
)
def test_choices_without_a_label_of_their_own_are_refused(
    llama: Path, choices: tuple[str, ...], labels: Any, message: str
) -> None:
    with pytest.raises(GroupgapError, match=message):
        classifier(llama, labels=labels).loglikelihood(requests(choices=choices), disable_tqdm=True)


def test_a_number_that_is_another_labels_name_is_not_guessed() -> None:
    from groupgap.plugins.label_mapping import map_choices

    with pytest.raises(GroupgapError, match="a label's name and another one's number"):
        map_choices(["no", "yes"], ["1", "0"], {"no": "0", "yes": "1"})
    with pytest.raises(GroupgapError, match="several labels are named 'no'"):
        map_choices(["no", "yes"], ["No", "NO", "Yes"])
    assert map_choices(["no", "yes"], ["0", "1"], {"no": "0", "yes": "1"}).indices == (0, 1)


def test_what_a_classifier_is_not_asked_is_refused(llama: Path) -> None:
    model = classifier(llama)
    for call in (model.generate_until, model.loglikelihood_rolling):
        with pytest.raises(GroupgapError, match="a classifier"):
            call([])
    with pytest.raises(GroupgapError, match="apply_chat_template"):
        model.chat_template(True)
    with pytest.raises(GroupgapError, match="use_cache"):
        model.set_cache_hook(object())
    first, second = requests(TEXTS[:1])
    second.arguments = ("another prompt", " no")
    with pytest.raises(GroupgapError, match="several prompts"):
        model.loglikelihood([first, second])
    with pytest.raises(GroupgapError, match="text_field=remark: the documents have no such text"):
        classifier(llama, text_field="remark").loglikelihood(requests())
    with pytest.raises(GroupgapError, match="unknown argument 'trust_remote_code'"):
        classifier(llama, trust_remote_code=True)
    with pytest.raises(GroupgapError, match="1 of 1 texts have no tokens"):
        model.loglikelihood(requests([""]))


def test_lm_eval_evaluates_it(llama: Path, adapted: Path) -> None:
    """The toy task: its choices by name, its own metrics, an instance of ours as the model."""
    import lm_eval
    from groupgap.plugins.discovery import tasks_path
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False, include_path=str(tasks_path()))
    results = lm_eval.simple_evaluate(
        model=classifier(llama, adapter=adapted), tasks=["toy_religion_fair"], task_manager=manager, limit=20,
        bootstrap_iters=0,
    )  # fmt: skip
    assert results is not None
    assert 0 <= results["results"]["toy_religion_fair"]["acc,none"] <= 1
    assert results["config"]["groupgap_labels"] == {"no": "No", "yes": "Yes"}
    json.dumps(results["config"]["groupgap_proof"])


def in_vllm(base: Path, adapter: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program on a classifier in vLLM, in a process of its own: two engines in one process break each other."""
    pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")
    start = (
        "import json\n"
        "from groupgap.plugins.classifier_model import GroupgapClassifier, prove\n"
        f"model = GroupgapClassifier({str(base)!r}, {str(adapter)!r}, labels='no:0;yes:1', engine='vllm',"
        " dtype='float32', kv_cache_memory_bytes=64 << 20)\n"
    )
    environment = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", start + program]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


@pytest.mark.slow
@pytest.mark.engine
def test_vllm_answers_as_transformers_do(llama: Path, adapted: Path) -> None:
    done = in_vllm(llama, adapted, "print(json.dumps(dict(prove(model))))")
    assert done.returncode == 0, done.stderr[-2000:]
    numbers = json.loads(done.stdout.strip().splitlines()[-1])
    assert numbers["level"] == "full"
    assert numbers["agrees_with_reference"] <= 1e-5
    assert numbers["differs_from_base"] > 0.01
    assert numbers["self_noise"] <= 1e-5


@pytest.mark.slow
@pytest.mark.engine
def test_what_vllm_does_not_serve_is_one_line(tmp_path: Path) -> None:
    """vLLM 0.32 has no LoRA for BERT; the line must come through torch.distributed's hook for uncaught errors."""
    base = save_classifier(tmp_path / "base", "bert")
    done = in_vllm(base, save_adapter(base, tmp_path / "adapter", head="classifier"), "")
    assert done.returncode == 2
    assert "engine=hf serves it by transformers and peft" in done.stderr
    assert "Traceback" not in done.stderr


def test_vllm_would_make_up_a_head_that_the_base_lacks(tmp_path: Path) -> None:
    base = save_body(tmp_path / "base", "llama")
    with pytest.raises(GroupgapError, match="vLLM would make one up"):
        classifier(base, save_adapter(base, tmp_path / "adapter"), engine="vllm")
    with pytest.raises(GroupgapError, match="trust_remote_code is set by this backend, or not taken"):
        classifier(base, engine="vllm", trust_remote_code=True)
