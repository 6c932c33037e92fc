"""How a vision model wants its images: size, crop, normalisation; from the model itself, and overridable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..errors import GroupgapError

MODES = {1: "L", 3: "RGB"}  # PIL's name by number of channels
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
CROP_MODES = ("center", "squash", "border")
# image processors of transformers that do no more than resize, crop and normalise
PROCESSORS = ("ViT", "DeiT", "Beit", "ConvNext", "Bit", "Pvt", "MobileNetV1", "MobileNetV2")
PROCESSOR_FILE = "preprocessor_config.json"


@dataclass(frozen=True)
class DataConfig:
    """How a model wants its images: timm's words (``timm.data.resolve_model_data_config``).

    Attributes:
        input_size: channels, height, width.
        interpolation: one of :data:`INTERPOLATIONS`.
        mean: subtracted from pixels in 0 to 1, a number for each channel.
        std: divided by.
        crop_pct: share of the resized image that the crop keeps.
        crop_mode: ``center`` (shorter edge resized, centre cut out), ``squash`` (both edges resized, the proportions
            not kept) or ``border`` (longer edge resized, the rest filled).
        exif: turn the image as its EXIF orientation says.
        mirror: exchange left and right, last of all: another look at the same image.
    """

    input_size: tuple[int, int, int]
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    crop_pct: float = 0.875
    crop_mode: str = "center"
    exif: bool = True
    mirror: bool = False

    def __post_init__(self) -> None:
        """Refuse what no transform can be made of.

        Raises:
            GroupgapError: a value that is not allowed, by name.
        """
        channels = self.input_size[0] if len(self.input_size) == 3 else 0
        for name, fine, allowed in (
            ("input_size", channels in MODES and min(self.input_size) > 0 and max(self.input_size) <= 4096,
             "channels (1 or 3), height, width"),
            ("interpolation", self.interpolation in INTERPOLATIONS, ", ".join(INTERPOLATIONS)),
            ("crop_mode", self.crop_mode in CROP_MODES, ", ".join(CROP_MODES)),
            ("crop_pct", 0 < self.crop_pct <= 1, "a share above 0, 1 at most"),
            ("mean", len(self.mean) == channels, f"{channels} numbers"),
            ("std", len(self.std) == channels and all(value > 0 for value in self.std), f"{channels} numbers above 0"),
        ):  # fmt: skip
            if not fine:
                raise GroupgapError(f"data config: {name}={getattr(self, name)!r}: expected {allowed}")

    def as_dict(self) -> dict[str, Any]:
        """The values, for a record."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def with_overrides(self, overrides: Mapping[str, Any]) -> DataConfig:
        """The configuration with some values replaced.

        Args:
            overrides: by name; ``input_size`` may be a number (height and width), ``224x192`` or three numbers;
                ``mean`` and ``std`` may be ``0.5`` or ``0.5;0.5;0.5``.

        Raises:
            GroupgapError: an unknown name, or a value that is not allowed.
        """
        named = {item.name for item in fields(self)}
        unknown = sorted(set(overrides) - named)
        if unknown:
            raise GroupgapError(
                f"data config: unknown value {unknown[0]!r:.60}: allowed are {', '.join(sorted(named))}"
            )
        read = {name: _READ.get(name, lambda value, _: value)(value, self) for name, value in overrides.items()}
        return replace(self, **read)


def _size(value: Any, config: DataConfig) -> tuple[int, ...]:
    parts = value if isinstance(value, list | tuple) else str(value).lower().replace(";", "x").split("x")
    try:
        sizes = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        return ()
    channels = config.input_size[0]
    return (channels, *sizes * 2) if len(sizes) == 1 else (channels, *sizes) if len(sizes) == 2 else sizes


def _numbers(value: Any, config: DataConfig) -> tuple[float, ...]:
    parts = value if isinstance(value, list | tuple) else str(value).split(";")
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return ()
    return numbers * config.input_size[0] if len(numbers) == 1 else numbers


def _share(value: Any, _: DataConfig) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _flag(value: Any) -> bool:
    return str(value).lower() not in ("false", "0", "no")


