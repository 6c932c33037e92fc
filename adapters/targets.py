"""Which modules of a base an adapter's configuration means: PEFT's rules, without a model.

The rules are those of ``peft.tuners.tuners_utils.check_target_module_exists`` and ``peft.utils.other.get_pattern_key``
(PEFT 0.21); the tests hold them against PEFT. Regular expressions come from a stranger, so they run with a time limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import regex  # type: ignore[import-untyped]

from ..errors import GroupgapError
from .peft_config import AdapterConfig

ALL_LINEAR = "all-linear"
SECONDS = 2.0
MAX_PATTERNS = 2_000

Number = TypeVar("Number", int, float)


class Matcher:
    """Matches an adapter's names and patterns within one budget of seconds.

    Args:
        config: the adapter's configuration.
        seconds: time for all regular expressions together.
    """

    def __init__(self, config: AdapterConfig, seconds: float = SECONDS) -> None:
        self._config = config
        self._end = time.monotonic() + seconds
        self._compiled: dict[str, regex.Pattern[str]] = {}
        self._names = {
            name: frozenset(value)
            for name in ("target_modules", "exclude_modules", "feedforward_modules")
            if isinstance(value := getattr(config, name), tuple)
        }
        self._saved = frozenset(config.modules_to_save)

    def targets(self, modules: Iterable[str], linear: Iterable[str] = ()) -> list[str]:
        """The modules that ``target_modules`` means.

        Args:
            modules: names of all modules.
            linear: those that ``"all-linear"`` means.

        Raises:
            GroupgapError: a pattern that is no regular expression, or takes too long.
        """
        if self._config.target_modules == ALL_LINEAR:
            return [name for name in linear if not self._left_out(name)]
        return [name for name in modules if self._is_target(name)]

    def saved(self, modules: Iterable[str]) -> list[str]:
        """The modules that ``modules_to_save`` means, with all that lies under them.

        PEFT wraps every module whose name ends so, at a dot or not: ``norm`` also means ``input_layernorm``.
        """
        return [name for name in modules if self._is_stored(name)]

    def feedforward(self, module: str) -> bool:
        """Whether IA3 scales this module's input instead of its output."""
        return self._among("feedforward_modules", module)

    def rank(self, module: str) -> int | None:
        """The rank of one module: the first pattern that matches, else ``r``."""
        return self._first(self._config.rank_pattern, module, self._config.rank)

    def alpha(self, module: str) -> float | None:
        """The alpha of one module: the first pattern that matches, else ``lora_alpha``."""
        return self._first(self._config.alpha_pattern, module, self._config.alpha)

    def _left_out(self, module: str) -> bool:
        return self._among("exclude_modules", module) or self._is_saved(module)

    def _is_saved(self, module: str) -> bool:
        # PEFT matches (^|.*\.)NAME($|\..*): the name, in whole dotted parts, anywhere in the module's name
        if not self._saved:
            return False
        parts = module.split(".")
        return any(
            ".".join(parts[start:end]) in self._saved
            for start in range(len(parts))
            for end in range(start + 1, len(parts) + 1)
        )

    def _is_stored(self, module: str) -> bool:
        parts = module.split(".")
        above = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        return bool(self._saved) and any(name.endswith(saved) for name in above for saved in self._saved)

    def _is_target(self, module: str) -> bool:
        if self._left_out(module) or not self._among("target_modules", module):
            return False
        layers = self._config.layers_to_transform
        if layers is None or module in self._names.get("target_modules", (module,)):
            return True  # a module named in full is meant whatever its layer, as PEFT has it
        layer = self._layer(module)
        return layer is not None and layer in layers

    def _among(self, field: str, module: str) -> bool:
        value = getattr(self._config, field)
        if isinstance(value, str):
            return self._match(value, module, whole=True)
        return value is not None and any(suffix in self._names[field] for suffix in suffixes(module))

    def _layer(self, module: str) -> int | None:
        patterns = self._config.layers_pattern
        if not patterns:
            found = regex.match(r".*?\.[^.]*\.(?P<idx>\d+)\.", module)
            return int(found["idx"]) if found else None
        for pattern in patterns:
            layer = self._search(rf"(?:^|.*?\.)(?:{pattern})\.(?P<idx>\d+)\.", module)
            if layer is not None:
                return int(layer)
        return None

    def _first(self, patterns: Mapping[str, Number], module: str, otherwise: Number | None) -> Number | None:
        if not patterns:
            return otherwise
        endings = set(suffixes(module))
        for pattern, value in patterns.items():
            if pattern in endings or (not _plain(pattern) and self._match(rf"(.*\.)?({pattern})$", module)):
                return value
        return otherwise

    def _match(self, pattern: str, module: str, *, whole: bool = False) -> bool:
        compiled, left = self._compile(pattern), max(self._end - time.monotonic(), 0.001)
        try:
            match = compiled.fullmatch if whole else compiled.match
            return match(module, timeout=left) is not None
        except TimeoutError:
            raise self._too_long(pattern) from None

    def _search(self, pattern: str, module: str) -> str | None:
        try:
            found = self._compile(pattern).match(module, timeout=max(self._end - time.monotonic(), 0.001))
        except TimeoutError:
            raise self._too_long(pattern) from None
        return found["idx"] if found else None

    def _compile(self, pattern: str) -> regex.Pattern[str]:
        if pattern not in self._compiled:
            if len(self._compiled) >= MAX_PATTERNS or time.monotonic() > self._end:
                raise self._too_long(pattern)
            try:
                self._compiled[pattern] = regex.compile(pattern)
            except (regex.error, OverflowError, RecursionError, ValueError) as error:
                raise GroupgapError(f"{pattern!r:.80} is no regular expression ({error!s:.80})") from None
        return self._compiled[pattern]

    @staticmethod
    def _too_long(pattern: str) -> GroupgapError:
        return GroupgapError(f"the patterns of module names take more than {SECONDS:g} s to match ({pattern!r:.80})")


def suffixes(module: str) -> Sequence[str]:
    """A dotted name and all its endings: ``a.b.c``, ``b.c``, ``c``."""
    parts = module.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _plain(pattern: str) -> bool:
    return pattern.replace("_", "").replace(".", "").isalnum()
