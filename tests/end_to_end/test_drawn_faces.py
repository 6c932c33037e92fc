"""Drawn faces from the task's files to the board: a perfect reader reaches the planted ceilings, faults do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from groupgap.cli import main
from groupgap.errors import GroupgapError
from groupgap.plugins.fleet_tasks import Question, ask

torch = pytest.importorskip("torch")
pytest.importorskip("timm", exc_type=ImportError)

pytestmark = pytest.mark.slow

TASK = "toy_faces_fair"


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What is drawn, and the drawings, in a cache of their own."""
    from groupgap.harness_tasks.toy_faces.draw import plan
    from groupgap.harness_tasks.toy_faces.utils import ensure_drawn

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROUPGAP_CACHE", str(tmp_path_factory.mktemp("faces")))
        patch.delenv("GROUPGAP_DATA", raising=False)
        found = plan()
        ensure_drawn(found)
        yield found


class Reader(torch.nn.Module):
    """Knows each picture by its exact pixels, and answers by the curvature of its mouth: nobody can do better."""

    def __init__(self, curvatures: dict[bytes, float]) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(1))
        self.curvatures = curvatures

    def forward(self, pixels: Any) -> Any:
        bent = torch.tensor([self.curvatures.get(row.numpy().tobytes(), 0.0) for row in pixels])
        return torch.stack([-bent, bent], -1) + self.bias


@pytest.fixture(scope="module")
def reader(discs: Any) -> Reader:
    """Made by a loop of its own: PIL and timm's transforms, the plan's curvature."""
    from groupgap.harness_tasks.images import made_root
    from groupgap.harness_tasks.toy_faces.utils import IMAGE_SET, image_name
    from PIL import Image
    from timm.data import create_transform

    values = {"interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop_pct": 1.0}
    transform = create_transform((3, 48, 48), **values)
    known = {}
    for place, curvature in enumerate(discs.curvature):
        image = Image.open(made_root(IMAGE_SET) / image_name(place)).convert("RGB")
        known[transform(image).numpy().tobytes()] = float(curvature)
    return Reader(known)


def backend(reader: Reader, **changes: Any) -> Any:
    from groupgap.adapters.data_config import DataConfig
    from groupgap.adapters.vision_base import VisionBase
    from groupgap.adapters.vision_model import VisionModel
    from groupgap.plugins.timm_model import GroupgapTimm

    config = DataConfig((3, 48, 48), "bicubic", (0.5,) * 3, (0.25,) * 3, 1.0).with_overrides(changes)
    model = VisionModel(reader, "timm", VisionBase("reader", "timm", None), config, 2, ("frown", "smile"))
    return GroupgapTimm(model, device="cpu", num_workers=0, batch_size=256, proof="none")


def run(model: Any, folder: Path, variant: str, task: str = TASK, limit: int | None = None, **options: Any) -> Path:
    """A run folder as the fleet writes it."""
    out = folder / variant
    ask(model, Question(task, limit=limit, options=options), "test", out)
    (results,) = out.rglob("results_*.json")
    told = {"name": variant, "base": "reader", "method": "base"}
    (results.parent / "variant.json").write_text(json.dumps(told))
    return out


def judged(out: Path) -> dict[str, float]:
    """Group to accuracy, as the run itself found them."""
    (results,) = out.rglob("results_*.json")
    fair = json.loads(results.read_text())["configs"][TASK]["metadata"]["fair"]
    return {name: rates["accuracy"] for name, rates in fair["judged"]["hue"].items()}


def planted(discs: Any, part: Any = slice(None)) -> dict[str, float]:
    """Group to the accuracy of a reader of curvatures: the ceilings as drawn."""
    from groupgap.harness_tasks.toy_faces.draw import HUES

    right, hue = ((discs.curvature > 0) == discs.smiles)[part], discs.hue[part]
    return {one.name: float(right[hue == number].mean()) for number, one in enumerate(HUES)}


@pytest.fixture(scope="module")
def board(reader: Reader, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board with a perfect reader of drawn faces and a guesser of texts."""
    from lm_eval.models.dummy import DummyLM

    folder = tmp_path_factory.mktemp("both")
    run(backend(reader), folder / "runs", "sees", part="all")
    run(DummyLM(), folder / "runs", "reads", "toy_religion_fair", limit=300)
    assert main(["board", str(folder / "runs"), "-o", str(folder / "board"), "--draws", "999"]) == 0
    return folder / "board"


def test_a_perfect_reader_reaches_the_ceilings_on_the_board(board: Path, discs: Any) -> None:
    (row,) = (row for row in json.loads((board / "board.json").read_text())["rows"] if row["task"] == TASK)
    found = {group["group"]: group["accuracy"] for group in row["groups"]}
    for name, expected in planted(discs).items():
        assert found[name]["value"] == pytest.approx(expected, abs=1e-9)
        assert found[name]["low"] <= expected <= found[name]["high"]
    order = sorted(found, key=lambda name: -found[name]["value"])
    assert order == ["blue", "green", "magenta", "orange", "grey"]


def test_the_board_shows_text_and_images_side_by_side_and_no_picture(board: Path) -> None:
    page = (board / "index.html").read_text()
    for word in ("sees", "reads", TASK, "toy_religion_fair", "grey", "celian"):
        assert word in page
    assert {"toy_religion_fair", TASK} <= {
        line.split(",")[0] for line in (board / "board.csv").read_text().splitlines()
    }
    assert not [part for part in ("data:image/png", "data:image/jpeg", "data:image/bmp", ".bmp") if part in page]


def test_shifted_groups_are_noticed(
    reader: Reader, discs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: each document's group is its neighbour's."""
    from groupgap.harness_tasks.toy_faces import utils

    whole = utils.image_rows

    def shifted(source: Any, labelled: Any) -> Any:
        rows = whole(source, labelled)
        hues = [document["hue"] for document in rows.documents]
        for document, hue in zip(rows.documents, [*hues[1:], hues[0]], strict=True):
            document["hue"] = hue
        return rows

    monkeypatch.setattr(utils, "image_rows", shifted)
    found = judged(run(backend(reader), tmp_path, "shifted"))
    assert max(abs(found[name] - ceiling) for name, ceiling in planted(discs).items()) > 0.06


def test_a_wrong_crop_is_noticed(reader: Reader, tmp_path: Path) -> None:
    """A planted fault: pixels other than the model's own; the reader knows none of them."""
    found = judged(run(backend(reader, crop_pct=0.9), tmp_path, "cropped"))
    assert all(value < 0.65 for value in found.values())


def test_a_neighbours_image_in_a_files_place_is_refused(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: between the task's reading and the model's, a file is exchanged."""
    from groupgap.adapters import vision_images

    opened, first = vision_images.image_path, list[str]()

    def exchanged(root: Path, image: str) -> Path:
        first.append(image)
        return opened(root, "00/0000.bmp" if image == first[0] else image)

    monkeypatch.setattr(vision_images, "image_path", exchanged)
    with pytest.raises(GroupgapError, match=r"1 of [\d,]+ images cannot be read.*\.bmp \(not the image"):
        run(backend(reader), tmp_path, "exchanged")
