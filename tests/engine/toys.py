"""A small task that has all that is hard to stack, and a drive that forks, retires and reorders members."""

from itertools import chain

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils import _pytree as pytree

from bench import engine
from bench.contract import Baseline, Data, Move, Split, Task
from bench.engine.loader import Loader
from bench.numerics import Arithmetic


class Net(nn.Module):
    """BatchNorm, dropout, an embedding looked up by a buffer of integers, a frozen weight and one out of use."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(6, 8, bias=False)
        self.norm = nn.BatchNorm1d(8)
        self.places = nn.Embedding(8, 1)
        self.register_buffer("positions", torch.arange(8), persistent=False)
        self.frozen = nn.Parameter(torch.ones(8), requires_grad=False)
        self.idle = nn.Linear(8, 8)
        self.outside = nn.Linear(8, 3)

    def forward(self, x):
        hidden = self.norm(self.inside(x)) * self.frozen + self.places(self.positions).squeeze(1)
        return self.outside(functional.dropout(hidden.relu(), 0.3, self.training))


class Plain(nn.Linear):
    """Neither BatchNorm nor dropout, for data parallelism."""

    def __init__(self):
        super().__init__(6, 3)


class Drops(Plain):
    """Dropout alone."""

    def forward(self, x):
        return super().forward(functional.dropout(x, 0.3, self.training))


class Moody(Plain):
    """Decides by its weights what to do, which cannot be stacked."""

    def forward(self, x):
        return super().forward(x) if self.weight.sum() > -1e9 else x


def load():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(64, 6))
    y = (x @ draw.normal(size=(6, 3))).argmax(1)
    return Data(*(Split((x[i : i + 16 * n],), (y[i : i + 16 * n],)) for i, n in ((0, 2), (32, 1), (48, 1))))


def accuracy(output, target):
    return {"accuracy": (output.argmax(1) == target[0]).double().mean().item(), "mean": output.double().mean().item()}


def toy(model=Net, clip=None):
    return Task(
        name="toy",
        family="tunnel",
        source="made here",
        batch_size=8,
        epochs=5,
        metric="accuracy",
        direction="max",
        optimizer="sgd",
        weight_decay=0.0,
        peak_lrs=(0.1,),
        layers="mlp",
        load=load,
        model=model,
        loss=lambda output, target: functional.cross_entropy(output, target[0]),
        score=accuracy,
        baseline=lambda data: Baseline("chance", 1 / 3),
        clip=clip,
    )


def create(name, task, optimizer=None, weight_decay=0.0, dtype=torch.float64, accelerator=None, **arithmetic):
    """An engine with its loader, by default in float64 and otherwise of the usual arithmetic."""
    loader = Loader(task, 0, dtype=dtype)
    trained = engine.create(
        name, loader, optimizer or task.optimizer, weight_decay, accelerator, Arithmetic(**arithmetic)
    )
    return trained, loader


FORKS = {3: [0, 0], 10: [1, 0, 1], 12: [0, 1, 2], 16: [2, 0], 18: [1], 20: [0, 0, 0]}
"""Rows taken at a step: forks, a retirement that reorders, a lone member, nothing."""


def drive(trained, loader, steps, lr, momenta=(None,), start=0, visit=lambda step: None):
    """Train over `steps` from `start`, each member at its own LR and momentum; at `visit`, nothing may change."""
    members = len(FORKS[max((k for k in FORKS if k < start), default=18)])
    for k in range(start, steps):
        trained.look(loader.batch(k), k)
        if k in FORKS:
            trained.take(FORKS[k])
            members = len(FORKS[k])
        trained.move([Move(lr * (1 + i) / (1 + k / 20), momenta[(k + i) % len(momenta)]) for i in range(members)])
        visit(k)
    return trained


def tensors(trained):
    """Weights and buffers of each member of either engine, by name."""
    if hasattr(trained, "members"):
        models = (member.model for member in trained.members)
        return [{n: t.detach() for n, t in chain(m.named_parameters(), m.named_buffers())} for m in models]
    shared = {name: p.detach() for name, p in trained._model.named_parameters()}
    copies = trained._weight_WP, trained._buffers, trained._counts
    return [shared | trained._named(copies, i) for i in range(trained._members)]


ROUNDING = 1e-11  # a weight that was moved by rounding alone is nearer to 0


def apart(own, other):
    """Largest difference of any tensor, relative to the tensor's largest value, or to 0.01 if that is more.

    A weight that the loss depends on by rounding alone (the bias of attention's keys) has no scale of its own: Adam
    takes it 1e-12 from 0 in 50 steps. Where the other has been moved no further than that, it is relative to 0.1.
    """
    worst = 0.0
    assert len(own) == len(other)
    for a, b in zip(own, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            largest = b[name].abs().max().item()
            scale = 0.1 if 0 < largest < ROUNDING else max(largest, 0.01)
            worst = max(worst, (a[name] - b[name]).abs().max().item() / scale)
    return worst


def same(a, b):
    """Are two nested states equal bit for bit, NaNs included?"""
    (flat, spec), (others, other) = pytree.tree_flatten(a), pytree.tree_flatten(b)
    return spec == other and all(
        torch.equal(_bits(x), _bits(y)) if isinstance(x, torch.Tensor) else x == y
        for x, y in zip(flat, others, strict=True)
    )


def _bits(t):
    kinds = {torch.float32: torch.int32, torch.float64: torch.int64}
    return t.contiguous().view(kinds[t.dtype]) if t.dtype in kinds else t
