"""Rank correlations against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from bench.analysis.stats.correlation import kendall, spearman


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12))
@settings(deadline=None, max_examples=60)
def test_tau_is_that_of_scipy(pairs):
    a, b = zip(*pairs, strict=True)
    own, scipys = kendall(a, b), kendalltau(a, b).statistic
    assert (own is None and np.isnan(scipys)) or own == pytest.approx(scipys, abs=1e-12)


def test_rho_is_that_of_scipy():
    for a, b in (([1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 4.0]), ([3.0, 1.0, 1.0, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0])):
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert spearman([1.0, 1.0], [1.0, 2.0]) is None
