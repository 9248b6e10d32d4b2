"""What a plan counts on is what the engines take: measured where torch allocates, at every step of a cohort's life."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.contract import Cell, Data, Move, Split
from bench.engine import memory
from bench.engine.allocation import AllocationMeter
from bench.strategies import optimizers
from bench.strategies.averagings import Averagings
from tests.engine.toys import Net, Plain, create, toy

MEMBERS = 5


class Wide(nn.Sequential):
    """Weights that outweigh what eight examples keep; a tenth of them don't train."""

    def __init__(self):
        super().__init__(nn.Linear(6, 300), nn.ReLU(), nn.Linear(300, 300), nn.Linear(300, 100), nn.Linear(100, 3))
        self[3].requires_grad_(False)


class Normed(nn.Sequential):
    """The same with BatchNorm, whose statistics are computed anew for what is read."""

    def __init__(self):
        super().__init__(nn.Linear(6, 300), nn.BatchNorm1d(300), nn.ReLU(), nn.Linear(300, 300), nn.Linear(300, 3))


def cells(optimizer, *averagings):
    """A cell for each averaging and each of two budgets."""
    fields = {"task": "toy", "schedule": "constant", "optimizer": optimizer, "peak_lr": 0.1, "weight_decay": 0.0}
    spans = [(0.5, 8), (1.0, 16)]
    return [
        Cell(**fields, budget=budget, total=total, seed=0, data="", averaging=averaging)
        for averaging in averagings
        for budget, total in spans
    ]


def peak(trained, loader, riders, recall):
    """Bytes that lay there at most, of tensors made after the engine."""
    trained.recall = recall
    averagings, every_row = Averagings(riders, loader.epoch_steps), range(MEMBERS)
    seated = [range(len(riders))] * MEMBERS
    with AllocationMeter() as meter:
        for step in range(16):
            trained.look(loader.batch(step), step)
            if step == 1:
                trained.take([0] * MEMBERS)
            trained.move([Move(0.01)] * (MEMBERS if step else 1))
            for (slot, share), rows in averagings.blends(seated if step else seated[:1], step + 1).items():
                trained.blend(slot, rows, share)
        trained.evaluate("control", every_row)
        for (_, recipe), rows in averagings.readings(dict(enumerate(seated)), 16).items():
            trained.averaged(["control"], rows, recipe)
        trained.recalibrated("test", every_row)
    return meter.most


READ = ("none", "ema", "swa", "lawa(k=2)")


@pytest.mark.parametrize(
    ("engine", "optimizer", "model", "averagings", "recall"),
    [
        ("modules", "sgd", Wide, ("none",), False),
        ("modules", "sgd", Normed, ("none",), False),
        ("modules", "adamw", Wide, READ, True),
        ("modules", "schedulefree_sgd", Normed, ("none",), True),
        ("stacked", "sgd", Wide, ("none",), True),
        ("stacked", "sgd", Normed, READ, False),
        ("stacked", "adamw", Wide, ("none",), False),
        ("stacked", "adamw", Normed, READ, True),
        ("compiled", "sgd", Wide, ("none",), False),
        ("compiled", "adamw", Normed, READ, True),
        ("rowwise", "sgd", Wide, ("none",), False),
        ("rowwise", "adamw", Normed, READ, True),
    ],
)
def test_a_cohort_takes_no_more_than_the_plan_counts_on(engine, optimizer, model, averagings, recall):
    if optimizer.startswith("schedulefree"):
        pytest.importorskip("schedulefree")
    task, riders = toy(model), cells(optimizer, *averagings)
    trained, loader = create(engine, task, optimizer, dtype=torch.float32)
    first = 4 * sum(p.numel() for p in model().parameters())  # made before anything is counted
    taken = memory.of_cohort(task, riders, engine, recalls=recall)
    planned = taken.taken(MEMBERS)
    assert 0.7 * planned < first + peak(trained, loader, riders, recall) < planned


class Convolved(nn.Sequential):
    """Few weights, and outputs that are large beside them; stacked, a convolution takes copies of its inputs."""

    def __init__(self):
        super().__init__(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 20, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3))


