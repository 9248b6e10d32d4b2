"""The statistics against scipy, in simulation, and against leaks."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.stats.intervals import (
    LEVEL,
    OTHERS,
    Interval,
    binomial_half,
    choose,
    interval,
    leader,
    paired,
    pick,
    ranks,
    stratified,
    t_quantile,
)

VALUES = st.floats(-1e3, 1e3)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_the_interval_is_that_of_scipy(n):
    values = np.random.default_rng(n).normal(0.9, 0.01, n)
    it = interval(values.tolist())
    low, high = scipy.stats.t.interval(LEVEL, n - 1, values.mean(), scipy.stats.sem(values))
    assert (it.low, it.high) == pytest.approx((low, high), rel=1e-12)
    assert t_quantile(n) == pytest.approx(scipy.stats.t.ppf(0.975, n - 1), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.4, 1.2])
def test_the_rule_of_comparison_is_a_paired_t_test(shift):
    draw = np.random.default_rng(1)
    for _ in range(50):
        a, b = draw.normal(shift, 1, 5), draw.normal(0, 1, 5)
        assert paired(a.tolist(), b.tolist()).excludes_zero == (scipy.stats.ttest_rel(a, b).pvalue < 1 - LEVEL)


@pytest.mark.parametrize("n", [3, 5])
def test_intervals_cover_the_truth_as_often_as_they_claim(n):
    draws = np.random.default_rng(n).normal(7.0, 2.0, (4000, n)).tolist()
    covered = sum(it.low < 7.0 < it.high for it in map(interval, draws))
    assert covered / len(draws) == pytest.approx(LEVEL, abs=0.012)  # 3.5 standard errors


def test_equal_shares_of_few_test_examples_are_not_known_exactly():
    grain, n = 1 / 400, 3
    rounding = scipy.stats.uniform(0, grain).var()
    assert interval([0.985] * n, grain).half == pytest.approx(scipy.stats.t.ppf(0.975, n - 1) * math.sqrt(rounding / n))
    apart = [0.98, 0.985, 0.99]
    assert interval(apart).half < interval(apart, grain).half < 1.1 * interval(apart).half


def test_one_value_has_no_interval_and_decides_nothing():
    assert interval([0.5]) == Interval(0.5, None, 1)
    assert interval([0.5]).low is None
    assert not paired([1.0], [0.0]).excludes_zero
    with pytest.raises(ValueError, match="at least one value"):
        interval([])


@given(st.lists(VALUES, min_size=2, max_size=8), st.randoms())
def test_the_order_of_the_seeds_changes_no_bit(values, random):
    mixed = random.sample(values, len(values))
    assert interval(mixed) == interval(values)


def test_the_binomial_half_width_is_the_normal_one():
    spread = scipy.stats.binom.std(500, 0.9) / 500
    assert binomial_half(0.9, 500) == pytest.approx(scipy.stats.norm.ppf(0.975) * spread, rel=1e-12)


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=1, max_size=9))
def test_ranks_are_those_of_scipy(values):
    assert ranks(values, "min") == scipy.stats.rankdata(values).tolist()
    assert ranks(values, "max") == scipy.stats.rankdata([-v for v in values]).tolist()


def test_what_diverged_ranks_last_in_both_directions():
    for direction in ("max", "min"):
        assert ranks([math.nan, 0.3, math.nan], direction) == [2.5, 1.0, 2.5]


grids = st.integers(OTHERS + 1, 8).flatmap(
    lambda n: st.lists(st.lists(VALUES | st.just(math.nan), min_size=n, max_size=n), min_size=1, max_size=4)
)


@given(grids, st.data(), st.sampled_from(["max", "min"]))
def test_a_seed_takes_no_part_in_its_own_choice(rows, data, direction):
    control_LN = np.array(rows)
    seed = data.draw(st.integers(0, control_LN.shape[1] - 1))
    before = choose(control_LN, direction)[seed]
    control_LN[:, seed] = data.draw(st.lists(VALUES | st.just(math.nan), min_size=len(rows), max_size=len(rows)))
    assert choose(control_LN, direction)[seed] == before


@given(grids, st.sampled_from(["max", "min"]))
def test_the_choice_is_the_best_mean_of_the_next_five(rows, direction):
    control_LN = np.array(rows)
    n = control_LN.shape[1]
    for seed, row in enumerate(choose(control_LN, direction)):
        others = control_LN[:, [(seed + k) % n for k in range(1, 6)]]
        lost = np.isnan(others).sum(1)
        assert lost[row] == lost.min()
        if lost[row] < others.shape[1]:
            rivals = [np.nanmean(line) for line, bad in zip(others, lost, strict=True) if bad == lost[row]]
            best = max(rivals) if direction == "max" else min(rivals)
            assert np.nanmean(others[row]) == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_few_seeds_choose_together():
    assert choose(np.array([[0.5], [0.7], [0.6]]), "max") == (1,)
    apart_LN = np.array([[0.9, 0.5, 0.5, 0.5, 0.5], [0.51] * 5])
    assert choose(apart_LN, "max") == (pick(apart_LN, "max"),) * 5 == (0,) * 5


def test_a_stratified_interval_is_welchs():
    a, b = [0.1, 0.3, 0.2, 0.4], [1.0, 2.0, 4.0]
    of = stratified([a, [-v for v in b]])
    welch = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (2 * of.mean, 2 * of.low, 2 * of.high) == pytest.approx((np.mean(a) - np.mean(b), welch.low, welch.high))
    assert of.n == 7
    assert stratified([[1.0, 1.0], [3.0, 3.0]]) == (2.0, None, 4)


ZEROS = [[0.1, -0.1, 0.0], [0.3, -0.2, -0.1], [0.2, -0.3, 0.1], [0.7, -0.6, -0.1]]


@given(st.permutations(ZEROS), st.sampled_from([1e-12, 1.0, 1e9]))
def test_sums_that_cancel_are_0_at_any_scale(rows, scale):
    """So no mean, rank, choice or lead follows from a last bit; a difference that is there still counts."""
    values_LN = scale * np.array(rows)
    means = [interval(row.tolist()).mean for row in values_LN]
    assert means == [0.0] * 4
    assert ranks(means, "max") == [2.5] * 4
    assert pick(values_LN, "max") == pick(values_LN, "min") == 0
    assert leader(dict(enumerate(map(dict, map(enumerate, values_LN)))), range(3), "max") == 0
    assert paired(values_LN[1].tolist(), values_LN[2].tolist()).mean == 0
    more_LN = values_LN + scale * 1e-8 * np.arange(4)[:, None]
    assert ranks([interval(row.tolist()).mean for row in more_LN], "max") == [4, 3, 2, 1]
    assert pick(more_LN, "max") == 3


def test_losses_of_many_magnitudes_do_not_tie():
    """In the wind tunnel one strategy ends at 10 and another at 1e-14: each is judged by its own scale."""
    assert ranks([10.0, 1e-14, 2e-14], "min") == [3, 1, 2]
    assert ranks([10.0, 1e-14, 2e-14], "min", [20.0, 3e-14, 4e-14]) == [3, 1, 2]
    assert ranks([0.4, 1e-17, -1e-17], "min", [0.4, 0.4, 0.4]) == [3, 1.5, 1.5]
    assert ranks([math.inf, math.nan, 1.0], "min", [0.0, 0.0, 1.0]) == [2.5, 2.5, 1]
