"""A reader's actions on the page in headless Chromium: filter, sort, copy, point, and all of it by keyboard."""

import csv
import io
import re

import pytest

from bench.analysis.protocol.answer import Answer
from bench.report import document, markup
from tests.analysis.rows import task
from tests.report import pages

pytestmark = pytest.mark.browser
FEW = ("constant", "step", "cosine", "stages([constant, cosine], [0.5, 0.5])", "onecycle")
BUDGETS = (0.25, 1.0)


@pytest.fixture(scope="module")
def comparison():
    tunnel = task(FEW[:3], metric="excess", direction="min", baseline={"name": "zero weights", "value": 2.25})
    tasks = {"digits": task(FEW, BUDGETS), "grammar_$1&": task(FEW, BUDGETS, optimizer="adamw"), "quadratic": tunnel}
    return pages.compared(tasks, anew=lambda v: v)


@pytest.fixture(scope="module")
def path(comparison, tmp_path_factory):
    path = tmp_path_factory.mktemp("reader") / "report.html"
    path.write_text(pages.html(comparison), encoding="utf-8")
    return path


@pytest.fixture
def page(opened):
    page, said, asked = opened(1280)
    page.evaluate("document.querySelectorAll('main details:not(#filter)').forEach(fold => { fold.open = true })")
    page.locator(".chart[data-kind=task] svg").first.wait_for()
    yield page
    assert said == []
    assert len([url for url in asked if not url.startswith("data:")]) == 1


def untick(page, kind, name):
    if page.locator("#filter").get_attribute("open") is None:
        page.locator("#filter summary").click()
    facet = page.locator("#filter fieldset", has=page.locator("legend", has_text=kind))
    facet.get_by_label(name, exact=True).uncheck()


def names(page, css):
    return [text for text in page.locator(css).all_inner_texts() if text]


def titled(page, text):
    return page.locator(".table", has=page.locator(".title", has_text=text)).first


def column(table, i):
    return [row.locator("th, td").nth(i).inner_text() for row in table.locator("tbody tr:visible").all()]


# ------------------------------------------------------------------------------------------------- filter


def test_a_strategy_that_is_filtered_out_is_gone_from_tables_and_charts(page):
    assert "step" in names(page, "tbody tr:visible > th")
    untick(page, "strategy", "step")
    assert "step" not in names(page, "tbody tr:visible > th")
    assert "cosine" in names(page, "tbody tr:visible > th")
    assert "step" not in names(page, ".legend button")
    assert "4 of 5 strategies" in page.locator("#filter summary").inner_text()
    page.locator("#filter legend", has_text="strategy").get_by_role("button", name="all").click()
    assert "step" in names(page, ".legend button")


def test_a_task_that_is_filtered_out_takes_its_section_its_link_and_its_rows(page):
    untick(page, "task", "quadratic")
    assert "quadratic" not in names(page, "h2:visible")
    assert column(titled(page, "What to take in each task"), 0) == ["digits", "grammar_$1&"]


def test_a_budget_that_is_filtered_out_takes_its_columns_and_points(page):
    drawn = page.locator(".chart[data-kind=task] .mark title").first.text_content
    assert "25 %" in drawn()
    untick(page, "budget", "25 %")
    heads = [text for text in names(page, "section thead th:visible") if re.match(r"[\d.]+ %", text)]
    assert heads
    assert not any(text.startswith("25 %") for text in heads)
    assert "100 %" in drawn()


def test_an_optimizer_that_is_filtered_out_takes_the_strategies_of_its_tasks(page):
    untick(page, "optimizer", "adamw")
    results = titled(page, "grammar_$1&: final test accuracy")
    assert results.locator("tbody tr:visible").count() == 0
    assert titled(page, "digits: final test accuracy").locator("tbody tr:visible").count() == len(FEW)
    assert "Nothing is shown of this task" in page.locator("section", has_text="Nothing is shown").last.inner_text()


# --------------------------------------------------------------------------------------------------- sort


def test_a_head_sorts_up_then_down_then_back_with_what_diverged_last(page):
    table = titled(page, "digits: readings at")
    last = 6  # the column of the worst peak LR's cost: at the highest one onecycle loses a seed
    head, first = table.locator("thead th").nth(last), column(table, 0)
    assert head.inner_text().startswith("worst LR costs")
    up = click(head, table, last)
    assert head.get_attribute("aria-sort") == "ascending"
    assert up[-1].startswith("diverges")
    values = [float(text.split()[0]) for text in up[:-1]]
    assert values == sorted(values)
    down = click(head, table, last)
    assert head.get_attribute("aria-sort") == "descending"
    assert down[-1].startswith("diverges")
    assert [float(text.split()[0]) for text in down[:-1]] == values[::-1]
    click(head, table, last)
    assert head.get_attribute("aria-sort") is None
    assert column(table, 0) == first


def click(head, table, i):
    head.get_by_role("button").click()
    return column(table, i)


def test_numbers_are_read_as_the_report_writes_them(page):
    cases = {
        "0.962 ± 0.004 ≈↑ (2)": 0.962,
        "(−3.1 ± 0.2)e−5, clear": -3.1e-5,
        "+7e−4": 7e-4,
        "1,234": 1234,
        "1, 4, 0": 1,
        "61 % (34 % to > 100 %)": 61,
        "> 100 %": "inf",
        "< 10 %": "-inf",
        "diverged 1/3": "nan",
        "–": "nan",
    }
    for text, value in cases.items():
        seen = page.evaluate("text => number(text)", text)
        assert (seen if isinstance(value, float | int) else str(seen)) == pytest.approx(value) or str(seen) == value


