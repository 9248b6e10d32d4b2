"""What a cohort takes of a device's memory, from the model and a few examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from bench.contract import Batch, Cell, Split, Task
from bench.engine.loader import Loader, epoch_steps
from bench.strategies import averagings, optimizers

if TYPE_CHECKING:
    from torch import Tensor

    from bench.engine import EngineName

SHARE = 0.75
"""Of the memory, for members and a look; the rest is for data and for what a backward pass takes besides."""

FEW = 4
"""Examples of which a look is tried out."""


class Demand(NamedTuple):
    """Bytes of memory that a cohort takes at most."""

    shared: float  # however many members there are: a look at one of them, and weights that are not trained
    member: float  # and for each of them besides

    def members(self, memory: float) -> int:
        """How many of them so many bytes hold, 1 at least."""
        return max(1, int((SHARE * memory - self.shared) / self.member))


def of_cohort(
    task: Task, cells: Sequence[Cell], engine: EngineName, *, parts: int = 1, recalls: bool = False
) -> Demand:
    """What a cohort of these cells takes, in float32, had every rider's average a place in every member.

    That is in training weights, gradients, what the optimizer keeps, averages and buffers, and what a forward keeps for
    the backward; in evaluation no gradients, but a copy of what is read: an average, the average that an optimizer
    forms itself, or weights with BatchNorm statistics computed anew. `modules` looks at one member at a time and hands
    its weights over one at a time; `stacked` does both for all of them at once, and evaluates copies only.

    Args:
        task: Of the cells.
        cells: Of one optimizer.
        engine: That trains them.
        parts: Micro-batches that a batch is cut into.
        recalls: Whether a schedule asks for the gradient before.
    """
    (trained, frozen, buffers, norms), optimizer = _counts(task), cells[0].optimizer
    slots = _slots(optimizer)
    own = trained * (1 + slots + _averages(task, cells) + recalls) + buffers  # between two looks
    look = of_look(task, parts)
    if engine == "stacked":
        besides = max(look + 4.0 * trained, 8.0 * trained, 4.0 * (2 * trained + buffers))  # look, take, evaluate
        return Demand(4.0 * (frozen + trained), 4.0 * (own + trained) + besides)  # with the model they are made from
    averaged = any(cell.averaging != "none" for cell in cells)
    copy = trained + buffers if averaged or norms else 0
    if optimizers.parse(optimizer).averages:
        copy = own
    return Demand(look + 4.0 * (frozen + own), 4.0 * (own + max(trained, copy)))  # `own` once more: a fork's state


def _averages(task: Task, cells: Sequence[Cell]) -> int:
    """Averages of different names that riders of one member may keep, in copies of the weights."""
    tracks = averagings.Averagings(cells, epoch_steps(task))
    kept = {tracks.track(i): getattr(averagings.parse(cell.averaging), "k", 1) for i, cell in enumerate(cells)}
    return sum(copies for track, copies in kept.items() if track != averagings.PRESENT)


def of_look(task: Task, parts: int = 1) -> float:
    """Bytes that a forward in float32 keeps for the backward, of one of `parts` micro-batches of one member.

    Seen on the first examples of the train split; in bf16 and fp16 it is less, and longer examples take more.
    """
    return _kept(task) * task.batch_size / parts


class _Counts(NamedTuple):
    """Numbers in a model."""

    trained: int
    frozen: int
    buffers: int
    norms: bool  # whether BatchNorm's are among the buffers


@cache
def _counts(task: Task) -> _Counts:
    from bench.engine.evaluation import batch_norms

    model = task.model()
    trained, frozen = (sum(p.numel() for p in model.parameters() if p.requires_grad is is_) for is_ in (True, False))
    return _Counts(trained, frozen, sum(t.numel() for t in model.buffers()), bool(batch_norms(model)))


@cache
def _kept(task: Task) -> float:
    """Bytes per example that autograd keeps, besides the weights."""
    import torch

    model, (inputs, target) = task.model().train(), batch(task, min(FEW, task.batch_size))
    weights = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = task.loss(model(*inputs), target)
    del loss  # until here all of it was alive, so no place was counted for two tensors
    return sum(size for place, size in kept.items() if place not in weights) / len(target[0])


def batch(task: Task, count: int) -> Batch:
    """A batch of the first examples of the train split, as the model takes it."""
    data = task.load()
    train = replace(data.train, target=tuple(a[:count] for a in data.train.target))
    if isinstance(train, Split):
        train = replace(train, inputs=tuple(a[:count] for a in train.inputs))
    return Loader(replace(task, batch_size=count, load=lambda: data._replace(train=train)), 0).batch(0)


@cache
def _slots(optimizer: str) -> int:
    """Tensors that an optimizer keeps of each weight: what it says, or what it is seen to keep of a small one."""
    if (known := optimizers.parse(optimizer).slots) is not None:
        return known
    return seen_slots(optimizer)


def seen_slots(optimizer: str) -> int:
    """Tensors that an optimizer keeps of a small weight after one update; torch takes a second to build its first."""
    import torch

    weight = torch.nn.Linear(3, 2, bias=False)
    built = optimizers.parse(optimizer).build(weight, 0.0)
    weight(torch.ones(1, 3)).sum().backward()
    built.step(lambda: torch.ones(()))  # type: ignore[arg-type, return-value]  # MoMo asks for the loss, a tensor
    kept = built.state[weight.weight].values()
    return sum(isinstance(value, torch.Tensor) and value.shape == weight.weight.shape for value in kept)
