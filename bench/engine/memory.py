"""What members and their one look at a time take of a device's memory, from the model and a few examples."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from bench.contract import Batch, Cell, Split, Task
from bench.engine import averaging, optim
from bench.engine.feed import Feed

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 0.75
"""Of the memory, for members and a look; the rest is for data and for what a backward pass takes besides."""

FEW = 4
"""Examples of which a look is tried out."""


def fits(task: Task, cell: Cell, memory: float, parts: int = 1) -> int:
    """Members of a cohort like this cell's that so many bytes hold, 1 at least, where a batch is cut into `parts`."""
    room = SHARE * memory - of_look(task, parts) - 4.0 * _counts(task).frozen
    return max(1, int(room / of_member(task, cell.optimizer, cell.averaging)))


def of_member(task: Task, optimizer: str, average: str = "none") -> float:
    """Bytes of a member: weights, gradients, what the optimizer keeps, an average and buffers, in float32.

    Weights that are not trained lie there once for all members.
    """
    counts = _counts(task)
    copies = 2 + _slots(optimizer) + (0 if average == "none" else getattr(averaging.parse(average), "k", 1))
    return 4.0 * (counts.trained * copies + counts.buffers)


def of_look(task: Task, parts: int = 1) -> float:
    """Bytes that a forward in float32 keeps for the backward, of one of `parts` micro-batches; one member's at a time.

    Seen on the first examples of the train split; in bf16 and fp16 it is less, and longer examples take more.
    """
    return _kept(task) * task.batch_size / parts


class _Counts(NamedTuple):
    """Numbers in a model."""

    trained: int
    frozen: int
    buffers: int


@cache
def _counts(task: Task) -> _Counts:
    model = task.model()
    trained, frozen = (sum(p.numel() for p in model.parameters() if p.requires_grad is is_) for is_ in (True, False))
    return _Counts(trained, frozen, sum(t.numel() for t in model.buffers()))


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
    return Feed(replace(task, batch_size=count, load=lambda: data._replace(train=train)), 0).batch(0)


@cache
def _slots(optimizer: str) -> int:
    """Tensors that an optimizer keeps of each weight, seen on a small one."""
    import torch

    weight = torch.nn.Linear(3, 2, bias=False)
    built = optim.parse(optimizer).build(weight, 0.0)
    weight(torch.ones(1, 3)).sum().backward()
    built.step(lambda: torch.ones(()))  # type: ignore[arg-type, return-value]  # MoMo asks for the loss, a tensor
    kept = built.state[weight.weight].values()
    return sum(isinstance(value, torch.Tensor) and value.shape == weight.weight.shape for value in kept)
