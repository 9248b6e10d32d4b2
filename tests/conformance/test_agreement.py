"""The verdict on made-up traces: what each deviation is called, and what it is not."""

import math

import pytest

from bench.conformance.agreement import VERDICTS, judge

LINE = [1 - t / 50 for t in range(50)]
STEPS = [0.5 ** (t // 10) for t in range(50)]


def edited(values, **new):
    return [new.get(f"_{t}", v) for t, v in enumerate(values)]


@pytest.mark.parametrize(
    ("theirs", "kind"),
    [
        (LINE, "equal"),
        ([f + 1e-13 for f in LINE], "equal"),
        ([f + 1e-11 for f in LINE], "formula"),
        ([0.0, *LINE[:-1]], "late"),
        ([0.0, 0.0, *LINE[:-2]], "late"),
        ([*LINE[1:], 0.5], "early"),
        (edited(LINE, _0=0.0), "few"),
        (edited(LINE, _0=0.0, _20=0.0, _49=0.0), "few"),
        ([0.0] * 6 + LINE[6:], "formula"),
        ([f + (1 - f) * 0.1 for f in LINE], "end"),
        ([0.9 * f for f in LINE], "formula"),
        ([f**2 for f in LINE], "formula"),
        ([math.nan] * 50, "formula"),
        (edited(LINE, _7=math.nan), "few"),
    ],
)
def test_the_verdict_is(theirs, kind):
    assert judge(LINE, theirs).kind == kind


def test_steps_that_come_late_are_late_though_few_updates_differ():
    assert judge(STEPS, [1.0, *STEPS[:-1]]).kind == "late"
    assert judge(STEPS, [*STEPS[1:], STEPS[-1]]).kind == "early"


def test_the_largest_difference_is_named_with_its_place():
    found = judge(LINE, edited(LINE, _3=0.0, _4=0.9))
    assert (found.at, found.other) == (3, 0.0)
    assert found.gap == found.own == LINE[3]
    assert "3, 4 only" in found.text


def test_nan_is_the_largest_difference():
    assert judge(LINE, edited(LINE, _0=0.0, _7=math.nan)).at == 7


def test_single_precision_is_equal_only_where_it_is_allowed():
    theirs = [f + 1e-7 for f in LINE]
    assert judge(LINE, theirs, same=1e-6).kind == "equal"
    assert judge(LINE, theirs).kind != "equal"


def test_every_kind_has_its_words():
    assert set(VERDICTS) == {"equal", "late", "early", "few", "end", "formula"}
