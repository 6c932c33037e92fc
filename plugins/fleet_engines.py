"""The engines of the fleet: each makes one variant after another active, and shows that it is the one that answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ..adapters.merge import merge_adapter
from ..adapters.resolve import resolve
from ..adapters.whole_weights import load_whole
from ..errors import GroupgapError
from .fleet_plan import OWN, Job, Member
from .run_folder import folder_name
from .transformers_proof import prove, unlike


class Engine(Protocol):
    """What the worker needs of an engine."""

    def ready(self, member: Member) -> tuple[Any, Mapping[str, Any]]:
        """Make a variant active: the ``LM`` to ask, and the numbers of its proof of life.

        Raises:
            GroupgapError: it cannot be served, or is not shown to be alive.
        """
        ...


def open_engine(job: Job, scratch: Path) -> Engine:
    """Start the engine of a job.

    Args:
        job: what it is to serve.
        scratch: a folder for merged checkpoints.
    """
    if job.engine == "timm":
        from .fleet_vision import TimmEngine

        return TimmEngine(job, scratch)
    return VllmEngine(job, scratch) if job.engine == "vllm" else EngineAVariant(job, scratch)


class VllmEngine:
    """One vLLM engine for a base, its adapters and its full fine-tunes."""

    def __init__(self, job: Job, scratch: Path) -> None:
        from .proof import Reference
        from .vllm_model import GroupgapVLLM

        adapters = {name_inside(member): str(member.folder) for member in job.members if member.served == "adapter"}
        defaults = {"batch_size": "auto", **({"enforce_eager": True} if _on_cpu() else {})}
        options = {**defaults, **job.options}
        # whether a base of another name will do was decided, variant by variant, when the plan was made
        self._model = GroupgapVLLM(pretrained=str(job.base), adapters=adapters, other_base=True, **options)
        self._reference = Reference(self._model.base_folder, self._model.dtype)
        self._scratch = scratch

    def ready(self, member: Member) -> tuple[Any, Mapping[str, Any]]:
        """Make a variant active, proven by log-probabilities on probe prompts."""
        from .proof import prove

        name = name_inside(member)
        if member.served in ("full", "merged") and name not in self._model.variants:
            folder = Path(str(member.folder))
            if member.served == "merged":
                folder = merge_adapter(self._model.base_folder, folder, self._scratch / folder_name(name))
            self._model.add_full(name, folder)
        proof = prove(self._model, name, level="fast" if member.proof == "fast" else "full", reference=self._reference)
        numbers = {**proof.as_dict(), "variant": member.name}
        if member.served == OWN:
            numbers |= self._unlike_its_base(member)
        if numbers["differs_from_base"] is None and numbers["agrees_with_reference"] is None:
            numbers["level"] = "none"  # neither a base to differ from, nor a reference
        return self._model, numbers

    def _unlike_its_base(self, member: Member) -> Mapping[str, Any]:
        """A fine-tune in an engine of its own has no base beside it: compare it with transformers' copy of the base."""
        from .proof import PROBES, Reference, ask, probe_asks

        if not member.variant["base"]:
            return {"differs_from_base": None}
        folder = resolve(member.variant["base"]).path
        asks = probe_asks(self._model, PROBES)
        theirs = Reference(folder, self._model.dtype).logprobs(asks, member.name, "base", folder)
        return unlike(ask(self._model, "base", asks), theirs, self._model.dtype, member.name)


def name_inside(member: Member) -> str:
    """A variant's name in its engine, where ``base`` is the engine's own model and nobody else's.

    A roster may call any variant ``base``; that one must not be answered for by the engine's base.
    """
    if member.served in ("base", OWN):
        return "base"
    return "base (of the roster)" if member.name == "base" else member.name


class EngineAVariant:
    """A model of its own for each variant: transformers (with peft), a classifier, or a server."""

    def __init__(self, job: Job, scratch: Path) -> None:
        self._job, self._scratch = job, scratch

    def ready(self, member: Member) -> tuple[Any, Mapping[str, Any]]:
        """Load the variant, and prove it where its backend can."""
        make = {"hf": self._transformers, "classifier": self._classifier, "server": self._server}[self._job.engine]
        return make(member)

    def _transformers(self, member: Member) -> tuple[Any, Mapping[str, Any]]:
        options = {"batch_size": 16, "device": "cpu" if _on_cpu() else "cuda", "dtype": "float32", **self._job.options}
        folder, base = str(member.folder), str(self._job.base)
        if member.served == "merged":
            folder = str(merge_adapter(Path(base), Path(folder), self._scratch / folder_name(member.name)))
        adapter = member.served == "adapter"
        model = _loaded(base if adapter else folder, options, folder if adapter else None)
        return model, prove(model, base if member.variant["base"] and member.served != "base" else None, member.name)

    def _classifier(self, member: Member) -> tuple[Any, Mapping[str, Any]]:
        from .classifier_model import GroupgapClassifier, prove

        options = dict(self._job.options)
        if member.variant["labels"]:
            options["labels"] = member.variant["labels"]
        if member.variant["method"] in ("base", "full"):
            model = GroupgapClassifier(pretrained=str(member.folder), **options)
        else:
            model = GroupgapClassifier(pretrained=str(self._job.base), adapter=str(member.folder), **options)
        return model, {"passed": True, **prove(model)}

    def _server(self, member: Member) -> tuple[Any, Mapping[str, Any]]:
        from .server_model import GroupgapServer, prove

        name, method = member.variant["served_as"] or member.name, member.variant["method"]
        model = GroupgapServer(url=member.variant["server"], model=name, **self._job.options)
        numbers = prove(model)
        if method not in ("base", "full") and "differs_from_base" not in numbers:
            raise GroupgapError(
                f"variant {member.name}: {member.variant['server']} serves {name!r:.80} as a base, and the roster says"
                f" {method}: name the adapter by served_as"
            )
        return model, {"passed": True, **numbers}


def _loaded(folder: str, options: Mapping[str, Any], adapter: str | None = None) -> Any:
    """A model with every weight from its files, and an adapter laid on it as peft does; lm-eval's own loading would
    draw missing weights at random, and its ``peft=`` would resize the base to its tokenizer.
    """
    from lm_eval.models.huggingface import HFLM
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    own = {key: value for key, value in options.items() if key not in ("dtype", "device")}
    device = str(options["device"])
    model = load_whole(AutoModelForCausalLM, Path(folder), dtype=options["dtype"]).to(device).eval()
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter, torch_device=device).eval()
    return HFLM(pretrained=model, tokenizer=folder, **own)


def _on_cpu() -> bool:
    import torch

    return not torch.cuda.is_available()
