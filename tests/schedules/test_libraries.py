"""Our factors against torch, timm and transformers, at every update: 1e-12 absolute, deviations said in the test.

All run at a base LR of 1, so that an LR is a factor, and are read as they stand when update t is taken.
"""

import random

import pytest
import torch
from scipy.interpolate import PchipInterpolator
from scipy.stats import kstest, truncnorm
from timm.scheduler.cosine_lr import CosineLRScheduler
from timm.scheduler.multistep_lr import MultiStepLRScheduler
from timm.scheduler.poly_lr import PolyLRScheduler
from timm.scheduler.scheduler import Scheduler
from timm.scheduler.step_lr import StepLRScheduler
from timm.scheduler.tanh_lr import TanhLRScheduler
from timm.scheduler.wsd_lr import WSDLRScheduler
from torch.optim import lr_scheduler as torch_lr
from torch.optim.swa_utils import SWALR
from transformers import optimization as hf

import schedules
from bench.contract import Clock, Signals
from schedules.schedule import factors

T, E = 120, 10  # updates, updates per epoch


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)


def ours(text, total=T):
    return [setting.factor for setting in factors(schedules.parse(text), total, E, 1.0)]


def stepped(make, field="lr", every=1, total=T):
    """What a torch-like scheduler, stepped after every so many updates, leaves in the optimizer at each of them."""
    it = optimizer()
    scheduler, values = make(it), []
    for t in range(total):
        values.append(it.param_groups[0][field])
        it.step()
        if (t + 1) % every == 0:
            scheduler.step()
    return values


def close(values):
    return pytest.approx(values, rel=0, abs=1e-12)


def cycles(o, *sizes, base_lr=0.1, **chosen):
    return torch_lr.CyclicLR(o, base_lr, 1.0, *sizes, cycle_momentum=False, **chosen)


