"""Swaps of two strategies against sign flips, against a slow twin, and where nothing differs."""

from itertools import product

import numpy as np
import pytest

from bench.analysis.stats import swaps
from bench.analysis.stats.intervals import choose
from bench.analysis.stats.swaps import Curves, swap_test
from bench.analysis.stats.tests import pool, sign_flip


def curves(draw, rows, seeds, budgets=2, lost=0.0, lead=0.0):
    """Runs [2, L, N, B] of two strategies, the first one with this lead on test, some of them diverged."""
    both = draw.normal(size=(2, 2, rows, seeds, budgets)) + draw.normal(size=(rows, 1, 1))
    both[1, 0] += lead
    both[:, draw.random(both.shape[1:]) < lost] = np.nan
    return Curves(*both, np.full(budgets, 3.0))


def differences(it, turned):
    """Differences [B][N] after swaps of these seeds, one by one, with the report's own choice."""
    found = []
    for b in range(it.test.shape[-1]):
        sides = []
        for mine in (0, 1):
            side = [1 - mine if turn else mine for turn in turned]
            control, test = (np.array([x[s, :, i, b] for i, s in enumerate(side)]).T for x in (it.control, it.test))
            rows = choose(control, "max")
            sides.append([test[row, i] for i, row in enumerate(rows)])
        d = [0.0 if np.isnan([x, y]).all() else x - y for x, y in zip(*sides, strict=True)]
        lost = [np.isnan(x) for x in sides[0]]
        found.append([(-3.0 if gone else 3.0) if np.isnan(v) else v for v, gone in zip(d, lost, strict=True)])
    return found


@pytest.mark.parametrize("lost", [0.0, 0.15])
@pytest.mark.parametrize("seeds", [3, 6])
def test_every_swap_is_that_of_a_slow_twin(seeds, lost):
    tasks = [curves(np.random.default_rng(seeds), 3, seeds, lost=lost, lead=0.5)]
    statistic = {}
    for turned in product((0, 1), repeat=seeds):
        blocks = np.array(pool(differences(tasks[0], turned)))
        statistic[turned] = blocks.mean() / np.sqrt((blocks**2).mean())
    observed = statistic[(0,) * seeds]
    it = swap_test(tasks)
    assert it.effect == pytest.approx(observed)
    assert it.p == pytest.approx(np.mean([abs(x) >= abs(observed) - 1e-12 for x in statistic.values()]))


def test_without_a_choice_swaps_are_sign_flips():
    draw = np.random.default_rng(1)
    tasks = [curves(draw, 1, n, lead=0.3) for n in (4, 5, 6)]
    flip = sign_flip([pool(np.moveaxis((t.test[0] - t.test[1])[0], -1, 0)) for t in tasks])
    assert swap_test(tasks) == pytest.approx(flip)


def test_drawn_swaps_give_the_p_of_all(monkeypatch):
    tasks = [curves(np.random.default_rng(n), 3, 8, lead=0.1) for n in range(3)]
    exact = swap_test(tasks)
    assert exact.exact
    monkeypatch.setattr(swaps, "EXACT", 8)
    assert swap_test(tasks).p == pytest.approx(exact.p, rel=0.1)
    monkeypatch.setattr(swaps, "WHOLE", 7)
    swaps._patterns.cache_clear()
    drawn = swap_test(tasks)
    swaps._patterns.cache_clear()
    assert drawn.p == pytest.approx(exact.p, rel=0.1)
    assert not drawn.exact


def test_strategies_that_are_alike_are_told_apart_as_often_as_stated():
    """Peak LRs alike on average, so that the choice is all noise, which the seeds share."""
    draw = np.random.default_rng(3)
    by_swaps, by_signs = [], []
    for _ in range(400):
        both = draw.normal(size=(2, 2, 4, 8, 1)) * 0.3 + draw.normal(size=(1, 1, 4, 1, 1))
        both[0] = both[0] * 0.3 + draw.normal(size=(2, 4, 8, 1))  # control is noisy, and test knows which row is best
        it = Curves(*both, np.ones(1))
        by_swaps.append(swap_test([it]).p)
        by_signs.append(sign_flip(differences(it, (0,) * 8)).p)
    assert np.mean(np.array(by_swaps) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(np.array(by_signs) <= 0.05) > 0.15
