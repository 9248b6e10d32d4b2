"""Decay with the inverse of the time in training, or a power of it."""

from __future__ import annotations

from math import pow, sqrt

from schedules.arguments import Positive
from schedules.contract import Clock
from schedules.schedule import schedule


@schedule(paper="arXiv:2106.04560, after arXiv:1706.03762")
def inverse_sqrt(epoch: float, *, tau: Positive = 1.0) -> float:
    r"""Inverse square root decay: `tau` epochs after the peak the LR is down by the square root of two.

    With e the epochs trained,

        factor(e) = 1 / sqrt(1 + e / tau)

    >>> inverse_sqrt().at(0, 3, 15), inverse_sqrt(tau=5).at(15)
    ((1.0, 0.5, 0.25), (0.5,))
    """
    return 1 / sqrt(1 + epoch / tau)


@schedule(paper="Caffe's 'inv' policy, as INV in git-disl/LRBench; keras.optimizers.schedules.InverseTimeDecay")
def inverse_time(epoch: float, *, tau: Positive = 1.0, power: Positive = 1.0, staircase: bool = False) -> float:
    r"""Inverse time decay: `tau` epochs after the peak the LR is down by the factor 2^`power`.

    With e the epochs trained,

        factor(e) = (1 + e / tau)^-power
                    (1 + floor(e / tau))^-power   staircase

    `power` 1/2 is `inverse_sqrt`; behind a warmup over `tau` epochs any power is (step / warmup steps)^-power.

    >>> inverse_time().at(0, 1, 3), inverse_time(tau=2, power=2, staircase=True).at(1.9, 2)
    ((1.0, 0.5, 0.25), (1.0, 0.25))
    """
    time = epoch / tau
    if staircase:
        time = epoch * (1 + 1e-15) // tau  # as in `step`: 0.3 / 0.1 falls short of 3 by its last bit
    return pow(1 + time, -power)


@schedule(paper="arXiv:1706.03762, equation 3, as a share of its peak", horizon="absolute")
def noam(clock: Clock, *, warmup: Positive = 1.0) -> float:
    r"""The Transformer's schedule: a linear rise over `warmup` epochs, then the inverse square root of the step.

    With s = 1, 2, ... the number of the update and W = `warmup` in updates, rounded, at least 1,

        factor(s) = min(s / W, sqrt(W / s))

    The paper's rate is this times (model width * W)^(-1/2), its peak. The decay counts from update 1, not from the
    peak, and so is one update ahead of ``warmup(inverse_sqrt(tau=4), epochs=4)``.

    >>> from schedules.schedule import factors
    >>> [s.factor for s in factors(noam(warmup=2), total=16, epoch_steps=2, peak_lr=0.1)][::3]
    [0.25, 1.0, 0.7559289460184544, 0.6324555320336759, 0.5547001962252291, 0.5]
    """
    s, w = clock.step + 1, max(1, round(clock.epoch_steps * warmup))
    return min(s / w, sqrt(w / s))


@schedule(paper="arXiv:2408.13359, equation 7")
def power(epoch: float, *, start: Positive = 1.0, exponent: Positive = 0.51) -> float:
    r"""Power decay: hold the peak until `start` epochs are trained, then follow a power of the time in training.

    With e the epochs trained; beyond `start` it is a e^-exponent, whatever the peak,

        factor(e) = min(1, (start / e)^exponent)

    The paper counts tokens, n, and its bound eta_max is the peak here. Its whole Power scheduler, equation 8, is
    ``warmup(cooldown(power, fraction=0.1, shape='exp', freeze=True), epochs=0.5)``.

    >>> power(exponent=0.5).at(0, 1, 4, 16)
    (1.0, 1.0, 0.5, 0.25)
    """
    return 1.0 if epoch <= start else pow(start / epoch, exponent)