def many():
    """600 examples for control, in three chunks."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(632, 6)), draw.integers(0, 3, 632)
    return Data(*(Split((x[a:b],), (y[a:b],)) for a, b in ((0, 16), (16, 616), (616, 632))))


@pytest.mark.parametrize("engine", ["modules", "stacked", "rowwise"])
@pytest.mark.parametrize("model", [Wide, Convolved])
def test_what_an_evaluation_holds_is_in_the_plan(engine, model):
    task, riders = replace(toy(model), load=many), cells("sgd", "none")
    trained, loader = create(engine, task, "sgd", dtype=torch.float32)
    trained.look(loader.batch(0), 0)
    trained.take([0] * MEMBERS)
    loader.split("control")
    with AllocationMeter() as meter:
        trained.evaluate("control", range(MEMBERS))
    evaluation = memory.of_evaluation(task, engine == "stacked")
    copies = 4 * sum(p.numel() for p in model().parameters() if p.requires_grad) * MEMBERS
    at_once = MEMBERS if engine == "stacked" else 1
    planned = at_once * evaluation.chunk + (MEMBERS + 1) * evaluation.outputs
    planned += 0 if engine == "modules" else copies
    assert 0.8 * planned < meter.most <= planned
    taken = memory.of_cohort(task, riders, engine)
    assert meter.most < taken.taken(MEMBERS)


def test_riders_averages_count_by_what_they_keep():
    def copies(*averagings):
        riders = cells("sgd", "none", *averagings)
        trained = sum(p.numel() for p in Wide().parameters() if p.requires_grad)
        return round(memory.of_cohort(toy(Wide), riders, "modules").member / (4 * trained), 2)

    assert copies() == 3  # weights, gradients, momentum
    assert copies("ema") == 3 + 1  # in evaluation, where a copy is in the gradients' place
    assert copies("ema", "ema(decay=0.9)") == 3 + 2
    assert copies("swa") == 3 + 2  # each budget has its own
    assert copies("lawa(k=3)") == 3 + 3


@pytest.mark.parametrize("name", [name for name, kind in optimizers.CATALOGUE.items() if kind.slots is not None])
def test_what_an_optimizer_says_it_keeps_is_what_it_keeps(name):
    assert optimizers.CATALOGUE[name].slots == memory.measured_slots(name)


def test_the_memory_of_a_look_is_what_autograd_keeps():
    task = replace(toy(Plain), batch_size=16)
    inputs, logits, label = 6 * 4, 3 * 4, 8  # bytes of an example that a linear layer and cross-entropy keep
    assert memory.of_look(task) == pytest.approx(16 * (inputs + logits + label), rel=0.1), "the weights are not in it"
    assert memory.of_look(task, parts=4) == memory.of_look(task) / 4
    assert memory.of_look(toy(Net)) > 8 * 2 * 8 * 4, "at least what BatchNorm and ReLU take, of 8 examples"


def test_looks_are_one_at_a_time_in_modules_and_all_at_once_when_stacked():
    task = replace(toy(Plain), batch_size=16)
    modules, stacked = (memory.of_cohort(task, cells("sgd", "none"), engine) for engine in ("modules", "stacked"))
    assert modules.shared >= memory.of_look(task) > stacked.shared
    assert stacked.member >= memory.of_look(task) > modules.member - 4 * 3 * 21


def test_graphs_on_a_gpu_hold_what_looks_and_moves_take_elsewhere():
    task, riders = replace(toy(Wide), batch_size=16), cells("sgd", "none")
    cpu, gpu = (memory.of_cohort(task, riders, "rowwise", device=device) for device in ("cpu", "cuda:1"))
    assert gpu.shared > cpu.shared + memory.of_look(task)
    assert gpu.member > cpu.member
    assert memory.of_cohort(task, riders, "stacked", device="cuda") == memory.of_cohort(task, riders, "stacked")


def test_memory_holds_as_many_members_as_there_is_room_for_and_one_at_least():
    taken = memory.Demand(100.0, 10.0)
    assert taken.members(125 / memory.SHARE) == 2
    assert taken.members(131 / memory.SHARE) == 3
    assert taken.members(0.0) == 1
    filled = memory.Demand(100.0, 10.0, filled=True)
    assert [filled.taken(members) for members in (2, 3, 33)] == [120, 140, 740]
    assert [filled.members(filled.taken(members) / memory.SHARE) for members in (2, 3, 4, 33)] == [2, 4, 4, 64]
    assert filled.members(131 / memory.SHARE) == 2
