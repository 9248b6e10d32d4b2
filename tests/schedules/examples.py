"""One line a schedule that the contract suite is to try, with the steepest slope that it may show."""

import atexit
import os
import random
import shutil
import tempfile
from math import inf, log, pi, sqrt, tanh
from pathlib import Path

import numpy as np

import schedules
from bench.contract import Clock, Signals
from bench.ledger.trace import Trace

T, EPOCH_STEPS = 1000, 100  # ten epochs


def recorded(path, runs, step=0):
    """A trace file of runs side by side, each a list of gradient norms; `step` is their first update."""
    trace, everyone = Trace(len(runs)), range(len(runs))
    for t, norms in enumerate(zip(*runs, strict=True), start=step):
        trace.seat(t, everyone, everyone, [0.1] * len(runs))
        trace.fold([(np.ones(len(runs)), np.asarray(norms))])
    trace.finish(path.with_suffix(""), path)
    return path


# Names of tests hold this path, so it is the same to all workers of one run of pytest.
FOLDER = Path(tempfile.gettempdir()) / f"glideslope-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
FOLDER.mkdir(exist_ok=True)
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
RUNS = ([2.0, 1.0, 1.0, 1.0, 1.0], [1.0] * 5)
with tempfile.TemporaryDirectory(dir=FOLDER) as own:
    recorded(Path(own) / "run.npz", RUNS).replace(FOLDER / "run.npz")
REFINED, EVEN = (
    schedules.parse(f"refined('{FOLDER / 'run.npz'}', {settings})").text
    for settings in ("tau=0.1", "rule='adam', segment=1")
)

EXAMPLES = {
    "constant": 0,
    "exponential": 10 * -log(0.99),
    "exponential(gamma=0.5)": 10 * log(2),
    "exponential(gamma=0.5, staircase=True)": inf,
    "step": inf,
    "step(every=0.7, gamma=0.5)": inf,
    "multistep([5, 8])": inf,
    "piecewise([0.5, 0.75], [0.1, 0.01])": inf,
    "piecewise([0, 0.1, 1], [0.03125, 1, 0.03125], between='linear')": (1 - 1 / 32) / 0.1,
    "piecewise([0.9], [0.1], between='cosine')": pi / 2,
    "piecewise([0, 0.2, 0.5, 1], [0.1, 1, 0.5, 0], between='spline')": 20.9 / 3,
    "polynomial": 1,
    "polynomial(power=2)": 2,
    "polynomial(power=0.5)": (2**0.5 - 1) * T**0.5,
    "polynomial(k=3)": 3,
    "polynomial(power=0.5, k=2)": sqrt(4 * T - 4) - sqrt(2 * T - 1),
    "linear": 1,
    "linear(floor=0.2)": 0.8,
    "cosine": pi / 2,
    "cosine(floor=0.1)": 0.9 * pi / 2,
    "cosine(exponent=2)": pi * 3 * sqrt(3) / 8,
    "cosine(k=2)": pi * sqrt(0.585),
    "inverse_sqrt": 10 / 2,
    "inverse_sqrt(tau=4)": 10 / 8,
    "inverse_time": 10,
    "inverse_time(tau=2, power=2, staircase=True)": inf,
    "noam": 10,
    "noam(warmup=2.5)": 4,
    "power": 5.1,
    "rex": 2,
    "rex(beta=0.1)": 10,
    "uba": 1.75,
    "uba(phi=0.5)": 2.24,
    "tanh": 5,
    "tanh(begin=-4, end=4)": 4,
    "hyperbolic(bound=10)": 0.999,
    "hyperbolic": 3.63,
    "hyperbolic(bound=20, log=True)": 4,
    "chebyshev": inf,
    "chebyshev(levels=2, condition=5, order='falling')": inf,
    "wsd": 5,
    "wsd(cooldown=0.5, shape='cosine')": pi,
    "wsd(shape='sqrt')": (5 * T) ** 0.5,
    "wsd(shape='mirror')": 10,
    "wsd(shape='power')": 10,
    "wsd(shape='exp')": 5 * log(10) / 0.9,
    "onecycle": (1 - 1 / 25) / 0.3 * pi / 2,
    "onecycle(rise=0.5, div=4, final_div=10, anneal='linear', momentum=False)": (1 - 1 / 40) / 0.5,
    "cyclic": 4.5,
    "cyclic(every=2, shape='sine', gamma=0.5)": 0.9 * 10 * pi / 2,
    "cyclic(every=2, shape='cosine', rate=0.9, begin='top')": 14,
    "restarts": pi / 2,
    "restarts(every=1, mult=2, shape='linear', gamma=0.5)": inf,
    "restarts(every=2, mult=1.5, low=0.1, gamma=0.5, rise=0.1)": 0.9 * 10 / 0.2,
    "plateau(patience=1)": inf,
    "plateau(patience=0, gamma=0.5, rest=1, floor=0.1)": inf,
    "greedy(patience=2, gamma=0.8, high=1)": inf,
    "greedy(patience=1, gamma=0.8, rest=1, hold=1, low=0.1, high=2, window=20, reset=5)": inf,
    "polyak": inf,
    "polyak(f_star=0.5, c=0.2)": inf,
    "hypergradient": inf,
    REFINED: 5 * (1 - 1.25 / 4),
    EVEN: 1,
    "warmup(rex, epochs=1)": 10,
    "warmup(linear, fraction=0.2)": 5,
    "warmup(cosine, epochs=2, first=0)": 5,
    "warmup(constant, epochs=0.5, first='1/(W+1)')": 20,
    "warmup(plateau(patience=0), epochs=1)": inf,
    "warmup(constant, epochs=2, shape='cosine')": 5 * pi / 2,
    "warmup(constant, epochs=2, shape='sqrt')": T / sqrt(200),
    "warmup(constant, epochs=2, shape='polynomial')": 10,
    "warmup(constant, epochs=2, first=0, shape='exponential')": 25,
    "cooldown(inverse_sqrt, fraction=0.5)": 5,
    "cooldown(power, fraction=0.1, shape='exp', freeze=True)": 9**-0.51 * 10 * log(10) / 0.9,
    "cooldown(plateau(patience=0), freeze=True)": inf,
    "stages([constant, cosine], [0.5, 0.5])": pi,
    "stages([warmup(constant, epochs=1), plateau(patience=0), step], [0.3, 0.4, 0.3], scales=[1, 0.5, 0.1])": inf,
    "chain([linear, exponential(gamma=0.5)])": 1 + 10 * log(2),
    "chain([onecycle, plateau(patience=0)])": inf,
    "scale(cosine, 0.5)": pi / 4,
    "floor(linear, 0.2)": 0.8,
    "floor(linear, 0.2, clip=True)": 1,
    "floor(plateau(patience=0), 0.2)": inf,
    "noise(constant, limit=0.3)": inf,
    "torch('CosineAnnealingLR', T_max='total')": pi / 2,
    "torch('StepLR', per='epoch', step_size=3, gamma=0.5)": inf,
    "torch('OneCycleLR', max_lr='peak_lr', total_steps='total')": inf,
    "timm('CosineLRScheduler', t_initial='total', t_in_epochs=False)": pi / 2,
    "transformers('get_linear_schedule_with_warmup', num_warmup_steps='0.2 * total', num_training_steps='total')": 5,
    "warmup(torch('ExponentialLR', gamma=0.999), epochs=1)": 10,
}
"""Slope: the largest |change of the factor| between two updates, times T; inf where the factor may jump."""

