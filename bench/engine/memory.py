"""Memory demand of a cohort, estimated from the model and a few examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.contract import Batch, Cell, EngineName, Move, Schedule, Split, Task
from bench.engine import STACKING
from bench.engine.loader import CHUNK, Loader, epoch_steps
from bench.engine.rowwise import LANES
from bench.engine.stacked.widths import widest, width
from bench.strategies import averagings, optimizers
from schedules.user_code import blamed

if TYPE_CHECKING:
    from torch import Tensor


SHARE = 0.75
"""Share of the memory for members and a look; the rest is for data and temporary buffers of the backward."""

FEW = 4
"""Examples on which a look is measured."""


class Demand(NamedTuple):
    """Upper estimate of a cohort's memory, in bytes."""

    shared: float  # for any number of members: a look at one of them, and frozen weights
    member: float  # for each member
    filled: bool = False  # True if members are filled up to a width of compiled programs

    def taken(self, members: int) -> float:
        """Bytes that so many members take."""
        return self.shared + (width(members) if self.filled else members) * self.member

    def members(self, memory: float) -> int:
        """Number of members that fit into `memory` bytes, at least 1."""
        fitting = max(1, int((SHARE * memory - self.shared) / self.member))
        return widest(fitting) if self.filled else fitting


def needs_last_gradient(schedules: Iterable[Schedule[Any]]) -> bool:
    """True if one of the schedules asks for `grad_dot`, for which members keep the gradient of the last look."""
    return any("grad_dot" in schedule.needs for schedule in schedules)


def of_cohort(
    task: Task,
    cells: Sequence[Cell],
    engine: EngineName,
    *,
    parts: int = 1,
    recalls: bool = False,
    device: str = "cpu",
) -> Demand:
    """Memory demand of a cohort in float32, if every member had the averages of all cells.

    In training: weights, gradients, the optimizer's state, averages, buffers, and the tensors that a forward saves for
    the backward. In evaluation: no gradients, but a copy of the evaluated weights, which are an average, the average
    that an optimizer forms itself, or weights with recomputed BatchNorm statistics; what a forward of a chunk needs,
    and the outputs for a whole split, twice for the member that is scored. `modules` looks at one member at a time and
    copies one at a time; engines of rows copy all at once, and evaluate copies only. `rowwise` looks at one in each
    lane, and the stacked ones at all at once.

    Args:
        task: Task of the cells.
        cells: Cells with the same optimizer.
        engine: Engine that trains them.
        parts: Micro-batches of a batch.
        recalls: True if a schedule needs the gradient of the last look.
        device: Device that trains them.
    """
    (trained, frozen, buffers, norms), optimizer = _counts(task), cells[0].optimizer
    slots = _slots(task, optimizer)
    own = trained * (1 + slots + _averages(task, cells) + recalls) + buffers  # between two looks
    look, evaluation = of_look(task, parts), of_evaluation(task, stacked=engine in STACKING)
    copied = 4.0 * (2 * trained + buffers) + evaluation.outputs  # of each member, in an evaluation of rows
    if engine == "rowwise":
        lanes = LANES.get(device.split(":")[0], 1)
        looks = lanes * (look + 4.0 * trained)
        chunk = evaluation.chunk + evaluation.outputs
        shared, member = 4.0 * (frozen + lanes * (2 * trained + buffers)), 4.0 * (own + trained)
        transient = max(8.0 * trained, copied)  # take or move, evaluate
        if lanes > 1:  # graphs hold on to the memory of a look and of a move
            return Demand(shared + looks + chunk, member + transient + 8.0 * trained)
        return Demand(shared + max(looks, chunk), member + transient)
    if engine != "modules":
        evaluated = copied + evaluation.chunk
        transient = max(look + 4.0 * trained, 8.0 * trained, evaluated)  # look, take, evaluate
        shared = 4.0 * (frozen + trained) + evaluation.outputs  # the model's own weights
        return Demand(shared, 4.0 * (own + trained) + transient, engine == "compiled")
    averaged = any(cell.averaging != "none" for cell in cells)
    copy: float = trained + buffers if averaged or norms else 0
    if optimizers.parse(optimizer).averages:
        copy = own
    shared = max(look, evaluation.chunk + evaluation.outputs) + 4.0 * (frozen + own)  # `own`: state of a fork
    return Demand(shared, 4.0 * own + max(4.0 * trained, 4.0 * copy + evaluation.outputs))


def _averages(task: Task, cells: Sequence[Cell]) -> int:
    """Copies of the weights for the averages with different tracks that riders of one member may have."""
    tracks = averagings.Averagings(cells, epoch_steps(task))
    copies = {tracks.track(i): getattr(averagings.parse(cell.averaging), "k", 1) for i, cell in enumerate(cells)}
    return sum(count for track, count in copies.items() if track != averagings.PRESENT)


def of_look(task: Task, parts: int = 1) -> float:
    """Bytes that a float32 forward saves for the backward, for one of `parts` micro-batches of one member.

    Measured on the first examples of the train split. bf16 and fp16 take less; longer examples take more.
    """
    return _saved_bytes(task) * task.batch_size / parts


class Evaluation(NamedTuple):
    """Memory that one member's evaluation takes, in bytes."""

    chunk: float  # at most, in the forward of a chunk
    outputs: float  # for the largest split


