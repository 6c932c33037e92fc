"""``groupgap attack`` on image models: online shadows, each image asked as it is and mirrored, shown on a board."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from groupgap.adapters.attack_scores import AuditScores, read_scores
from groupgap.adapters.training.record import read_training

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm", exc_type=ImportError)

pytestmark = pytest.mark.slow
SHADOWS, AUDITED = 4, 40
RECIPE = {
    "form": "image_classifier",
    "task": "toy_faces_fair",
    "max_rows": 200,
    "max_validation_rows": 20,
    "seeds": [13],
    "epochs": 1,
    "batch_size": 50,
    "select": "last",
    "methods": {
        "full": {"learning_rate": 1e-3},
        "lora": {"r": 4, "alpha": 8, "targets": ["qkv", "fc1"], "learning_rate": 1e-2},
    },
    "roster": {"defaults": {"engine_options": {"num_workers": 0}}},
}


def groupgap(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "groupgap.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def make_base(folder: Path) -> Path:
    """A tiny ViT with random weights that reads 32 pixels."""
    torch.manual_seed(0)
    build = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=2, **build)
    config = {"input_size": (3, 32, 32), "crop_pct": 1.0, "label_names": ["frown", "smile"]}
    timm.models.save_for_hf(model, folder, model_config={"pretrained_cfg": config}, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two targets of 200 drawings, four online shadows each, 40 of these drawings audited against 40 others."""
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROUPGAP_CACHE", str(folder / "cache"))
        patch.delenv("GROUPGAP_DATA", raising=False)
        (folder / "recipe.yaml").write_text(yaml.safe_dump({"base": str(make_base(folder / "base")), **RECIPE}))
        trained = groupgap("train", folder / "recipe.yaml", "-o", folder / "trained", "--roster")
        assert trained.returncode == 0, trained.stderr
        words = ["attack", folder / "trained" / "roster.yaml", "-o", folder / "out", "--design", "online"]
        words += ["--shadows", str(SHADOWS), "--audit", str(AUDITED), "--looks", "2"]
        done = groupgap(*words)
        assert done.returncode == 0, done.stderr
        audits = {audit.target: audit for audit in read_scores(folder / "out" / "scores.parquet")}
        yield SimpleNamespace(folder=folder, done=done, audits=audits)


def by_hand(attacked: SimpleNamespace, audit: AuditScores, mirrored: bool) -> list[float]:
    """The statistic of each audited drawing by timm and PIL alone: of two classes, the difference of the logits."""
    from PIL import Image

    folder = attacked.folder / "trained" / audit.target
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    documents = {}
    for path in (attacked.folder / "out" / "attack-runs" / "runs" / audit.target).glob("samples_*.jsonl"):
        for line in path.read_text().splitlines():
            document = json.loads(line)["doc"]
            documents[document["id"]] = document
    found = []
    for row in audit.examples:
        (place,) = (attacked.folder / "cache").rglob(documents[row]["image"].rpartition("/")[2])
        pixels = transform(Image.open(place).convert("RGB"))
        with torch.inference_mode():
            frown, smile = model((pixels.flip(-1) if mirrored else pixels)[None])[0].double().tolist()
        found.append(smile - frown if documents[row]["label"] else frown - smile)
    return found


def test_both_looks_are_those_of_timm_alone(attacked: SimpleNamespace) -> None:
    audit = attacked.audits["full-13"]
    assert audit.statistic.shape == (2 * AUDITED, 2)
    for look in (0, 1):
        np.testing.assert_allclose(audit.statistic[:, look], by_hand(attacked, audit, bool(look)), atol=1e-4)
    assert not np.allclose(audit.statistic[:, 0], audit.statistic[:, 1])


@pytest.mark.parametrize("target", ["full-13", "lora-13"])
def test_each_drawing_is_in_half_of_the_shadows_by_their_own_records(attacked: SimpleNamespace, target: str) -> None:
    audit = attacked.audits[target]
    folders = sorted((attacked.folder / "out" / "shadows" / target).glob("shadow-*"))
    seen = [set(read_training(folder).row_ids) for folder in folders]
    assert len(seen) == SHADOWS
    told = [[row in rows for row in audit.examples] for rows in seen]
    assert audit.inside.tolist() == told
    assert (np.sum(told, axis=0) == SHADOWS // 2).all()
    rows = set(read_training(attacked.folder / "trained" / target).row_ids)
    assert [row in rows for row in audit.examples] == audit.member.tolist()
    assert audit.shadows.shape == (SHADOWS, 2 * AUDITED, 2)
    assert np.isfinite(audit.shadows).all()


def test_the_report_is_online_and_stands_under_the_variants_of_a_board(attacked: SimpleNamespace) -> None:
    report = attacked.folder / "out" / "report" / "attack.json"
    attacks = json.loads(report.read_text())["attacks"]
    assert {one["reading"] for one in attacks if one["attack"] == "lira"} == {
        f"online, {SHADOWS} shadows, variance residual"
    }
    asked = groupgap("run", attacked.folder / "trained" / "roster.yaml", "-o", attacked.folder / "answers")
    assert asked.returncode == 0, asked.stderr
    runs = attacked.folder / "answers" / "runs"
    done = groupgap("board", runs, "-o", attacked.folder / "board", "--with", report, "--draws", "999")
    assert done.returncode == 0, done.stderr
    blocks = json.loads((attacked.folder / "board" / "board.json").read_text())["blocks"]
    shown = {(block["variant"], block["task"], block["title"]) for block in blocks}
    titles = ("Membership inference, loss", "Membership inference, lira")
    assert {(name, "toy_faces_fair", title) for name in attacked.audits for title in titles} <= shown
