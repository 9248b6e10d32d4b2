"""The engine of one look and many rows: a working copy of the plain module is fed row by row.

On a GPU a look is captured once for each shape of the batch as a CUDA graph, and replayed for each row; so is an
update. No operation needs a rule of vmap. On a CPU the same code runs uncaptured. M = members, W = M rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from bench.contract import Batch, Move
from bench.engine.clone import clone_model
from bench.engine.evaluation import batch_norms, recalibrate
from bench.engine.forward_backward import ForwardBackward
from bench.engine.loader import Loader
from bench.engine.rows import Copies, RowEngine
from bench.engine.rowwise import LANES
from bench.engine.rowwise.capture import Graphs, Places
from bench.engine.rowwise.lane import Lane, Layout, Registered
from bench.engine.stacked import update_rules
from bench.engine.stacked.layout import NamedTensors
from bench.numerics import USUAL, Arithmetic
from bench.strategies.optimizer import Optimizer


class Rowwise(RowEngine):
    """The engine of lanes; for its methods see `bench.contract.Engine`.

    The buffers of a member are one row for each type.

    Args:
        loader: Source of the task, the batches and the splits.
        optimizer: One of `optimizers.STACKABLE`.
        weight_decay: Weight decay as in torch.optim.
        accelerator: Accelerator of Accelerate under data parallelism, else None.
        arithmetic: Precision; fp16, micro-batches and compilation are not supported.

    Raises:
        InputError: a model that replaces its weights or buffers, or BatchNorm under data parallelism.
    """

    def __init__(
        self,
        loader: Loader,
        optimizer: Optimizer,
        weight_decay: float,
        accelerator: Any = None,
        arithmetic: Arithmetic = USUAL,
    ):
        super().__init__(loader, accelerator, arithmetic.precision)
        self._pass = ForwardBackward(loader, arithmetic)
        buffers: dict[str, NamedTensors] = {}
        for name, buffer in self._model.named_buffers():
            buffers.setdefault(str(buffer.dtype), {})[name] = buffer.clone()
        self._kinds = {kind: Layout(tensors) for kind, tensors in buffers.items()}
        self._buffers, self._counts = {}, {}
        for kind, tensors in buffers.items():
            like = next(iter(tensors.values()))
            self._buffers[kind] = like.new_zeros(1, self._kinds[kind].size)
            for name, view_1 in self._kinds[kind].views(self._buffers[kind]).items():
                view_1.copy_(tensors[name])
        self._lay_out(self._trial_gradients(), optimizer, weight_decay)
        clones = [clone_model(self._model) for _ in range(LANES.get(loader.device.type, 1) - 1)]
        self._models += clones
        self._lanes = [Lane(model, self._layout, self._kinds, self._pass) for model in self._models]
        self._batches = Places(loader.device)

    def _trial_gradients(self) -> NamedTensors:
        """Gradients of one member, by the names of the weights that the loss depends on; see `Stacked`."""
        weights = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        registered = Registered(self._model, self.task)
        loss = self._pass.loss(self._model, *self.loader.batch(0))
        grads = torch.autograd.grad(loss, [*weights.values()], allow_unused=True)
        registered.check()
        return {name: grad for name, grad in zip(weights, grads, strict=True) if grad is not None}

    def _arrange(self, grads: NamedTensors) -> Mapping[str, int]:
        self._layout = Layout({name: self._model.get_parameter(name) for name in grads})
        return self._layout.ends

    def _parts(self, flat_WP: Tensor) -> NamedTensors:
        return self._layout.views(flat_WP)

    def _set_rows(self, weight_WP: Tensor, grad_WP: Tensor | None = None) -> None:
        super()._set_rows(weight_WP, grad_WP)
        self._columns, self._updates = Places(self.loader.device), Graphs(self.loader.device)  # rows are elsewhere now

    # ------------------------------------------------------------------------------------ look and move

    def _dealt(self, rows: int) -> Iterator[tuple[int, Lane]]:
        """Rows and the lanes that they are dealt to, whose streams wait for this one; at the end this one waits."""
        stream = torch.cuda.current_stream(self.loader.device) if self.loader.device.type == "cuda" else None
        for lane in self._lanes:
            lane.wait_for(stream)
        for row in range(rows):
            yield row, self._lanes[row % len(self._lanes)]
        for lane in self._lanes:
            lane.let_wait(stream)

    def _load(self, lane: Lane, row: int, seed: Callable[[], None]) -> None:
        lane.load(self._weight_WP[row], self._buffers, row)
        seed()

    def _backward(self, batch: Batch, step: int) -> Tensor:
        (inputs, target), count = batch, len(self._weight_WP)
        kind = tuple((t.shape, t.stride(), t.dtype) for t in (*inputs, *target))
        placed = self._batches.put(kind, (*inputs, *target))
        if placed is not None:
            batch = tuple(placed[: len(inputs)]), tuple(placed[len(inputs) :])
        signals_2W = self._weight_WP.new_empty(2, count)
        for row, lane in self._dealt(count):
            load = partial(self._load, lane, row, self._reseed(step))
            with lane.on_stream():
                if placed is None:
                    load()
                    lane.look(batch)
                else:
                    lane.look_by_graph(batch, kind, step, load)
                self._grad_WP[row].copy_(lane.grad_P)
                signals_2W[:, row].copy_(lane.signals_2)
                lane.store_buffers(self._buffers, row)
        loss_W: Tensor = signals_2W[0]
        self._norm_W = signals_2W[1]
        return loss_W

    def _norms(self, grad_WP: Tensor) -> Tensor:
        if self._accelerator is None:
            return self._norm_W
        # Of the means over all processes, which no lane has.
        return torch.stack([get_total_norm(self._parts(grad_P).values()) for grad_P in grad_WP])

    def move(self, moves: Sequence[Move]) -> None:
        """Step the optimizer for all rows, each at its LR and momentum."""
        numbers, kind = self._rule.begin(moves, self._weight_WP)
        columns = update_rules.columns(numbers, self._weight_WP)
        placed = self._columns.put(kind, columns)
        update = partial(self._rule.update, self._weight_WP, self._grad_WP, self._rule.slots, placed or columns, kind)
        graph = None if placed is None else self._updates.program(kind, update)
        (graph or update)()

    # ---------------------------------------------------------------------------------------- evaluate

    def _outputs_of(self, copies: Copies, inputs: tuple[Tensor, ...]) -> Any:
        (weight_KP, buffers, _), outputs = copies, []
        for row, lane in self._dealt(len(weight_KP)):
            with lane.on_stream():
                lane.load(weight_KP[row], buffers, row)
                outputs.append(self._pass.output(lane.model, inputs))
        return outputs

    def _output_of(self, outputs: Any, i: int) -> Any:
        return outputs[i]

    def _recompute(self, copies: Copies) -> None:
        (weight_KP, buffers, _), lane = copies, self._lanes[0]

        def forward(*inputs: Tensor) -> Any:
            return self._pass.output(lane.model, inputs)

        for row, weight_P in enumerate(weight_KP):
            lane.load(weight_P, buffers, row)
            for norm in batch_norms(lane.model):
                norm.reset_running_stats()
            recalibrate(lane.model, self.loader, forward)
            lane.model.train()
            lane.store_buffers(buffers, row)

    def _named(self, copies: Copies, i: int) -> NamedTensors:
        weight_KP, buffers, _ = copies
        own = self._parts(weight_KP[i])
        for kind, layout in self._kinds.items():
            own |= layout.views(buffers[kind][i])
        return own
