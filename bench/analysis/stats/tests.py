"""Significance tests: sign flips over blocks of a task and seed, and Friedman's over tasks. Pure functions.

B = blocks, P = sign patterns, T = tasks, K = strategies.

Budgets of one seed share the beginning of their training, so they are never blocks of their own: counted as such, they
reject most true nulls. `pool` makes one block of them. Tests of several strategies are corrected by `holm`, or by
`step_down` where some have too few blocks to reject.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, count
from typing import NamedTuple

import numpy as np

from bench.analysis.stats.intervals import LEVEL, total

EXACT = 32
"""Most blocks for which all sign patterns are enumerated; with more, `DRAWS` random ones are."""

DRAWS = 99_999


class Flip(NamedTuple):
    """Outcome of a sign-flip test."""

    effect: float  # mean over tasks of the standardised mean difference, in [-1, 1]
    p: float  # two-sided
    blocks: int
    tasks: int
    floor: float  # the lowest p that this many blocks could give

    @property
    def exact(self) -> bool:
        """True if all patterns were enumerated."""
        return self.floor == 2.0 ** (1 - self.blocks)


def sign_flip(strata: Sequence[Sequence[float]]) -> Flip:
    """Stratified sign-flip permutation test that differences are as often up as down. Two-sided.

    `strata` holds, for each task, the differences [N] of its seeds. In each task they are divided by their root mean
    square, which no flip of signs changes, so tasks of any scale count alike and one wild task cannot drown the
    others. The statistic is the mean over tasks of the means over seeds; p is the share of the 2^B patterns of signs
    with a statistic at least as far from 0. Beyond `EXACT` blocks, p = (b + 1) / (m + 1) over m = `DRAWS` seeded draws
    (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585). Differences of exactly 0 (identical runs) say nothing.

    >>> sign_flip([[0.1, 0.2, 0.1]]).p  # three seeds of one task can't go lower
    0.25

    Raises:
        ValueError: no block.
    """
    tasks = [np.asarray(d_N, float) for d_N in strata if len(d_N)]
    if not tasks:
        raise ValueError("a test needs at least one block")
    share_B = np.concatenate([standard(d_N) / (len(d_N) * len(tasks)) for d_N in tasks])
    moving = share_B[share_B != 0]
    effect = total(moving.tolist())
    p = _exact(moving, abs(effect)) if len(share_B) <= EXACT else _sampled(moving, abs(effect))
    floor = 2.0 ** (1 - len(share_B))
    return Flip(effect, p, len(share_B), len(tasks), floor if len(share_B) <= EXACT else max(floor, 1 / (DRAWS + 1)))


def pool(columns: Sequence[Sequence[float]]) -> list[float]:
    """Block values [N] of one task: for each seed, the mean of its differences over budgets.

    `columns` holds, for each budget, the differences [N] of the seeds. Each column is divided by its root mean square
    over seeds, so that budgets of any scale count alike; one of zeros stays as it is. A block's sign stands for all
    budgets of its seed: as no flip changes a root mean square, the block value with all of them flipped is minus the
    block value, and `sign_flip` of the block values enumerates what flips of whole seeds give. It stays exact, however
    budgets correlate.

    >>> pool([[0.1, -0.1], [3.0, -3.0]]), pool([[0.1, 0.1], [3.0, 3.0]])  # the second seed flipped
    ([1.0, -1.0], [1.0, 1.0])

    Raises:
        ValueError: no budget, or budgets of different numbers of seeds.
    """
    if len({len(d_N) for d_N in columns}) != 1:
        raise ValueError("a task needs at least one budget, and the same seeds at each of its budgets")
    scaled_BN = np.stack([standard(np.asarray(d_N, float)) for d_N in columns])
    means_N: list[float] = scaled_BN.mean(0).tolist()
    return means_N


def standard(d: np.ndarray, axis: int = 0) -> np.ndarray:
    """Differences over their root mean square along the axis of seeds; zeros stay."""
    largest = np.abs(d).max(axis, keepdims=True, initial=0.0)
    scaled = d / np.where(largest > 0, largest, 1)  # squares can't underflow
    size = np.sqrt((scaled**2).mean(axis, keepdims=True)) if d.size else largest
    return np.asarray(scaled / np.where(size > 0, size, 1))


def _sums(share_B: np.ndarray) -> np.ndarray:
    """Sums under every pattern of signs [2^B], ascending."""
    sums_P = np.zeros(1)
    for share in share_B:
        sums_P = np.concatenate([sums_P - share, sums_P + share])
    return np.sort(sums_P)


def _exact(share_B: np.ndarray, observed: float) -> float:
    """Share of all patterns at least as far from 0: each sum of one half is matched with those of the other half."""
    return share_beyond(_sums(share_B[::2]), _sums(share_B[1::2]), observed)


def share_beyond(even_P: np.ndarray, odd_P: np.ndarray, observed: float) -> float:
    """Share of all sums of two at least as far from 0, which lie symmetrically about it. Those of odd are ascending."""
    bound = observed - 1e-12  # rounding decides no tie
    reach = len(odd_P) * len(even_P) - int(np.searchsorted(odd_P, bound - even_P, side="left").sum())
    return min(1.0, 2 * reach / (len(even_P) * len(odd_P)))


def _sampled(share_B: np.ndarray, observed: float) -> float:
    """Share of random patterns at least as far from 0, with the observed one counted among them."""
    draw, reach = np.random.default_rng(0), 0
    for start in range(0, DRAWS, 10_000):  # a few megabytes at a time
        signs_PB = draw.integers(0, 2, (min(10_000, DRAWS - start), len(share_B))) * 2 - 1
        reach += int((np.abs(signs_PB @ share_B) >= observed - 1e-12).sum())
    return (reach + 1) / (DRAWS + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (Scandinavian Journal of Statistics 6, 1979), in the given order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    return step_down(p, [0.0] * len(p), 1.0)  # where any p is possible, every hypothesis counts


def step_down(p: Sequence[float], floors: Sequence[float], alpha: float) -> list[float]:
    """Adjusted p values by Holm's steps, counting only hypotheses that can be rejected, in the given order.

    `floors` are the lowest p values possible. Tarone's number K of a set of hypotheses is the smallest k for which at
    most k of the set have a floor of alpha / k or lower (Tarone 1990, Biometrics 46:515-522). In ascending order of p,
    each p is multiplied by K of the hypotheses from it on (Hommel and Krummenauer 1998, Biometrics 54:673-681), and is
    no lower than the adjusted p before it. Adjusted values of at most alpha are rejected; as K depends on alpha, they
    say nothing of other levels.

    The family-wise error is at most alpha, however the tests correlate. Until a true hypothesis is rejected, the set
    holds all true ones, and K of a part of a set is no larger than K of the set. So the first to be rejected has p at
    most alpha / K of the true ones, which only K of them can have, each with a probability of alpha / K at most.

    >>> step_down([0.02, 0.03, 0.25], [0.01, 0.01, 0.25], 0.05)  # the third can't be rejected
    [0.04, 0.04, 0.25]
    """
    ascending = sorted(zip(p, floors, range(len(p)), strict=True))
    factors = (_tarone_number([floor for _, floor, _ in ascending[k:]], alpha) for k in range(len(p)))
    raised = accumulate((min(1.0, k * p_i) for k, (p_i, _, _) in zip(factors, ascending, strict=True)), max)
    adjusted = {i: p_i for p_i, (_, _, i) in zip(raised, ascending, strict=True)}
    return [adjusted[i] for i in range(len(p))]


def testable(floors: Sequence[float], alpha: float) -> list[bool]:
    """Whether each hypothesis could be rejected at the first step of `step_down`: its floor is alpha / K or lower.

    One that could not may still be rejected at a later step, as K falls with each rejection.

    >>> testable([0.01, 0.01, 0.25], 0.05)
    [True, True, False]
    """
    k = _tarone_number(floors, alpha)
    return [k * floor <= alpha for floor in floors]


def _tarone_number(floors: Sequence[float], alpha: float) -> int:
    """Tarone's K of a set of hypotheses."""
    return next(k for k in count(1) if sum(k * floor <= alpha for floor in floors) <= k)


