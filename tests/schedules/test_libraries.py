"""What a trace of factors can't say of the libraries: momentum, closed loops, noise; and splines, which only scipy has.

The factors themselves are compared in `bench.conformance`, and held by `tests/conformance/test_equivalents.py`.
"""

import random

import pytest
import torch
from scipy.interpolate import PchipInterpolator
from scipy.stats import kstest, truncnorm
from timm.scheduler.scheduler import Scheduler
from torch.optim import lr_scheduler as torch_lr
from transformers import optimization as hf

import schedules
from bench.conformance import factors
from bench.conformance.equivalents import E, Equivalent, T
from bench.conformance.factors import LIBRARIES, optimizer
from bench.contract import Clock, Signals


def ours(text, total=T):
    return [setting.factor for setting in factors.settings(text, total)]


def close(values):
    return pytest.approx(values, rel=0, abs=1e-12)


ONECYCLE = {
    "onecycle": {},
    "onecycle(rise=0.25, div=10, final_div=100)": {"pct_start": 0.25, "div_factor": 10, "final_div_factor": 100},
    "onecycle(anneal='linear')": {"anneal_strategy": "linear"},
}


@pytest.mark.parametrize("text", ONECYCLE)
def test_the_momentum_of_onecycle_equals_that_of_torch_on_a_clock_of_one_more_update(text):
    """The claims compare the factors, and say why the clock is longer."""
    chosen = ONECYCLE[text]
    rise = (chosen.get("pct_start", 0.3) * T + 1) / (T + 1)
    o = optimizer()
    made = torch_lr.OneCycleLR(o, 1.0, total_steps=T + 1, **(chosen | {"pct_start": rise}))
    momenta = [setting.momentum for setting in factors.settings(text, T)]
    assert momenta == close(factors.stepped(made, o, Equivalent(text, ""), "momentum"))


def test_onecycle_is_one_update_behind_torch_after_the_peak():
    theirs = LIBRARIES[0].trace(Equivalent("onecycle", "OneCycleLR(o, 1.0, total_steps=T)"))
    peak = round(0.3 * T)
    assert ours("onecycle")[peak:] == close(theirs[peak - 1 : -1])
    assert theirs[-1] == pytest.approx(4e-6)  # where torch ends; ours would be there at t = T


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("plateau(patience=1)", {"patience": 1}),
        ("plateau(patience=0, gamma=0.5, rest=2)", {"patience": 0, "factor": 0.5, "cooldown": 2}),
        ("plateau(patience=2, gamma=0.3, margin=0.05)", {"patience": 2, "factor": 0.3, "threshold": 0.05}),
        ("plateau(patience=0, gamma=0.2, floor=0.01)", {"patience": 0, "factor": 0.2, "min_lr": 0.01}),
    ],
)
def test_plateau_equals_torch_told_the_mean_loss_of_each_epoch(text, chosen):
    """Torch leaves out cuts smaller than its `eps` of 1e-8; ours are made, so torch is given an eps of 0."""
    draw = random.Random(1)
    loss = [max(0.4, 1.2 - t / 200) * (1 + 0.1 * draw.random()) for t in range(600)]
    it = optimizer()
    theirs, mine = [], []
    scheduler = torch_lr.ReduceLROnPlateau(it, eps=0.0, **chosen)
    schedule = schedules.parse(text)
    state = schedule.init()
    for t, now in enumerate(loss):
        if t and t % E == 0:
            scheduler.step(sum(loss[t - E : t]) / E)
        theirs.append(it.param_groups[0]["lr"])
        setting, state = schedule(state, Clock(t, len(loss), E, 1.0), Signals(now, 1.0))
        mine.append(setting.factor)
    assert len(set(theirs)) > 2
    assert mine == close(theirs)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("greedy", {}),
        ("greedy(patience=1, gamma=0.8)", {"patience": 1, "factor": 0.8}),
        (
            "greedy(patience=0, gamma=0.7, margin=0.01, rest=2, hold=3)",
            {"patience": 0, "factor": 0.7, "threshold": 0.01, "cooldown": 2, "warmup": 3},
        ),
        (
            "greedy(patience=2, window=20, low=0.2, high=3, reset=4, rest=1)",
            {"patience": 2, "smooth": True, "window_size": 20, "min_lr": 0.2, "max_lr": 3.0, "reset_start": 4}
            | {"cooldown": 1},
        ),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_greedy_equals_transformers_told_the_loss_of_each_update(text, chosen, seed):
    """There changes smaller than `eps` = 1e-8 are left out, as in torch; it is given an eps of 0, and our bounds."""
    draw = random.Random(seed)
    loss = [max(0.4, 1.2 - t / 400) * (1 + 0.02 * draw.random()) for t in range(800)]
    it = optimizer()
    scheduler = hf.GreedyLR(it, **({"eps": 0.0, "min_lr": 0.01, "max_lr": 10.0} | chosen))
    schedule, theirs, mine = schedules.parse(text), [], []
    state = schedule.init()
    for t, now in enumerate(loss):
        theirs.append(it.param_groups[0]["lr"])
        scheduler.step(now)
        setting, state = schedule(state, Clock(t, len(loss), E, 1.0), Signals(now, 1.0))
        mine.append(setting.factor)
    assert len(set(theirs)) > 2
    assert mine == close(theirs)


