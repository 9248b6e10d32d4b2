"""Laws of training loss: golden values by hand, and their formulas written out as loops."""

import numpy as np
import pytest

from bench.analysis.prediction.course import Course
from bench.analysis.prediction.laws import LAWS, annealing_area, functional, multi_power
from bench.analysis.prediction.recorded import open_loop_lrs

MULTI, ANNEALING, FUNCTIONAL = (
    (3.0, 2.0, 0.5, 0.7, 0.4, 0.6, 0.8),
    (3.0, 2.0, 0.5, 0.1, 5.0),
    (3, 2, 0.5, 0.3, 0.2, 1.5),
)


def slow_multi_power(parameters, lrs, t):
    l0, a, alpha, b, c, beta, gamma = parameters
    total = 0.0
    for k in range(t + 1):
        before = lrs[k - 1] if k else 0.0
        gap = sum(lrs[k : t + 1])
        total += (before - lrs[k]) * (1 - (1 + c * lrs[k] ** -gamma * gap) ** -beta)
    return l0 + a * sum(lrs[: t + 1]) ** -alpha - b * total


def slow_annealing_area(parameters, lrs, t):
    l0, a, alpha, c, memory = parameters
    area = 0.0
    for i in range(t + 1):
        for k in range(i + 1):
            area += ((lrs[k - 1] if k else 0.0) - lrs[k]) * (1 - 1 / memory) ** (i - k)
    return l0 + a * sum(lrs[: t + 1]) ** -alpha - c * area


def slow_functional(parameters, lrs, t):
    l0, a, s, b, c, p = parameters
    noise = sum(lrs[k] ** 2 * (1 + c * sum(lrs[k + 1 : t + 1])) ** -p for k in range(t + 1))
    return l0 + a * sum(lrs[: t + 1]) ** -s + b * noise


SLOW = (
    (multi_power, slow_multi_power, MULTI),
    (annealing_area, slow_annealing_area, ANNEALING),
    (functional, slow_functional, FUNCTIONAL),
)


def test_golden_values_of_a_halving():
    """LRs 1, 1, 1/2, 1/2: S1 = 3; the rise to 1 counts as a drop of -1, and the cut as one of 1/2."""
    course = Course(np.array([1.0, 1.0, 0.5, 0.5]), np.array([1, 3]))
    # G(x) = 1 - (1 + x)^-1; at t = 3 the rise has S = 3, the cut S = 1, and 0.5^-2 = 4.
    got = multi_power((2.0, 3.0, 1.0, 0.5, 1.0, 1.0, 2.0), course)
    assert got == pytest.approx([2 + 1.5 + 0.5 * 2 / 3, 2 + 1 + 0.5 * (3 / 4 - 0.5 * 4 / 5)])
    # lambda = 1/2: the rise has decayed to 2 (1 - 2^-4) = 15/8, the cut to 2 (1 - 2^-2) = 3/2.
    got = annealing_area((2.0, 3.0, 1.0, 0.4, 2.0), course)
    assert got == pytest.approx([2 + 1.5 + 0.4 * 1.5, 2 + 1 + 0.4 * (15 / 8 - 0.5 * 1.5)])
    # Squares 1, 1, 1/4, 1/4, with sums of later LRs 2, 1, 1/2, 0.
    got = functional((2.0, 3.0, 1.0, 0.5, 1.0, 2.0), course)
    noise = 1 / 9 + 1 / 4 + 0.25 / 2.25 + 0.25
    assert got == pytest.approx([2 + 1.5 + 0.5 * (1 / 4 + 1), 2 + 1 + 0.5 * noise])


@pytest.mark.parametrize(("law", "slow", "parameters"), SLOW)
def test_a_law_is_its_formula(law, slow, parameters):
    """Exact where every change is a group of its own, whether or not the LR rises again."""
    lrs, points = np.random.default_rng(0).uniform(0.1, 1, 60), np.array([0, 7, 8, 59])
    want = [slow(parameters, lrs.tolist(), t) for t in points]
    assert law(parameters, Course(lrs, points)) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize(("law", "slow", "parameters"), SLOW)
@pytest.mark.parametrize("schedule", ["cosine", "wsd", "warmup(linear, fraction=0.1)"])
def test_groups_of_changes_come_near_the_formula(law, slow, parameters, schedule):
    lrs, points = open_loop_lrs(schedule, 400, 10, 1.0), np.array([150, 399])
    want = [slow(parameters, lrs.tolist(), t) for t in points]
    rough, fine = (law(parameters, Course(lrs, points, groups)) for groups in (16, 64))
    assert fine == pytest.approx(want, rel=5e-3)
    assert np.abs(fine - want).max() < np.abs(rough - want).max() / 2


def test_pieces_of_constant_lr_are_exact_with_any_number_of_groups():
    lrs = np.repeat([1.0, 0.3, 0.1], 200)
    few, many = (multi_power(MULTI, Course(lrs, np.array([599]), groups)) for groups in (3, 10_000))
    assert few == many


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_an_lr_of_zero_gives_a_finite_loss(law):
    parameters = dict(zip([multi_power, annealing_area, functional], [MULTI, ANNEALING, FUNCTIONAL], strict=True))
    lrs = np.array([1.0, 0.5, 0.0, 0.0, 0.5])
    assert np.isfinite(law.curve(parameters[law.curve], Course(lrs, np.arange(5)))).all()
