"""Data for the page's scripts: the numbers of the comparison, the same each time, and free of `</script>`."""

import io
import json
import math
import random
import re

import pytest

from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.report import chart_data, figures
from tests.analysis.rows import ledger, reached, task
from tests.report import pages

FEW = ("constant", "step", "cosine")


@pytest.fixture(scope="module")
def comparison():
    return pages.compared({"digits": task(FEW, (0.5, 1.0)), "</script>": task(FEW, (1.0,))})


def line(comparison, strategy, name="digits"):
    data = chart_data.drawing(comparison, pages.charts(comparison))
    facts = next(t for t in data["tasks"] if t["name"] == name)
    return next(x for x in facts["lines"] if data["strategies"][x["strategy"]]["name"] == strategy)


def test_a_line_has_the_values_of_the_comparison(comparison):
    for place, budget in enumerate((0.5, 1.0)):
        verdict, at = comparison.at("digits", budget)["cosine"], line(comparison, "cosine")["at"][place]
        assert at["mean"] == pytest.approx(verdict.score.final.mean, rel=1e-4)
        assert at["half"] == pytest.approx(verdict.score.final.half, rel=1e-4)
        assert (at["rank"], at["word"]) == (verdict.rank, verdict.word)
        means = [verdict.score.at_peak(lr)[0].mean for lr in verdict.score.peak_lrs]
        assert at["peaks"] == [[lr, pytest.approx(m, rel=1e-4)] for lr, m in zip((0.03, 0.1, 0.3), means, strict=True)]


def test_a_course_is_the_mean_over_seeds_in_epochs_and_ends_with_the_run(comparison):
    course = line(comparison, "cosine")["at"][1]["course"]
    assert [point[0] for point in course] == list(range(1, 21))
    assert course[-1][2] == pytest.approx(2 / (1 + len("cosine")), rel=1e-4)
    assert course[-1][3] == pytest.approx(1 / (1 + 2.2 / (1 + len("cosine"))), rel=1e-4)


def test_a_long_course_is_thinned_and_keeps_its_end():
    comparison = pages.compared({"digits": task(FEW, (1.0,), epochs=200)})
    course = line(comparison, "cosine")["at"][0]["course"]
    assert 30 <= len(course) <= chart_data.POINTS
    assert course[-1][0] == 200.0


def test_what_diverged_has_a_place_but_no_point():
    def outcome(*cell):
        return None if cell[1] == "step" else reached(*cell)

    (at,) = line(pages.compared({"digits": task(FEW, (1.0,))}, outcome=outcome, tied=()), "step")["at"]
    assert (at["mean"], at["text"], at["course"]) == (None, "diverged 3/3", [])
    assert at["peaks"] == [[0.03, None], [0.1, None], [0.3, None]]


def test_what_was_not_recorded_or_not_evaluated_is_empty():
    rows = ledger({"digits": task(FEW, (0.5, 1.0))}, keep=lambda c: c["budget"] < 1)
    half, full = line(Comparison(Study.of(rows)), "cosine")["at"]
    assert full is None
    assert half["course"] == []


def test_a_strategy_keeps_its_look_and_names_its_optimizer(comparison):
    looks = [(s["colour"], s["marker"]) for s in chart_data.drawing(comparison, {})["strategies"]]
    assert len(set(looks)) == len(FEW)
    assert line(comparison, "cosine")["optimizer"] == "sgd(momentum=0.9)"


def test_no_name_ends_the_data_and_no_number_is_outside_json(comparison):
    text = pages.html(comparison)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1]
    read = json.loads(data, parse_constant=lambda name: pytest.fail(name))
    assert [t["name"] for t in read["tasks"]] == ["digits", "</script>"]
    assert chart_data._short([math.nan, math.inf, None, 1.0]) == [None, None, None, 1.0]


def test_the_same_rows_in_any_order_give_the_same_page():
    rows = ledger({"digits": task(FEW, (1.0,))})
    mixed = random.Random(1).sample(rows, len(rows))
    one, other = (pages.html(Comparison(Study.of(x))) for x in (rows, mixed))
    assert one == other


def test_long_names_leave_room_for_the_peak_lrs():
    long = "stages([warmup(constant, epochs=3), wsd(cooldown=0.3, shape='sqrt')], [0.25, 0.75])"
    comparison = Comparison(Study.of(ledger({"digits": task(("linear", long), (1.0,))})))
    figures.by_peak(comparison, "digits").savefig(io.BytesIO(), format="svg")  # without room, matplotlib warns


def test_every_peak_lr_of_every_budget_has_its_value_and_picks_are_framed(comparison):
    axes = figures.by_peak(comparison, "digits").axes[0]
    values = [text.get_text() for text in axes.texts if "%" not in text.get_text()]
    assert len(values) == 2 * 3 * len(FEW)
    score = comparison.at("digits", 1.0)["cosine"].score
    assert f"{score.at_peak(0.3)[0].mean:#.3g}" in values
    assert sum(not patch.get_fill() for patch in axes.patches) == 2 * len(FEW)
