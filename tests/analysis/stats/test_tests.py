"""The tests of significance against scipy, statsmodels and scikit-posthocs, and in their limits."""

import math

import numpy as np
import pytest
import scikit_posthocs
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from bench.analysis.ranking import friedman_test
from bench.analysis.stats import tests
from bench.analysis.stats.intervals import ranks
from bench.analysis.stats.tests import friedman, holm, improvement, sign_flip


def standardised(strata):
    """The statistic's terms, written out."""
    return np.concatenate([np.array(d) / np.sqrt(np.mean(np.square(d))) / (len(d) * len(strata)) for d in strata])


@pytest.mark.parametrize("sizes", [(3,), (3, 3), (5, 2, 4)])
def test_the_exact_test_is_scipys_permutation_of_signs(sizes):
    draw = np.random.default_rng(sum(sizes))
    for shift in (0.0, 0.7):
        strata = [draw.normal(shift, 10.0**i, n).tolist() for i, n in enumerate(sizes)]
        it = sign_flip(strata)
        scipys = scipy.stats.permutation_test(
            (standardised(strata),), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        assert it.effect == pytest.approx(scipys.statistic, rel=1e-12)
        assert it.p == pytest.approx(scipys.pvalue, rel=1e-12)
        assert it.exact


def test_drawn_patterns_give_nearly_the_exact_answer(monkeypatch):
    strata = np.random.default_rng(3).normal(0.4, 1, (6, 3)).tolist()
    exact = sign_flip(strata).p
    monkeypatch.setattr(tests, "EXACT", 0)
    drawn = sign_flip(strata)
    assert drawn.p == sign_flip(strata).p  # seeded
    assert drawn.p == pytest.approx(exact, abs=4 * math.sqrt(exact / tests.DRAWS))
    assert sign_flip([[1.0] * 3] * 30).p == 1 / (tests.DRAWS + 1)  # never 0


def test_the_lowest_p_is_what_the_blocks_allow():
    for tasks, seeds in ((1, 3), (2, 3), (5, 3), (8, 3)):
        it = sign_flip([[0.1 * (t + 1)] * seeds for t in range(tasks)])
        assert it.p == it.floor == 2 / 2 ** (tasks * seeds)
        assert (it.effect, it.blocks, it.tasks) == (pytest.approx(1.0), tasks * seeds, tasks)


def test_identical_runs_say_nothing():
    assert sign_flip([[0.0, 0.0, 0.0]])[:2] == (0.0, 1.0)
    alone, beside = sign_flip([[0.1, 0.2, 0.3]]), sign_flip([[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]])
    assert beside.p == alone.p
    with pytest.raises(ValueError, match="at least one block"):
        sign_flip([[]])


NUMBERS = st.integers(-(10**9), 10**9).map(lambda n: n / 1e9)  # none so small that a scale would lose it
DIFFERENCES = st.lists(st.lists(NUMBERS, min_size=1, max_size=4), min_size=1, max_size=4)


@given(DIFFERENCES, st.floats(1e-6, 1e6), st.randoms())
def test_neither_scale_nor_sign_nor_order_changes_p(strata, scale, random):
    it = sign_flip(strata)
    other = [[-scale * d for d in random.sample(line, len(line))] for line in strata]
    random.shuffle(other)
    assert sign_flip(other).p == pytest.approx(it.p, abs=1e-9)
    assert 0 < it.floor <= it.p <= 1


def test_budgets_counted_as_blocks_would_reject_true_nulls():
    """Differences of one seed at four budgets, correlated by 0.5, without any true difference."""
    draw = np.random.default_rng(0)
    shared, own = draw.normal(size=(300, 3, 1)), draw.normal(size=(300, 3, 4))
    d = math.sqrt(0.5) * (shared + own)
    wrong = np.mean([sign_flip([x.ravel().tolist()]).p <= 0.05 for x in d])
    assert wrong > 0.15
    right = np.mean([sign_flip([x[:, 3].tolist()]).p <= 0.05 for x in d])
    assert right == 0  # three blocks cannot reject


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_holms_correction_is_that_of_statsmodels(count):
    draw = np.random.default_rng(count)
    for most in (0.02, 0.2, 1.0):
        p = draw.uniform(0, most, count).round(2).tolist()  # with ties
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist(), abs=1e-12)