_READ: Mapping[str, Callable[[Any, DataConfig], Any]] = {
    "input_size": _size,
    "mean": _numbers,
    "std": _numbers,
    "crop_pct": _share,
    "exif": lambda value, _: _flag(value),
    "mirror": lambda value, _: _flag(value),
}


def timm_data_config(model: Any) -> DataConfig:
    """The data configuration of a timm model, at the size it was built for.

    ``timm.data.resolve_model_data_config`` reads the pretrained weights' configuration, which still says 224 where the
    model was built with ``img_size=64``.

    Args:
        model: made by ``timm.create_model``.

    Raises:
        GroupgapError: a value that no transform can be made of.
    """
    from timm.data import resolve_model_data_config

    found = resolve_model_data_config(model)
    channels, *size = found["input_size"]
    built = getattr(model, "_traits", {}).get("img_size") or getattr(
        getattr(model, "patch_embed", None), "img_size", None
    )
    channels = getattr(model, "in_chans", None) or channels
    if channels != len(found["mean"]):
        found["mean"], found["std"] = ((sum(found[key]) / len(found[key]),) * channels for key in ("mean", "std"))
    return DataConfig(
        input_size=(channels, *(built or size)),
        interpolation=found["interpolation"],
        mean=tuple(found["mean"]),
        std=tuple(found["std"]),
        crop_pct=float(found["crop_pct"]),
        crop_mode=found["crop_mode"],
    )


def transformers_data_config(folder: Path, channels: int) -> DataConfig:
    """The data configuration that the image processor of a transformers model amounts to.

    Args:
        folder: with ``preprocessor_config.json``.
        channels: of the model's configuration.

    Raises:
        GroupgapError: no such file, or a processor that does something else.
    """
    from transformers import AutoImageProcessor

    if not (folder / PROCESSOR_FILE).is_file():
        raise GroupgapError(
            f"{folder}: has no {PROCESSOR_FILE}, so nothing says how it wants its images: save its image processor"
            " there (AutoImageProcessor.from_pretrained(BASE).save_pretrained(FOLDER))"
        )
    try:
        found = AutoImageProcessor.from_pretrained(str(folder), backend="pil")
    except (ValueError, OSError, ImportError, KeyError, TypeError) as error:
        raise GroupgapError(f"{folder}/{PROCESSOR_FILE}: {' '.join(str(error).split())[:200]}") from None
    kind = type(found).__name__
    plain = kind.removesuffix("Pil").removesuffix("ImageProcessor") in PROCESSORS
    if not (plain and found.do_rescale and abs(found.rescale_factor * 255 - 1) < 1e-6 and found.do_resize):
        raise GroupgapError(
            f"{folder}/{PROCESSOR_FILE}: {kind:.60} does more than resize, crop and normalise: not read here"
        )
    size, crop_mode, crop_pct = _geometry(found)
    mean, std = (found.image_mean, found.image_std) if found.do_normalize else ([0.0] * channels, [1.0] * channels)
    interpolation = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}[
        int(found.resample)
    ]
    return DataConfig((channels, *size), interpolation, tuple(mean), tuple(std), crop_pct, crop_mode)


def _geometry(processor: Any) -> tuple[tuple[int, int], str, float]:
    """Height and width, crop mode and crop share of an image processor."""
    size, crop = processor.size, getattr(processor, "crop_size", None)
    edge = getattr(size, "shortest_edge", None)
    cut = crop if getattr(processor, "do_center_crop", False) else None
    if edge and type(processor).__name__.startswith("ConvNext"):
        return (edge, edge), *(("center", float(processor.crop_pct)) if edge < 384 else ("squash", 1.0))
    if edge and cut:
        return (cut.height, cut.width), "center", _share_of(cut.height, edge)
    if size.height and size.width:
        target = cut or size
        return (target.height, target.width), "squash", _share_of(target.height, size.height)
    raise GroupgapError(f"{type(processor).__name__}: size {dict(size)} and no centre crop: give input_size")


def _share_of(crop: int, resized: int) -> float:
    """The ``crop_pct`` with which timm resizes to ``resized``: ``floor(crop / crop_pct)``.

    >>> _share_of(224, 256), int(97 / _share_of(97, 103))
    (0.875, 103)
    """
    share = crop / resized
    return share if int(crop / share) == resized else crop / (resized + 0.5)