class Share(NamedTuple):
    """A share of n blocks with its 95 % interval."""

    share: float
    low: float
    high: float
    n: int


def improvement(differences_B: Sequence[float]) -> Share:
    """Probability of improvement: the share of blocks with a difference above 0, ties counted half.

    The interval is Clopper and Pearson's (Biometrika 26, 1934). It assumes one probability for all blocks. Where tasks
    differ, the share varies less than that, so the interval is conservative.

    Raises:
        ValueError: no block.
    """
    from scipy.special import betaincinv

    n = len(differences_B)
    if n == 0:
        raise ValueError("a share needs at least one block")
    wins = sum(1.0 if d > 0 else 0.5 if d == 0 else 0.0 for d in differences_B)
    tail = (1 - LEVEL) / 2
    low = float(betaincinv(wins, n - wins + 1, tail)) if wins > 0 else 0.0
    high = float(betaincinv(wins + 1, n - wins, 1 - tail)) if wins < n else 1.0
    return Share(wins / n, low, high, n)


class Friedman(NamedTuple):
    """Test of differences in rank between strategies, and the distance from which two mean ranks differ."""

    tasks: int
    statistic: float  # F of Iman and Davenport
    p: float
    distance: float  # Nemenyi's critical difference of two mean ranks


def friedman(rank_TK: Sequence[Sequence[float]]) -> Friedman:
    """Friedman's test by Iman and Davenport's F, and Nemenyi's critical difference (Demsar 2006, JMLR 7, 3.2.2).

    F = (T - 1) X / (T (K - 1) - X), with X Friedman's statistic (ties corrected, from scipy), has K - 1 and
    (K - 1)(T - 1) degrees of freedom. The critical difference is q sqrt(K (K + 1) / 6 T), where q is the 95 % quantile
    of the studentized range of K over sqrt(2). F is our own, as scipy has the chi-square form only, which is too
    conservative with few tasks.
    """
    from scipy.special import fdtrc
    from scipy.stats import friedmanchisquare

    t, k = len(rank_TK), len(rank_TK[0])
    distance = _studentized_range(k) * math.sqrt(k * (k + 1) / (12 * t))
    if all(len(set(line)) == 1 for line in rank_TK):  # all tie everywhere
        return Friedman(t, 0.0, 1.0, distance)
    chi = float(friedmanchisquare(*np.asarray(rank_TK).T).statistic)
    rest = t * (k - 1) - chi
    statistic = (t - 1) * chi / rest if rest > 1e-9 else math.inf
    return Friedman(t, statistic, float(fdtrc(k - 1, (k - 1) * (t - 1), statistic)), distance)


@cache
def _studentized_range(k: int) -> float:
    """95 % quantile of the studentized range of k with infinite degrees of freedom. It takes half a second."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(LEVEL, k, np.inf))
