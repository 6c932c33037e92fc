"""The page in a real browser: what it shows is what ``board.json`` says, it asks for nothing, and anyone can use it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.leaderboards.board import Board, Options, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.format import format_number
from groupgap.leaderboards.page import board_page
from groupgap.leaderboards.page.pack import short_p
from groupgap.leaderboards.pairs_document import pairs_document
from groupgap.leaderboards.report_blocks import Block
from groupgap.leaderboards.write import write_board

pytestmark = pytest.mark.browser
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 320, "height": 700}
GAPS = ("accuracy_spread", "dpd", "eod")
RANKED = ("worst_group", "accuracy", *GAPS)


class Opened:
    """A page in the browser, with everything that it said or asked for."""

    def __init__(self, browser: Any, file: Path, state: str = "", **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": WIDE, "bypass_csp": False, **options})
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = f"file://{file}"
        self.meter = self.context.new_cdp_session(self.page)
        self.meter.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.page.goto(self.url + state)
        if options.get("java_script_enabled", True):
            self.page.wait_for_selector("html[data-ready]", timeout=60_000)

    def seconds(self) -> float:
        """Processor time of the page's thread so far: what a machine with nothing else to do would take."""
        found = self.meter.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))

    def see(self, part: str) -> None:
        """Scroll to a part, so that it is drawn."""
        self.page.evaluate(f"document.getElementById('{part}').scrollIntoView()")
        for _ in range(200):  # waiting by a function would be an eval, which the page's policy forbids
            if self.page.evaluate(f"!outdated.has('{part}')"):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{part} was not drawn")

    def texts(self, selector: str) -> list[str]:
        return [" ".join(text.split()) for text in self.page.locator(selector).all_inner_texts()]

    def quiet(self) -> None:
        """Nothing was said, and nothing asked for but the file itself."""
        assert self.said == []
        assert {url.split("#")[0] for url in self.asked} == {self.url}


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Opens a file; all is closed, and has been quiet, at the end."""
    pages: list[Opened] = []

    def open_file(file: Path, state: str = "", **options: Any) -> Opened:
        pages.append(Opened(browser, file, state, **options))
        return pages[-1]

    yield open_file
    for one in pages:
        one.quiet()
        one.context.close()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, factory: SimpleNamespace) -> tuple[Path, dict[str, Any], Board]:
    """A small board of runs that were judged and compared: two tasks, two bases, two methods, one with seeds."""
    folder = tmp_path_factory.mktemp("measured")
    skills = {("m", "lora"): (0.9, 0), ("m", "full"): (0.7, 5), ("w", "lora"): (0.75, 7), ("w", "full"): (0.85, 11)}
    for task, ((base, method), (accuracy, draw)) in itertools.product(("one", "two"), skills.items()):
        for seed in (1, 2) if (base, method) == ("m", "lora") else (None,):
            made = factory.documents(150, 0)
            said = factory.predict(made, draw if seed is None else seed, accuracy)
            run = factory.WrittenRun(made, said, fair=factory.FAIR, task=task)
            name = f"{base}-{method}" + (f"-s{seed}" if seed else "")
            place = run.write(folder / "runs" / f"{name}-{task}")
            told = {"name": name, "base": base, "method": method, "licence": "mit", "trained_parameters": 4096}
            told |= {"command": f"groupgap run {name}"} | ({} if seed is None else {"seed": seed})
            (place / "variant.json").write_text(json.dumps(told))
    board = build_board(collect(Request([folder / "runs"])), Options(draws=300))
    block = Block(
        variant="w-full", task="two", title="Attack", columns=("group", "AUC"), rows=(("all", 0.53), ("aur", None))
    )
    board = Board(board.rows, board.options, board.notes, board.pairs, (block,))
    written = write_board(board, folder / "out")
    return written["index.html"], json.loads(written["board.json"].read_text()), board


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, made: Callable[..., Board]) -> tuple[Path, Board]:
    """60 variants x 12 tasks, all pairs."""
    board = made(60, 12)
    file = tmp_path_factory.mktemp("large") / "index.html"
    file.write_text(board_page(board), encoding="utf-8")
    return file, board


def rows_of(document: dict[str, Any], task: str) -> list[dict[str, Any]]:
    return [row for row in document["rows"] if row["task"] == task]


def shown(estimate: dict[str, Any]) -> str:
    """An estimate of ``board.json`` as the page says it."""
    if estimate["value"] is None:
        return f"undefined ({estimate['reason']}, n = {estimate['n']})"
    low, high = estimate.get("low"), estimate.get("high")
    interval = "" if low is None or high is None else f" [{format_number(low)}, {format_number(high)}]"
    return format_number(estimate["value"]) + interval


def cells_of(found: Opened, table: str) -> list[list[str]]:
    """The texts of the cells of a table's body."""
    read = (
        f"[...document.querySelectorAll('{table} tbody tr')].map((row) => [...row.cells].map((one) => one.innerText))"
    )
    return [[" ".join(cell.split()) for cell in line] for line in found.page.evaluate(read)]


