"""The page in headless Chromium: offline, silent, readable on a screen, a phone and paper."""

import pytest

from bench.report import write
from tests.analysis.rows import ledger, task

pytestmark = pytest.mark.browser
FEW = ("constant", "step", "linear", "cosine")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    tunnel = task(metric="excess", direction="min", baseline={"name": "zero weights", "value": 2.25})
    tasks = {
        "digits": task(),
        "scenes <i>x</i>": task(FEW, (0.25, 1.0), (0.001, 0.003), metric="map"),
        "quadratic": tunnel,
    }
    return write.write(tmp_path_factory.mktemp("page"), ledger(tasks, anew=lambda v: v))


def test_it_opens_without_a_request_or_a_word(opened, path):
    _, said, asked = opened(1280)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_body_never_overflows(opened, width):
    page, _, _ = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        "[...document.querySelectorAll('p, h1, h2, dl')].every(e => e.scrollWidth <= e.clientWidth + 1)"
    )


def test_the_answer_comes_first_and_every_task_has_its_tables(opened):
    page, _, _ = opened(1280)
    first = page.locator("table").first
    assert first.bounding_box()["y"] < 300
    assert first.locator("tbody tr").count() == 3
    for title in ("digits", "scenes <i>x</i>", "quadratic"):
        section = page.locator("section", has=page.locator("h2", has_text=title)).last
        titles = section.locator(".title").all_inner_texts()
        for part in ("final test", "worth in budget", "readings at", "by peak LR", "diagnostics"):
            assert any(part in text for text in titles), part
        assert section.locator("table").first.is_visible()
        assert section.locator("figure svg[role=img]").first.is_visible()


def test_heads_stay_in_sight_while_a_table_scrolls(opened):
    page, _, _ = opened(390)
    box = page.locator(".scroll").nth(3)
    box.scroll_into_view_if_needed()
    box.evaluate("e => { e.scrollTop = 200; e.scrollLeft = 150 }")
    frame, head = box.bounding_box(), box.locator("thead th").first.bounding_box()
    assert head["x"] == pytest.approx(frame["x"], abs=2)
    assert head["y"] == pytest.approx(frame["y"], abs=2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper(opened, scheme):
    page, _, _ = opened(1280, scheme)
    ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    drawn = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert drawn == ink
    assert abs(brightness(ink) - brightness(paper)) > 500


def brightness(colour):
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


def test_it_prints_without_cutting_a_table(opened):
    page, _, _ = opened(1280)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 760, "height": 1000})  # A4 less its margins, at 96 dpi
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right))"
    )
    assert widest <= 760
