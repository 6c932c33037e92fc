"""Images for vision models: opened safely, transformed as the model itself wants it, never replaced by a neighbour.

Decoding and geometry (resize, crop) give 8-bit pixels, which travel between processes and can be kept; the division by
255 and the normalisation come last, on a whole batch, by the same floating-point operations as in timm's transforms.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GroupgapError
from ..harness_tasks.images import image_path, image_root
from .data_config import MODES, DataConfig

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

MAX_BYTES = 256 << 20
MAX_PIXELS = 89_478_485  # above it PIL itself warns of a decompression bomb
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
# what PIL lets out of a damaged file; struct.error comes from EXIF whose values are of the wrong kind
BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error)
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


class UnreadableImageError(GroupgapError):
    """An image that cannot be taken as one; the message is the reason, without the image's name."""


@dataclass(frozen=True)
class ImageRef:
    """An image as a document names it.

    Attributes:
        image_set: see :func:`groupgap.harness_tasks.images.image_root`; empty where ``root`` is given instead.
        image: path within the set.
        sha256: of the file's bytes; None to take any.
        root: the folder, where the user names one.
    """

    image_set: str
    image: str
    sha256: str | None = None
    root: Path | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.image_set}/{self.image}" if self.image_set else self.image

    def path(self) -> Path:
        """The file.

        Raises:
            GroupgapError: no folder for the set, or a path that leads out of it.
        """
        return image_path(self.root or image_root(self.image_set), self.image)


def open_image(file: Path | bytes, config: DataConfig, sha256: str | None = None) -> Image:
    """Read and decode an image file that a stranger made.

    Args:
        file: its path, or its bytes.
        config: says the number of channels, and whether EXIF's orientation is obeyed.
        sha256: what its bytes must hash to; None for anything.

    Returns:
        The whole image, in RGB or grey.

    Raises:
        UnreadableImageError: absent, empty, too large, damaged, cut off, animated, of more than 8 bits, or other
            bytes than ``sha256`` says.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    data = file if isinstance(file, bytes) else _bytes(file)
    if not data:
        raise UnreadableImageError("the file is empty")
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise UnreadableImageError("not the image that the document means: its bytes have another SHA-256")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; what matters is refused here
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _refuse(image)
            image.load()
            if config.exif:
                image = ImageOps.exif_transpose(image)
            return image.convert(MODES[config.input_size[0]])
    except UnidentifiedImageError:
        raise UnreadableImageError(f"no image of a known kind ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(f"more than {2 * MAX_PIXELS:,} pixels (a decompression bomb?)") from None
    except BROKEN as error:
        raise UnreadableImageError(f"damaged or cut off ({' '.join(str(error).split())[:120]})") from None


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableImageError(f"cannot be opened ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise UnreadableImageError(f"the file is larger than {MAX_BYTES:,} bytes")
    return data


def _refuse(image: Image) -> None:
    """Refuse by the header alone, before any pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"{width} x {height} pixels, more than {MAX_PIXELS:,} (a decompression bomb?)")
    # looks at the second frame alone; counting all of a long animation would take minutes
    if getattr(image, "is_animated", False) and image.format != "MPO":  # MPO: a camera's JPEG with a preview behind it
        raise UnreadableImageError("animated, or of several pages")
    if image.mode in DEEP_MODES:
        raise UnreadableImageError(f"more than 8 bits a channel (mode {image.mode}), which would be cut off")


@dataclass(frozen=True)
class Pixels:
    """What the transforms make of an image: decoding and geometry here, the rest in :func:`normalise`.

    It holds plain values only, so that a spawned worker process imports torchvision when it is ready to.
    """

    config: DataConfig

    @cached_property
    def _geometry(self) -> Any:
        from timm.data import create_transform

        config = self.config
        return create_transform(
            input_size=config.input_size,
            interpolation=config.interpolation,
            mean=config.mean,
            std=config.std,
            crop_pct=config.crop_pct,
            crop_mode=config.crop_mode,
            normalize=False,
        )

    def __call__(self, image: Image) -> Tensor:
        """Resize, crop and, where the configuration says so, mirror.

        Args:
            image: from :func:`open_image`.

        Returns:
            uint8, (channels, height, width).
        """
        pixels: Tensor = self._geometry(image)
        return pixels.flip(-1) if self.config.mirror else pixels

    def __getstate__(self) -> dict[str, Any]:
        """Without the transforms: a worker makes its own."""
        return {"config": self.config}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the configuration."""
        object.__setattr__(self, "config", state["config"])


def normalise(pixels: Tensor, config: DataConfig) -> Tensor:
    """The last two steps of timm's transforms, on a batch: to 0 to 1, then mean and standard deviation.

    Args:
        pixels: uint8, (images, channels, height, width), on any device.
        config: of the model.

    Returns:
        float32, the same shape.
    """
    import torch

    mean = torch.tensor(config.mean, device=pixels.device).view(1, -1, 1, 1)
    std = torch.tensor(config.std, device=pixels.device).view(1, -1, 1, 1)
    return pixels.to(torch.float32).div_(255).sub_(mean).div_(std)


@dataclass(frozen=True)
class ImageRows:
    """A map-style dataset for ``torch.utils.data.DataLoader``: image ``i`` is row ``i``, or a reason why not.

    Attributes:
        images: what to read.
        config: of the model.
        turn: applied to each opened image before the model's own transforms (training's random flips); None for none.
            A module-level function, or an object that can be pickled.
    """

    images: Sequence[ImageRef]
    config: DataConfig
    turn: Callable[[Image], Image] | None = None
    pixels: Pixels = field(init=False)

    def __post_init__(self) -> None:
        """Make the transforms."""
        object.__setattr__(self, "pixels", Pixels(self.config))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[int, Tensor | None, str]:
        """Row number, uint8 pixels (channels, height, width) or None, and the reason where None."""
        found = self.images[row]
        try:
            image = open_image(found.path(), self.config, found.sha256)
            return row, self.pixels(self.turn(image) if self.turn else image), ""
        except GroupgapError as error:
            return row, None, str(error)


def collate(rows: Sequence[tuple[int, Tensor | None, str]]) -> tuple[list[int], Tensor | None, dict[int, str]]:
    """Put a batch together: numbers of the readable rows, their pixels (None where there are none), and the reasons of
    the others by number.
    """
    import torch

    readable = [(row, pixels) for row, pixels, _ in rows if pixels is not None]
    stacked = torch.stack([pixels for _, pixels in readable]) if readable else None
    return [row for row, _ in readable], stacked, {row: reason for row, pixels, reason in rows if pixels is None}