def of_evaluation(task: Task, stacked: bool = False) -> Evaluation:
    """Memory of an evaluation, measured on the first examples of the train split; `stacked`: of stacked rows."""
    forward, output = _forward_bytes(task, stacked)
    data = task.load()
    largest = max(len(split.target[0]) for split in (data.control, data.test))
    return Evaluation(forward * min(largest, max(CHUNK, task.batch_size)), output * largest)


class _Counts(NamedTuple):
    """Counts of a model's numbers."""

    trained: int
    frozen: int
    buffers: int
    norms: bool  # True if the model has BatchNorm statistics


@cache
def _counts(task: Task) -> _Counts:
    from bench.engine.evaluation import batch_norms

    model = task.model()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    buffers = sum(t.numel() for t in model.buffers())
    return _Counts(trained, frozen, buffers, bool(batch_norms(model)))


@cache
def _saved_bytes(task: Task) -> float:
    """Bytes per example that autograd saves, without the weights."""
    import torch

    model = task.model().train()
    inputs, target = batch(task, min(FEW, task.batch_size))
    weights = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    sizes: dict[int, int] = {}  # bytes of storages, by address

    def record(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        loss = task.loss(model(*inputs), target)
    del loss  # until here the graph was alive, so no two saved storages had the same address
    return sum(size for address, size in sizes.items() if address not in weights) / len(target[0])


@cache
def _forward_bytes(task: Task, stacked: bool) -> tuple[float, float]:
    """Bytes per example that a forward in evaluation holds at most, and of its output; `stacked`: of a row.

    Raises:
        InputError: a model that cannot be stacked.
    """
    import torch
    from torch.func import functional_call, vmap
    from torch.utils import _pytree as pytree

    from bench.engine.allocation import AllocationMeter
    from bench.engine.stacked.engine import not_stackable
    from bench.engine.stacked.layout import stack_twice

    model = task.model().eval()
    inputs, target = batch(task, min(FEW, task.batch_size))

    def output(weights: dict[str, Tensor]) -> Any:
        return functional_call(model, weights, inputs)

    tensors = {name: t.detach() for name, t in (*model.named_parameters(), *model.named_buffers())}
    rows = {name: stack_twice(t) for name, t in tensors.items() if t.is_floating_point()} if stacked else tensors
    try:
        with torch.no_grad(), AllocationMeter() as meter:
            outputs = vmap(output, randomness="same")(rows) if stacked else output(rows)
    except RuntimeError as error:
        if not stacked:
            raise
        raise not_stackable(task, error) from error
    size = sum(t.untyped_storage().nbytes() for t in pytree.tree_leaves(outputs) if isinstance(t, torch.Tensor))
    examples = len(target[0]) * (2 if stacked else 1)
    return meter.most / examples, size / examples


def batch(task: Task, count: int) -> Batch:
    """A batch of the first examples of the train split, as the model takes it."""
    data = task.load()
    train = replace(data.train, target=tuple(a[:count] for a in data.train.target))
    if isinstance(train, Split):
        train = replace(train, inputs=tuple(a[:count] for a in train.inputs))
    few = replace(task, batch_size=count, load=lambda: data._replace(train=train))
    return Loader(few, 0).batch(0)


@cache
def _slots(task: Task, optimizer: str) -> float:
    """State of an optimizer, in numbers per trained weight: declared by its class, or else measured."""
    parsed = optimizers.parse(optimizer)
    if parsed.measured:
        return slots_on(task, optimizer)
    return measured_slots(optimizer) if parsed.slots is None else parsed.slots


@cache
def slots_on(task: Task, optimizer: str) -> float:
    """State of an optimizer after two updates of the task's model, in numbers of 4 bytes per trained weight.

    Raises:
        InputError: the optimizer cannot train the model.
    """
    import torch
    from torch.utils import _pytree as pytree

    model = task.model()
    with blamed(f"optimizer {optimizer}, tried on the model of {task.name}"):
        stepper = optimizers.parse(optimizer).build(model, task.weight_decay)
        for _ in range(2):
            for weight in filter(lambda w: w.requires_grad, model.parameters()):
                weight.grad = torch.full_like(weight, 1e-3)
            optimizers.adjust(stepper, Move(task.peak_lrs[0]))
            stepper.step(lambda: torch.ones(()))  # type: ignore[arg-type, return-value]
    tensors = (leaf for leaf in pytree.tree_leaves([*stepper.state.values()]) if isinstance(leaf, torch.Tensor))
    return sum(t.nbytes for t in tensors) / 4 / _counts(task).trained


def measured_slots(optimizer: str) -> int:
    """State tensors of an optimizer after one update of a small weight. The first call takes about a second."""
    import torch

    weight = torch.nn.Linear(3, 2, bias=False)
    stepper = optimizers.parse(optimizer).build(weight, 0.0)
    weight(torch.ones(1, 3)).sum().backward()
    stepper.step(lambda: torch.ones(()))  # type: ignore[arg-type, return-value]  # MoMo needs the loss, a tensor
    state = stepper.state[weight.weight].values()
    return sum(isinstance(value, torch.Tensor) and value.shape == weight.weight.shape for value in state)
