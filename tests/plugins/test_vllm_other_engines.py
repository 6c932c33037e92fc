"""What needs an engine of another kind, each in a process of its own: an lm_head out of adapters' reach, bfloat16."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Planted

pytestmark = [pytest.mark.slow, pytest.mark.engine]
TEXTS = ("Once upon a time there was a little house.", "the nurse said she would be late")
# begins each script; the answers are the line that begins with ANSWERS
HEAD = """
import json
from lm_eval.api.instance import Instance
from groupgap.errors import GroupgapError
from groupgap.plugins.vllm_model import GroupgapVLLM
from groupgap.plugins.proof import prove

asked = json.loads({asked!r})
def requests(kind, rows):
    return [Instance(request_type=kind, doc={{}}, arguments=tuple(row), idx=0) for row in rows]
def refusal(call, *arguments):
    try:
        call(*arguments)
    except GroupgapError as error:
        return str(error)
    return ""
if __name__ == "__main__":
    model = GroupgapVLLM(asked["base"], adapters=asked["adapters"], enforce_eager=True, **asked["engine"])
    answers = {{}}
"""
NARROW = """
    answers["refused"] = {name: refusal(model.use, name) for name in ("head", "embedding")}
    answers["active"] = model.active
    for name in ("attention", "base"):
        model.use(name)
        rolling = requests("loglikelihood_rolling", asked["rolling"])
        answers[name] = [model.loglikelihood_rolling(rolling)]
        answers[name].append(model.loglikelihood(requests("loglikelihood", asked["pairs"])))
    def fail(*arguments, **options):
        raise RuntimeError("size mismatch for model.norm.weight")
    model.add_full("full", asked["full"])
    model.model.collective_rpc = fail
    answers["broken"] = [refusal(model.use, "full"), refusal(model.use, "base"),
                         refusal(model.loglikelihood, requests("loglikelihood", asked["pairs"]))]
    print("ANSWERS" + json.dumps(answers))
"""
ROUGH = """
    answers = {name: prove(model, name).as_dict() for name in model.variants}
    print("ANSWERS" + json.dumps(answers))
"""


def run(body: str, asked: dict[str, Any]) -> Any:
    """Run a script with an engine in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD.format(asked=json.dumps(asked)) + body],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS")]
    assert lines, done.stderr[-3_000:]
    return json.loads(lines[-1].removeprefix("ANSWERS"))


def test_without_a_wrapped_head_whole_strings_are_right_and_adapters_of_the_head_refused(
    planted: Planted, tmp_path: Path
) -> None:
    from lm_eval.models.huggingface import HFLM

    from .conftest import make_model
    from .test_vllm_model import distance, pairs, request

    pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")
    choices = pairs((" yes", " no, she would", " no, she was late"))
    asked = {
        "base": str(planted.base),
        "adapters": {name: str(planted.adapter(name)) for name in ("attention", "head", "embedding")},
        "engine": {
            "dtype": "float32",
            "max_model_len": 128,
            "lora_target_modules": ["q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj"],
        },
        "rolling": [[text] for text in TEXTS],
        "pairs": [one.args for one in choices],
        "full": str(make_model(tmp_path / "full", seed=31)),
    }
    found = run(NARROW, asked)
    for name, module in (("head", "lm_head"), ("embedding", "embed_tokens")):
        reason = f"the engine has no place for 1 of its modules, e.g. {'model.' if name == 'embedding' else ''}{module}"
        assert found["refused"][name].startswith(f"variant {name}: ")
        assert reason in found["refused"][name]
    assert found["active"] == "base"
    rolling = [request(text, kind="loglikelihood_rolling") for text in TEXTS]
    for name in ("attention", "base"):
        adapter = str(planted.adapter(name)) if name == "attention" else None
        oracle = HFLM(pretrained=str(planted.base), peft=adapter, device="cpu", dtype="float32", max_length=128)
        theirs = oracle.loglikelihood_rolling(rolling, disable_tqdm=True)
        assert found[name][0] == pytest.approx(theirs, abs=1e-4)
        assert distance(found[name][1], oracle.loglikelihood(choices, disable_tqdm=True)) <= 1e-4
    failed, *later = found["broken"]
    assert failed.startswith("variant full: ")
    assert "vLLM could not reload its weights (RuntimeError: size mismatch" in failed
    assert all(one.startswith("this engine is of no use any more (") for one in later)


def test_bfloat16_is_proven_within_its_own_tolerance(planted: Planted) -> None:
    pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")
    adapters = {name: str(planted.adapter(name)) for name in ("attention", "every", "head")}
    engine = {"dtype": "bfloat16", "max_model_len": 128}
    found = run(ROUGH, {"base": str(planted.base), "adapters": adapters, "engine": engine})
    assert found.keys() == {"base", *adapters}
    for proof in found.values():
        assert proof["dtype"] == "bfloat16"
        assert 1e-4 < proof["agrees_with_reference"] <= proof["tolerance"] == 0.4
        assert proof["mean_error"] < 0.05
    assert all(found[name]["differs_from_base"] > 10 * found[name]["mean_error"] for name in adapters)