TORCH = {
    "constant": lambda o: torch_lr.LambdaLR(o, lambda t: 1.0),
    "exponential(gamma=0.9)": lambda o: torch_lr.ExponentialLR(o, 0.9 ** (1 / E)),
    "step(every=3, gamma=0.5)": lambda o: torch_lr.StepLR(o, 3 * E, 0.5),
    "multistep([3, 6, 6], gamma=0.5)": lambda o: torch_lr.MultiStepLR(o, [3 * E, 6 * E, 6 * E], 0.5),
    "cyclic(every=4, low=0.1)": lambda o: cycles(o, 2 * E),
    "cyclic(every=4, low=0.1, gamma=0.5)": lambda o: cycles(o, 2 * E, mode="triangular2"),
    "cyclic(every=5, rise=0.2, low=0.25, rate=0.9)": lambda o: cycles(
        o, E, 4 * E, base_lr=0.25, mode="exp_range", gamma=0.9 ** (1 / E)
    ),
    "restarts(every=5)": lambda o: torch_lr.CosineAnnealingWarmRestarts(o, 5 * E),
    "restarts(every=1, mult=2, low=0.1)": lambda o: torch_lr.CosineAnnealingWarmRestarts(o, E, 2, 0.1),
    "restarts(every=0.7, mult=3)": lambda o: torch_lr.CosineAnnealingWarmRestarts(o, 7, 3),
    "chain([exponential(gamma=0.9), step(every=3, gamma=0.5)])": lambda o: torch_lr.ChainedScheduler(
        [torch_lr.ExponentialLR(o, 0.9 ** (1 / E)), torch_lr.StepLR(o, 3 * E, 0.5)]
    ),
    "piecewise([0.25], [0.05], between='cosine')": lambda o: SWALR(o, 0.05, T // 4, "cos"),
    "piecewise([0.25], [0.05], between='linear')": lambda o: SWALR(o, 0.05, T // 4, "linear"),
    "scale(constant, 0.5)": lambda o: torch_lr.ConstantLR(o, 0.5, T + 1),
    "polynomial": lambda o: torch_lr.PolynomialLR(o, T, 1.0),
    "polynomial(power=0.9)": lambda o: torch_lr.PolynomialLR(o, T, 0.9),
    "polynomial(power=2)": lambda o: torch_lr.PolynomialLR(o, T, 2.0),
    "linear": lambda o: torch_lr.LinearLR(o, 1.0, 0.0, T),
    "linear(floor=0.1)": lambda o: torch_lr.LinearLR(o, 1.0, 0.1, T),
    "cosine": lambda o: torch_lr.CosineAnnealingLR(o, T),
    "cosine(floor=0.1)": lambda o: torch_lr.CosineAnnealingLR(o, T, 0.1),
    "inverse_sqrt(tau=2)": lambda o: torch_lr.LambdaLR(o, lambda t: (1 + t / E / 2) ** -0.5),
    "rex": lambda o: torch_lr.LambdaLR(o, lambda t: (1 - t / T) / (0.5 + 0.5 * (1 - t / T))),
    "warmup(constant, epochs=2, first=0.25)": lambda o: torch_lr.LinearLR(o, 0.25, 1.0, 2 * E),
    "warmup(cosine, epochs=2, first=0.25)": lambda o: torch_lr.SequentialLR(
        o, [torch_lr.LinearLR(o, 0.25, 1.0, 2 * E), torch_lr.CosineAnnealingLR(o, T - 2 * E)], [2 * E]
    ),
    "stages([constant, linear(floor=0.1)], [0.25, 0.75])": lambda o: torch_lr.SequentialLR(
        o, [torch_lr.LambdaLR(o, lambda t: 1.0), torch_lr.LinearLR(o, 1.0, 0.1, T * 3 // 4)], [T // 4]
    ),
}


@pytest.mark.parametrize("text", TORCH)
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")  # SequentialLR's own call
def test_equals_torch(text):
    assert ours(text) == close(stepped(TORCH[text]))


def test_a_staircase_equals_torch_stepped_once_an_epoch():
    assert ours("exponential(gamma=0.7, staircase=True)") == close(
        stepped(lambda o: torch_lr.ExponentialLR(o, 0.7), every=E)
    )


ONECYCLE = {
    "onecycle": {},
    "onecycle(rise=0.25, div=10, final_div=100)": {"pct_start": 0.25, "div_factor": 10, "final_div_factor": 100},
    "onecycle(anneal='linear')": {"anneal_strategy": "linear"},
}


@pytest.mark.parametrize("text", ONECYCLE)
def test_onecycle_equals_torch_on_a_clock_of_one_more_update(text):
    """Torch ends its rise at update `pct T - 1` and its fall at T - 1; ours at progress `rise` and at 1, unreached.

    A torch cycle of T + 1 updates whose rise ends at update `rise T` is therefore ours, at each of our T updates.
    """
    chosen = ONECYCLE[text]
    rise = (chosen.get("pct_start", 0.3) * T + 1) / (T + 1)

    def make(o):
        return torch_lr.OneCycleLR(o, 1.0, total_steps=T + 1, **(chosen | {"pct_start": rise}))

    assert ours(text) == close(stepped(make))
    momenta = [setting.momentum for setting in factors(schedules.parse(text), T, E, 1.0)]
    assert momenta == close(stepped(make, "momentum"))


def test_onecycle_is_one_update_behind_torch_after_the_peak():
    theirs = stepped(lambda o: torch_lr.OneCycleLR(o, 1.0, total_steps=T))
    mine = ours("onecycle")
    peak = round(0.3 * T)
    assert mine[peak:] == close(theirs[peak - 1 : -1])
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


TRANSFORMERS = {
    "constant": lambda o: hf.get_constant_schedule(o),
    "warmup(constant, epochs=2, first=0)": lambda o: hf.get_constant_schedule_with_warmup(o, 2 * E),
    "linear": lambda o: hf.get_linear_schedule_with_warmup(o, 0, T),
    "warmup(linear, epochs=2, first=0)": lambda o: hf.get_linear_schedule_with_warmup(o, 2 * E, T),
    "cosine": lambda o: hf.get_cosine_schedule_with_warmup(o, 0, T),
    "warmup(cosine, fraction=0.1, first=0)": lambda o: hf.get_cosine_schedule_with_warmup(o, T // 10, T),
    "cosine(floor=0.1)": lambda o: hf.get_cosine_with_min_lr_schedule_with_warmup(o, 0, T, min_lr_rate=0.1),
    "cyclic(every=8, shape='cosine', low=0, begin='top')": lambda o: hf.get_cosine_schedule_with_warmup(
        o, 0, T, num_cycles=1.5
    ),
    "floor(polynomial(power=2), 0.1)": lambda o: hf.get_polynomial_decay_schedule_with_warmup(
        o, 0, T, lr_end=0.1, power=2.0
    ),
    "stages([cosine, cosine, cosine, cosine], [0.25, 0.25, 0.25, 0.25])": lambda o: (
        hf.get_cosine_with_hard_restarts_schedule_with_warmup(o, 0, T, num_cycles=4)
    ),
    "warmup(restarts(every=5), epochs=2, first=0)": lambda o: hf.get_cosine_with_hard_restarts_schedule_with_warmup(
        o, 2 * E, T, num_cycles=2
    ),
    "polynomial(power=2)": lambda o: hf.get_polynomial_decay_schedule_with_warmup(o, 0, T, lr_end=0.0, power=2.0),
    # timescale and warmup count updates there; the decay begins at the peak, as ours does behind a warmup
    "warmup(inverse_sqrt(tau=2), epochs=2, first=0)": lambda o: hf.get_inverse_sqrt_schedule(o, 2 * E),
    "inverse_sqrt(tau=3)": lambda o: hf.get_inverse_sqrt_schedule(o, 0, timescale=3 * E),
    "wsd": lambda o: hf.get_wsd_schedule(o, 0, T // 5, T, decay_type="linear"),
    "wsd(shape='sqrt')": lambda o: hf.get_wsd_schedule(o, 0, T // 5, T, decay_type="1-sqrt"),
    "wsd(shape='cosine')": lambda o: hf.get_wsd_schedule(o, 0, T // 5, T, decay_type="cosine"),
    "floor(wsd(shape='sqrt'), 0.1)": lambda o: hf.get_wsd_schedule(
        o, 0, T // 5, T, decay_type="1-sqrt", min_lr_ratio=0.1
    ),
    "floor(wsd(shape='cosine'), 0.1)": lambda o: hf.get_wsd_schedule(o, 0, T // 5, T, min_lr_ratio=0.1),
    "warmup(floor(wsd, 0.1), epochs=2, first=0.1, shape='cosine')": lambda o: hf.get_wsd_schedule(
        o, 2 * E, 20, T, warmup_type="cosine", decay_type="linear", min_lr_ratio=0.1
    ),
    "warmup(wsd, epochs=2, first=0, shape='sqrt')": lambda o: hf.get_wsd_schedule(
        o, 2 * E, 20, T, warmup_type="1-sqrt", decay_type="linear"
    ),
    # there the cooldown is a number of updates; ours is a share of what the warmup leaves: 0.2 of 100
    "warmup(wsd, epochs=2, first=0)": lambda o: hf.get_wsd_schedule(o, 2 * E, 20, T, decay_type="linear"),
}


@pytest.mark.parametrize("text", TRANSFORMERS)
def test_equals_transformers(text):
    assert ours(text) == close(stepped(TRANSFORMERS[text]))


def test_noam_is_one_update_ahead_of_transformers():
    """There the update before the first one is number 0, and has the LR 0."""
    theirs = stepped(lambda o: hf.get_inverse_sqrt_schedule(o, 2 * E))
    assert theirs[0] == 0
    assert ours("noam(warmup=2)")[:-1] == close(theirs[1:])


def test_cosine_is_one_update_behind_transformers_with_a_lowest_rate_in_the_warmup():
    """That one aims at the last update, T - 1, and skips the peak: its decay begins an update early."""
    make = hf.get_cosine_with_min_lr_schedule_with_warmup_lr_rate
    theirs = stepped(lambda o: make(o, 0, T, min_lr_rate=0.1))
    assert ours("cosine(floor=0.1)")[1:] == close(theirs[:-1])
    assert theirs[-1] == pytest.approx(0.1)


TIMM = {
    "cosine": lambda o: CosineLRScheduler(o, T, t_in_epochs=False),
    "cosine(floor=0.1)": lambda o: CosineLRScheduler(o, T, lr_min=0.1, t_in_epochs=False),
    "warmup(cosine, epochs=2, first=0.2)": lambda o: CosineLRScheduler(
        o, T - 2 * E, warmup_t=2 * E, warmup_lr_init=0.2, warmup_prefix=True, t_in_epochs=False
    ),
    "cosine(floor=0.1, k=2)": lambda o: CosineLRScheduler(o, T, lr_min=0.1, k_decay=2.0, t_in_epochs=False),
    "restarts(every=4, low=0.1, gamma=0.5)": lambda o: CosineLRScheduler(
        o, 4 * E, lr_min=0.1, cycle_decay=0.5, cycle_limit=9, t_in_epochs=False
    ),
    "restarts(every=1, mult=2, gamma=0.7)": lambda o: CosineLRScheduler(
        o, E, cycle_mul=2.0, cycle_decay=0.7, cycle_limit=9, t_in_epochs=False
    ),
    "multistep([3, 6], gamma=0.5)": lambda o: MultiStepLRScheduler(  # a milestone m there applies to update m - 1
        o, [3 * E + 1, 6 * E + 1], 0.5, t_in_epochs=False
    ),
    "tanh": lambda o: TanhLRScheduler(o, T, t_in_epochs=False),
    "floor(tanh(begin=-4, end=4), 0.1)": lambda o: TanhLRScheduler(
        o, T, lb=-4.0, ub=4.0, lr_min=0.1, t_in_epochs=False
    ),
    "polynomial(power=0.5, k=2)": lambda o: PolyLRScheduler(o, T, power=0.5, k_decay=2.0, t_in_epochs=False),
    "polynomial(power=0.5)": lambda o: PolyLRScheduler(o, T, power=0.5, t_in_epochs=False),
    "step(every=3, gamma=0.5)": lambda o: StepLRScheduler(o, 3 * E, 0.5, t_in_epochs=False),
    "wsd": lambda o: WSDLRScheduler(o, T, T // 5, decay_fn="linear", t_in_epochs=False),
    "wsd(cooldown=0.35, shape='sqrt')": lambda o: WSDLRScheduler(o, T, T * 35 // 100, t_in_epochs=False),
    "wsd(shape='power', power=3)": lambda o: WSDLRScheduler(
        o, T, T // 5, decay_fn="power", decay_power=3.0, t_in_epochs=False
    ),
    "wsd(shape='exp', ratio=0.01)": lambda o: WSDLRScheduler(
        o, T, T // 5, decay_fn="exp", decay_ratio=0.01, t_in_epochs=False
    ),
    "floor(wsd(shape='exp'), 0.2)": lambda o: WSDLRScheduler(
        o, T, T // 5, lr_min=0.2, decay_fn="exp", t_in_epochs=False
    ),
    "cooldown(inverse_sqrt(tau=2), shape='sqrt')": lambda o: WSDLRScheduler(
        o, T, T // 5, stable_fn="rsqrt", stable_timescale=2 * E, t_in_epochs=False
    ),
    "warmup(cooldown(inverse_time(tau=2, power=0.7), fraction=0.5), epochs=2, first=0)": lambda o: WSDLRScheduler(
        o,
        T - 2 * E,
        T // 2 - E,
        stable_fn="power",
        stable_power=0.7,
        decay_fn="linear",
        warmup_t=2 * E,
        t_in_epochs=False,
    ),
    "wsd(shape='cosine')": lambda o: WSDLRScheduler(o, T, T // 5, decay_fn="cosine", t_in_epochs=False),
}


@pytest.mark.parametrize("text", TIMM)
def test_equals_timm(text):
    """A timm scheduler is told the number of the update to come."""
    it = optimizer()
    scheduler, theirs = TIMM[text](it), []
    for t in range(T):
        scheduler.step_update(t)
        theirs.append(it.param_groups[0]["lr"])
    assert ours(text) == close(theirs)


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
