"""Refused schedulers of other libraries, and one step of each scheduler per update, however many cells there are."""

import pytest
import torch

import schedules
from bench.cli import main
from bench.contract import Clock, InputError
from schedules import borrowed
from schedules.replay import Replays
from schedules.schedule import factors

AMOUNTS = {
    "torch('MultiStepLR', milestones=['0.5 * total', '0.75 * total'])": [1.0] * 10 + [0.1] * 5 + [0.01] * 5,
    "torch('MultiStepLR', milestones=('.5*total', 15))": [1.0] * 10 + [0.1] * 5 + [0.01] * 5,
    "torch('MultiStepLR', milestones=['2 * epoch_steps', ' 3 * epoch_steps'])": [1.0] * 10 + [0.1] * 5 + [0.01] * 5,
    "timm('MultiStepLRScheduler', decay_t=['0.5 * epochs'], decay_rate=0.5)": [1.0] * 5 + [0.5] * 15,  # as timm counts
    "torch('StepLR', step_size='5e-1 * total', gamma=0.5)": [1.0] * 10 + [0.5] * 10,
}


@pytest.mark.parametrize("text", AMOUNTS)
def test_amounts_are_read_wherever_they_stand(text):
    it = schedules.parse(text)
    assert [s.factor for s in factors(it, 20, 5, 0.1)] == pytest.approx(AMOUNTS[text], rel=1e-12)
    assert it.horizon == ("absolute" if "epoch_steps" in text else "relative")
    assert schedules.parse(it.text).text == it.text


CONSTANT = (
    "transformers('get_constant_schedule')",
    "torch('ConstantLR', factor=1.0)",
    "torch('StepLR', step_size=3, gamma=1.0)",
    "torch('MultiStepLR', milestones=[])",
)


@pytest.mark.parametrize("text", CONSTANT)
def test_what_is_meant_to_be_constant_is(text):
    assert {s.factor for s in factors(schedules.parse(text), 20, 5, 0.1)} == {1.0}


