"""Adapter to torch's schedulers (out), and schedulers of torch, timm and transformers as schedules (in)."""

import json
import math

import numpy as np
import pytest
import torch

import schedules
from bench.contract import Clock, InputError
from schedules.adapter import Scheduler
from schedules.schedule import factors
from tests.schedules.examples import EXAMPLES, run, signals

TOTAL, EPOCH_STEPS, PEAK = 60, 5, 0.1
OPEN = [text for text in EXAMPLES if not schedules.parse(text).needs]
CLOSED = [text for text in EXAMPLES if schedules.parse(text).needs]


def sgd(*lrs):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs or (PEAK,)]
    return torch.optim.SGD(groups, lr=PEAK, momentum=0.7)


def told(schedule, seen):
    return {name: getattr(seen, name) for name in schedule.needs}


def driven(it, scheduler, start=0):
    """(LR, momentum) of each update of a loop that goes by the scheduler's docstring."""
    seen, settings = signals(TOTAL), []
    for step in range(start, TOTAL):
        if scheduler.schedule.needs:
            scheduler.step(**told(scheduler.schedule, seen[step]))
        settings.append((it.param_groups[0]["lr"], it.param_groups[0]["momentum"]))
        it.step()
        if not scheduler.schedule.needs:
            scheduler.step()
    return settings


def made(text, it):
    return Scheduler(it, text, total=TOTAL, epoch_steps=EPOCH_STEPS)


@pytest.mark.parametrize("text", EXAMPLES)
def test_out_sets_what_the_schedule_says(text):
    it = sgd()
    mine = run(schedules.parse(text), TOTAL, EPOCH_STEPS)[0]
    expected = [(PEAK * s.factor, 0.7 if s.momentum is None else s.momentum) for s in mine]
    assert driven(it, made(text, it)) == expected


@pytest.mark.parametrize("text", [*CLOSED, "cosine", "onecycle", "stages([onecycle, constant], [0.5, 0.5])"])
@pytest.mark.parametrize("cut", [0, 1, 31, 59])
@pytest.mark.parametrize("late", [False, True], ids=["scheduler first", "optimizer first"])
def test_out_resumes_exactly(text, cut, late):
    it = sgd()
    whole = driven(it, made(text, it))
    it = sgd()
    scheduler, seen = made(text, it), signals(TOTAL)
    for step in range(cut):
        it.step()
        scheduler.step(**(told(scheduler.schedule, seen[step]) if scheduler.schedule.needs else {}))
    saved, theirs = json.loads(json.dumps(scheduler.state_dict())), it.state_dict()
    again = sgd()
    if late:
        again.load_state_dict(theirs)
    scheduler = made(text, again)
    scheduler.load_state_dict(saved)
    if not late:
        again.load_state_dict(theirs)
    assert driven(again, scheduler, cut) == whole[cut:]


def test_each_group_has_its_own_peak():
    it = sgd(0.1, 0.4)
    scheduler = made("linear", it)
    for _ in range(15):
        it.step()
        scheduler.step()
    assert [group["lr"] for group in it.param_groups] == scheduler.get_last_lr() == [0.1 * 0.75, 0.4 * 0.75]
    it = sgd(1.0, 0.1)
    made("polyak", it).step(loss=0.1, grad_norm=1.0)
    assert [group["lr"] for group in it.param_groups] == pytest.approx([0.2, 0.1])


def test_momentum_is_the_first_beta_of_adam():
    it = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=PEAK, betas=(0.8, 0.99))
    scheduler = made("stages([onecycle, constant], [0.5, 0.5])", it)
    assert it.param_groups[0]["betas"] == (0.95, 0.99)
    for _ in range(30):
        it.step()
        scheduler.step()
    assert it.param_groups[0]["betas"] == (0.8, 0.99)


def test_beyond_its_budget_the_lr_stays():
    it = sgd()
    scheduler = made("linear", it)
    driven(it, scheduler)
    last = it.param_groups[0]["lr"]
    scheduler.step()
    assert it.param_groups[0]["lr"] == last == pytest.approx(PEAK / TOTAL)


