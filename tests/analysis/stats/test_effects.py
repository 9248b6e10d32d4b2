"""Aggregates and their intervals against rliable 1.2.0 (with arch 7.2.0, numpy 2.4.6 and scipy 1.17.1), as literals."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.stats.effects import (
    improvement_probability,
    interquartile_mean,
    mean_effect,
    profile,
    stratified_bootstrap,
)

X = np.array(  # [T, N]; rliable takes the transpose
    [
        [0.12, 0.40, 0.25, 0.31, -0.05],
        [1.50, 1.10, 2.30, 0.90, 1.75],
        [-0.30, -0.10, 0.20, -0.45, 0.05],
        [0.80, 0.95, 0.60, 1.20, 0.70],
    ]
)
Y = np.array(
    [
        [0.10, 0.40, 0.05, 0.22, 0.18],
        [1.20, 1.00, 1.60, 1.40, 0.70],
        [-0.20, 0.15, 0.20, -0.60, 0.30],
        [0.80, 0.90, 0.75, 0.85, 0.65],
    ]
)


def test_point_values_are_those_of_rliable():
    assert (mean_effect(X), mean_effect(Y)) == pytest.approx((0.6115, 0.5325))  # aggregate_mean
    assert (interquartile_mean(X), interquartile_mean(Y)) == pytest.approx((0.523, 0.505))  # aggregate_iqm
    assert improvement_probability(X, Y) == pytest.approx(0.545)  # probability_of_improvement
    assert improvement_probability(X[:, :3], Y) == pytest.approx(0.5916666666666666)
    assert improvement_probability(X, X) == 0.5
    assert profile(X, [-0.5, 0.0, 0.2, 0.8, 1.5]) == pytest.approx([1.0, 0.8, 0.65, 0.35, 0.1])  # score_distributions


@pytest.mark.parametrize(
    ("strata", "statistic", "ends"),
    [
        (X, mean_effect, (0.4825, 0.7465)),  # get_interval_estimates, np.random.seed(0), 50,000 draws
        (X, interquartile_mean, (0.433, 0.627)),
        ([*X, *Y], lambda both: improvement_probability(both[:4], both[4:]), (0.355, 0.73)),  # 10,000 draws
    ],
    ids=["mean", "interquartile mean", "probability of improvement"],
)
def test_intervals_are_nearly_those_of_rliable(strata, statistic, ends):
    """Other random numbers: the ends may differ by a tenth of a width of 0.26, 0.19 and 0.38."""
    low, high = stratified_bootstrap(strata, statistic)
    tolerance = 0.1 * (ends[1] - ends[0])
    assert (low, high) == pytest.approx(ends, abs=tolerance)
    assert stratified_bootstrap(strata, statistic) == (low, high)  # seeded
    low, high = stratified_bootstrap(strata, statistic, draws=20_000, seed=1)
    assert (low, high) == pytest.approx(ends, abs=tolerance / 4)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=15))
def test_the_interquartile_mean_is_scipys_trimmed_mean(values):
    assert interquartile_mean([values]) == pytest.approx(scipy.stats.trim_mean(values, 0.25), abs=1e-12)


SCORES = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=6)


@given(SCORES, SCORES)
def test_the_probability_of_improvement_is_mann_and_whitneys(x, y):
    found = float(improvement_probability([x], [y]))
    assert found == pytest.approx(scipy.stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)))
    assert found + float(improvement_probability([y], [x])) == pytest.approx(1.0)


def test_scores_that_differ_in_their_last_bit_tie():
    assert improvement_probability([[0.1 + 0.2]], [[0.3]]) == 0.5


def test_tasks_count_alike_whatever_their_seeds():
    many, few = [1.0] * 9, [0.0]
    assert mean_effect([many, few]) == 0.5
    assert profile([many, few], [0.5]) == [0.5]
    assert improvement_probability([many, few], [[0.0], [1.0]]) == 0.5


def test_all_draws_at_once_are_each_draw_alone():
    draws = np.random.default_rng(0).normal(size=(4, 7, 5))  # [T, D, N]
    for statistic in (mean_effect, interquartile_mean):
        alone = [float(statistic(draws[:, i])) for i in range(7)]
        assert statistic(draws).tolist() == pytest.approx(alone, rel=1e-14)
    alone = [float(improvement_probability(draws[:2, i], draws[2:, i])) for i in range(7)]
    assert improvement_probability(draws[:2], draws[2:]).tolist() == pytest.approx(alone)


def test_each_task_is_resampled_within_itself():
    seen = []

    def statistic(strata):
        seen.extend(strata)
        return mean_effect(strata)

    low, high = stratified_bootstrap([[1.0, 2.0, 3.0], [10.0, 20.0]], statistic, draws=500)
    assert [d_DN.shape for d_DN in seen] == [(500, 3), (500, 2)]
    assert [set(d_DN.ravel().tolist()) for d_DN in seen] == [{1.0, 2.0, 3.0}, {10.0, 20.0}]
    assert low < mean_effect([[1.0, 2.0, 3.0], [10.0, 20.0]]) < high


def test_pairs_are_resampled_together():
    pairs = [np.stack([x_N, x_N + 1]) for x_N in X]
    low, high = stratified_bootstrap(pairs, lambda both: mean_effect([d[1] - d[0] for d in both]))
    assert (low, high) == pytest.approx((1.0, 1.0))


def test_an_interval_covers_the_true_mean_nearly_as_often_as_it_claims():
    draw, hits = np.random.default_rng(0), []
    for i in range(400):
        low, high = stratified_bootstrap(draw.normal(size=(4, 8)), mean_effect, seed=i)
        hits.append(low <= 0 <= high)
    assert 0.88 < np.mean(hits) < 0.97  # as the docstring says, 0.92
