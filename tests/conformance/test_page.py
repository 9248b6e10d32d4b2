"""The page of a comparison in headless Chromium."""

import pytest

from bench.conformance import report
from bench.conformance.factors import LIBRARIES, compare
from bench.conformance.pitfalls import Trap

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    found = [compare(LIBRARIES[0], equivalent) for equivalent in LIBRARIES[0].equivalents]
    traps = [Trap("A trap", "torch 0", "1", "2", True), Trap("Mended", "torch 0", "1", "1", False)]
    return report.write(tmp_path_factory.mktemp("conform"), found, traps)


def test_it_opens_without_a_request_or_a_word(opened, path):
    _, said, asked = opened(1280)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_body_never_overflows(opened, width):
    page, _, _ = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_deviations_stand_before_the_rest_with_their_curves(opened):
    page, _, _ = opened(1280)
    titles = page.locator("h2").all_inner_texts()
    assert titles == ["Deviations", "Traps", "Every comparison", "How to read this"]
    deviations = page.locator("section", has=page.locator("h2", has_text="Deviations"))
    assert deviations.locator("tbody tr").count() == sum(
        bool(equivalent.why) for equivalent in LIBRARIES[0].equivalents
    )
    assert deviations.locator("figure svg").first.is_visible()


def test_an_explanation_is_read_from_the_left_and_wraps(opened):
    page, _, _ = opened(1280)
    last = page.locator("section", has=page.locator("h2", has_text="Deviations")).locator("td.prose").last
    assert last.evaluate("e => getComputedStyle(e).whiteSpace") == "normal"
    assert last.bounding_box()["x"] + last.bounding_box()["width"] <= 1280
