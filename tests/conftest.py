"""What all tests share: the folder of real data (where there is one), tiny trained models, one run of each engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .vision_zoo import Zoo, make_zoo

ROOT = Path(__file__).resolve().parents[1]


def shared_folder() -> Path:
    """The folder of real data sets and models that some tests read; it is not part of the project."""
    return Path(os.environ.get("GROUPGAP_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, or a skip that says what is absent."""
    folder = shared_folder()
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder} (set GROUPGAP_SHARED to a folder with data/ and models/)")
    return folder


@pytest.fixture(scope="session")
def drawn_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ``GROUPGAP_CACHE`` with the discs of ``toy_faces_fair``, drawn once for all tests."""
    from groupgap.harness_tasks.toy_faces.draw import plan
    from groupgap.harness_tasks.toy_faces.utils import ensure_drawn

    folder = tmp_path_factory.mktemp("drawn_faces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROUPGAP_CACHE", str(folder))
        ensure_drawn(plan())
    return folder


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny base Llama and its full fine-tune, trained once for all tests."""
    from groupgap.adapters.toy_models import make_toy_models

    return make_toy_models(tmp_path_factory.mktemp("toy_models"))


@pytest.fixture(scope="session")
def zoo_of_images(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Tiny image classifiers, adapters of them, and a folder of drawn images."""
    pytest.importorskip("timm", exc_type=ImportError)
    return make_zoo(tmp_path_factory.mktemp("vision"))
