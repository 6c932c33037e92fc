"""Image files as strangers make them: each is read whole, or refused with its reason."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groupgap.adapters.data_config import DataConfig
from groupgap.adapters.vision_images import (
    ImageRef,
    ImageRows,
    Pixels,
    UnreadableImageError,
    collate,
    normalise,
    open_image,
)
from groupgap.errors import GroupgapError

Image = pytest.importorskip("PIL.Image")
CONFIG = DataConfig((3, 16, 16), "bilinear", (0.5,) * 3, (0.5,) * 3, 1.0, "squash")


def picture(width: int = 24, height: int = 20) -> Any:
    """A smooth coloured image."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, 255 - across], -1).astype(np.uint8))


def saved(image: Any, kind: str, **options: Any) -> bytes:
    """An image as a file's bytes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing: a decompression bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def frames(kind: str) -> bytes:
    """An animation of three frames."""
    others = [picture().rotate(angle) for angle in (90, 180)]
    return saved(picture(), kind, save_all=True, append_images=others)


def flipped(data: bytes, place: int) -> bytes:
    """Some bytes in the middle changed."""
    return data[:place] + bytes(255 - byte for byte in data[place : place + 40]) + data[place + 40 :]


def text_for_a_width() -> bytes:
    """A JPEG to be turned whose EXIF has a text as its width: PIL fails when it writes the EXIF anew."""
    exif = _orientation(6)
    exif[0x010E] = "abcdefgh"
    return saved(picture(), "JPEG", exif=exif).replace(b"\x01\x0e\x00\x02", b"\x01\x00\x00\x02", 1)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero-byte": (lambda: b"", "the file is empty"),
    "text": (lambda: b"<html>not found</html>", "no image of a known kind"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image of a known kind"),
    "eps": (lambda: saved(picture(), "EPS"), "no image of a known kind"),
    "truncated jpeg": (lambda: saved(picture(200, 200), "JPEG")[:-600], "damaged or cut off"),
    "truncated png": (lambda: saved(picture(200, 200), "PNG")[:-200], "damaged or cut off"),
    "flipped bytes": (lambda: flipped(saved(picture(200, 200), "PNG"), 300), "damaged or cut off"),
    "bomb": (lambda: png_header(12_000, 12_000), r"12000 x 12000 pixels, more than .*bomb"),
    "larger bomb": (lambda: png_header(60_000, 60_000), "decompression bomb"),
    "animated gif": (lambda: frames("GIF"), "animated, or of several pages"),
    "animated webp": (lambda: frames("WEBP"), "animated"),
    "pages of a tiff": (lambda: frames("TIFF"), "several pages"),
    "exif of another kind": (text_for_a_width, "damaged or cut off"),
    "16 bits": (
        lambda: saved(Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 100), "PNG"),
        "more than 8 bits a channel",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_file_that_is_no_whole_image_is_refused_with_its_reason(fault: str, tmp_path: Path) -> None:
    make, reason = BAD[fault]
    path = tmp_path / "image"
    path.write_bytes(make())
    with pytest.raises(UnreadableImageError, match=reason):
        open_image(path, CONFIG)


def test_an_absent_and_an_exchanged_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="No such file"):
        open_image(tmp_path / "absent.png", CONFIG)
    data = saved(picture(), "PNG")
    assert open_image(data, CONFIG, hashlib.sha256(data).hexdigest()).size == (24, 20)
    with pytest.raises(UnreadableImageError, match="another SHA-256"):
        open_image(data, CONFIG, hashlib.sha256(b"other").hexdigest())


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "GIF"), ("RGBA", "PNG"), ("LA", "PNG"), ("1", "PNG")],
)
def test_other_modes_become_rgb_as_pil_converts_them(mode: str, kind: str) -> None:
    data = saved(picture().convert(mode), kind)
    found = open_image(data, CONFIG)
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_a_grey_model_reads_grey() -> None:
    grey = DataConfig((1, 16, 16), "bilinear", (0.5,), (0.5,), 1.0, "squash")
    assert open_image(saved(picture(), "PNG"), grey).mode == "L"
    assert Pixels(grey)(open_image(saved(picture(), "PNG"), grey)).shape == (1, 16, 16)


def test_a_photo_is_turned_as_its_exif_says_unless_told_not_to() -> None:
    turned = saved(picture().rotate(90, expand=True), "PNG", exif=_orientation(6))
    upright = np.asarray(picture())
    assert np.array_equal(np.asarray(open_image(turned, CONFIG)), upright)
    as_stored = open_image(turned, CONFIG.with_overrides({"exif": False}))
    assert np.array_equal(np.asarray(as_stored), np.asarray(picture().rotate(90, expand=True)))


def test_a_mirrored_look_is_the_same_pixels_from_right_to_left() -> None:
    image = picture().convert("RGB")
    plain, mirrored = Pixels(CONFIG)(image), Pixels(CONFIG.with_overrides({"mirror": "true"}))(image)
    np.testing.assert_array_equal(plain.numpy()[:, :, ::-1], mirrored.numpy())
    assert not np.array_equal(plain.numpy(), mirrored.numpy())


def _orientation(number: int) -> Any:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def test_pixels_are_bit_for_bit_those_of_timms_own_transform() -> None:
    torch = pytest.importorskip("torch")
    from timm.data import create_transform

    for crop_mode, crop_pct in (("center", 0.9), ("squash", 1.0), ("border", 0.95)):
        config = CONFIG.with_overrides({"crop_mode": crop_mode, "crop_pct": crop_pct, "std": "0.2;0.3;0.4"})
        values = {key: value for key, value in config.as_dict().items() if key not in ("exif", "mirror")}
        plain = create_transform(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
        ours = normalise(Pixels(config)(picture(50, 37))[None], config)[0]
        assert torch.equal(ours, plain(picture(50, 37))), crop_mode


def test_a_bad_image_keeps_its_own_row_and_takes_no_neighbours(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(saved(picture(), "PNG"))
    (tmp_path / "bad.png").write_bytes(b"")
    names = ["good.png", "bad.png", "../out.png", "good.png"]
    rows = ImageRows([ImageRef("", name, None, tmp_path) for name in names], CONFIG)
    found, pixels, reasons = collate([rows[row] for row in range(len(rows))])
    assert found == [0, 3]
    assert pixels.shape == (2, 3, 16, 16)
    assert list(reasons) == [1, 2]
    assert reasons[1] == "the file is empty"
    assert "leads out of its folder" in reasons[2]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input_size", "abc", "input_size"),
        ("input_size", "4x32x32", "channels"),
        ("input_size", 0, "input_size"),
        ("crop_pct", 1.5, "a share"),
        ("crop_pct", "x", "a share"),
        ("mean", "0.5;0.5", "3 numbers"),
        ("std", 0, "above 0"),
        ("interpolation", "random", "bilinear"),
        ("crop_mode", "middle", "squash"),
        ("crop_prc", 1, "unknown value 'crop_prc'"),
    ],
)
def test_values_that_make_no_transform_are_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        CONFIG.with_overrides({name: value})


def test_values_are_read_as_a_command_line_gives_them() -> None:
    read = CONFIG.with_overrides({"input_size": "32x24", "mean": 0.25, "std": "0.1;0.2;0.3", "crop_pct": "0.9"})
    assert (read.input_size, read.mean, read.std, read.crop_pct) == ((3, 32, 24), (0.25,) * 3, (0.1, 0.2, 0.3), 0.9)
