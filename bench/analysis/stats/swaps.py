"""Swaps of two strategies: a permutation test that chooses the peak LRs again under every swap. Pure functions.

Seeds of a task choose their peak LRs by some of the same runs, so an unlucky choice is shared by several, and sign
flips of what was chosen take it for a difference: on 2,000 simulated experiments like `core` without any
(`tests/analysis/simulate.py`) they reject in 7.2 % with 8 seeds and in 6.5 % with 24, at a level of 5 %. Here the flip
of a block swaps all runs of its seed, at every peak LR and budget, and peak LRs are chosen again. Two strategies that
are alike in all runs are exchangeable, choice and all, so the test is exact for them. It rejects in 3.7 % with 8 seeds.
P = patterns of swaps, L = peak LRs, N = seeds, B = budgets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from bench.analysis.stats.intervals import ROUNDING, TIE, choosers, equal, magnitude
from bench.analysis.stats.tests import DRAWS, EXACT, Flip, share_beyond, sign_flip, standard

WHOLE = 12
"""Most seeds of a task for which all swaps are made; with more, `FEWER` random ones are."""

FEWER = 4_999

CHUNK = 512


class Curves(NamedTuple):
    """Runs of a strategy and of another one in a task, by the same places in their grids. NaN: diverged."""

    control: np.ndarray  # [2, L, N, B], higher is better
    test: np.ndarray  # [2, L, N, B]
    largest: np.ndarray  # [B], difference that stands in where one of two diverged


def swap_test(tasks: Sequence[Curves]) -> Flip:
    """Stratified permutation test over swaps, two-sided; statistic and effect are those of `sign_flip` and `pool`.

    Tasks of up to `WHOLE` seeds have all swaps. All patterns of all tasks are counted up to `EXACT` blocks in all;
    beyond, p is (b + 1) / (m + 1) over m seeded draws of one pattern for each task.
    """
    tables = [np.concatenate(list(_statistics(curves))) / len(tasks) for curves in tasks]
    seeds = [curves.test.shape[2] for curves in tasks]
    effect, blocks = math.fsum(table_P[0] for table_P in tables), sum(seeds)
    floor = 2.0 ** (1 - blocks)
    if max(seeds) <= WHOLE and blocks <= EXACT:
        return Flip(effect, _exact(tables, abs(effect)), blocks, len(tasks), floor)
    m = DRAWS if max(seeds) <= WHOLE else FEWER
    sums, draw = np.zeros(m), np.random.default_rng(0)
    for table_P, n in zip(tables, seeds, strict=True):  # shuffled, since tasks of as many seeds have the same patterns
        sums += table_P[draw.integers(0, len(table_P), m)] if n <= WHOLE else draw.permutation(table_P[1:])
    reach = int((np.abs(sums) >= abs(effect) - 1e-12).sum())
    return Flip(effect, (reach + 1) / (m + 1), blocks, len(tasks), max(floor, 1 / (m + 1)))


def permutation_test(strata: Sequence[Sequence[float]], runs: Sequence[Curves | None]) -> Flip:
    """Test of blocks by swaps of the runs that they were chosen from; by their signs where a task has no such runs."""
    curves = [c for c in runs if c is not None]
    return swap_test(curves) if len(curves) == len(strata) else sign_flip(strata)


def _exact(tables: Sequence[np.ndarray], observed: float) -> float:
    """Share of all combinations of patterns at least as far from 0: sums of one half matched with the other's."""
    few_P, many_P = sorted((_sums(tables[first::2]) for first in (0, 1)), key=len)
    return share_beyond(many_P, np.sort(few_P), observed)  # the many are as fast in any order, and slow to sort


def _sums(tables: Sequence[np.ndarray]) -> np.ndarray:
    sums_P = np.zeros(1)
    for table_P in tables:
        sums_P = np.add.outer(sums_P, table_P).ravel()
    return sums_P


@cache
def _patterns(seeds: int) -> np.ndarray:
    """Patterns of swaps [P, N], 0 for as it was; the first one is as it was."""
    if seeds <= WHOLE:
        return np.arange(2**seeds)[:, None] >> np.arange(seeds) & 1
    drawn = np.random.default_rng(seeds).integers(0, 2, (FEWER, seeds))
    return np.concatenate([np.zeros((1, seeds), int), drawn])


def _statistics(curves: Curves) -> Iterator[np.ndarray]:
    """Statistics [P] of the patterns, some at a time: mean over seeds of pooled blocks, over their root mean square."""
    patterns = _patterns(curves.test.shape[2])
    for start in range(0, len(patterns), CHUNK):
        d_PNB = swapped(curves, patterns[start : start + CHUNK])
        blocks_PN = standard(d_PNB, 1).mean(2)
        yield standard(blocks_PN, 1).mean(1)


def swapped(curves: Curves, patterns_PN: np.ndarray) -> np.ndarray:
    """Differences [P, N, B] at the peak LRs that are chosen after swaps."""
    turned = patterns_PN[:, :, None].astype(bool)
    one, other = (_chosen(curves, turned, side_index) for side_index in (0, 1))
    nan = np.isnan(one), np.isnan(other)
    d = np.where(equal(one, other, _scale(curves.test)), 0.0, one - other)
    stand_in = curves.largest * (nan[1].astype(int) - nan[0])
    return np.where(nan[0] | nan[1], stand_in, d)


def _scale(values: np.ndarray) -> float:
    """Magnitude of values, by which differences near 0 are judged."""
    return magnitude(values.ravel().tolist())


def _chosen(curves: Curves, turned_PN1: np.ndarray, side_index: int) -> np.ndarray:
    """Test values [P, N, B] of a side, at the peak LRs that its other seeds choose as `intervals.choose` does."""
    nan, n, least = np.isnan(curves.control), curves.control.shape[2], ROUNDING * _scale(curves.control)
    control, choosers_NN = np.where(nan, 0.0, curves.control), choosers(n) * 1.0
    voters = choosers_NN.sum(1)[:, None]

    def others(values: np.ndarray) -> np.ndarray:
        """Sum [P, N, B] over the seeds that choose."""
        own_runs = np.where(turned_PN1, values[1 - side_index], values[side_index])
        return np.asarray(choosers_NN @ own_runs)

    best = fewest = selection = None
    for row in range(curves.control.shape[1]):
        nans = others(nan[:, row] * 1.0) if nan.any() else np.zeros(())
        mean = others(control[:, row]) / np.maximum(voters - nans, 1)
        test = np.where(turned_PN1, curves.test[1 - side_index, row], curves.test[side_index, row])
        if best is None or fewest is None or selection is None:
            best, fewest, selection = mean, nans, np.broadcast_to(test, turned_PN1.shape[:2] + test.shape[2:])
            continue
        better = (nans < fewest) | ((nans == fewest) & (mean > best + np.maximum(TIE * np.abs(best), least)))
        best, fewest = np.where(better, mean, best), np.where(better, nans, fewest)
        selection = np.where(better, test, selection)
    return np.asarray(selection)