HIGHEST = {
    "tanh": (1 + tanh(7)) / 2,
    "tanh(begin=-4, end=4)": (1 + tanh(4)) / 2,
    "chebyshev": 0.84563747,
    "chebyshev(levels=2, condition=5, order='falling')": 0.86787404,
    "greedy(patience=1, gamma=0.8, rest=1, hold=1, low=0.1, high=2, window=20, reset=5)": 2,
    "scale(cosine, 0.5)": 0.5,
    "noise(constant, limit=0.3)": 1.3,
}
"""The highest factor, where the source says something else than 1; noise comes near it."""


def losses(seed=0, n=T):
    """A training loss that falls, stands still, and is noisy."""
    draw = random.Random(seed)
    return [max(0.3, 2 - 4 * t / n) + 0.05 * draw.random() for t in range(n)]


def signals(n=T):
    """What a closed-loop schedule sees: that loss, a gradient that grows, and turns more often than not."""
    draw = random.Random(1)
    norms = [1 + 9 * t / n + draw.random() for t in range(n)]
    dots = [0.0, *(0.4 * (draw.random() - 0.75) for _ in range(n - 1))]
    return [Signals(*seen[:2], grad_dot=seen[2]) for seen in zip(losses(n=n), norms, dots, strict=True)]


def run(schedule, total=T, epoch_steps=EPOCH_STEPS, state=None, start=0):
    """(settings, states) of every update from `start`; states[i] is the state before update start + i."""
    state = schedule.init() if start == 0 else state
    settings, states, seen = [], [], signals(total)
    for step in range(start, total):
        states.append(state)
        setting, state = schedule(state, Clock(step, total, epoch_steps, 0.1), seen[step])
        settings.append(setting)
    return settings, states
