"""Words for differences with a margin, and how many seeds find one, against statsmodels and in simulation."""

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from bench.analysis.stats.equivalence import MOST, decide, seeds_to_decide
from bench.analysis.stats.intervals import t_quantile
from bench.analysis.stats.power import POWER


def words(mean, deviation, margin, n, experiments):
    """Words for the 95 % intervals of so many simulated experiments."""
    d = np.random.default_rng(n).normal(mean, deviation, (experiments, n))
    half = t_quantile(n) * d.std(1, ddof=1) / np.sqrt(n)
    return [decide(m - h, m + h, margin) for m, h in zip(d.mean(1).tolist(), half.tolist(), strict=True)]


def share(word, found):
    return found.count(word) / len(found)


def test_equal_comes_first_and_its_ends_are_open():
    assert decide(0.1, 0.4, 0.5) == "equal"  # sure, but not worth having
    assert decide(-0.4, -0.1, 0.5) == "equal"
    assert decide(0.0, 0.0, 0.5) == "equal"
    assert decide(0.1, 0.5, 0.5) == "better"
    assert decide(-0.5, -0.1, 0.5) == "worse"
    assert decide(0.0, 0.5, 0.5) == decide(-0.5, 0.0, 0.5) == "undecided"


def test_without_a_margin_nothing_is_equal():
    assert [decide(*ends, None) for ends in ((0.1, 0.2), (-0.2, -0.1), (0.0, 0.0))] == ["better", "worse", "undecided"]


@pytest.mark.parametrize("n", [2, 3, 5, 8])
@pytest.mark.parametrize("deviation", [0.1, 0.4])
def test_a_difference_of_the_margin_is_seldom_called_equal(n, deviation):
    wrong = share("equal", words(0.5, deviation, 0.5, n, 20_000))
    assert wrong <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 20_000)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_no_difference_is_seldom_called_one(n):
    found = words(0.0, 1.0, 0.01, n, 20_000)
    for word in ("better", "worse"):
        assert share(word, found) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 20_000)


@pytest.mark.parametrize("mean", [0.2, -0.5, 1.0, 3.0])
def test_without_a_margin_the_seeds_are_statsmodels(mean):
    n = TTestPower().solve_power(effect_size=abs(mean), alpha=0.025, power=POWER, alternative="larger")
    assert seeds_to_decide(mean, 1.0, None) == seeds_to_decide(10 * mean, 10.0, None) == int(np.ceil(n))


@pytest.mark.parametrize(
    ("mean", "margin", "word"),
    [(0.0, 0.5, "equal"), (0.05, 0.5, "equal"), (0.2, 0.5, "equal"), (0.8, 0.5, "better"), (-0.8, 0.5, "worse")],
)
def test_the_word_is_found_with_the_power_it_claims(mean, margin, word):
    n, error = seeds_to_decide(mean, 1.0, margin), 3 * np.sqrt(POWER * (1 - POWER) / 20_000)
    assert share(word, words(mean, 1.0, margin, n, 20_000)) >= POWER - error
    assert share(word, words(mean, 1.0, margin, n - 1, 20_000)) <= POWER + error


def test_an_interval_beside_0_is_decided_even_if_it_is_equal():
    found = words(-0.8, 1.0, 1.0, seeds_to_decide(-0.8, 1.0, 1.0), 20_000)
    assert 0 < share("equal", found) < share("worse", found)
    assert share("undecided", found) < 1 - POWER


def test_the_ends_of_the_seeds():
    assert seeds_to_decide(0.0, 0.0, None) == seeds_to_decide(1e9, 1.0, None) == 2
    assert seeds_to_decide(0.0, 1.0, None) == seeds_to_decide(1e-3, 1.0, None) == MOST
    assert seeds_to_decide(0.5, 1.0, 0.5) == seeds_to_decide(0.5, 1.0, None)  # a mean of the margin is never equal
    assert seeds_to_decide(0.5, 1.0, 1e9) == 2
