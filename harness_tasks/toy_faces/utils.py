"""Loader of the drawn discs: it draws them into the cache folder, so it needs neither a file nor a network."""

from __future__ import annotations

from pathlib import Path

from ...errors import GroupgapError
from ..image_parquet import write_once
from ..image_rows import ImageOptions, ImageSource, Labelled, image_rows
from ..images import made_root
from ..rows import Rows
from .draw import BENT, HUES, SEED, Discs, draw, plan

IMAGE_SET = "toy-faces/1"
DRAWN = "DRAWN"
IMAGES_SHA256 = "7ec2b7d48e57e66d1fa1ec643ae64b9293a8430e0196f919e204b7c5abfe2cc3"
LABELS = {"mood": ("frown", "smile"), "bend": ("flat", "bent")}


def faces(label: object = "mood", **options: object) -> Rows:
    """The drawn discs by hue.

    Args:
        label: "mood": does it smile? With noise that differs by hue. "bend": is the mouth bent, to either side? A
            related question without noise, for a base that is to be trained further.
        options: of :class:`~groupgap.harness_tasks.image_rows.ImageOptions`.

    Raises:
        GroupgapError: another label, or a cache folder that cannot be written or holds other images.
    """
    if label not in LABELS:
        raise GroupgapError(f"option label={label!r}: expected one of {', '.join(LABELS)}")
    discs = plan()
    root = ensure_drawn(discs)
    labels = discs.smiles if label == "mood" else abs(discs.curvature) > BENT
    labelled = (
        Labelled(image_name(place), int(labels[place]), {"hue": [HUES[discs.hue[place]].name]})
        for place in range(len(discs))
    )
    choices = LABELS[str(label)]
    origin = {"source": "generated", "dataset": "toy-faces", "revision": None, "seed": SEED}
    fair = {"choices": list(choices), "positive": choices[1]}
    rows = image_rows(ImageSource(IMAGE_SET, str(root), origin, fair, ImageOptions.read(options)), labelled)
    if not rows.origin["excluded"] and rows.origin["images_sha256"] != IMAGES_SHA256:
        raise GroupgapError(f"{root}: holds other images than are drawn there: delete the folder and run again")
    return rows


def image_name(place: int) -> str:
    """The file of a disc: ``17/1742.bmp`` for disc 1742."""
    return f"{place // 100:02d}/{place:04d}.bmp"


def ensure_drawn(discs: Discs) -> Path:
    """Draw what is not there yet; the folder :data:`IMAGE_SET` of the cache.

    Raises:
        GroupgapError: the folder cannot be written.
    """
    root = made_root(IMAGE_SET)
    if not (root / DRAWN).is_file():
        for place, data in enumerate(draw(discs)):
            write_once(root, image_name(place), data)
        write_once(root, DRAWN, b"drawn by groupgap (harness_tasks/toy_faces/draw.py); these are no people\n")
    return root
