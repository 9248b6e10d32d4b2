"""Laws of training loss: pure functions from a sequence of LRs to a loss curve. All parameters are above 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis.prediction.course import Course
from bench.contract import Array


class Scale(NamedTuple):
    """Sizes from which a fit begins, in units of the largest LR."""

    first: float  # loss near the start
    last: float  # lowest loss
    area: float  # largest sum of LRs


class Law(NamedTuple):
    """A law, and the parameters that a fit begins with and stays within."""

    name: str
    source: str
    symbols: tuple[str, ...]
    exponents: tuple[str, ...]  # held near the values that they start with, as few curves tell little of them
    curve: Callable[[Sequence[float], Course], Array]  # parameters and LRs to losses [P]
    starts: Callable[[Scale], list[tuple[float, ...]]]
    bounds: Callable[[Scale], tuple[tuple[float, float], ...]]


# ------------------------------------------------------------------------------------------------ multi-power


def multi_power(parameters: Sequence[float], course: Course) -> Array:
    """Loss after each point, by the multi-power law (Luo et al. 2025, arXiv:2503.12811, equation 4).

        L(t) = L0 + A S1(t)^-alpha - B sum_{k <= t} (eta_{k-1} - eta_k) G(eta_k^-gamma S_k(t))
        G(x) = 1 - (1 + C x)^-beta

    S1(t) is the sum of the LRs up to t, warmup included, S_k(t) that from k to t, and eta_{-1} = 0: a rise of the LR,
    as in a warmup, counts as a negative drop.

    Args:
        parameters: L0, A, alpha, B, C, beta, gamma.
        course: LRs, in the units of the parameters, and points.
    """
    l0, a, alpha, b, c, beta, gamma = parameters
    drops = course.drops
    with np.errstate(divide="ignore", invalid="ignore"):
        x_PG = np.where(drops.gap > 0, c * drops.lr**-gamma * drops.gap, 0.0)  # at LR 0, G(inf) = 1
    gain_P = (1 - (1 + x_PG) ** -beta) @ drops.drop
    loss_P: Array = l0 + a * course.area**-alpha - b * gain_P
    return loss_P


def _multi_power_starts(scale: Scale) -> list[tuple[float, ...]]:
    a, gain = _signal(scale), 0.3 * (scale.first - scale.last)
    return [
        (share * scale.last, a, 0.5, gain, c / scale.area, 0.5, 0.5) for share in (0.5, 0.95) for c in (10.0, 1000.0)
    ]


def _multi_power_bounds(scale: Scale) -> tuple[tuple[float, float], ...]:
    c = 1e-3 / scale.area, 1e3
    return *_power_bounds(scale), (1e-6 * scale.first, 1e3 * scale.first), c, (0.02, 5.0), (1e-3, 3.0)


# ---------------------------------------------------------------------------------------------- annealing area


def annealing_area(parameters: Sequence[float], course: Course) -> Array:
    """Loss after each point, by the law of the annealing area (Tissue et al. 2024, arXiv:2408.11029, equation 1).

        L(t) = L0 + A S1(t)^-alpha - C S2(t)
        S2(t) = sum_{i <= t} sum_{k <= i} (eta_{k-1} - eta_k) lambda^(i-k)
              = sum_{k <= t} (eta_{k-1} - eta_k) (1 - lambda^(t-k+1)) / (1 - lambda)

    The memory is M = 1 / (1 - lambda) updates, and eta_{-1} = 0.

    Args:
        parameters: L0, A, alpha, C, M, the last of 1 or more.
        course: LRs, in the units of the parameters, and points.
    """
    l0, a, alpha, c, memory = parameters
    decay = 1 - 1 / memory
    area_P = memory * ((1 - decay**course.drops.age) @ course.drops.drop)
    loss_P: Array = l0 + a * course.area**-alpha - c * area_P
    return loss_P


def _annealing_starts(scale: Scale) -> list[tuple[float, ...]]:
    a, gain = _signal(scale), 0.3 * (scale.first - scale.last)
    memories = [max(2.0, share * scale.area) for share in (0.02, 0.2)]
    return [(share * scale.last, a, 0.5, gain / m, m) for share in (0.5, 0.95) for m in memories]


def _annealing_bounds(scale: Scale) -> tuple[tuple[float, float], ...]:
    c = 1e-6 * scale.first / scale.area, 1e3 * scale.first
    return *_power_bounds(scale), c, (1.001, max(10.0, 100 * scale.area))


# -------------------------------------------------------------------------------------------------- functional


def functional(parameters: Sequence[float], course: Course) -> Array:
    """Loss after each point, by the functional scaling law (Li et al. 2025, arXiv:2509.19189; arXiv:2602.06797).

        L(t) = L0 + A S1(t)^-s + B sum_{k <= t} eta_k^2 (1 + C (S1(t) - S1(k)))^-p

    The sum is the noise that SGD has not forgotten yet. The law is derived for one-pass SGD on linear regression with
    a power-law spectrum, p = 2 - 1/beta in (1, 2); noise in the gradient that falls with the loss itself is left out.
    On other tasks it is a guess like any other, and the error on schedules that were held out says how good.

    Args:
        parameters: L0, A, s, B, C, p.
        course: LRs, in the units of the parameters, and points.
    """
    l0, a, s, b, c, p = parameters
    squares = course.squares
    noise_P = np.sum(squares.square * (1 + c * squares.gap) ** -p, axis=1)
    loss_P: Array = l0 + a * course.area**-s + b * noise_P
    return loss_P


def _functional_starts(scale: Scale) -> list[tuple[float, ...]]:
    a, noise = _signal(scale), 0.1 * scale.last
    return [(share * scale.last, a, 0.5, noise * c, c, 1.5) for share in (0.5, 0.95) for c in (0.01, 0.3)]


def _functional_bounds(scale: Scale) -> tuple[tuple[float, float], ...]:
    return *_power_bounds(scale), (1e-9 * scale.first, 1e3 * scale.first), (1e-3 / scale.area, 1e3), (1.0, 2.0)


def _signal(scale: Scale) -> float:
    """A that lets A S^-0.5 fall from the first loss to the last, from a tenth of the area on."""
    return max(1e-6 * scale.first, scale.first - scale.last) * math.sqrt(scale.area / 10)


def _power_bounds(scale: Scale) -> tuple[tuple[float, float], ...]:
    """Bounds of L0, A and the exponent of S1."""
    return (1e-6 * scale.last, scale.last), (1e-9 * scale.first, 1e6 * scale.first), (0.02, 5.0)


LAWS = (
    Law(
        "multi-power",
        "arXiv:2503.12811",
        ("L0", "A", "alpha", "B", "C", "beta", "gamma"),
        ("alpha", "beta", "gamma"),
        multi_power,
        _multi_power_starts,
        _multi_power_bounds,
    ),
    Law(
        "annealing area",
        "arXiv:2408.11029",
        ("L0", "A", "alpha", "C", "M"),
        ("alpha",),
        annealing_area,
        _annealing_starts,
        _annealing_bounds,
    ),
    Law(
        "functional",
        "arXiv:2509.19189",
        ("L0", "A", "s", "B", "C", "p"),
        ("s", "p"),
        functional,
        _functional_starts,
        _functional_bounds,
    ),
)
"""The laws, in the order in which equally good ones are preferred."""
