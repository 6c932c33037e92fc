"""How lm-eval finds the tasks of this package: a folder of YAML files, read after lm-eval's own and before the user's
``include_path``.

lm-eval 0.4 reads its built-in folder and ``include_path``, in this order, a later task replacing an earlier one of the
same name; it asks no installed package for tasks. :func:`tasks_added` wraps the constructor of its ``TaskManager`` so
that it reads ours between the two, which is also the order that lm-eval's ``lm_eval.tasks`` entry points are to have
(its pull request #4015). Where lm-eval has these, nothing is wrapped: the entry point is declared in our metadata.
:func:`models_added` enters our model backends into lm-eval's registry by name; lm-eval imports one only when asked.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

_MARK = "_groupgap_adds_tasks"
# --model NAME of lm-eval -> the class behind it
MODELS = {
    "groupgap-vllm": "groupgap.plugins.vllm_model:GroupgapVLLM",
    "groupgap-classifier": "groupgap.plugins.classifier_model:GroupgapClassifier",
    "groupgap-server": "groupgap.plugins.server_model:GroupgapServer",
    "timm": "groupgap.plugins.timm_model:GroupgapTimm",
}


def tasks_path() -> Path:
    """Return the folder that holds the package's lm-eval tasks."""
    return Path(__file__).resolve().parent.parent / "harness_tasks"


@contextmanager
def tasks_added(module: ModuleType) -> Iterator[None]:
    """Let ``lm_eval.tasks.manager`` be executed, then make its ``TaskManager`` find our tasks; raises nothing."""
    yield
    with suppress(Exception):
        add_tasks(module)


def add_tasks(module: ModuleType) -> bool:
    """Make the ``TaskManager`` of a module find our tasks, and say whether it does by this function's doing.

    ``False`` where lm-eval reads ``lm_eval.tasks`` entry points itself. A second call changes nothing.

    Args:
        module: ``lm_eval.tasks.manager``.

    Raises:
        AttributeError: the module has no ``TaskManager``.
    """
    if reads_entry_points(module):
        return False
    constructor = module.TaskManager.__init__
    if not hasattr(constructor, _MARK):
        module.TaskManager.__init__ = _with_our_folder(constructor)
    return True


@contextmanager
def models_added(_module: ModuleType) -> Iterator[None]:
    """Let ``lm_eval.models`` be executed, then make ``--model`` know our backends; raises nothing."""
    yield
    with suppress(Exception):
        add_models()


def add_models() -> None:
    """Enter our backends into lm-eval's registry, unimported; names that it knows already stay as they are.

    Only after lm-eval's own: it fills an empty registry by itself, and one with a name in it not any more.
    """
    import lm_eval.models  # noqa: F401
    from lm_eval.api.registry import model_registry

    for name, target in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)


def reads_entry_points(module: ModuleType) -> bool:
    """Say whether ``lm_eval.tasks.manager`` looks into installed packages by itself, judged by its names."""
    return any(word in name.lower() for name in vars(module) for word in ("entry_point", "plugin"))


def _with_our_folder(constructor: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def wrapped(self: object, *args: object, **kwargs: object) -> None:
        try:
            bound = signature.bind(self, *args, **kwargs)
            theirs = bound.arguments.get("include_path")
            bound.arguments["include_path"] = include_paths(theirs)
        except (TypeError, ValueError, OSError):  # a wrong call: lm-eval's own message is the right one
            constructor(self, *args, **kwargs)
            return
        constructor(*bound.args, **bound.kwargs)
        if hasattr(self, "include_path"):
            self.include_path = theirs

    setattr(wrapped, _MARK, True)
    return wrapped


def include_paths(theirs: str | Path | Sequence[str | Path] | None = None) -> list[str | Path]:
    """Return the folders that lm-eval is to read after its own: ours, then the user's, so that the user's tasks win.

    Args:
        theirs: the user's ``include_path``: a path, a list or tuple of paths, or nothing.

    >>> [str(path) for path in include_paths("mine")][1:]
    ['mine']
    """
    ours = tasks_path()
    if not theirs:
        return [ours]
    paths = [theirs] if isinstance(theirs, str | Path) else list(theirs)
    if any(Path(path).resolve() == ours for path in paths):
        return paths
    return [ours, *paths]