def test_the_rankings_and_groups_say_what_board_json_says(
    measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened]
) -> None:
    file, document, _ = measured
    found = opened(file)
    for number, task in enumerate(("one", "two")):
        rows = rows_of(document, task)
        table = f'[data-table="{number}"]'
        for row, line in zip(rows, cells_of(found, f"{table} .ranking"), strict=True):
            assert line[0] == str(row["rank"])
            assert line[1].startswith(row["variant"])
            for metric, cell in zip(RANKED, line[2:7], strict=True):
                estimate = row["metrics"][metric]
                assert shown(estimate) in cell.replace("≤ chance ", "")
                assert (row["bands"].get(metric) or "") in cell
                if "chance" in estimate:
                    assert ("≤ chance" in cell) == (estimate["value"] <= estimate["chance"]["p95"])
            assert row["metrics"]["worst_group"]["groups"][0] in line[2]
            assert line[7:10] == ["150", "4.1 k", "mit"]
        for row, line in zip(rows, cells_of(found, f"{table} .groups"), strict=True):
            expected = [shown(group["accuracy"]) for group in row["groups"]]
            assert line[1:] == expected


def test_a_variant_shows_its_groups_metrics_seeds_reports_and_provenance(
    measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened]
) -> None:
    file, document, _ = measured
    found = opened(file)
    found.page.click('[data-table="1"] a:text-is("w-full")')
    assert "row=w-full" in found.page.url
    (row,) = (row for row in rows_of(document, "two") if row["variant"] == "w-full")
    text = " ".join(found.page.inner_text("dialog").split()).replace(" ≤ chance", "")
    for estimate in row["metrics"].values():
        assert shown(estimate) in text
    for group in row["groups"]:
        for rate in ("accuracy", "selection_rate", "tpr", "fpr", "member_gap"):
            assert shown(group[rate]) in text
    for measure in ("ece", "brier", "signed_gap"):
        assert shown(row["calibration"][measure]) in text
    assert "Attack group AUC all 0.53 aur –" in text
    assert "command groupgap run w-full" in text
    assert found.page.locator("dialog svg[role=img]").count() == 2
    found.page.select_option('dialog select[name="of"]', "one by faith")
    assert "Attack" not in found.page.inner_text("dialog")
    found.page.keyboard.press("Escape")
    assert not found.page.locator("dialog").is_visible()
    assert "row=" not in found.page.url
    again = opened(file, "#row=m-lora&of=one+by+faith")
    assert "m-lora-s2" in again.page.inner_text("dialog")


def test_every_comparison_is_unpacked_as_it_was_computed(
    measured: tuple[Path, dict[str, Any], Board], large: tuple[Path, Board], opened: Callable[..., Opened]
) -> None:
    for file, board in ((measured[0], measured[2]), large):
        found = opened(file)
        for number in (0, len(board.pairs) - 1):
            pairs = board.pairs[number]
            unpacked = found.page.evaluate(
                "([number, pairs]) => pairs.map(([a, b]) => compareRows(board, board.tables[number], a, b)"
                ".map((one) => [one.value, one.low, one.high, one.p, one.q, one.kind, one.detectable]))",
                [number, pairs.found.pairs.tolist()],
            )
            known = pairs_document(pairs)["measures"]
            for pair, measures in enumerate(unpacked):
                for measure, (value, low, high, p, q, kind, detectable) in zip(known, measures, strict=True):
                    numbers = [format_number(measure[name][pair]) for name in ("difference", "low", "high")]
                    assert [format_number(one / 1000) for one in (value, low, high)] == numbers
                    assert (p, q) == (short_p(measure["p"][pair]), short_p(measure["q"][pair]))
                    assert (kind in (1, 3)) == (measure["q"][pair] < 0.05)
                    seen = round(1000 * float(format_number(measure["detectable"][pair])))
                    assert kind in (1, 3) or detectable == min(1000, seen)


