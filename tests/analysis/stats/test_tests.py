"""The tests of significance against scipy, statsmodels and scikit-posthocs, and in their limits."""

import math
from itertools import product

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
from bench.analysis.stats.tests import friedman, holm, improvement, pool, sign_flip, step_down


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


COLUMNS = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=1, max_size=4)
)


@given(COLUMNS, st.data())
def test_flipping_a_seed_at_all_budgets_flips_its_block(columns, data):
    sign_N = np.array(data.draw(st.lists(st.sampled_from([-1, 1]), min_size=len(columns[0]), max_size=len(columns[0]))))
    assert pool((np.array(columns) * sign_N).tolist()) == (np.array(pool(columns)) * sign_N).tolist()


def test_a_test_of_pooled_budgets_is_exact():
    """Its p is the share of all flips of whole seeds, with everything worked out again from the differences."""
    draw = np.random.default_rng(4)
    for shift in (0.0, 0.8):
        tasks = [10.0**i * (draw.normal(shift, 1, (1, n)) + draw.normal(0, 1, (3, n))) for i, n in enumerate((4, 3))]
        it = sign_flip([pool(columns.tolist()) for columns in tasks])
        reached = []
        for signs in product((-1, 1), repeat=7):
            flipped = [tasks[0] * np.array(signs[:4]), tasks[1] * np.array(signs[4:])]
            blocks = [(c / np.sqrt(np.mean(c**2, axis=1, keepdims=True))).mean(0) for c in flipped]
            reached.append(standardised(blocks).sum())
        assert it.p == np.mean(np.abs(reached) >= abs(it.effect) - 1e-12)
        assert it.floor == 2 / 2**7


def test_budgets_of_any_scale_count_alike_and_one_of_zeros_says_nothing():
    columns = [[0.1, -0.2, 0.4], [0.3, 0.1, 0.2]]
    scaled = [[1e6 * d for d in columns[0]], columns[1]]
    assert pool(scaled) == pytest.approx(pool(columns))
    assert pool([*columns, [0.0] * 3]) == pytest.approx([2 / 3 * d for d in pool(columns)])
    assert pool(columns[:1]) == pytest.approx((np.array(columns[0]) / math.sqrt(0.07)).tolist())  # by hand
    assert pool([[], []]) == []
    for wrong in ([], [[0.1], [0.1, 0.2]]):
        with pytest.raises(ValueError, match="same seeds"):
            pool(wrong)


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


PS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=8).map(
    lambda pairs: [(2.0 ** -max(pair), 2.0 ** -sum(pair)) for pair in pairs]
)
"""Pairs of a p and its floor, which is lower or equal."""


@given(PS)
def test_steps_down_reject_what_holm_does_and_its_p_are_no_higher(pairs):
    p, floors = map(list, zip(*pairs, strict=True))
    adjusted = step_down(p, floors, 0.05)
    assert all(a <= h for a, h in zip(adjusted, holm(p), strict=True))
    assert step_down(p, [1e-9] * len(p), 0.05) == holm(p)


@given(PS, st.randoms())
def test_steps_down_are_those_of_tarones_test_repeated(pairs, random):
    """While a p of those that remain is at most 0.05 / K, it is rejected, and K counted again."""
    random.shuffle(pairs)
    p, floors = map(list, zip(*pairs, strict=True))
    remaining = set(range(len(p)))
    while remaining:
        k = min(k for k in range(1, 99) if sum(floors[i] <= 0.05 / k for i in remaining) <= k)
        rejected = {i for i in remaining if p[i] <= 0.05 / k}
        if not rejected:
            break
        remaining -= rejected
    assert [a <= 0.05 for a in step_down(p, floors, 0.05)] == [i not in remaining for i in range(len(p))]


def test_steps_down_by_hand():
    floors = [0.001, 0.001, 0.02, 0.2]  # K is 3: three are 0.05 / 2 or lower, two are 0.05 / 3 or lower
    assert tests.testable(floors, 0.05) == [True, True, False, False]
    # K = 3 for all four, 2 for the last three, 1 for the last two
    assert step_down([0.004, 0.01, 0.03, 0.2], floors, 0.05) == pytest.approx([0.012, 0.02, 0.03, 0.2])
    assert holm([0.004, 0.01, 0.03, 0.2])[2] == 0.06
    assert step_down([], [], 0.05) == []


def test_steps_down_keep_the_family_wise_error():
    """Strategies that ran on 4 to 12 blocks against one reference; the first two differ from it in truth, or none."""
    draw, blocks, error = np.random.default_rng(5), (12, 10, 12, 9, 8, 5, 4, 4), 2 * math.sqrt(0.05 * 0.95 / 500)
    for different in (0, 2):
        wrong, more = [], []
        for _ in range(500):
            reference = draw.normal(0, 1, 12)
            shift = [2.0 if k < different else 0.0 for k in range(len(blocks))]
            d = [draw.normal(s, 1, n) - reference[:n] for s, n in zip(shift, blocks, strict=True)]
            flips = [sign_flip([x.tolist()]) for x in d]
            adjusted = step_down([f.p for f in flips], [f.floor for f in flips], 0.05)
            wrong.append(min(adjusted[different:]) <= 0.05)
            more.append(sum(a <= 0.05 < h for a, h in zip(adjusted, holm([f.p for f in flips]), strict=True)))
        assert np.mean(wrong) <= 0.05 + error
        assert sum(more) > 0


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