@pytest.mark.parametrize("name", ["total", "epoch_steps"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10.5, 0, -1, 0.5, True, "10", None, [10], 10 + 0j])
def test_a_budget_is_a_whole_number_of_updates(name, value):
    """Without an end the LR would stay at its peak for ever."""
    with pytest.raises(InputError, match=rf"^{name} .*: give a whole number of updates, 1 or more$"):
        Scheduler(sgd(), "cosine", **({"total": 10, "epoch_steps": 5} | {name: value}))


@pytest.mark.parametrize("value", [10, 10.0, np.int64(10), np.float64(10)])
def test_any_kind_of_whole_number_is_a_budget(value):
    scheduler = Scheduler(sgd(), "cosine", total=value, epoch_steps=value)
    assert (scheduler.total, type(scheduler.total)) == (10, int)


def test_what_cannot_be_done_is_told():
    it = sgd()
    with pytest.raises(InputError, match=r"polyak is closed loop: call step\(grad_norm=\.\.\.\) before optimizer"):
        made("polyak", it).step(loss=1.0)
    with pytest.raises(InputError, match="1 or more"):
        Scheduler(it, "cosine", total=0, epoch_steps=1)
    with pytest.raises(InputError, match="cannot go on from the state of"):
        made("cosine", it).load_state_dict(made("linear", it).state_dict())


# -------------------------------------------------------------------------------------------------- in

IN = {  # theirs: ours
    "torch('ConstantLR', factor=1.0)": "constant",
    "torch('CosineAnnealingLR', T_max='total')": "cosine",
    "torch('CosineAnnealingLR', T_max='total', eta_min='0.1 * peak_lr')": "cosine(floor=0.1)",
    "torch('CosineAnnealingLR', T_max='epochs', per='epoch')": None,
    "torch('LinearLR', start_factor=1.0, end_factor=0.2, total_iters='total')": "linear(floor=0.2)",
    "torch('PolynomialLR', total_iters='total', power=2.0)": "polynomial(power=2)",
    "torch('StepLR', step_size='3 * epoch_steps')": "step(every=3)",
    "torch('StepLR', step_size=3, per='epoch')": "step(every=3)",
    "torch('MultiStepLR', milestones=[2, 7], gamma=0.5, per='epoch')": "multistep([2, 7], gamma=0.5)",
    "torch('ExponentialLR', gamma=0.9, per='epoch')": "exponential(gamma=0.9, staircase=True)",
    "torch('CosineAnnealingWarmRestarts', T_0='2 * epoch_steps', T_mult=2)": "restarts(every=2, mult=2)",
    "torch('CyclicLR', base_lr='0.1 * peak_lr', max_lr='peak_lr', step_size_up='epoch_steps', cycle_momentum=False)": (
        "cyclic(every=2)"
    ),
    "timm('CosineLRScheduler', t_initial='total', t_in_epochs=False)": "cosine",
    "timm('CosineLRScheduler', t_initial='total', lr_min='0.1 * peak_lr', k_decay=2.0, t_in_epochs=False)": (
        "cosine(floor=0.1, k=2)"
    ),
    "timm('StepLRScheduler', decay_t=3, decay_rate=0.1)": "step(every=3)",
    "transformers('get_constant_schedule')": "constant",
    "transformers('get_linear_schedule_with_warmup', num_warmup_steps=0, num_training_steps='total')": "linear",
    "transformers('get_cosine_schedule_with_warmup', num_warmup_steps='0.1 * total', num_training_steps='total')": (
        "warmup(cosine, fraction=0.1, first=0)"
    ),
    "transformers('get_wsd_schedule', num_warmup_steps=0, num_decay_steps='0.2 * total', num_training_steps='total')": (
        "wsd(shape='cosine')"
    ),
}


def traced(text, total=120, epoch_steps=10, peak_lr=0.1):
    return factors(schedules.parse(text), total, epoch_steps, peak_lr)


@pytest.mark.parametrize("text", IN)
def test_in_equals_ours(text):
    mine = [s.factor for s in traced(text)]
    if IN[text] is None:  # ours is never stepped by the epoch
        expected = [s.factor for s in traced("cosine", 12, 1) for _ in range(10)]
    else:
        expected = [s.factor for s in traced(IN[text])]
    assert mine == pytest.approx(expected, rel=0, abs=1e-12)


