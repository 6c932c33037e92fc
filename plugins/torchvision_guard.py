"""Lets torchvision's CUDA wheel be imported beside a torch for CPU.

The package index has torchvision for Linux only as a CUDA build. Beside a CPU build of torch its compiled operators do
not load, which torchvision means to tolerate; but it registers fake implementations of two of them without asking
whether they exist, and the import ends with "operator torchvision::nms does not exist" (pytorch/vision issues #9077
and #9085). While torchvision is being imported, such a registration is skipped. Nothing is defined in place of an
operator: defining one that exists ends the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from ..errors import MissingExtraError


@contextmanager
def missing_operators_skipped(_module: ModuleType | None = None) -> Iterator[None]:
    """Skip fake registrations of ``torchvision::`` operators that do not exist, as long as the context lasts.

    Without torch, or with one that knows no fake registrations, the context does nothing.
    """
    library = _torch_library()
    register = getattr(library, "register_fake", None)
    if library is None or register is None:
        yield
        return
    library.register_fake = _guarded(register)
    try:
        yield
    finally:
        library.register_fake = register


def _torch_library() -> Any:
    with suppress(Exception):  # a broken torch shows itself in torchvision's own import
        import torch.library

        return torch.library
    return None


def _guarded(register: Callable[..., object]) -> Callable[..., object]:
    def register_fake(op: object, *args: object, **kwargs: object) -> object:
        if isinstance(op, str) and op.startswith("torchvision::") and not _exists(op):
            return lambda function: function
        return register(op, *args, **kwargs)

    return register_fake


def _exists(operator: str) -> bool:
    import torch

    namespace, _, name = operator.partition("::")
    return hasattr(getattr(torch.ops, namespace), name.partition(".")[0])


def import_torchvision(_worker: int = 0) -> None:
    """Import torchvision under the guard; for worker processes too, which a switched-off startup file leaves without.

    Raises:
        MissingExtraError: torchvision is not installed.
    """
    with missing_operators_skipped():
        try:
            import torchvision  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError("an image model", error.name or "torchvision", "vision") from None
