"""Image variants of a roster: adapters switched in memory, each image decoded once, answers as when asked alone."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groupgap.adapters.roster import load_roster
from groupgap.errors import GroupgapError
from groupgap.plugins.fleet_plan import Job, Plan, make_plan

from ..vision_zoo import Zoo
from .test_timm_model import answers, backend

torch = pytest.importorskip("torch")
pytest.importorskip("timm", exc_type=ImportError)

VARIANTS = ("vit", "vit-lora", "vit-lora2", "vit-headless", "vit-full")


@pytest.fixture(autouse=True)
def _data(zoo_of_images: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPGAP_DATA", str(zoo_of_images.root / "data"))


def plan(folder: Path, variants: str, defaults: str = "") -> Plan:
    roster = f"tasks: [toy_faces_fair]\ndefaults: {{engine: timm{defaults}}}\nvariants:\n"
    path = folder / "roster.yaml"
    path.write_text(roster + textwrap.indent(textwrap.dedent(variants), "  "))
    return make_plan(load_roster(path))


@pytest.fixture
def job(zoo_of_images: Zoo, tmp_path: Path) -> Job:
    lines = [f"- {{name: {name}, weights: {zoo_of_images / name}}}\n" for name in VARIANTS[1:]]
    found = plan(tmp_path, f"- {{name: vit}}\n{''.join(lines)}", f", base: {zoo_of_images / 'vit'}")
    assert not found.refused
    (one,) = found.jobs
    return one


def test_all_variants_of_a_base_are_one_job(job: Job) -> None:
    assert [(member.name, member.served) for member in job.members] == [
        ("vit", "base"), ("vit-lora", "adapter"), ("vit-lora2", "adapter"), ("vit-headless", "adapter"),
        ("vit-full", "full"),
    ]  # fmt: skip
    assert job.members[1].description["trained_parameters"] > 0
    assert all(member.description["base_hashes"] for member in job.members)


def test_each_image_is_decoded_once_and_each_variant_answers_as_alone(
    zoo_of_images: Zoo, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groupgap.adapters import vision_images
    from groupgap.plugins.fleet_vision import TimmEngine

    opened: list[bytes | Path] = []
    whole = vision_images.open_image
    monkeypatch.setattr(vision_images, "open_image", lambda file, *rest: opened.append(file) or whole(file, *rest))
    engine = TimmEngine(job, tmp_path / "scratch")
    together = {}
    for member in (*job.members, *job.members):  # twice: an adapter after another leaves no trace
        model, proof = engine.ready(member)
        assert proof["passed"]
        assert member.served == "base" or proof["differs_from_base"] > 1e-3
        found = answers(model, zoo_of_images.documents)
        assert np.array_equal(together.setdefault(member.name, found), found)
    assert len(opened) == len(zoo_of_images.documents)
    for name, found in together.items():
        own = name.startswith("vit-") and name != "vit-full"
        options = {"adapter": zoo_of_images / name} if own else {}
        alone = backend(zoo_of_images / ("vit" if own else name), batch_size=32, **options)
        assert np.array_equal(answers(alone, zoo_of_images.documents), found), name
    assert len(set(map(bytes, together.values()))) == len(VARIANTS)


def test_no_room_for_pixels_changes_no_answer(zoo_of_images: Zoo, tmp_path: Path) -> None:
    from groupgap.plugins.pixel_store import PixelStore

    own = answers(backend(zoo_of_images / "vit"), zoo_of_images.documents)
    for limit in (0, 7 * 3 * 32 * 32, 1 << 30):
        store = PixelStore(tmp_path, limit)
        for _ in range(2):
            found = answers(backend(zoo_of_images / "vit", store=store), zoo_of_images.documents)
            assert np.array_equal(found, own)
        assert len(store) == min(22, limit // (3 * 32 * 32))
    assert list(tmp_path.iterdir()) == []  # a file without a name


def test_an_image_without_a_hash_is_never_kept(zoo_of_images: Zoo, tmp_path: Path) -> None:
    from groupgap.plugins.pixel_store import PixelStore

    store = PixelStore(tmp_path)
    answers(backend(zoo_of_images / "vit", store=store), [{**zoo_of_images.documents[0], "image_sha256": None}])
    assert len(store) == 0


def test_a_name_of_timms_is_a_base_and_random_weights_are_said(zoo_of_images: Zoo, tmp_path: Path) -> None:
    sizes = "num_classes: 2, img_size: 32, patch_size: 8, embed_dim: 48, depth: 2, num_heads: 3"
    found = plan(
        tmp_path,
        f"""\
        - {{name: random, base: vit_tiny_patch16_224, engine_options: {{pretrained: false, {sizes}}}}}
        - {{name: nowhere, base: vit_tinny}}
        - {{name: other, base: {zoo_of_images / "deep"}, weights: {zoo_of_images / "vit-lora"}}}
        - {{name: set, base: {zoo_of_images / "vit"}, engine_options: {{adapter: /tmp}}}}
        """,
    )
    (job,) = found.jobs
    assert (job.base, job.members[0].description["random"]) == ("vit_tiny_patch16_224", "weights")
    assert "did you mean" in found.refused["nowhere"]
    assert "missing" in found.refused["other"]
    assert "adapter is not an option" in found.refused["set"]
    from groupgap.plugins.fleet_vision import TimmEngine

    model, proof = TimmEngine(job, tmp_path / "scratch").ready(job.members[0])
    assert proof["level"] == "none"
    assert model.get_model_info()["groupgap_vision"]["random"] == "weights"


def test_the_board_says_random_weights() -> None:
    from groupgap.leaderboards.identity import variant_from_arguments, variant_from_file

    told = {"name": "x", "base": "vit", "method": "base", "random": "weights"}
    assert variant_from_file(told).method == "base, random weights"
    assert variant_from_file({**told, "random": ""}).method == "base"
    plain = variant_from_arguments("timm", {"model": "test_vit", "pretrained": False}, None)
    assert plain.name == "test_vit (random weights)"
    assert variant_from_arguments("timm", "model=test_vit,pretrained=True", None).name == "test_vit"
    seeds = [variant_from_arguments("timm", f"model=a,pretrained=false,init_seed={n}", None).identity for n in (1, 2)]
    assert seeds[0] != seeds[1]


def test_a_fine_tune_that_is_its_base_is_refused(zoo_of_images: Zoo, tmp_path: Path) -> None:
    from groupgap.plugins.fleet_vision import TimmEngine

    base = zoo_of_images / "vit"
    found = plan(tmp_path, f"- {{name: same, method: full, base: {base}, weights: {base}}}")
    with pytest.raises(GroupgapError, match="it answers as the base does"):
        TimmEngine(found.jobs[0], tmp_path / "scratch").ready(found.jobs[0].members[0])


def test_a_fine_tune_with_another_head_is_compared_under_its_own(zoo_of_images: Zoo, tmp_path: Path) -> None:
    from groupgap.plugins.fleet_vision import TimmEngine

    found = plan(tmp_path, f"- {{name: five, base: {zoo_of_images / 'vit-full'}, weights: {zoo_of_images / 'vit5'}}}")
    _, proof = TimmEngine(found.jobs[0], tmp_path / "scratch").ready(found.jobs[0].members[0])
    assert proof["differs_from_base"] > 1e-3


def test_merging_is_not_for_images(zoo_of_images: Zoo, tmp_path: Path) -> None:
    with pytest.raises(GroupgapError, match="merge: is for adapters"):
        plan(
            tmp_path,
            f"- {{name: a, base: {zoo_of_images / 'vit'}, weights: {zoo_of_images / 'vit-lora'}, merge: true}}",
        )


@pytest.mark.parametrize("options", [{"cache_gib": "x"}, {"cache_gib": -1}])
def test_wrong_engine_options_are_refused(zoo_of_images: Zoo, tmp_path: Path, options: dict[str, Any]) -> None:
    from groupgap.plugins.fleet_vision import TimmEngine

    with pytest.raises(GroupgapError, match="cache_gib"):
        TimmEngine(Job("timm", zoo_of_images / "vit", options, ()), tmp_path)