def test_two_rows_are_compared_side_by_side_either_way_round(
    measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened]
) -> None:
    file, document, _ = measured
    found = opened(file, "#with=two+by+faith&a=w-full&b=m-full")
    found.see("compare")
    (table,) = (one for one in document["pairs"] if one["task"] == "two")
    a, b = (table["rows"].index(name) for name in ("w-full", "m-full"))
    pair = table["pairs"].index(sorted((a, b)))
    for sign in (1 if a < b else -1, -1 if a < b else 1):
        lines = found.texts("#comparison tbody tr")
        assert len(lines) == len(table["measures"])
        for line, measure in zip(lines, table["measures"], strict=True):
            difference = format_number(sign * measure["difference"][pair])
            assert difference.lstrip("-") in line
            assert short_p(measure["p"][pair]) in line
            assert ("is better" in line) == (measure["q"][pair] < 0.05)
            if measure["q"][pair] >= 0.05:
                assert "would" in line
        found.page.click('button:text("Swap A and B")')
    assert "a=w-full" in found.page.url
    found.page.select_option('#choice select[name="a"]', "w-lora")
    assert "A = w-lora, B = m-full" in found.page.inner_text("#comparison")
    found.page.select_option('#choice select[name="b"]', "w-lora")
    assert "choose two" in found.page.inner_text("#comparison")


def test_what_was_not_compared_says_so(
    tmp_path: Path, measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened]
) -> None:
    board = measured[2]
    file = tmp_path / "index.html"
    file.write_text(board_page(Board(board.rows, board.options)), encoding="utf-8")
    found = opened(file)
    found.see("compare")
    assert "Not compared: this board was built without this pair" in found.page.inner_text("#comparison")
    assert "Nothing to say" in found.page.inner_text("#flips")


def test_flips_and_fronts_are_those_of_board_json(
    measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened]
) -> None:
    file, document, _ = measured
    found = opened(file)
    found.see("flips")
    lines = found.texts("#flips tbody tr")
    assert len(lines) == len(document["order_flips"]) >= 14
    for line, one in zip(lines, document["order_flips"], strict=True):
        share = "no pair" if one["share"] is None else f"{100 * one['share']:.1f}%"
        assert f" {one['comparable']} {one['reversed']} (" in line
        assert f") {one['decided']} {one['flipped']} {share}" in line
    ranks = found.page.evaluate("board.tables.map((one) => one.ranks.accuracy)")
    for task, of_task in zip(("one", "two"), ranks, strict=True):
        values = [row["metrics"]["accuracy"]["value"] for row in rows_of(document, task)]
        assert of_task == [1 + sum(other > value for other in values) for value in values]
    found.page.select_option('#slope-choice select[name="slope"]', "dpd")
    found.page.locator("#slope-chart", has_text="two by faith").wait_for()
    found.see("cost")
    (front,) = (one["rows"]["eod"] for one in document["fronts"] if one["task"] == "one")
    caption = found.page.inner_text("#cost figcaption")
    assert sorted(front) == sorted(
        row["variant"] for row in rows_of(document, "one") if f"{row['variant']} (" in caption
    )


def test_a_large_board_is_small_opens_at_once_and_sorts_filters_and_keeps_its_state(
    large: tuple[Path, Board], opened: Callable[..., Opened]
) -> None:
    file, board = large
    assert file.stat().st_size <= 1_200_000
    found = opened(file)
    assert found.seconds() < 1.0
    table = board.tables["task_00_fair", "religion"]
    assert found.texts("#count") == ["60 of 720 rows"]
    names = "[data-table='0'] .ranking tbody tr:not([hidden]) a"
    found.page.click("[data-table='0'] .ranking th[data-key=dpd] button")
    ordered = sorted(table, key=lambda row: (format_number(row.judgement.dpd.value or 0), row.rank))
    assert found.texts(names) == [row.variant for row in ordered]
    assert found.page.get_attribute("[data-table='0'] th[data-key=dpd]", "aria-sort") == "ascending"
    found.page.click("[data-table='0'] .ranking th[data-key=dpd] button")
    assert found.page.get_attribute("[data-table='0'] th[data-key=dpd]", "aria-sort") == "descending"
    found.page.select_option('#filters select[name="base"]', "mistral-7b")
    found.page.select_option('#filters select[name="method"]', "lora-r4")
    expected = [row.variant for row in reversed(ordered) if (row.base, row.method) == ("mistral-7b", "lora-r4")]
    assert sorted(found.texts(names)) == sorted(expected)
    assert found.texts("#count") == [f"{len(expected)} of 720 rows"]
    found.page.select_option('#filters select[name="task"]', "task_03_fair")
    state = found.page.url.split("#")[1]
    again = opened(file, f"#{state}")
    names = "[data-table='3'] .ranking tbody tr:not([hidden]) a"
    assert again.texts(names) == found.texts(names)
    assert again.page.locator("[data-table]:visible").count() == 1
    again.page.click('button:text("Reset")')
    assert again.texts("#count") == ["60 of 720 rows"]


