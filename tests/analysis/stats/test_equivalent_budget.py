"""Budget worth: where a curve is crossed, what its interval holds, and how often it holds the truth."""

import math

import numpy as np
import pytest

from bench.analysis.stats.equivalent_budget import worth

BUDGETS = (0.1, 0.25, 0.5, 1.0)
CURVE = np.array([[0.80, 0.81, 0.79], [0.86, 0.87, 0.85], [0.90, 0.91, 0.89], [0.92, 0.93, 0.91]])


def test_the_worth_of_a_point_of_the_curve_is_its_budget():
    for budget, values in zip(BUDGETS, CURVE, strict=True):
        assert worth(CURVE, BUDGETS, values.tolist(), "max") == pytest.approx((budget,) * 3)


def test_between_two_budgets_it_is_linear_in_the_logarithm():
    share = worth(CURVE, BUDGETS, [0.88, 0.89, 0.87], "max").share  # half way between 25 % and 50 %
    assert share == pytest.approx(math.sqrt(0.25 * 0.5))


def test_beyond_the_grid_it_says_so():
    assert worth(CURVE, BUDGETS, [0.99, 1.0, 0.98], "max") == (math.inf,) * 3
    assert worth(CURVE, BUDGETS, [0.10, 0.11, 0.09], "max") == (0.0,) * 3


def test_lower_is_better_where_the_task_says_so():
    values = [0.88, 0.90, 0.86]
    flipped = worth(-CURVE, BUDGETS, [-v for v in values], "min")
    assert flipped == pytest.approx(worth(CURVE, BUDGETS, values, "max"))


def test_the_interval_holds_the_budgets_that_are_within_noise():
    it = worth(CURVE, BUDGETS, [0.88, 0.87, 0.89], "max")
    for share, outside in ((it.low / 1.05, True), (it.low * 1.05, False), (it.high / 1.05, False)):
        curve_N = [np.interp(math.log(share), np.log(BUDGETS), line) for line in CURVE.T]
        d_N = np.array([0.88, 0.87, 0.89]) - curve_N
        assert (abs(d_N.mean()) > 4.3027 * d_N.std(ddof=1) / math.sqrt(3)) == outside


def test_the_first_budget_that_is_as_good_counts_on_a_curve_that_falls_again():
    curve = np.array([[0.8], [0.9], [0.7], [0.95]])
    assert worth(curve, BUDGETS, [0.9], "max") == (0.25, None, None)
    assert worth(curve[:1], BUDGETS[:1], [0.9], "max").share == math.inf


def test_the_interval_covers_the_true_worth():
    draw, truth, held = np.random.default_rng(0), 0.35, []
    mean_B = np.array([0.80, 0.86, 0.90, 0.92])
    value = np.interp(math.log(truth), np.log(BUDGETS), mean_B)
    for _ in range(800):
        seed_N = draw.normal(0, 0.02, 3)
        curve_BN = mean_B[:, None] + seed_N + draw.normal(0, 0.004, (4, 3))
        it = worth(curve_BN, BUDGETS, (value + seed_N + draw.normal(0, 0.004, 3)).tolist(), "max")
        held.append(it.low <= truth <= it.high)
    assert np.mean(held) > 0.93  # the span of the set may only be wider than the set