REFUSED = {
    "torch('MultiStepLR', milestones=['half'])": "milestones should be a number or an amount, not 'half'",
    "torch('StepLR', step_size='3 * epoch')": "step_size should be a number or an amount, not '3 * epoch'",
    "torch('StepLR', step_size=5, gamma='0.1')": "gamma should be a number or an amount, not '0.1'",
    "torch('LambdaLR', lr_lambda='x')": "lr_lambda should be a number or an amount, not 'x'",
    "timm('CosineLRScheduler', t_initial='all')": "t_initial should be a number or an amount, not 'all'",
    "torch('MultiStepLR', milestones=['2 * total'])": "never moves: it would at update 400 of a budget of 200 first",
    "torch('StepLR', per='epoch', step_size='total')": "it is stepped once an epoch",
    "timm('StepLRScheduler', decay_t='total', decay_rate=0.1)": "never moves",
    "transformers('AdafactorSchedule')": "is no scheduler: it sets no LR",
    "transformers('AdafactorSchedule', initial_lr=0.05)": "is no scheduler: it sets no LR",
    "transformers('get_adafactor_schedule')": "is no scheduler: it sets no LR",
    "timm('create_scheduler_v2')": "is no scheduler: it sets no LR",
    "torch('LRScheduler')": "is not a scheduler by itself",
    "transformers('get_linear_schedule_with_warmup', num_warmup_steps=0, num_training_steps=1)": "an LR of 0 at every",
    "torch('ConstantLR', factor=0.0, total_iters='2 * total')": "leaves an LR of 0 at every update",
    "torch('MultiStepLR', milestones=[0.5, 0.75])": "a whole number, 0 or more, and not 0.5: a share of the budget is",
    "torch('MultiStepLR', milestones=[-5, -1])": "milestones is a count, a whole number, 0 or more, and not -5",
    "torch('MultiStepLR', milestones=[2.5])": "and not 2.5",
    "torch('MultiStepLR', milestones=['0.5 * total', 0.75])": "and not 0.75: a share of the budget is a text",
    "torch('MultiStepLR', milestones=['0.5 * peak_lr'])": "milestones is a count, and '0.5 * peak_lr' an LR",
    "torch('MultiStepLR', milestones=['0.5 * total', '2 * total'])": "has '2 * total', which never comes",
    "torch('MultiStepLR', per='epoch', milestones=['0.25 * epochs', '0.5 * total'])": "'0.5 * total', which never",
    "timm('MultiStepLRScheduler', decay_t=['0.5 * epochs', '3 * epochs'], decay_rate=0.5)": "'3 * epochs', which never",
    "torch('CosineAnnealingLR', T_max=0.5)": "T_max is a count, a whole number, 0 or more, and not 0.5",
    "torch('StepLR', step_size=0.5)": "step_size is a count, a whole number",  # torch decays at every update
    "torch('StepLR', step_size=True)": "step_size is a count, a whole number",
    "torch('StepLR', step_size=1e400)": "step_size is a count, a whole number",
    "timm('StepLRScheduler', decay_t=0.5, decay_rate=0.5)": "decay_t is a count, 0, or a number of 1 or more, and not",
    "timm('CosineLRScheduler', t_initial='epochs', warmup_t=0.1)": "warmup_t is a count, a whole number",
    "transformers('get_linear_schedule_with_warmup', num_warmup_steps=0.1, num_training_steps='total')": "not 0.1",
    "warmup(torch('LinearLR', total_iters=0.5), fraction=0.1)": "total_iters is a count, a whole number",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_trains_nothing_or_is_not_read_is_refused(text):
    with pytest.raises(InputError) as error:
        schedules.parse(text)
    assert REFUSED[text] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "torch('CyclicLR', base_lr='0.1 * peak_lr', max_lr='peak_lr', step_size_up=5, mode='triangular2')",
        "torch('OneCycleLR', max_lr='peak_lr', total_steps='total', anneal_strategy='linear')",
        "timm('WSDLRScheduler', t_initial='epochs', decay_t='0.5 * epochs', decay_fn='linear')",
        "transformers('get_wsd_schedule', num_warmup_steps=0, num_decay_steps=5, num_training_steps='total', "
        "decay_type='linear')",
    ],
)
def test_texts_stay_where_the_scheduler_takes_texts(text):
    assert len({s.factor for s in factors(schedules.parse(text), 20, 5, 0.1)}) > 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("torch('MultiStepLR', milestones=[100000])", "milestones has 100000, which never comes"),
        ("torch('MultiStepLR', milestones=[5, 100000])", "milestones has 100000, which never comes"),
        ("torch('MultiStepLR', milestones=[5, 26])", "milestones has 26, which never comes"),
        ("torch('MultiStepLR', milestones=[5, 20])", None),  # at one of two budgets
        ("torch('MultiStepLR', milestones=['0.5 * total', '0.5 * total'])", None),
        ("torch('MultiStepLR', milestones=[100000], gamma=1.0)", None),
        ("torch('StepLR', step_size=100000)", "step_size has 100000, which never comes"),
        ("timm('StepLRScheduler', decay_t=2.4, decay_rate=0.5)", None),  # as timm's own recipes have it
        ("warmup(torch('MultiStepLR', milestones=[100000]), fraction=0.1)", "milestones has 100000, which never comes"),
        ("chain([cosine, torch('StepLR', step_size=200)])", "never moves: it would at update 200 first"),
        ("stages([torch('MultiStepLR', milestones=['0.5 * total']), cosine], [0.5, 0.5])", None),
        ("torch('PolynomialLR', total_iters=2)", "leaves an LR of 0 from update 2 of"),
        ("torch('StepLR', step_size=200)", "never moves: it would at update 200 first, and the longest budget has"),
    ],
)
def test_at_the_budgets_of_a_plan(text, words, capsys):
    """Whatever a list names comes in some cell, at any depth of a schedule."""
    code = main.main(["plan", "smoke", "--tasks", "linreg", "--schedules", f"constant, {text}", "--seeds", "1"])
    told = capsys.readouterr().err
    assert (code, words is None or words in told) == (0 if words is None else 2, True)


def steps_taken(monkeypatch, cells, total, step=lambda it, at: it(None, at, None)):
    """Calls of StepLR.get_lr while so many cells train together."""
    monkeypatch.setattr(borrowed, "REPLAYS", Replays())
    text = "torch('StepLR', step_size=7)"
    machine, calls = schedules.parse(text), []
    plain = torch.optim.lr_scheduler.StepLR.get_lr
    monkeypatch.setattr(torch.optim.lr_scheduler.StepLR, "get_lr", lambda self: calls.append(1) or plain(self))
    for at in range(total):
        for cell in range(cells):
            step(machine, Clock(at, total, 10, 0.1 + cell / 1000))
    return len(calls)


@pytest.mark.parametrize("cells", [3, 300])
def test_each_cell_steps_its_scheduler_once_an_update(monkeypatch, cells):
    assert steps_taken(monkeypatch, cells, 6) == cells * 6


def test_cells_that_share_a_clock_share_the_steps(monkeypatch):
    assert steps_taken(monkeypatch, 300, 6, lambda it, at: it(None, at._replace(peak_lr=0.37), None)) == 6
