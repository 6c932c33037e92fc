"""``groupgap board --show-samples``: samples nowhere else, closed, escaped, and what is invisible is written out."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.cli import main

HOSTILE = "</pre><script>alert(1)</script>\u202eleft\u200b\nsecond {{ 7 * 7 }} <img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Tags, attributes and the text inside ``pre``, which is the documents'."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.outside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "pre":
            assert "details" in self.open
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "pre" in self.open:
            self.texts[-1] += data
        elif "details" not in self.open or "summary" in self.open:
            self.outside += data


def build(tmp_path: Path, factory: SimpleNamespace, *options: str, **changes: Any) -> Path:
    for number in range(2):
        factory.run(n=40, skill=number + 1, model_args={"pretrained": f"m{number}"}, **changes).write(
            tmp_path / "runs" / str(number)
        )
    arguments = ["board", str(tmp_path / "runs"), "-o", str(tmp_path / "out"), "--draws", "999", *options]
    assert main(arguments) == 0
    return tmp_path / "out"


def test_samples_come_only_with_the_flag_and_only_in_their_file(tmp_path: Path, factory: SimpleNamespace) -> None:
    out = build(tmp_path, factory, prompt="SECRET {text}")
    assert not (out / "samples.html").exists()
    out = build(tmp_path, factory, "--show-samples", prompt="SECRET {text}")
    for path in out.iterdir():
        assert ("SECRET" in path.read_text(encoding="utf-8")) == (path.name == "samples.html")


def test_each_document_is_closed_and_text(tmp_path: Path, factory: SimpleNamespace) -> None:
    out = build(tmp_path, factory, "--show-samples", prompt=HOSTILE.replace("{{", "{{{{").replace("}}", "}}}}"))
    html = (out / "samples.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.tags.count("details") == len(page.texts) == 40
    assert not {"script", "img", "link", "iframe", "form"} & set(page.tags)
    assert not [key for key, _ in page.attributes if key.startswith("on") or key in ("src", "href", "style", "open")]
    shown = HOSTILE.replace("\u202e", "\\u202e").replace("\u200b", "\\u200b")
    assert set(page.texts) == {shown}
    assert "alert" not in page.outside
    assert "Warning." in page.outside
    assert html.index("Warning.") < html.index("<details>")
    assert "default-src 'none'" in html
    assert "\u202e" not in html


def test_what_was_answered_stands_with_its_document(tmp_path: Path, factory: SimpleNamespace) -> None:
    out = build(tmp_path, factory, "--show-samples")
    documents, wrong = factory.documents(40), 0
    for number in range(2):
        predicted = factory.predict(documents, number + 1)
        wrong += sum(made != document["label"] for made, document in zip(predicted, documents, strict=True))
    told = [line for line in (out / "samples.html").read_text().splitlines() if line.startswith("<summary>")]
    assert len(told) == 40
    assert sum(int(line.rpartition("; ")[2].split()[0]) for line in told) == wrong
    assert all("of 2 wrong" in line for line in told)


def test_the_command_says_where_the_samples_are(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = build(tmp_path, factory, "--show-samples")
    assert f"Samples, which may be hateful or private: {(out / 'samples.html').resolve()}" in capsys.readouterr().out
