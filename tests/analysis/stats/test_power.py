"""Power against scipy and simulation, and the minimum detectable difference."""

import numpy as np
import pytest
import scipy.stats
from scipy.optimize import brentq

from bench.analysis.stats.intervals import t_quantile
from bench.analysis.stats.power import POWER, detectable, power


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_power_is_that_of_the_noncentral_t_distribution(n):
    for shift in (0.0, 0.5, 2.0, 5.0):
        found = scipy.stats.nct.sf(t_quantile(n), n - 1, shift * np.sqrt(n))
        assert power(shift, n) == pytest.approx(found, rel=1e-6, abs=1e-9)
    assert power(0.0, n) == pytest.approx(0.025)  # one side of 5 %


def test_with_many_strategies_the_difference_is_the_textbooks():
    """Uncertainty about the variance fades as strategies are added: what remains is where the power is 80 %."""
    n, draw = 5, np.random.default_rng(0)
    found = detectable(draw.normal(0, 1, (120, n)).tolist())
    textbook = np.sqrt(2) * brentq(lambda shift: float(power(shift, n)) - POWER, 0, 50)
    assert found == pytest.approx(textbook, rel=0.1)


@pytest.mark.parametrize(("strategies", "n"), [(13, 3), (6, 3), (2, 3), (6, 5)])
def test_a_planted_difference_of_that_size_is_found_with_the_power_it_claims(strategies, n):
    draw, found = np.random.default_rng(n), []
    for _ in range(600):
        values_KN = draw.normal(0, 1, (strategies, n)) + draw.normal(0, 3, n)  # seeds differ more than strategies
        d_N = values_KN[1] - values_KN[0] + detectable(values_KN.tolist())
        found.append(d_N.mean() > t_quantile(n) * d_N.std(ddof=1) / np.sqrt(n))
    assert np.mean(found) > POWER


def test_identical_runs_count_once_and_a_single_one_shows_nothing():
    a, b, c = [0.90, 0.91, 0.93], [0.95, 0.93, 0.96], [0.91, 0.92, 0.90]
    assert detectable([a, b, c, c, a]) == detectable([a, b, c])
    assert detectable([a, a]) is None
    assert detectable([[0.9], [0.8]]) is None
    assert detectable([]) is None


def test_a_wild_strategy_does_not_speak_for_the_rest():
    calm = np.random.default_rng(1).normal(0, 1, (9, 3)).tolist()
    assert detectable([*calm, [100.0, -50.0, 3.0]]) < 2 * detectable(calm)
