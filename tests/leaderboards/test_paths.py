"""A board that is passed on says nothing of the disk on which it was made, and can still be updated."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from groupgap.cli import main
from groupgap.leaderboards.paths import DEEPEST, shortening

ME = "/home/somebody/secret"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/models/m", "…/m"),
        ("/home/me/models/m/", "…/m"),
        ("local-dir:/home/me/m,dtype=auto", "local-dir:…/m,dtype=auto"),
        ("file:///home/me/m", "file://…/m"),
        ('{"weights": "/home/me/m", "n": 1}', '{"weights": "…/m", "n": 1}'),
        ("run --w=/home/me/r.yaml -o ../out ~/x", "run --w=…/r.yaml -o ../out ~/x"),
        *((same, same) for same in ("org/name", "https://hub.org/org/m", "s3://a/b//c", "and/or 1/2", "</s>", "…/a/b")),
        *((same, same) for same in ("/", "/alone", "a / b", "")),
    ],
)
def test_a_path_is_cut_and_nothing_else(text: str, shown: str) -> None:
    assert shortening([text])(text) == shown


def test_two_paths_never_become_one() -> None:
    deep = "/".join("x" * (DEEPEST + 3))
    paths = ["/a/b/m", "/c/b/m", "/b/m", "/c/other", f"/{deep}", f"/y/{deep}", "/m/m/m", "/m/m"]
    shown = list(map(shortening(paths), paths))
    assert shown[:4] == ["…/a/b/m", "…/c/b/m", "…/b/m", "…/other"]
    assert len(set(shown)) == len(paths)


def test_an_endless_path_takes_no_time() -> None:
    one, other = "/a" * 200_000, "/b" + "/a" * 200_000
    short = shortening([one, other])
    assert (short(one), short(other)) == (f"…{one}", f"…{other}")


def write_runs(folder: Path, factory: SimpleNamespace) -> Path:
    """Three runs: two described with paths, one of lm-eval's own, each of which has namesakes elsewhere."""
    for number in range(2):
        run = factory.run(n=60, skill=number + 1).write(folder / f"described-{number}")
        told = {
            "name": f"lora-{number}",
            "base": f"{ME}/models/base",
            "method": "lora",
            "weights": f"{ME}/{number}/w",
            "licence": f"{ME}/LICENCE",
        }
        (run / "variant.json").write_text(json.dumps({**told, "command": f"groupgap run {ME}/roster.yaml -o /srv/out"}))
    for number in range(2):
        arguments = {"pretrained": f"{ME}/other/base", "peft": f"{ME}/{number}/adapter"}
        factory.run(n=60, skill=number + 3, model_args=arguments).write(folder / f"plain-{number}")
    return folder


def everything_in(folder: Path) -> str:
    """All that the files of a board say, the packed data of its page too."""
    texts = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        texts.append(data.decode("utf-8", "replace"))
        packed = re.search(rb'<script type="text/plain" id="data">(\d+) (.*?)</script>', data)
        if packed:
            raw = base64.b85decode(packed[2].translate(bytes.maketrans(b",.:", b"<>&")))
            texts.append(zlib.decompressobj(-15).decompress(raw).decode("latin-1"))
    return "\n".join(texts)


def test_no_file_of_a_board_names_the_users_folders(tmp_path: Path, factory: SimpleNamespace) -> None:
    runs = write_runs(tmp_path / "runs", factory)
    (runs / "empty").mkdir()
    (runs / "empty" / f"results_{factory.DATE}.json").write_text("{}")
    block = {"variant": "lora-0", "title": "t", "columns": ["c"], "rows": [[f"{ME}/x.json"]], "notes": [f"of {ME}/y"]}
    (tmp_path / "report.json").write_text(json.dumps({"blocks": [block]}))
    out = tmp_path / "out"
    more = ["--every-eval-ever", "--show-samples", "--with", str(tmp_path / "report.json")]
    assert main(["board", str(runs), "-o", str(out), "--draws", "999", "--min-group", "5", *more]) == 0
    told = everything_in(out)
    for place in (str(tmp_path), "somebody", "secret", "/srv"):
        assert place not in told
    assert told.count("…/roster.yaml") >= 2
    rows = {row["variant"]: row for row in json.loads((out / "board.json").read_text())["rows"]}
    assert set(rows) == {"lora-0", "lora-1", "base + adapter (peft=…/0/adapter)", "base + adapter (peft=…/1/adapter)"}
    assert {row["base"] for row in rows.values()} == {"…/models/base", "…/other/base"}
    assert all(source.startswith("../runs/") for row in rows.values() for source in row["sources"])


def test_a_board_that_moved_with_its_runs_is_updated_from_anywhere(
    tmp_path: Path, factory: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    runs = write_runs(place / "runs", factory)
    shutil.move(runs / "described-1", tmp_path / "late")
    monkeypatch.chdir(place)
    options = ["--draws", "999", "--min-group", "5"]
    assert main(["board", "runs", "-o", "out", *options]) == 0
    shutil.move(place, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "late", moved / "runs" / "described-1")
    assert main(["board", "--update", "moved/out", "moved/runs/described-1"]) == 0
    assert main(["board", str(moved / "runs"), "-o", str(moved / "whole"), *options]) == 0
    for name in ("board.csv", "groups.csv", "index.html"):
        assert (moved / "out" / name).read_bytes() == (moved / "whole" / name).read_bytes(), name


def test_a_path_that_was_cut_before_stays_another_than_a_new_one() -> None:
    short = shortening(["…/model", "/data/two/model"])
    assert (short("…/model"), short("/data/two/model")) == ("…/model", "…/two/model")
