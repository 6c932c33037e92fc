"""Discs with two eyes, lines above them and a mouth, drawn so that nobody takes them for faces of people.

The label is the mood, smile or frown; the mouth shows it with noise. Its curvature has a normal distribution around
plus or minus ``d`` with standard deviation 1 (its quantiles, so that all discs together hold exactly that), and
``d`` belongs to the disc's hue. A model that reads the mouth perfectly is therefore right with probability
``Phi(d)`` on that hue, and no model can do better: the best accuracy of every group is known beforehand. The lines
say nothing.

Additions, multiplications and square roots make the pixels, which every machine rounds alike, and the files are plain
bitmaps, so the bytes are the same everywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

SEED = 20240517
SIZE = 6_000
PIXELS = 48
BLOCK = 250
BENT = 1.25  # curvatures farther from 0 than this are "bent": about half of all
LINES = 4

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hue:
    """One group: its colour (red, green, blue in 0 to 1), its share of the discs, its best possible accuracy."""

    name: str
    colour: tuple[float, float, float]
    share: float
    ceiling: float

    @property
    def distance(self) -> float:
        """How far from 0 its mouths' curvatures lie, in standard deviations."""
        return NormalDist().inv_cdf(self.ceiling)


# The shares are those of UTKFace's five groups.
HUES = (
    Hue("blue", (0.35, 0.50, 0.95), 0.42, 0.97),
    Hue("green", (0.35, 0.80, 0.40), 0.19, 0.93),
    Hue("magenta", (0.90, 0.40, 0.80), 0.145, 0.88),
    Hue("orange", (0.95, 0.65, 0.25), 0.17, 0.83),
    Hue("grey", (0.65, 0.65, 0.65), 0.075, 0.76),
)


@dataclass(frozen=True)
class Discs:
    """What is drawn, one entry a disc.

    Attributes:
        hue: (n,) index into :data:`HUES`.
        smiles: (n,) bool, the label.
        curvature: (n,) of the mouth, positive for corners that point up.
        lines: (n,) above the eyes.
        place: (n, 2) offset of the disc's centre, in pixels.
        radius: (n,) in pixels.
        light: (n,) brightness, around 1.
    """

    hue: npt.NDArray[np.int64]
    smiles: npt.NDArray[np.bool_]
    curvature: FloatArray
    lines: npt.NDArray[np.int64]
    place: FloatArray
    radius: FloatArray
    light: FloatArray

    def __len__(self) -> int:
        """Number of discs."""
        return len(self.hue)


def plan(size: int = SIZE, seed: int = SEED) -> Discs:
    """Decide what to draw."""
    rng = np.random.default_rng(seed)
    shares = np.cumsum([0.0, *(one.share for one in HUES)])
    hue = np.repeat(np.arange(len(HUES)), np.diff(np.floor(shares / shares[-1] * size + 0.5).astype(np.int64)))
    smiles = np.arange(size) % 2 == 0
    curvature = np.empty(size)
    for number, one in enumerate(HUES):
        for mood in (True, False):
            chosen = (hue == number) & (smiles == mood)
            middle = one.distance if mood else -one.distance
            curvature[chosen] = middle + rng.permutation(_quantiles(int(chosen.sum())))
    order = rng.permutation(size)
    return Discs(
        hue=hue[order],
        smiles=smiles[order],
        curvature=curvature[order],
        lines=rng.integers(0, LINES, size),
        place=rng.uniform(-2, 2, (size, 2)),
        radius=rng.uniform(18, 20, size),
        light=rng.uniform(0.85, 1.05, size),
    )


def _quantiles(size: int) -> FloatArray:
    """Equally probable values of the standard normal distribution: no draw of it is luckier than another."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((rank + 0.5) / size) for rank in range(size)])


def draw(discs: Discs) -> Iterator[bytes]:
    """The discs as bitmap files, in order."""
    for start in range(0, len(discs), BLOCK):
        chosen = slice(start, start + BLOCK)
        yield from map(_bitmap, _pixels(discs, chosen))


def _pixels(discs: Discs, chosen: slice) -> npt.NDArray[np.uint8]:
    """(b, PIXELS, PIXELS, 3), red, green, blue."""
    steps = np.arange(PIXELS) - (PIXELS - 1) / 2
    across = steps[None, None, :] - discs.place[chosen, 0, None, None]
    down = steps[None, :, None] - discs.place[chosen, 1, None, None]
    across, down = np.broadcast_arrays(across, down)
    light = discs.light[chosen, None, None, None]
    colours = np.array([one.colour for one in HUES])[discs.hue[chosen]][:, None, None, :]
    image = np.full((*across.shape, 3), 0.93) * light
    image = _over(image, _inside(_length(across, down) - discs.radius[chosen, None, None]), colours * light)
    for ink in (*_eyes(across, down), *_lines(discs.lines[chosen], across, down), _mouth(discs, chosen, across, down)):
        image = _over(image, ink, np.full(3, 0.1))
    return np.asarray(np.floor(np.clip(image, 0, 1) * 255 + 0.5), dtype=np.uint8)


def _length(across: FloatArray, down: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(across * across + down * down))


def _inside(distance: FloatArray) -> FloatArray:
    """How much of each pixel lies inside a shape, from the distance to its edge (negative inside)."""
    return np.clip(0.5 - distance, 0, 1)


def _over(image: FloatArray, cover: FloatArray, colour: FloatArray) -> FloatArray:
    return np.asarray(image + cover[..., None] * (colour - image))


def _eyes(across: FloatArray, down: FloatArray) -> list[FloatArray]:
    return [_inside(_length(across - side, down + 3.5) - 2.0) for side in (-6.5, 6.5)]


def _lines(lines: npt.NDArray[np.int64], across: FloatArray, down: FloatArray) -> list[FloatArray]:
    wide = _inside(np.abs(across) - 7)
    return [
        wide * _inside(np.abs(down + 8 + 2.5 * number) - 0.5) * (lines > number)[:, None, None]
        for number in range(LINES - 1)
    ]


def _mouth(discs: Discs, chosen: slice, across: FloatArray, down: FloatArray) -> FloatArray:
    """A parabola whose ends lie ``1.6 x curvature`` pixels above its middle."""
    bend = 1.6 * discs.curvature[chosen, None, None]
    part = across / 9
    slope = 2 * bend * part / 9
    distance = np.abs(down - 7.5 + bend * (part * part - 0.5)) / np.sqrt(1 + slope * slope)
    return np.asarray(_inside(np.abs(across) - 9) * _inside(distance - 0.9))


def _bitmap(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A Windows bitmap of 24 bits: rows from the bottom, blue first; 48 pixels need no padding."""
    height, width, _ = pixels.shape
    data = np.ascontiguousarray(pixels[::-1, :, ::-1]).tobytes()
    information = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(data), 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(data), 0, 0, 54) + information + data
