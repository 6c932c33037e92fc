"""Decoded and transformed images of one comparison, kept on disk, so that its variants decode each of them once."""

from __future__ import annotations

import logging
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..adapters.data_config import DataConfig
from ..adapters.vision_images import ImageRef

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)
LIMIT = 16 << 30


class PixelStore:
    """8-bit pixels by image and data configuration, in a file without a name, which the system holds in memory as far
    as there is some; it is gone when the process is.

    Args:
        folder: where the file lies.
        limit: most bytes of it; at most half of what is free there. Images beyond it are decoded again each time.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - as long as the store
        self._left = min(limit, shutil.disk_usage(folder).free // 2)
        self._end = 0
        self._places: dict[tuple[ImageRef, DataConfig], int] = {}

    def __contains__(self, key: tuple[ImageRef, DataConfig]) -> bool:
        """Whether an image is there, as a data configuration wants it."""
        return key in self._places

    def __len__(self) -> int:
        """Number of images."""
        return len(self._places)

    def put(self, images: Sequence[ImageRef], config: DataConfig, pixels: Tensor) -> None:
        """Keep a batch, as far as there is room.

        Args:
            images: n of them; one without a SHA-256 is not kept, since its file may change.
            config: whose transforms made the pixels.
            pixels: uint8, (n, channels, height, width).
        """
        for image, values in zip(images, pixels.numpy(), strict=True):
            if values.nbytes > self._left or image.sha256 is None:
                continue
            try:
                os.pwrite(self._file.fileno(), values.tobytes(), self._end)
            except OSError as error:
                log.warning("groupgap: no room to keep more decoded images (%s): the others are decoded again", error)
                self._left = 0
                return
            self._places[image, config] = self._end
            self._end += values.nbytes
            self._left -= values.nbytes

    def get(self, image: ImageRef, config: DataConfig) -> Tensor:
        """Pixels that are there: uint8, (channels, height, width)."""
        import torch

        size = math.prod(config.input_size)
        data = bytearray(os.pread(self._file.fileno(), size, self._places[image, config]))
        return torch.from_numpy(np.frombuffer(data, np.uint8).reshape(config.input_size))
