"""Forward and backward of all rows, replayed from a trace: the same kernels without functorch's dispatch. W = rows.

A trace is a list of tensor operations for one set of shapes. Whatever else a model does, happens while it is traced and
not again. So no trace is used before it has equalled a later look bit for bit, and there is none where the value of a
tensor decides what is computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from bench.contract import Batch, Task
from bench.engine.stacked.layout import NamedTensors, clone_tensors

Outcome: TypeAlias = Sequence[Tensor]  # losses [W], then the gradient [W, *shape] of each weight
Program: TypeAlias = Callable[..., Outcome]  # of the tensors of a look, flat
State: TypeAlias = tuple[NamedTensors, NamedTensors, NamedTensors]  # weights, buffers and counts

OFTEN = 100
"""Looks of equal shapes, of all cohorts of a task, before they are traced: a trace costs what it saves in as many."""

BITS = {torch.float32: torch.int32, torch.float64: torch.int64}


class Traces:
    """Traces by the shapes of looks, and the looks of these shapes before there was a trace."""

    def __init__(self) -> None:
        self.looks: Counter[Any] = Counter()
        self.by_shapes: dict[Any, GraphModule] = {}


@lru_cache(maxsize=16)
def traces_of(task: Task, dtype: torch.dtype, device: torch.device) -> Traces:
    """Traces that all cohorts of a task share in this process: tracing for each would cost more than it saves."""
    return Traces()


class TracedLook:
    """Losses and gradients of all rows.

    Args:
        losses: Losses [W] of weights, buffers, counts, inputs and target. It may change buffers and counts in place,
            and draws from torch's default generators alone.
        traces: Those made so far for the same task, and by this look for others.
    """

    def __init__(self, losses: Callable[..., Tensor], traces: Traces):
        self._losses, self._traces = losses, traces
        self._programs: dict[Any, Program] = {}  # traces that have equalled a look of this object
        self._own: dict[Any, GraphModule] = {}  # those with tensors of this model in them, such as frozen weights
        self._traceable = True

    def __call__(self, reseed: Callable[[], None], state: State, batch: Batch, grads: Sequence[Tensor]) -> Tensor:
        """Losses [W]; gradients are copied to `grads`. `reseed` sets the seed of torch's generators."""
        shapes = len(grads[0]), *((t.shape, t.stride()) for part in batch for t in part)
        program = self._programs.get(shapes) or self._prepared(shapes, reseed, state, batch, grads)
        reseed()
        if program is None:
            return self._store(self.outcome(state, batch), grads)
        with torch.no_grad():
            return self._store(program(*flat(state, batch)), grads)

    def outcome(self, state: State, batch: Batch) -> Outcome:
        """Losses [W], and the gradient [W, *shape] of each weight."""
        loss_W = self._losses(*state, *batch)
        # Members share no weight, so the gradient of the sum contains the gradient of each.
        return loss_W.detach(), *torch.autograd.grad(loss_W.sum(), list(state[0].values()))

    def _store(self, outcome: Outcome, grads: Sequence[Tensor]) -> Tensor:
        loss_W, *fresh = outcome
        with torch.no_grad():
            for view, grad in zip(grads, fresh, strict=True):
                view.copy_(grad)
        return loss_W

    # ------------------------------------------------------------------------------------- trace and prove

    def _prepared(
        self, shapes: Any, reseed: Callable[[], None], state: State, batch: Batch, grads: Sequence[Tensor]
    ) -> Program | None:
        """The trace of these shapes, if it equals this look, which is another one than it was made from."""
        if not self._traceable:
            return None
        if (trace := self._own.get(shapes) or self._traces.by_shapes.get(shapes)) is not None:
            self._traceable = self.equals(trace.forward, reseed, state, batch, grads)
            if self._traceable:
                self._programs[shapes] = trace.forward
            return self._programs.get(shapes)
        self._traces.looks[shapes] += 1
        if self._traces.looks[shapes] >= OFTEN:
            try:
                reseed()
                trace = self.trace(state, batch)
            except Exception:  # whatever tracing raises: a look without a trace gives the same
                self._traceable = False
                return None
            own = any(node.op == "get_attr" for node in trace.graph.nodes)
            (self._own if own else self._traces.by_shapes)[shapes] = trace
        return None

    def trace(self, state: State, batch: Batch) -> GraphModule:
        """The operations of one look, which is taken on copies of what a look changes."""

        def outcome(*tensors: Tensor) -> Outcome:
            return self.outcome(*unflat(tensors, state, batch))

        traced: GraphModule = make_fx(outcome)(*flat(_copied(state), batch))
        return traced

    def equals(
        self,
        trace: Program,
        reseed: Callable[[], None],
        state: State,
        batch: Batch,
        grads: Sequence[Tensor],
    ) -> bool:
        """True if a trace equals a look at the same seed bit for bit, on copies of what a look changes."""
        one, other = _copied(state), _copied(state)
        reseed()
        with torch.no_grad():
            loss_W = self._store(trace(*flat(one, batch)), grads)  # stored, so that there are no two sets of gradients
        reseed()
        replayed = [loss_W, *grads, *one[1].values(), *one[2].values()]
        eager = [*self.outcome(other, batch), *other[1].values(), *other[2].values()]
        return all(torch.equal(_bits(a), _bits(b)) for a, b in zip(replayed, eager, strict=True))


def flat(state: State, batch: Batch) -> list[Any]:
    """All tensors of a look, in the order of a program's arguments."""
    return [*chain(*(group.values() for group in state), *batch)]


def unflat(tensors: Sequence[Tensor], state: State, batch: Batch) -> tuple[State, Batch]:
    """A state and a batch of these tensors, in the order of `flat`, with the names of another state and batch."""
    parts = iter(tensors)
    weights, buffers, counts = ({name: next(parts) for name in group} for group in state)
    inputs, target = (tuple(next(parts) for _ in side) for side in batch)
    return (weights, buffers, counts), (inputs, target)


def _copied(state: State) -> State:
    """The same weights, and copies of buffers and counts, which a look changes."""
    weights, buffers, counts = state
    return weights, clone_tensors(buffers), clone_tensors(counts)


def _bits(tensor: Tensor) -> Tensor:
    """The tensor as integers, of which equal NaNs are equal."""
    return tensor.view(BITS[tensor.dtype]) if tensor.dtype in BITS else tensor