# --------------------------------------------------------------------------------------------------- copy


def clip(page, table, form):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    table.get_by_role("button", name=form, exact=True).click()
    page.locator(".notice", has_text=f"Copied as {form}").wait_for()
    return page.evaluate("navigator.clipboard.readText()")


def test_every_table_copies_as_the_report_writes_it(page, comparison):
    tables = list(markup.tables(document.document(Answer(comparison), {})))
    assert page.locator(".table").count() == len(tables)
    for i, table in enumerate(tables):
        seen = page.evaluate(
            "i => Object.values(FORMS).map(form => form(content(document.querySelectorAll('.table table')[i])))", i
        )
        assert seen[0] == markup.passage(table)
        assert seen[1] == markup.latex([table])
        rows = [list(table.head), *([field.text for field in row] for row in table.rows)]
        assert list(csv.reader(io.StringIO(seen[2]))) == rows


def test_the_clipboard_holds_what_is_shown(page):
    untick(page, "strategy", "step")
    table = titled(page, "digits: final test accuracy (")
    whole = clip(page, table, "Markdown")
    assert "| constant |" in whole
    assert "step" not in whole
    assert clip(page, table, "LaTeX").startswith("\\begin{table}")
    assert len(list(csv.reader(io.StringIO(clip(page, table, "CSV"))))) == len(FEW)


def test_without_a_clipboard_the_text_is_offered(page):
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    page.locator(".table").first.get_by_role("button", name="CSV").click()
    assert page.locator("dialog textarea").input_value().startswith("task,10 %,25 %,50 %,100 %")
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


# ------------------------------------------------------------------------------------ pointing, and keyboard


def test_a_strategy_that_is_pointed_at_stands_out_in_every_panel(page):
    chart = page.locator(".chart[data-kind=task]").first
    panels = chart.locator("svg[role=img]")
    heads = [text.text_content() for text in chart.locator("text.head").all()]
    assert heads == [
        "Against budget",
        "By peak LR",
        "Learning rate, at 100 %",
        "Training loss, at 100 %",
        "Test accuracy, at 100 %",
    ]
    button = chart.get_by_role("button", name="cosine", exact=True)
    button.hover()
    assert chart.locator(".line.on").count() == panels.count() == 5
    assert chart.locator(".readout").inner_text().startswith("cosine at 100 %: 0.")
    page.mouse.move(0, 0)
    assert chart.locator(".line.on").count() == 0


def test_all_can_be_done_by_keyboard(page):
    first = page.locator(".tools button").first
    first.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.locator("#filter summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#filter form").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "checkbox"
    page.keyboard.press("Space")
    assert "2 of 3 tasks" in page.locator("#filter summary").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#filter form").is_visible()
    chart = page.locator(".chart[data-kind=task]:visible").first
    chart.locator(".legend button").first.focus()
    assert chart.locator(".line.on").count() == 5
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert chart.locator(".legend button").first.get_attribute("aria-pressed") == "true"
    assert chart.locator(".line.on").count() == 10  # one kept, one focused


def test_every_control_has_a_name(page):
    controls = "[...document.querySelectorAll('button, input, [role=region], svg[role=img]')]"
    named = "e => e.textContent.trim() || e.ariaLabel || e.labels?.length"
    assert page.evaluate(f"{controls}.length") > 100
    assert page.evaluate(f"{controls}.every({named})")


def test_tables_stand_without_the_script(browser, path):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(path.as_uri())
    assert page.locator(".table tbody tr").count() > 40
    assert "figures/task-digits.svg" in page.locator("noscript").all_text_contents()[0]
    page.context.close()


# -------------------------------------------------------------------------------------------------- scale


def test_a_ledger_of_5000_cells_opens_in_less_than_three_seconds(browser, tmp_path):
    schedules = tuple(f"wsd(cooldown={i / 20})" for i in range(1, 18))
    tasks = {f"task {i}": task(schedules, (0.1, 0.25, 0.5, 1.0), (0.01, 0.03, 0.1, 0.3, 1.0)) for i in range(5)}
    comparison = pages.compared(tasks)
    assert len(comparison.study.tries) == 5100
    path = tmp_path / "report.html"
    path.write_text(pages.html(comparison), encoding="utf-8")
    assert path.stat().st_size < 6e6
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(path.as_uri())
    opened = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert page.locator(".legend button").count() == 0  # what is folded is not drawn yet
    page.evaluate("document.querySelectorAll('main details').forEach(fold => { fold.open = true })")
    page.locator(".legend button").nth(5 * 17 - 1).wait_for()
    assert page.locator(".legend button").count() == 5 * 17
    assert opened < 3000, f"opens in {opened:.0f} ms"
    filtered = page.evaluate(
        "() => { const t = performance.now(); refresh(); document.body.offsetWidth; return performance.now() - t }"
    )
    print(f"{path.stat().st_size / 1e6:.2f} MB, opens in {opened:.0f} ms, filters in {filtered:.0f} ms")
    page.close()
