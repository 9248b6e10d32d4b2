"""One line a schedule that the contract suite is to try, with the steepest slope that it may show."""

import random
from math import inf, log, pi

from bench.contract import Clock, Signals

T, EPOCH_STEPS = 1000, 100  # ten epochs

EXAMPLES = {
    "constant": 0,
    "exponential": 10 * -log(0.99),
    "exponential(gamma=0.5)": 10 * log(2),
    "exponential(gamma=0.5, staircase=True)": inf,
    "step": inf,
    "step(every=0.7, gamma=0.5)": inf,
    "polynomial": 1,
    "polynomial(power=2)": 2,
    "polynomial(power=0.5)": (2**0.5 - 1) * T**0.5,
    "linear": 1,
    "linear(floor=0.2)": 0.8,
    "cosine": pi / 2,
    "cosine(floor=0.1)": 0.9 * pi / 2,
    "inverse_sqrt": 10 / 2,
    "inverse_sqrt(tau=4)": 10 / 8,
    "rex": 2,
    "rex(beta=0.1)": 10,
    "wsd": 5,
    "wsd(cooldown=0.5, shape='cosine')": pi,
    "wsd(shape='sqrt')": (5 * T) ** 0.5,
    "onecycle": (1 - 1 / 25) / 0.3 * pi / 2,
    "onecycle(rise=0.5, div=4, final_div=10, anneal='linear', momentum=False)": (1 - 1 / 40) / 0.5,
    "plateau(patience=1)": inf,
    "plateau(patience=0, gamma=0.5, rest=1, floor=0.1)": inf,
    "warmup(rex, epochs=1)": 10,
    "warmup(linear, fraction=0.2)": 5,
    "warmup(cosine, epochs=2, first=0)": 5,
    "warmup(constant, epochs=0.5, first='1/(W+1)')": 20,
    "warmup(plateau(patience=0), epochs=1)": inf,
    "stages([constant, cosine], [0.5, 0.5])": pi,
    "stages([warmup(constant, epochs=1), plateau(patience=0), step], [0.3, 0.4, 0.3], scales=[1, 0.5, 0.1])": inf,
}
"""Slope: the largest |change of the factor| between two updates, times T; inf where the factor may jump."""


def losses(seed=0, n=T):
    """A training loss that falls, stands still, and is noisy."""
    draw = random.Random(seed)
    return [max(0.3, 2 - 4 * t / n) + 0.05 * draw.random() for t in range(n)]


def run(schedule, total=T, epoch_steps=EPOCH_STEPS, state=None, start=0):
    """(settings, states) of every update from `start`; states[i] is the state before update start + i."""
    state = schedule.init() if start == 0 else state
    settings, states, seen = [], [], losses(n=total)
    for step in range(start, total):
        states.append(state)
        setting, state = schedule(state, Clock(step, total, epoch_steps, 0.1), Signals(seen[step], 1.0))
        settings.append(setting)
    return settings, states
