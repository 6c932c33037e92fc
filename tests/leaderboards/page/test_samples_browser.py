"""``samples.html`` in a real browser: nothing of a document is seen before its click, and a text stays a text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.markdown import plain
from groupgap.leaderboards.samples_page import samples_page

pytestmark = pytest.mark.browser
HOSTILE: tuple[str, ...] = tuple(json.loads((Path(__file__).parent / "hostile.json").read_text(encoding="utf-8")))
MARK = "SECRETDOCUMENT"
OVERFLOWING = (
    "[...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)"
    ".map((one) => one.outerHTML.slice(0, 120))"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, factory: SimpleNamespace) -> Path:
    """Two runs of a document for each hostile text, which is also a group's, a choice's and a variant's name."""
    folder = tmp_path_factory.mktemp("samples")
    texts = [f"{MARK} {text}".encode("utf-8", "replace").decode() for text in HOSTILE]
    documents = [
        {"id": str(row), "text": text, "label": row % 2, "faith": [texts[row % 7 + 20]]}
        for row, text in enumerate(texts)
    ]
    choices = (f"no {HOSTILE[4]}", f"yes {HOSTILE[20]}")
    for number, skill in enumerate((1, 2)):
        run = factory.WrittenRun(
            documents, factory.predict(documents, skill), prompt="{text}", choices=choices,
            fair={"axes": {"faith": {"field": "faith"}}},
        ).write(folder / str(number))  # fmt: skip
        (run / "variant.json").write_text(json.dumps({"name": f"{number} {HOSTILE[16 + number]}"}))
    made = folder / "samples.html"
    made.write_text(samples_page(collect(Request([folder]))), encoding="utf-8")
    return made


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Any]:
    """The page on a small phone; at its end it has said nothing and asked for nothing but itself."""
    context = browser.new_context(viewport={"width": 320, "height": 700}, bypass_csp=False)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{file}")
    yield page
    assert page.evaluate("[window.ran, document.scripts.length, document.images.length]") == [None, 0, 0]
    assert (said, asked) == ([], [f"file://{file}"])
    context.close()


def test_a_document_is_seen_after_its_click_and_no_other(opened: Any) -> None:
    first, *others = opened.locator("pre").all()
    assert len(others) + 1 == len(HOSTILE)
    assert opened.locator(".warning").is_visible()
    assert not any(one.is_visible() for one in (first, *others))
    summaries = opened.locator("summary").all_inner_texts()
    assert not [text for text in summaries if HOSTILE[0] in text]
    opened.locator("summary").first.click()
    assert first.is_visible()
    assert not any(one.is_visible() for one in others)
    opened.locator("summary").first.press("Enter")
    assert not first.is_visible()


def test_every_hostile_text_is_shown_as_it_is(opened: Any) -> None:
    opened.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    shown = opened.evaluate("[...document.querySelectorAll('pre')].map((one) => one.textContent)")
    texts = [f"{MARK} {text}".encode("utf-8", "replace").decode() for text in HOSTILE]
    lines = ["\n".join(map(plain, text.split("\n"))) for text in texts]
    assert sorted(shown) == sorted(lines)
    assert opened.locator("body *").evaluate_all("(all) => [...new Set(all.map((one) => one.tagName))].sort()") == [
        *("CODE", "DETAILS", "H1", "H2", "LI", "MAIN", "P", "PRE", "STRONG", "SUMMARY", "UL")
    ]


def test_nothing_overflows_a_small_phone(opened: Any) -> None:
    for is_open in ("false", "true"):
        opened.evaluate(f"document.querySelectorAll('details').forEach((one) => (one.open = {is_open}))")
        assert opened.evaluate("document.documentElement.scrollWidth") <= 320
        assert opened.evaluate(OVERFLOWING) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, file: Path, scheme: str) -> None:
    import axe_core_python

    script = (Path(next(iter(axe_core_python.__path__))) / "axe.min.js").read_text(encoding="utf-8")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(f"file://{file}")
    page.evaluate("document.querySelectorAll('details').forEach((one, place) => (one.open = place < 3))")
    page.evaluate(script)
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in result["violations"]] == []
    assert len(result["passes"]) > 10
    context.close()
