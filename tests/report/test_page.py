"""The page in headless Chromium: offline, silent, readable on a screen, a phone and paper."""

import re

import pytest

from bench.report import write
from tests.analysis.rows import ledger, task

pytestmark = pytest.mark.browser
FEW = ("constant", "step", "linear", "cosine")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    tunnel = task(metric="excess", direction="min", baseline={"name": "zero weights", "value": 2.25})
    margin = {"value": 0.005, "reason": "x"}
    tasks = {
        "digits": task(margin=margin, seeds=4),
        "scenes <i>x</i>": task(FEW, (0.25, 1.0), (0.001, 0.003), metric="map", margin=margin),
        "quadratic": tunnel,
    }
    return write.write(tmp_path_factory.mktemp("page"), write.find(ledger(tasks, anew=lambda v: v)))


def test_it_opens_without_a_request_or_a_word(opened, path):
    _, said, asked = opened(1280)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_body_never_overflows(opened, width):
    page, _, _ = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        "[...document.querySelectorAll('p, h1, h2, dl')].every(e => e.scrollWidth <= e.clientWidth + 1)"
    )


@pytest.fixture
def desk(opened):
    page, _, _ = opened(1400)
    page.set_viewport_size({"width": 1400, "height": 900})
    return page


def test_the_first_screen_holds_the_answer_the_pictures_and_the_advice(desk):
    sentence, table = desk.locator("#part0 h1 + p"), desk.locator("table").first
    assert re.match(r"(Take|Keep|Not decided|Not tested)\b", sentence.inner_text())
    assert table.locator("tbody tr").count() == 3
    for part in (sentence, desk.locator("#part0 figure").nth(0), desk.locator("#part0 figure").nth(1), table):
        box = part.bounding_box()
        assert part.is_visible()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 900


def test_a_phone_begins_with_the_sentence_and_stacks_the_advice(opened):
    page, _, _ = opened(390)
    page.set_viewport_size({"width": 390, "height": 844})
    box = page.locator("#part0 h1 + p").bounding_box()
    assert box["y"] < 100
    assert box["y"] + box["height"] <= 844
    advice = page.locator(".scroll").first
    assert advice.evaluate("e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight")
    assert page.locator("#part0 figure svg").first.evaluate("e => e.getBoundingClientRect().right") <= 390


def test_no_column_is_cut_on_a_wide_screen(desk):
    unfold(desk)
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)"
    assert desk.evaluate(cut) == []
    assert desk.evaluate("document.documentElement.scrollWidth") <= 1400


def unfold(page):
    page.evaluate("document.querySelectorAll('main details:not(#filter)').forEach(fold => { fold.open = true })")
    page.locator(".chart svg").first.wait_for()


def test_a_folded_section_opens_by_a_click_and_by_its_link(opened, path):
    page, _, _ = opened(1280)
    table = page.locator("#part1 table").first
    assert not table.is_visible()
    page.locator("#part1 summary").first.click()
    assert table.is_visible()
    page.locator("#part1 .chart svg").first.wait_for()
    page.goto(f"{path.as_uri()}#part2")
    assert page.locator("#part2 table").first.is_visible()


def test_every_task_has_its_tables(opened):
    page, _, _ = opened(1280)
    unfold(page)
    for title in ("digits", "scenes <i>x</i>", "quadratic"):
        section = page.locator("section", has=page.locator("h2", has_text=title)).last
        titles = section.locator(".title").all_inner_texts()
        for part in ("final test", "readings at"):
            assert any(part in text for text in titles), part
        assert section.locator("figcaption", has_text="at every peak LR and budget").count() == 1
        assert section.locator("table").first.is_visible()
        assert section.locator("figure svg[role=img]").first.is_visible()


def test_heads_stay_in_sight_while_a_table_scrolls(opened):
    page, _, _ = opened(390)
    unfold(page)
    box = page.locator(".scroll", has=page.locator("th", has_text="worst LR costs")).first
    box.evaluate("e => { e.style.maxHeight = '12rem' }")
    box.scroll_into_view_if_needed()
    box.evaluate("e => { e.scrollTop = 200; e.scrollLeft = 150 }")
    frame, head = box.bounding_box(), box.locator("thead th").first.bounding_box()
    assert head["x"] == pytest.approx(frame["x"], abs=2)
    assert head["y"] == pytest.approx(frame["y"], abs=2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper(opened, scheme):
    page, _, _ = opened(1280, scheme)
    unfold(page)
    ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    drawn = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert drawn == ink
    assert abs(brightness(ink) - brightness(paper)) > 500


def brightness(colour):
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


def test_it_prints_without_cutting_a_table(opened):
    page, _, _ = opened(1280)
    unfold(page)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 760, "height": 1000})  # A4 less its margins, at 96 dpi
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right))"
    )
    assert widest <= 760
