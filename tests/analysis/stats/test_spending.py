"""Looks at growing numbers of seeds: the levels, and simulated experiments that are looked at again and again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.stats import tests
from bench.analysis.stats.spending import levels, spent

LOOKS = (8, 12, 16, 24)
EXPERIMENTS = 300


@pytest.fixture(scope="module", params=[0.0, 0.5])
def looks(request):
    """(true difference in standard deviations, p [experiments, looks]) of sign flips over 3 tasks."""
    draw = np.random.default_rng(0)
    d = draw.normal(request.param, 1, (EXPERIMENTS, 3, LOOKS[-1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tests, "DRAWS", 1999)
        return request.param, np.array([[tests.sign_flip(list(x[:, :n])).p for n in LOOKS] for x in d])


def test_the_levels_of_the_looks_by_hand():
    assert levels(LOOKS, 0.09) == pytest.approx([0.01, 0.0125, 0.0175, 0.05])  # 0.09 (1/9, 1/4, 4/9, 1)
    assert levels([5], 0.05) == [0.05]


@given(st.sets(st.integers(1, 500), min_size=1, max_size=8).map(sorted), st.floats(1e-4, 0.2))
def test_the_levels_add_up(looks, alpha):
    found = levels(looks, alpha)
    assert sum(found) == pytest.approx(alpha)
    assert all(level > 0 for level in found)
    assert np.cumsum(found) == pytest.approx([spent(n / looks[-1], alpha) for n in looks])


@given(st.integers(1, 50), st.integers(2, 6))
def test_equally_spaced_looks_grow_less_strict(step, count):
    found = levels([step * (i + 1) for i in range(count)], 0.05)
    assert found == sorted(found)


def test_looks_that_dont_ascend_are_refused():
    for wrong in ([], [0, 8], [8, 8], [12, 8]):
        with pytest.raises(ValueError, match="ascend"):
            levels(wrong, 0.05)


def test_all_looks_together_keep_the_level_and_cost_less(looks):
    shift, p = looks
    hits = p <= levels(LOOKS, 0.05)
    rejected = hits.any(1)
    seeds = np.where(rejected, np.array(LOOKS)[hits.argmax(1)], LOOKS[-1])
    if shift == 0:
        assert rejected.mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / EXPERIMENTS)
        assert (p <= 0.05).any(1).mean() > 0.07  # as looks at the full level would
    else:
        assert rejected.mean() >= (p[:, -1] <= 0.05).mean() - 0.03  # one test of the most seeds
        assert np.median(seeds) <= 12
