"""Effect sizes of the primary test, and how they and the sensitivity to tries read."""

import pytest

from bench.analysis.protocol.effect_sizes import THRESHOLDS, effect_sizes
from bench.analysis.protocol.primary import PrimaryTest
from bench.report.sections import effect_sizes as section
from tests.analysis.test_primary import compare, outcome


def test_effects_are_in_margins_and_the_best_comes_first():
    linear, cosine, step = effect_sizes(PrimaryTest(compare()))
    assert [s.strategy for s in (linear, cosine, step)] == ["linear", "cosine", "step"]
    assert linear.mean.value == pytest.approx(5, abs=0.3)
    assert linear.mean.low < linear.mean.value < linear.mean.high
    assert linear.interquartile_mean.value == pytest.approx(5, abs=0.3)
    assert (linear.improvement.value, step.improvement.value) == (1.0, 0.0)
    assert abs(cosine.improvement.value - 0.5) < 0.3


def test_the_profile_is_the_share_of_runs_beyond_each_margin():
    linear = effect_sizes(PrimaryTest(compare(see=outcome(spread=0.0001))))[0]
    by_threshold = dict(zip(THRESHOLDS, linear.profile, strict=True))
    assert (by_threshold[4.0], by_threshold[6.0]) == (1.0, 0.0)


def test_tasks_without_a_margin_have_no_sizes():
    test = PrimaryTest(compare(margin=None))
    assert effect_sizes(test) == []
    assert section.sizes(effect_sizes(test), "constant") is None


def test_the_tables_say_what_they_count():
    table = section.sizes(effect_sizes(PrimaryTest(compare())), "constant")
    assert table.rows[0][0].text == "linear"
    assert "100 %" in table.rows[0][4].text
    tries = section.tries(compare())
    assert tries.head == ("strategy", "1 peak LR (3 grids)", "2 peak LRs (2 grids)", "3 peak LRs (1 grid)")
    assert dict(zip((row[0].text for row in tries.rows), (row[3].text for row in tries.rows), strict=True)) == {
        "linear": "better",
        "cosine": "equal",
        "step": "worse",
    }
