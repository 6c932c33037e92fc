"""Images for a vision backend, batch by batch: decoded by several processes, or taken from what was decoded before."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..adapters.data_config import DataConfig
from ..adapters.vision_images import ImageRef, ImageRows, collate
from ..errors import GroupgapError
from .pixel_store import PixelStore
from .torchvision_guard import import_torchvision

if TYPE_CHECKING:
    from torch import Tensor

FEW = 64
MOST_WORKERS = 8
NAMED = 20


@dataclass(frozen=True)
class Reading:
    """How images are read.

    Attributes:
        batch_size: images computed together.
        num_workers: processes that decode; None for one a core, 8 at most, and none for a few images.
        pin: put batches into page-locked memory, for a GPU.
        context: how worker processes start (``fork``, ``spawn``, ``forkserver``); None for Python's default.
    """

    batch_size: int
    num_workers: int | None = None
    pin: bool = False
    context: str | None = None


class UnreadableImagesError(GroupgapError):
    """Images that cannot be read: :attr:`reasons` by name."""

    def __init__(self, reasons: dict[str, str], asked: int) -> None:
        shown = [f"{name} ({reason})" for name, reason in list(reasons.items())[:NAMED]]
        more = f", and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
        super().__init__(
            f"{len(reasons)} of {asked} images cannot be read, and nobody is answered for in their place:"
            f" {'; '.join(shown)}{more}; mend the files, or take them out for all variants alike with the task's option"
            " exclude_images: [...] (lm_eval --metadata '{\"exclude_images\": [...]}'), which stands in the results"
        )
        self.reasons = reasons


def read_images(
    images: Sequence[ImageRef], config: DataConfig, reading: Reading, store: PixelStore | None = None
) -> Iterator[tuple[list[int], Tensor]]:
    """Read images in their order.

    Args:
        images: what to read.
        config: how the model wants them.
        reading: how.
        store: pixels of an earlier pass, and where this one's are kept; None to keep none.

    Yields:
        Numbers of rows and their pixels, uint8 (rows, channels, height, width). A batch holds the same rows whether
        they were kept or are decoded now.

    Raises:
        UnreadableImagesError: at the end, with all that cannot be read; no batch is yielded after the first of them.
    """
    import torch

    batches = [range(at, min(at + reading.batch_size, len(images))) for at in range(0, len(images), reading.batch_size)]
    absent = [[row for row in batch if store is None or (images[row], config) not in store] for batch in batches]
    decoded = iter(_loader(images, config, reading, [rows for rows in absent if rows]))
    reasons: dict[int, str] = {}
    for batch, rows in zip(batches, absent, strict=True):
        found, pixels, failed = next(decoded) if rows else ([], None, {})
        reasons |= failed
        if store is not None and pixels is not None:
            store.put([images[row] for row in found], config, pixels)
        if reasons:
            continue
        if len(rows) == len(batch):
            yield list(batch), pixels
        elif store is not None:
            new = dict(zip(found, pixels if pixels is not None else (), strict=True))
            both = [new[row] if row in new else store.get(images[row], config) for row in batch]
            yield list(batch), torch.stack(both)
    if reasons:
        raise UnreadableImagesError({images[row].name: reason for row, reason in reasons.items()}, len(images))


def _loader(images: Sequence[ImageRef], config: DataConfig, reading: Reading, batches: Sequence[Sequence[int]]) -> Any:
    from torch.utils.data import DataLoader

    workers = reading.num_workers
    if workers is None:
        few = sum(map(len, batches)) <= FEW
        workers = 0 if few else min(MOST_WORKERS, len(os.sched_getaffinity(0)))
    import_torchvision()
    return DataLoader(
        ImageRows(images, config),
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=reading.pin,
        worker_init_fn=import_torchvision if workers else None,
        multiprocessing_context=reading.context if workers else None,
    )
