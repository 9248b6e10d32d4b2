"""Our factors against torch, timm and transformers, at every update: 1e-12 absolute, deviations said in the test.

All run at a base LR of 1, so that an LR is a factor, and are read as they stand when update t is taken.
"""

import random

import pytest
import torch
from timm.scheduler.cosine_lr import CosineLRScheduler
from timm.scheduler.poly_lr import PolyLRScheduler
from timm.scheduler.step_lr import StepLRScheduler
from timm.scheduler.wsd_lr import WSDLRScheduler
from torch.optim import lr_scheduler as torch_lr
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


TORCH = {
    "constant": lambda o: torch_lr.LambdaLR(o, lambda t: 1.0),
    "exponential(gamma=0.9)": lambda o: torch_lr.ExponentialLR(o, 0.9 ** (1 / E)),
    "step(every=3, gamma=0.5)": lambda o: torch_lr.StepLR(o, 3 * E, 0.5),
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


TRANSFORMERS = {
    "constant": lambda o: hf.get_constant_schedule(o),
    "warmup(constant, epochs=2, first=0)": lambda o: hf.get_constant_schedule_with_warmup(o, 2 * E),
    "linear": lambda o: hf.get_linear_schedule_with_warmup(o, 0, T),
    "warmup(linear, epochs=2, first=0)": lambda o: hf.get_linear_schedule_with_warmup(o, 2 * E, T),
    "cosine": lambda o: hf.get_cosine_schedule_with_warmup(o, 0, T),
    "warmup(cosine, fraction=0.1, first=0)": lambda o: hf.get_cosine_schedule_with_warmup(o, T // 10, T),
    "cosine(floor=0.1)": lambda o: hf.get_cosine_with_min_lr_schedule_with_warmup(o, 0, T, min_lr_rate=0.1),
    "polynomial(power=2)": lambda o: hf.get_polynomial_decay_schedule_with_warmup(o, 0, T, lr_end=0.0, power=2.0),
    # timescale and warmup count updates there; the decay begins at the peak, as ours does behind a warmup
    "warmup(inverse_sqrt(tau=2), epochs=2, first=0)": lambda o: hf.get_inverse_sqrt_schedule(o, 2 * E),
    "inverse_sqrt(tau=3)": lambda o: hf.get_inverse_sqrt_schedule(o, 0, timescale=3 * E),
    "wsd": lambda o: hf.get_wsd_schedule(o, 0, T // 5, T, decay_type="linear"),
    "wsd(shape='sqrt')": lambda o: hf.get_wsd_schedule(o, 0, T // 5, T, decay_type="1-sqrt"),
    "wsd(shape='cosine')": lambda o: hf.get_wsd_schedule(o, 0, T // 5, T, decay_type="cosine"),
    # there the cooldown is a number of updates; ours is a share of what the warmup leaves: 0.2 of 100
    "warmup(wsd, epochs=2, first=0)": lambda o: hf.get_wsd_schedule(o, 2 * E, 20, T, decay_type="linear"),
}


@pytest.mark.parametrize("text", TRANSFORMERS)
def test_equals_transformers(text):
    assert ours(text) == close(stepped(TRANSFORMERS[text]))


TIMM = {
    "cosine": lambda o: CosineLRScheduler(o, T, t_in_epochs=False),
    "cosine(floor=0.1)": lambda o: CosineLRScheduler(o, T, lr_min=0.1, t_in_epochs=False),
    "warmup(cosine, epochs=2, first=0.2)": lambda o: CosineLRScheduler(
        o, T - 2 * E, warmup_t=2 * E, warmup_lr_init=0.2, warmup_prefix=True, t_in_epochs=False
    ),
    "polynomial(power=0.5)": lambda o: PolyLRScheduler(o, T, power=0.5, t_in_epochs=False),
    "step(every=3, gamma=0.5)": lambda o: StepLRScheduler(o, 3 * E, 0.5, t_in_epochs=False),
    "wsd": lambda o: WSDLRScheduler(o, T, T // 5, decay_fn="linear", t_in_epochs=False),
    "wsd(cooldown=0.35, shape='sqrt')": lambda o: WSDLRScheduler(o, T, T * 35 // 100, t_in_epochs=False),
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
