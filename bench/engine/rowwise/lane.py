"""Lanes: working copies of a model whose weights and buffers are written from a row. P = weights, B = buffers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from bench.contract import Batch, InputError, Task
from bench.engine.forward_backward import ForwardBackward
from bench.engine.rowwise.capture import Graphs
from bench.engine.stacked.layout import NamedTensors

ALIGNMENT = 64
"""Bytes: tensors begin at multiples, as where torch allocates them; some kernels sum in another order elsewhere."""


class Layout:
    """Places of named tensors in a flat one, each dense and with the strides that it has by itself.

    Attributes:
        size: Numbers in the flat tensor.
        ends: Where the place of each tensor ends, by name.
    """

    def __init__(self, tensors: Mapping[str, Tensor]):
        self.size, self.ends = 0, dict[str, int]()
        self._places = {}
        for name, tensor in tensors.items():
            self._places[name] = tuple(tensor.shape), torch.empty_like(tensor).stride(), self.size
            unit = ALIGNMENT // tensor.element_size()
            self.size += -(-tensor.numel() // unit) * unit
            self.ends[name] = self.size

    def views(self, flat: Tensor) -> NamedTensors:
        """Views [..., *shape] of `flat` [..., size], by name."""
        outer, strides = flat.shape[:-1], flat.stride()[:-1]
        return {
            name: flat.as_strided((*outer, *shape), (*strides, *own), flat.storage_offset() + start)
            for name, (shape, own, start) in self._places.items()
        }


class Registered:
    """Weights and buffers of a model, which a forward may change but not replace: rows are written where they lie."""

    def __init__(self, model: nn.Module, task: Task):
        self._task = task
        self._weights = [(name, p, p.data_ptr()) for name, p in model.named_parameters()]
        self._buffers = [(module, name, b) for module in model.modules() for name, b in module._buffers.items()]

    def check(self) -> None:
        """Refuse a model that has replaced one.

        Raises:
            InputError: names the first one.
        """
        moved = [name for name, p, address in self._weights if p.data_ptr() != address]
        moved += [name for module, name, b in self._buffers if module._buffers.get(name) is not b]
        if moved:
            raise InputError(
                f"{self._task.name} puts {moved[0]} elsewhere in memory at a forward: use --engine modules"
            )


class Lane:
    """A working copy of the model. All that a look reads or writes stays where it is, so that looks can be captured.

    Args:
        model: The model, whose trained weights and buffers become views of flat tensors.
        weights: Places of the trained weights.
        buffers: Places of the buffers, by the name of their type.
        forward: Forward of a member.

    Attributes:
        weight_P: The weights.
        grad_P: Gradients of the last look.
        buffers: Buffers [B] by the name of their type.
        signals_2: Loss and gradient norm of the last look.
    """

    def __init__(self, model: nn.Module, weights: Layout, buffers: Mapping[str, Layout], forward: ForwardBackward):
        loader = forward.loader
        self.model, self._forward, self._graphs = model, forward, Graphs(loader.device)
        self._proved: dict[Hashable, Callable[[], None]] = {}
        self._since: dict[Hashable, int] = {}  # the look at which a kind was captured
        new = partial(torch.zeros, device=loader.device)
        self.weight_P, self.grad_P = (new(weights.size, dtype=loader.dtype) for _ in range(2))
        self.signals_2 = new(2, dtype=loader.dtype)
        own = dict(model.named_buffers())
        self.buffers = {}
        for kind, layout in buffers.items():
            self.buffers[kind] = new(layout.size, dtype=own[next(iter(layout.ends))].dtype)
            for name, view in layout.views(self.buffers[kind]).items():
                own[name].data = view
        for name, view in weights.views(self.weight_P).items():
            model.get_parameter(name).data = view
        self._weights = [model.get_parameter(name) for name in weights.ends]
        self._grads = [*weights.views(self.grad_P).values()]
        self._registered = Registered(model, loader.task)

    def on_stream(self) -> AbstractContextManager[Any]:
        """Context in which the device works on this lane's stream."""
        stream = self._graphs.stream
        return nullcontext() if stream is None else torch.cuda.stream(stream)

    def wait_for(self, stream: Any) -> None:
        """Let this lane's stream wait for all that has been asked of another one."""
        if self._graphs.stream is not None:
            self._graphs.stream.wait_stream(stream)

    def let_wait(self, stream: Any) -> None:
        """Let another stream wait for this lane's."""
        if self._graphs.stream is not None:
            stream.wait_stream(self._graphs.stream)

    @torch.no_grad()
    def load(self, weight_P: Tensor, buffers: NamedTensors, row: int) -> None:
        """Become a member: its weights, and row `row` of `buffers`."""
        self.weight_P.copy_(weight_P)
        for kind, own in self.buffers.items():
            own.copy_(buffers[kind][row])

    def store_buffers(self, buffers: NamedTensors, row: int) -> None:
        """Copy the buffers to row `row` of `buffers`."""
        for kind, own in self.buffers.items():
            buffers[kind][row].copy_(own)

    def look(self, batch: Batch) -> None:
        """Forward and backward of the member that was loaded; draws from torch's default generators alone.

        Raises:
            InputError: a model that has replaced a weight or a buffer.
        """
        loss = self._forward.loss(self.model, *batch)
        torch._foreach_copy_(self._grads, torch.autograd.grad(loss, self._weights))
        self.signals_2.copy_(torch.stack((loss.detach(), get_total_norm(self._grads))))
        self._registered.check()

    def look_by_graph(self, batch: Batch, kind: Hashable, step: int, load: Callable[[], None]) -> None:
        """The same for a batch that stays where it is, from a graph once one has equalled a later look bit for bit.

        Args:
            batch: The batch.
            kind: Names the shapes of the batch.
            step: Number of the look.
            load: Loads the member, and sets the seed.
        """
        if kind in self._proved:
            load()
            return self._proved[kind]()
        graph = self._graphs.program(kind, lambda: self.look(batch))
        load()
        self.look(batch)
        if graph is None or self._since.setdefault(kind, step) == step:
            return None
        state = (self.grad_P, self.signals_2, *self.buffers.values())
        outcome = [tensor.clone() for tensor in state]
        load()
        graph()
        if all(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in zip(outcome, state, strict=True)):
            self._proved[kind] = graph
            return None
        self._graphs.refuse(kind)
        load()
        return self.look(batch)