def test_holms_correction_keeps_the_order_and_never_passes_one():
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])  # by hand
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.integers(1, 30), st.data())
def test_the_interval_of_a_share_is_clopper_and_pearsons(n, data):
    wins = data.draw(st.integers(0, n))
    it = improvement([1.0] * wins + [-1.0] * (n - wins))
    low, high = scipy.stats.binomtest(wins, n).proportion_ci(0.95, method="exact")
    assert it == pytest.approx((wins / n, low, high, n), abs=1e-9)


def test_the_probability_of_improvement_counts_a_tie_half():
    assert improvement([0.2, 0.0, -0.1, 0.0]).share == 0.5
    assert improvement([0.0]).share == 0.5


DEMSAR = """
    .763 .768 .771 .798   .599 .591 .590 .569   .954 .971 .968 .967   .628 .661 .654 .657   .882 .888 .886 .898
    .936 .931 .916 .931   .661 .668 .609 .685   .583 .583 .563 .625   .775 .838 .866 .875   1 1 1 1
    .940 .962 .965 .962   .619 .666 .614 .669   .972 .981 .975 .973   .957 .978 .946 .970
"""
"""AUC of four variants of C4.5 on 14 data sets: Table 6 of Demsar 2006 (JMLR 7)."""


def test_ranks_and_critical_difference_are_those_of_demsars_example():
    rank_TK = [ranks(line, "max") for line in np.array(DEMSAR.split(), float).reshape(14, 4).tolist()]
    means = np.mean(rank_TK, axis=0)
    assert means == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)  # as printed there
    chi = 12 * 14 / (4 * 5) * (np.sum(means**2) - 4 * 5**2 / 4)
    assert chi == pytest.approx(9.28, abs=5e-3)  # as printed there: without the correction for ties
    it = friedman(rank_TK)
    assert it.distance == pytest.approx(1.25, abs=5e-3)
    corrected = scipy.stats.friedmanchisquare(*np.transpose(rank_TK)).statistic
    assert it.statistic == pytest.approx(13 * corrected / (14 * 3 - corrected), rel=1e-12)
    assert it.statistic > 13 * chi / (14 * 3 - chi) == pytest.approx(3.69, abs=5e-3)
    assert it.p == pytest.approx(scipy.stats.f.sf(it.statistic, 3, 39), rel=1e-12)


def test_the_critical_difference_is_where_nemenyis_p_passes_5_percent():
    draw = np.random.default_rng(2)
    for _ in range(5):
        rank_TK = draw.random((8, 6)).argsort(1).argsort(1) + 1.0
        rank_TK[:, 0] = 1 + (rank_TK[:, 0] > 3)  # some pairs differ, some don't
        p_KK = scikit_posthocs.posthoc_nemenyi_friedman(rank_TK).to_numpy()
        again = [scipy.stats.rankdata(line).tolist() for line in rank_TK]
        means = np.mean(again, axis=0)
        apart = np.abs(means[:, None] - means[None, :]) >= friedman(again).distance
        assert (apart == (p_KK <= 0.05)).all()


def test_too_few_tasks_or_strategies_are_not_tested():
    assert friedman_test([[1.0, 2.0, 3.0]] * 4) is None
    assert friedman_test([[1.0, 2.0]] * 9) is None
    assert friedman_test([]) is None
    assert friedman_test([[1.0, 2.0, 3.0]] * 5).p < 1e-9  # all tasks agree
    assert friedman_test([[2.0, 2.0, 2.0]] * 5).p == 1.0
