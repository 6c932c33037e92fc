"""Runs at every start of an interpreter that has groupgap installed (through ``groupgap.pth``; ``groupgap.start`` from
Python 3.15).

It puts one finder on ``sys.meta_path`` and does nothing else. The finder waits for the import of a module in ``HOOKS``
and runs that import inside a context manager of groupgap's, which is imported only then:

* ``lm_eval.tasks.manager``: a bare ``lm_eval --tasks ...`` finds groupgap's tasks (lm-eval has no way of its own to
  find a plugin's tasks yet);
* ``lm_eval.models``: ``--model`` knows groupgap's backends, which are imported only when one is named;
* ``torchvision``: its wheel for CUDA can be imported beside a torch for CPU.

Only the standard library is used, nothing is imported here that the interpreter has not imported already, and no error
leaves this file: where groupgap is broken or gone, the import goes on as if this file were not there.
``GROUPGAP_NO_STARTUP=1`` switches it off; ``groupgap lm-eval`` then runs lm-eval with the tasks.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

OFF_SWITCH = "GROUPGAP_NO_STARTUP"

# a module whose import is waited for -> the context manager ("module:function", called with it) around its execution
HOOKS = {
    "lm_eval.tasks.manager": "groupgap.plugins.discovery:tasks_added",
    "lm_eval.models": "groupgap.plugins.discovery:models_added",
    "torchvision": "groupgap.plugins.torchvision_guard:missing_operators_skipped",
}


class HookFinder:
    """Finds nothing by itself: asks the other finders for a hooked module and wraps the loader they name."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a hooked module with its loader wrapped; ``None`` (look elsewhere) for any other."""
        if name not in HOOKS:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = None if finder is self or find is None else find(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = HookLoader(spec.loader, HOOKS[name])
                return spec
        return None


class HookLoader:
    """Stands in for a module's own loader until the module is executed, and steps back before that."""

    def __init__(self, loader: Loader, hook: str) -> None:
        """Keep the module's own loader and the ``module:function`` of the hook."""
        self.loader = loader
        self.hook = hook

    def __getattr__(self, name: str) -> object:
        """Answer like the module's own loader (``get_source``, ``is_package``, ...)."""
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the module's own loader make the module."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module by its own loader, inside the hook where the hook can be had."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        context = _context(self.hook, module)
        if context is None:
            self.loader.exec_module(module)
            return
        with context:
            self.loader.exec_module(module)


def _context(hook: str, module: ModuleType) -> AbstractContextManager[None] | None:
    module_name, _, function = hook.partition(":")
    try:
        context: AbstractContextManager[None] = getattr(__import__(module_name, fromlist=[function]), function)(module)
    except Exception:  # noqa: BLE001 - whatever is wrong with groupgap, the user's own import goes on
        return None
    return context


def install() -> None:
    """Put the finder ahead of the others; a second call changes nothing."""
    if not active():
        sys.meta_path.insert(0, HookFinder())


def active() -> bool:
    """Say whether the finder is in place."""
    return any(isinstance(finder, HookFinder) for finder in sys.meta_path)


def start() -> None:
    """Install the finder unless ``GROUPGAP_NO_STARTUP`` switches it off (any value but an empty one or 0)."""
    if os.environ.get(OFF_SWITCH, "") in ("", "0"):
        install()
