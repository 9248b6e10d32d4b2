"""Sums over a sequence of LRs, from which the laws compute losses. T = updates, P = points, G = groups of updates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.contract import Array

GROUPS = 128
"""Groups of equal length that the updates of a sequence are summed in, further cut near points."""

NEAR = (0, 1, 2, 4, 8, 16)
"""Distances before each point, in updates, at which groups are cut: there a law may change within a few updates."""


@dataclass(frozen=True, eq=False)
class Course:
    """A sequence of LRs eta_0 .. eta_(T-1), and the updates (points) at which a law gives the loss.

    Sums over earlier updates k <= t cost O(P G), not O(T P): neighbours are summed in groups, each at its mean place,
    which are cut at every point. The error is of second order in the length of a group. Where the LR changes `groups`
    times at most, as where it is constant in pieces, a group is one change, and the sum is exact.
    """

    lrs: Array  # [T]
    points: Array  # [P], ascending, 0-based
    groups: int = GROUPS

    @cached_property
    def area(self) -> Array:
        """S1: sum of the LRs up to and with each point."""
        return np.cumsum(self.lrs)[self.points]

    @cached_property
    def drops(self) -> DropSums:
        """Changes of the LR, the rise to eta_0 among them."""
        drop_T = -np.diff(self.lrs, prepend=0.0)
        group_K, k_K = self._grouped(drop_T)
        size_K = np.abs(drop_T[k_K])
        drop_G = np.bincount(group_K, drop_T[k_K])
        lr_G = _mean(self.lrs[k_K], size_K, group_K)
        before_G = _mean((np.cumsum(self.lrs) - self.lrs)[k_K], size_K, group_K)
        first_G, past_PG = _mean(k_K.astype(float), size_K, group_K), self._past(k_K, group_K)
        age_PG = np.where(past_PG, self.points[:, None] - first_G + 1, 0.0)
        return DropSums(drop_G, lr_G, np.where(past_PG, self.area[:, None] - before_G, 0.0), age_PG)

    @cached_property
    def squares(self) -> SquareSums:
        """Squared LRs of all updates."""
        square_T = self.lrs**2
        group_K, k_K = self._grouped(square_T)
        square_G = np.bincount(group_K, square_T[k_K])
        upto_G = _mean(np.cumsum(self.lrs)[k_K], square_T[k_K], group_K)
        past_PG = self._past(k_K, group_K)
        return SquareSums(past_PG * square_G, np.where(past_PG, self.area[:, None] - upto_G, 0.0))

    def _grouped(self, values_T: Array) -> tuple[Array, Array]:
        """Group of each update whose value is not 0, counted from 0; and these updates."""
        k_K = np.flatnonzero(values_T)
        if len(k_K) <= self.groups:
            return np.arange(len(k_K)), k_K
        even = np.linspace(0, len(values_T), self.groups + 1).round()
        near = (self.points[:, None] + 1 - np.array(NEAR)).ravel()
        cuts = np.union1d(even, near[near > 0])
        return np.unique(np.searchsorted(cuts, k_K, side="right"), return_inverse=True)[1], k_K

    def _past(self, k_K: Array, group_K: Array) -> Array:
        """True [P, G] where the updates of a group are not after a point."""
        last_G = np.zeros(group_K[-1] + 1 if len(group_K) else 0, dtype=int)
        last_G[group_K] = k_K  # ascending, so that the last of each group remains
        past_PG: Array = last_G <= self.points[:, None]
        return past_PG


@dataclass(frozen=True, eq=False)
class DropSums:
    """Changes of the LR, in groups."""

    drop: Array  # [G], sum of eta_(k-1) - eta_k
    lr: Array  # [G], mean LR after the change
    gap: Array  # [P, G], S_k(t): sum of the LRs from k to t; 0 before k
    age: Array  # [P, G], t - k + 1; 0 before k


@dataclass(frozen=True, eq=False)
class SquareSums:
    """Squared LRs, in groups."""

    square: Array  # [P, G], sum of eta_k^2; 0 before k
    gap: Array  # [P, G], sum of the LRs after k, to t


def _mean(values_K: Array, weights_K: Array, group_K: Array) -> Array:
    """Weighted mean of the values of each group."""
    means: Array = np.bincount(group_K, values_K * weights_K) / np.bincount(group_K, weights_K)
    return means
