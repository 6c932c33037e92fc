"""lm-eval's model backend ``groupgap-server``: a ``vllm serve`` that the user started answers, adapters by name.

``lm_eval --model groupgap-server --model_args url=http://127.0.0.1:8000,model=NAME`` scores choices as tries, like
``groupgap-vllm``: prompts go as token ids to ``/v1/completions`` with ``max_tokens=1`` and ``logprob_token_ids``, which
is right for adapters of any kind. ``prompt_logprobs`` and ``echo`` are never asked for: with adapters vLLM gets them
wrong, or dies of them (vllm issues #51594, #16668).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.model import TemplateLM

from ..adapters.resolve import HUB_ID
from ..errors import GroupgapError, one_line_for_mistakes
from .choice_trie import Ask, questions
from .proof import FLOORS, IDS, PROBES, largest_difference
from .server_client import ServedModel, ServerClient
from .server_completions import MAX_IDS, NEUTRAL, Completions

one_line_for_mistakes()  # this module is imported by lm_eval's command too
log = logging.getLogger(__name__)

SAMPLING = (*NEUTRAL, "seed")
PROOFS = ("fast", "none")


class GroupgapServer(TemplateLM):
    """One name that a server answers to.

    Args:
        url: ``http://HOST:PORT`` of the server.
        model: the name, as ``/v1/models`` lists it.
        tokenizer: folder or hub id of the tokenizer; by default where the server says that its base lies.
        base: the name of the adapter's base on the server, where the server does not say.
        max_length: window in tokens; the server's by default.
        concurrency: requests at a time.
        timeout: seconds within which a request must be answered.
        max_gen_toks: tokens to generate where a task does not say.
        dtype: the server's; it sets below which difference the proof sees no adapter. bfloat16 is the careful choice.
        add_bos_token: whether special tokens are added to prompts; None for the tokenizer's own way.
        proof: ``fast`` (it is not the base that answers) or ``none``.
        batch_size: not used, nor are ``max_batch_size`` and ``device``: the server decides.

    Raises:
        GroupgapError: no server, no such name, another tokenizer, or a failed proof.
    """

    def __init__(
        self,
        url: str,
        model: str,
        tokenizer: str | Path | None = None,
        *,
        base: str | None = None,
        max_length: int | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        max_gen_toks: int = 256,
        dtype: str = "bfloat16",
        add_bos_token: bool | None = None,
        proof: str = "fast",
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise GroupgapError(f"groupgap-server: unknown argument {min(unknown)!r:.80}: docs/backends.md lists them")
        if proof not in PROOFS:
            raise GroupgapError(f"groupgap-server: proof={proof!r:.80}: expected one of {', '.join(PROOFS)}")
        self.client = ServerClient(url, timeout, concurrency)
        self.completions = Completions(self.client)
        self.name, self.dtype = str(model), dtype
        self._own, self._base = self._find(self.name, base)
        self.max_length = self._window(max_length)
        self.tokenizer = self._load_tokenizer(tokenizer)
        self._add_bos_token, self._max_gen_toks = add_bos_token, int(max_gen_toks)
        self._proof: Mapping[str, float | str] | None = None
        self._compare_tokenizers()
        if proof != "none":
            log.info("groupgap: server proven: %s", prove(self))

    # --- the server -----------------------------------------------------------------------------------------------

    def _find(self, name: str, base: str | None) -> tuple[ServedModel, ServedModel | None]:
        """The model and its base, among the names that the server lists."""
        served = {entry.name: entry for entry in self.client.models()}
        for asked in (name, base):
            if asked is not None and asked not in served:
                shown = ", ".join(list(served)[:20]) or "none"
                raise GroupgapError(
                    f"{self.client.url}: serves no model {asked!r:.80}; it serves {shown[:400]}: start it with"
                    f" --lora-modules {asked:.80}=PATH, or ask for one of these"
                )
        own = served[name]
        parent = base or own.parent
        return own, served.get(parent) if parent and parent != name else None

    @property
    def base(self) -> ServedModel | None:
        """The adapter's base on the server; None for a base, or where the server does not list it."""
        return self._base

    @property
    def is_adapter(self) -> bool:
        """Whether the name is an adapter's."""
        return self._own.parent is not None or self._base is not None

    def _window(self, asked: int | None) -> int:
        served = self._own.max_length or (self._base.max_length if self._base else None)
        window = int(asked) if asked is not None else served
        if window is None or window < 2 or (served is not None and window > served):
            raise GroupgapError(
                f"groupgap-server: max_length={asked}: expected 2 to {served or 'the server’s --max-model-len'}"
            )
        return window

    def _load_tokenizer(self, asked: str | Path | None) -> Any:
        from transformers import AutoTokenizer

        root = (self._base or self._own).root or ""
        location = str(asked) if asked else root if Path(root).is_dir() or HUB_ID.fullmatch(root) else None
        if location is None:
            raise GroupgapError(
                f"{self.client.url}: the server's base lies at {root!r:.120}, which is no folder here: give tokenizer="
            )
        try:
            return AutoTokenizer.from_pretrained(location)
        except (ValueError, OSError, KeyError, TypeError, ImportError) as error:
            reason = " ".join(str(error).split())[:300]
            raise GroupgapError(f"{location}: its tokenizer cannot be read: {reason}") from error

    def _compare_tokenizers(self) -> None:
        """Refuse a tokenizer that cuts the probes otherwise than the server does."""
        for text in PROBES:
            try:
                theirs = self.client.post("/tokenize", {"model": self.name, "prompt": text, "add_special_tokens": True})
            except GroupgapError as error:
                if "status 404" not in str(error):
                    raise
                log.warning("groupgap-server: the server has no /tokenize: the tokenizer is not compared with its own")
                return
            if theirs.get("tokens") != self.tok_encode(text, add_special_tokens=True):
                raise GroupgapError(
                    f"{self.client.url}: the server cuts a probe into other tokens than the tokenizer given: give"
                    f" tokenizer= the folder that the server was started with ({(self._base or self._own).root})"
                )

    # --- tokens ---------------------------------------------------------------------------------------------------

    @property
    def eot_token_id(self) -> int:
        """The end of a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """What stands before a choice without a prompt."""
        start = self.tokenizer.bos_token_id
        return int(start) if start is not None else self.eot_token_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """The tokens of a text; a text that begins with the start token gets no second one."""
        if not string:
            return []
        start = self.tokenizer.decode(self.prefix_token_id)
        special = add_special_tokens if add_special_tokens is not None else self._add_bos_token
        if start and string.startswith(start):
            special = False
        tokens: list[int] = self.tokenizer(string, **({} if special is None else {"add_special_tokens": special}))[
            "input_ids"
        ]
        return tokens

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Write a conversation as the tokenizer's template has it."""
        text: str = self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text

    @property
    def tokenizer_name(self) -> str:
        """Names the tokenizer in lm-eval's cache of requests."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    # --- answers --------------------------------------------------------------------------------------------------

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[tuple[str, str], list[int], list[int]]], disable_tqdm: bool = False, **_: object
    ) -> list[tuple[float, bool]]:
        asked = questions([(context, choice) for _, context, choice in requests], self.max_length - 1)
        asks = [list(question.asks(MAX_IDS)) for question in asked]
        answers = iter(
            self.completions.next_tokens(self.name, [ask for own in asks for ask in own], quiet=disable_tqdm)
        )
        scores: dict[int, tuple[float, bool]] = {}
        for question, own in zip(asked, asks, strict=True):
            found = question.score(own, [next(answers) for _ in own])
            scores |= {place: (s.logprob, s.greedy) for place, s in zip(question.places, found, strict=True)}
        return [scores[place] for place in range(len(requests))]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Refuse: whole strings need ``prompt_logprobs``.

        Raises:
            GroupgapError: always.
        """
        raise GroupgapError(
            "groupgap-server: whole strings (loglikelihood_rolling) need vLLM's prompt_logprobs, which are wrong or"
            " deadly to a server with adapters: merge the adapter and use --model groupgap-vllm or hf"
        )

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Generate text.

        Raises:
            GroupgapError: see :meth:`ServerClient.post`; or a generation option that the server would not heed.
        """
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        bodies = [self._generation(*request.args) for request in requests]
        texts = self.client.map(self._generate, bodies)
        return list(tqdm(texts, total=len(bodies), desc="Asking the server", disable=disable_tqdm))

    def _generation(self, context: str, options: Mapping[str, Any]) -> dict[str, Any]:
        from lm_eval.models.utils import handle_stop_sequences, maybe_truncate, normalize_gen_kwargs

        given: dict[str, Any] = dict(normalize_gen_kwargs(dict(options), default_max_gen_toks=self._max_gen_toks))
        until = handle_stop_sequences(given.pop("until", None), eos=self.tokenizer.decode(self.eot_token_id))
        most = int(given.pop("max_gen_toks", self._max_gen_toks))
        given.pop("do_sample", None)
        unknown = sorted(given.keys() - set(SAMPLING))
        if unknown:
            raise GroupgapError(
                f"groupgap-server: generation option {unknown[0]!r:.80}: expected until, max_gen_toks or one of"
                f" {', '.join(SAMPLING)}"
            )
        tokens, most = maybe_truncate(self.tok_encode(context), max_gen_toks=most, max_model_len=self.max_length)
        sampling = {**NEUTRAL, **given, "skip_special_tokens": False, "spaces_between_special_tokens": False}
        return {**sampling, "model": self.name, "prompt": tokens, "max_tokens": most, "stop": [s for s in until if s]}

    def _generate(self, body: Mapping[str, Any]) -> str:
        from lm_eval.models.utils import postprocess_generated_text

        done: str = postprocess_generated_text(self.completions.text(body), body["stop"], None)
        return done

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Refuse lm-eval's cache of answers.

        Raises:
            GroupgapError: always.
        """
        raise GroupgapError(
            "groupgap-server: lm-eval's use_cache knows a request by its text alone and would answer for one adapter"
            " with another's answers: leave it out"
        )

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes into the results beside the arguments."""
        return {"groupgap_variant": self.name, "groupgap_proof": dict(self._proof or {})}


def prove(model: GroupgapServer, texts: Sequence[str] = PROBES) -> Mapping[str, float | str]:
    """Show that it is the adapter which answers: on probe prompts its log-probabilities differ from the base's, on the
    same server, by more than the base's from themselves.

    Args:
        model: the server's model; for a base only its noise is measured.
        texts: the probe prompts.

    Returns:
        The numbers; differences are largest absolute ones of a log-probability.

    Raises:
        GroupgapError: it is not shown, or the server does not list the base.
    """
    if model.is_adapter and model.base is None:
        raise GroupgapError(f"{model.client.url}: does not list the base of {model.name!r:.80}: name it with base=")
    asks = _probes(model, texts)
    base = model.base.name if model.base else model.name
    before, own, after = (_answers(model, asks, name) for name in (base, model.name, base))
    noise = largest_difference(before, after)
    numbers: dict[str, float | str] = {
        "level": "fast", "engine": "server", "base": base, "dtype": model.dtype, "probes": len(asks),
        "self_noise": noise,
    }  # fmt: skip
    if model.base is not None:
        numbers["differs_from_base"] = difference = largest_difference(own, before)
        floor = FLOORS.get(model.dtype, FLOORS["bfloat16"])
        if not difference > max(2 * noise, floor):
            raise GroupgapError(
                f"{model.client.url}: model {model.name!r:.80}: not proven live: it answers as the base {base!r:.80}"
                f" does (largest difference of a log-probability {difference:.2g}, the base's from itself {noise:.2g})"
            )
    model._proof = numbers
    return numbers


def _probes(model: GroupgapServer, texts: Sequence[str]) -> list[Ask]:
    prompts = [tokens for text in texts if (tokens := model.tok_encode(text)[: model.max_length - 1])]
    seen = sorted({token for prompt in prompts for token in prompt})
    ids = tuple(seen[:: -(-len(seen) // IDS)])
    return [Ask(tuple(prompt), ids, ()) for prompt in prompts]


def _answers(model: GroupgapServer, asks: Sequence[Ask], name: str) -> list[list[float]]:
    found = model.completions.next_tokens(name, asks, fresh=True)
    return [[answer.logprobs[token] for token in ask.ids] for ask, answer in zip(asks, found, strict=True)]