def test_greedy_has_no_lowest_lr_to_trip_over():
    """At a peak of 2e-5 the default lowest LR of transformers is 0.001: a cut would be a rise, so none is made."""
    it = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
    scheduler = hf.GreedyLR(it, patience=0, eps=0.0)
    schedule = schedules.parse("greedy(patience=0)")
    state, theirs, mine = schedule.init(), [], []
    for t in range(4):
        theirs.append(it.param_groups[0]["lr"])
        scheduler.step(1.0)
        setting, state = schedule(state, Clock(t, 4, E, 2e-5), Signals(1.0, 1.0))
        mine.append(2e-5 * setting.factor)
    assert theirs == pytest.approx([2e-5, 2e-5 / 0.95, 2e-5 / 0.95, 2e-5 / 0.95])
    assert mine == pytest.approx([2e-5, 2e-5 / 0.95, 2e-5, 2e-5 * 0.95])


class Shaken(Scheduler):
    """A timm scheduler that does nothing but the noise."""

    def _get_lr(self, t):
        return self.base_values


@pytest.mark.parametrize(("std", "limit"), [(1.0, 0.67), (0.1, 0.3), (5.0, 0.5)])
def test_noise_has_the_distribution_of_timm(std, limit):
    """Not its numbers: timm seeds a torch generator with `seed + t`, so that its seeds are shifted copies."""
    scheduler = Shaken(optimizer(), "lr", noise_range_t=0, noise_pct=limit, noise_std=std, noise_seed=3)
    theirs = [scheduler._add_noise([1.0], t)[0] - 1 for t in range(2000)]
    mine = [factor - 1 for factor in ours(f"noise(constant, std={std}, limit={limit}, seed=3)", 2000)]
    for drawn in (theirs, mine):
        assert kstest(drawn, truncnorm(-limit / std, limit / std, scale=std).cdf).pvalue > 0.01
        assert abs(torch.corrcoef(torch.tensor([drawn[:-1], drawn[1:]]))[0, 1]) < 0.06


def test_noise_of_another_seed_is_another_noise_and_a_budget_changes_nothing():
    first, second = ours("noise(constant)", 500), ours("noise(constant, seed=1)", 500)
    assert not set(first) & set(second)
    assert ours("noise(constant)", 100) == first[:100]


SPLINES = [
    ([0.3, 0.6, 1.0], [0.8, 0.2, 0.0]),
    ([0.0, 0.2, 0.5, 1.0], [0.1, 1.0, 0.5, 0.0]),
    ([0.0, 0.1, 0.2, 0.9, 1.0], [0.5, 0.5, 1.0, 0.2, 0.9]),
    ([1.0], [0.2]),
    ([0.25, 1.0], [0.9, 0.0]),
    ([0.25, 1.0], [0.2, 0.9]),
    ([0.05, 1.0], [0.9, 1.0]),
]


@pytest.mark.parametrize(("at", "values"), SPLINES)
def test_a_spline_equals_scipy(at, values):
    x, y = ([0.0, *at], [1.0, *values]) if at[0] else (at, values)
    mine = ours(f"piecewise({at}, {values}, between='spline')", 1000)
    assert mine == close(list(PchipInterpolator(x, y)([t / 1000 for t in range(1000)])))