def test_in_from_timm_begins_at_what_its_constructor_leaves():
    """Its own training tells a scheduler of update 1 first; update 0 runs at the peak, which is not on this curve."""
    mine = traced("timm('TanhLRScheduler', t_initial='total', lb=-6.0, ub=4.0, t_in_epochs=False)")
    ours = traced("tanh(begin=-6, end=4)")
    assert [s.factor for s in mine[1:]] == pytest.approx([s.factor for s in ours[1:]], rel=0, abs=1e-12)
    assert mine[0].factor == 1.0 > ours[0].factor


def test_a_budget_among_the_settings_makes_the_horizon_relative():
    for text, horizon in (("step_size=3", "absolute"), ("step_size='3 * epoch_steps'", "absolute")):
        assert schedules.parse(f"torch('StepLR', {text})").horizon == horizon
    assert schedules.parse("torch('StepLR', step_size='0.3 * total')").horizon == "relative"
    assert schedules.parse("torch('StepLR', per='epoch', step_size='0.3 * epochs')").horizon == "relative"


def test_in_brings_the_momentum_of_those_that_cycle_it():
    settings = "max_lr='peak_lr', total_steps='total', base_momentum=0.8"
    cycling = [s.momentum for s in traced(f"torch('OneCycleLR', {settings})")]
    assert cycling[0] == pytest.approx(0.95)
    assert min(cycling) == pytest.approx(0.8)
    assert {s.momentum for s in traced(f"torch('OneCycleLR', {settings}, cycle_momentum=False)")} == {None}


def test_in_and_out_again_is_where_it_came_from():
    it, theirs = sgd(), sgd()
    scheduler = made("torch('CosineAnnealingLR', T_max='total')", it)
    other = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, TOTAL)
    for _ in range(TOTAL):
        assert it.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-14)
        for one in (it, theirs, scheduler, other):
            one.step()


def test_in_is_asked_in_any_order_and_by_many_cells():
    it = schedules.parse("torch('ExponentialLR', gamma=0.9)")
    at = [(step, total, peak) for total in (20, 30) for peak in (0.1, 0.2) for step in (19, 3, 7, 0)]
    for step, total, peak in at:
        assert it(None, Clock(step, total, 5, peak), None)[0].factor == pytest.approx(0.9**step, rel=1e-13)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("torch('CosineLR')", "unknown scheduler of torch 'CosineLR'"),
        ("torch('LambdaLR')", "schedule torch: LambdaLR: missing a required argument: 'lr_lambda'"),
        ("torch('StepLR', step=3)", "schedule torch: StepLR: missing a required argument: 'step_size'"),
        ("torch('StepLR', step_size=3, per='day')", "per should be 'update' or 'epoch', not 'day'"),
        ("torch('ReduceLROnPlateau')", "ReduceLROnPlateau needs the loss: use the schedule plateau instead"),
        ("transformers('get_greedy_schedule')", "use the schedule greedy instead"),
        ("timm('Scheduler2')", "unknown scheduler of timm 'Scheduler2'"),
        ("torch(3)", "schedule torch: name should be a text, not 3"),
        ("torch()", "missing a required argument: 'name'"),
    ],
)
def test_what_cannot_be_borrowed_is_refused(text, words):
    with pytest.raises(InputError) as error:
        schedules.parse(text)
    assert words in str(error.value)


def test_what_the_library_itself_refuses_is_one_line():
    it = schedules.parse("torch('OneCycleLR', max_lr=1.0, total_steps=9, anneal_strategy='none')")
    with pytest.raises(InputError, match=r"schedule torch\('OneCycleLR', .*\): OneCycleLR: ValueError: "):
        it(None, Clock(0, 9, 3, 0.1), None)
    it = schedules.parse("torch('OneCycleLR', max_lr=1.0, total_steps=5)")
    with pytest.raises(InputError, match="ValueError: Tried to step 6 times"):
        it(None, Clock(8, 9, 3, 0.1), None)
