"""Looks replayed from a trace against looks through functorch: the same bits, and no trace where it would lie."""

import pytest
import torch

import tasks
from bench import suites
from bench.contract import Move
from bench.engine.stacked import traced
from tests.engine.toys import Drops, Net, Plain, create, drive, same, toy

TRACEABLE = {"digits", "mnist5k", "vowels", "digits(model='cnn')", "scenes", "linreg", "quadratic"}
"""Of `core`: `grammar` has a model of transformers, which looks at the batch to decide whether it needs a mask."""


class Counting(Plain):
    """Depends on a number that no tensor holds."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


class Choosy(Plain):
    """Depends on a value of the batch."""

    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


def pair(monkeypatch, often, *arguments):
    """The engine with and without traces, each with its loader."""
    monkeypatch.setattr(traced, "OFTEN", often)
    fast, slow = create("stacked", *arguments), create("stacked", *arguments)
    slow[0]._look._traceable = False
    return fast, slow


@pytest.mark.parametrize(("optimizer", "clip"), [("sgd", None), ("adamw", 0.3)])
def test_forks_dropout_and_batch_norm_give_the_same_bits(monkeypatch, optimizer, clip):
    crews = pair(monkeypatch, 1, toy(clip=clip), optimizer, 0.03, torch.float32)
    fast, slow = (drive(*crew, 30, 0.05, (None, 0.8)) for crew in crews)
    assert {shapes[0] for shapes in fast._look._programs} == {2, 3}  # a lone member has a shadow
    assert same(fast.state_dict(), slow.state_dict())
    losses, others = ([[a.tobytes() for a in look] for look in crew.history()] for crew in (fast, slow))
    assert losses == others


@pytest.mark.parametrize("name", [grid.task for grid in suites.core().grids])
def test_every_embedded_model_gives_the_same_bits(monkeypatch, name):
    task = tasks.parse(name)
    crews = pair(monkeypatch, 1, task, None, task.weight_decay, torch.float32)
    for trained, loader in crews:
        trained.take([0, 0, 0])
        for k in range(4):
            trained.look(loader.batch(k), k)
            trained.move([Move(task.peak_lrs[0] / (1 + i)) for i in range(3)])
    assert bool(crews[0][0]._look._programs) == (name in TRACEABLE)
    assert same(crews[0][0].state_dict(), crews[1][0].state_dict())


@pytest.mark.parametrize("model", [Counting, Choosy])
def test_what_a_trace_cannot_repeat_is_not_traced(monkeypatch, model):
    crews = pair(monkeypatch, 3, toy(model), None, 0.0, torch.float32)
    fast, slow = (drive(*crew, 12, 0.05) for crew in crews)
    assert not fast._look._programs
    if model is Choosy:  # the other counts the looks that a trace was tried on, too
        assert same(fast.state_dict(), slow.state_dict())


def test_cohorts_share_traces_but_for_those_with_tensors_of_a_model(monkeypatch):
    made, make = [], traced.make_fx
    monkeypatch.setattr(traced, "make_fx", lambda function: made.append(1) or make(function))
    monkeypatch.setattr(traced, "OFTEN", 3)
    for model, count in ((Drops, 1), (Net, 3)):  # Net has a frozen weight, and its cohorts trace for themselves
        task = toy(model)
        for _ in range(2):
            trained, loader = create("stacked", task)
            for k in range(5):
                trained.look(loader.batch(k), k)
                trained.move([Move(0.1)])
            assert trained._look._programs
        assert len(made) == count


def test_a_trace_is_made_once_for_a_width(monkeypatch):
    made = []
    make = traced.make_fx
    monkeypatch.setattr(traced, "make_fx", lambda function: made.append(1) or make(function))
    (trained, loader), _ = pair(monkeypatch, 2, toy(Net))
    for k in range(30):
        trained.take([0, 0, 0] if k % 6 < 3 else [0, 1])
        trained.look(loader.batch(k), k)
        trained.move([Move(0.1)] * (3 if k % 6 < 3 else 2))
    assert len(made) == len(trained._look._programs) == 2
