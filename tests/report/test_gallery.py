"""The page that has every curve: its panels, and how it opens."""

import inspect
from typing import Literal, get_args, get_origin

import pytest

import schedules
from bench.cli import main
from bench.contract import InputError
from bench.report import gallery

TEXTS = [text for name in schedules.CATALOGUE for text in gallery.calls(name)]


def needs_a_setting(name):
    return any(p.default is p.empty for p in inspect.signature(schedules.CATALOGUE[name]).parameters.values())


@pytest.mark.parametrize("name", schedules.CATALOGUE)
def test_every_schedule_is_drawn(name):
    drawn = gallery.calls(name)
    assert drawn or needs_a_setting(name)
    assert all(text.startswith(name) for text in drawn)
    assert len(set(drawn)) == len(drawn)


def test_every_choice_of_a_setting_is_drawn():
    for name, factory in schedules.CATALOGUE.items():
        for setting in inspect.signature(factory).parameters.values():
            for choice in get_args(setting.annotation) if get_origin(setting.annotation) is Literal else ():
                drawn = gallery.calls(name)  # none of a schedule that needs a file
                said = any(f"{setting.name}={choice!r}" in text for text in drawn)
                assert said or choice == setting.default or not drawn
    assert "warmup(linear, epochs=3, first='1/(W+1)')" in TEXTS
    assert "floor(linear, 0.2, clip=True)" in TEXTS


@pytest.mark.parametrize("text", TEXTS)
def test_a_curve_shows_something(text):
    drawn = gallery.curve(text)
    assert len(drawn) == gallery.UPDATES
    assert min(drawn) >= 0
    assert len(set(drawn)) > 1 or text == "constant"


def test_an_example_that_is_not_needed_is_not_kept():
    assert set(gallery.EXAMPLES) <= set(schedules.CATALOGUE)


def test_a_schedule_without_numbers_to_draw_is_named(monkeypatch):
    monkeypatch.delitem(gallery.EXAMPLES, "warmup")
    assert gallery.calls("warmup") == []
    assert "warmup" in gallery._head()[1]


def test_a_page_that_cannot_be_written_is_bad_input(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "_families", lambda: iter(()))
    with pytest.raises(InputError, match="--page"):
        gallery.write(tmp_path / "missing" / "page.html")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("gallery") / "page.html"
    assert main.main(["list", "schedules", "--page", str(path)]) == 0
    return path


@pytest.mark.browser
def test_it_opens_without_a_request_or_a_word(opened, path):
    _, said, asked = opened(1280)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_body_never_overflows(opened, width):
    page, _, _ = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_every_schedule_has_its_formula_as_typed_and_a_panel(opened):
    page, _, _ = opened(1280)
    assert page.locator("figure svg g[id*=axes_]").count() >= len(TEXTS)
    typed = page.locator("dd.typed").all_inner_texts()
    assert schedules.CATALOGUE["wsd"].formula in typed
    named = page.locator("dt").all_inner_texts()
    assert set(schedules.CATALOGUE) <= set(named)