def test_sixty_rows_in_all_take_little_room(made: Callable[..., Board]) -> None:
    assert len(board_page(made(12, 5)).encode()) <= 150_000


def test_a_thousand_rows_are_usable(tmp_path: Path, made: Callable[..., Board], opened: Callable[..., Opened]) -> None:
    file = tmp_path / "index.html"
    file.write_text(board_page(made(1000, 1, False)), encoding="utf-8")
    assert file.stat().st_size <= 1_100_000
    found = opened(file)
    times = []
    for key in ("accuracy", "dpd", "variant"):
        before = found.seconds()
        found.page.click(f".ranking th[data-key={key}] button")
        found.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        times.append(found.seconds() - before)
    assert sorted(times)[1] < 0.2
    shown_names = found.texts(".ranking tbody tr:not([hidden]) a")
    assert len(shown_names) == 150
    found.page.click('button:text("Show all 1000 rows")')
    assert found.page.locator(".ranking tbody tr:not([hidden])").count() == 1000


def test_without_javascript_rankings_and_groups_are_there(
    measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened]
) -> None:
    file, document, _ = measured
    found = opened(file, java_script_enabled=False)
    page = found.page
    assert page.locator(".ranking tbody tr").count() == len(document["rows"])
    assert page.locator(".groups tbody tr").count() == len(document["rows"])
    assert all(line.is_visible() for line in page.locator(".ranking tbody tr, .groups tbody tr").all())
    assert page.locator("#compare noscript p").is_visible()
    assert not page.locator("#filters").is_visible()
    assert page.locator("#flips tbody tr").count() == len(document["order_flips"])
    page.click('[data-table="0"] .ranking a >> nth=0')
    assert page.url.endswith("#g0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened], scheme: str
) -> None:
    import axe_core_python

    script = (Path(next(iter(axe_core_python.__path__))) / "axe.min.js").read_text(encoding="utf-8")
    for state in ("", "#row=m-lora&of=one+by+faith"):
        found = opened(measured[0], state, color_scheme=scheme, bypass_csp=True)
        found.page.evaluate("drawOutdated(new Set(outdated))")
        found.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        found.page.evaluate(script)
        result = found.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in result["violations"]] == []
        assert len(result["passes"]) > 20


def test_nothing_overflows_a_small_phone(
    measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened]
) -> None:
    for state in ("", "#row=m-lora&of=one+by+faith"):
        found = opened(measured[0], state, viewport=PHONE)
        found.page.evaluate("drawOutdated(new Set(outdated))")
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 320
        assert found.page.evaluate("document.getElementById('variant').scrollWidth") <= 320
        assert overflowing(found) == []


def overflowing(found: Opened) -> list[str]:
    """Elements that stick out of the window, but for those in a part that scrolls by itself."""
    return list(
        found.page.evaluate(
            "[...document.body.querySelectorAll('*')].filter((one) => !one.closest('.scroll, .sr, .skip, svg, thead')"
            " && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 120))"
        )
    )


def test_the_keyboard_is_enough(measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened]) -> None:
    found = opened(measured[0])
    page = found.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the rankings"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "ranking"
    page.focus(".ranking th[data-key=accuracy] button")
    page.keyboard.press("Enter")
    assert "sort=-accuracy" in page.url
    page.focus(".ranking tbody a >> nth=1")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "variant-title"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.closest('.ranking') !== null")
    page.go_back()
    page.wait_for_selector("dialog", state="hidden")


def test_paper_gets_everything_but_the_controls(
    measured: tuple[Path, dict[str, Any], Board], opened: Callable[..., Opened]
) -> None:
    found = opened(measured[0])
    found.page.emulate_media(media="print")
    found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for selector in ("nav", "#filters", "#choice", "#count"):
        assert not found.page.locator(selector).is_visible()
    for selector in ("#comparison table", "#slope-chart svg", "#cost-chart svg", ".rates table >> nth=0"):
        assert found.page.locator(selector).is_visible()
