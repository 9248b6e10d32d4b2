"""The fast engine: M members as rows of stacked weights and buffers, with one vmapped forward and backward for all.

A member equals its solo run in `modules` to rounding. At width 1 torch uses other kernels, and the last bit differs;
so a single member has a shadow, and there are W = max(M, 2) rows. M = members, W = rows, P = weights of one member.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.utils import _pytree as pytree

from bench.contract import Batch, InputError, Move, Recipe, Task
from bench.engine.clone import CPU, clone_state, contiguous_state
from bench.engine.data_parallel import mean_over_processes, multi_process
from bench.engine.evaluation import LookHistory, batch_norms, collect_outputs, distinct, recalibrate, score
from bench.engine.forward_backward import reseed
from bench.engine.loader import Loader, weak_method
from bench.engine.modules import initial_model
from bench.engine.stacked import update_rules
from bench.engine.stacked.averages import StackedAverages
from bench.engine.stacked.layout import (
    NamedTensors,
    clone_tensors,
    layout,
    pad_rows,
    pick_rows,
    pick_rows_of_all,
    stack_twice,
)
from bench.engine.stacked.traced import TracedLook, traces_of
from bench.strategies.averagings import AS_IS
from bench.strategies.optimizer import Optimizer

T = TypeVar("T")
Copies: TypeAlias = tuple[NamedTensors, NamedTensors, NamedTensors]  # weights, buffers and counts


def not_stackable(task: Task, error: RuntimeError) -> InputError:
    """The error for a model that vmap refuses."""
    reason = str(error).strip().split("\n")[0]
    return InputError(f"{task.name} cannot be stacked: use --engine modules ({reason})")


class Stacked:
    """The engine of stacked rows; for its methods see `bench.contract.Engine`.

    Under data parallelism every process has all members, and averages losses and gradients with the others.

    The trained weights of a member are one row; buffers are stacked one by one. Integer buffers (counts of batches,
    positions) are equal for all members, so there is one of each.

    Args:
        loader: Source of the task, the batches and the splits.
        optimizer: One of `optimizers.STACKABLE`.
        weight_decay: Weight decay as in torch.optim.
        accelerator: Accelerator of Accelerate under data parallelism, else None.

    Raises:
        InputError: a model that cannot be stacked, or BatchNorm under data parallelism.
    """

    def __init__(self, loader: Loader, optimizer: Optimizer, weight_decay: float, accelerator: Any = None):
        self.loader, self.task = loader, loader.task
        self._model = initial_model(loader)  # for its structure and its frozen weights
        self._accelerator = multi_process(accelerator)
        if self._accelerator is not None and batch_norms(self._model):
            raise InputError(
                f"{loader.task.name} has BatchNorm, which --data-parallel trains with --engine modules only"
            )
        self._losses = vmap(weak_method(self._loss), in_dims=(0, 0, None, None, None), randomness="same")
        self._look = TracedLook(self._losses, traces_of(self.task, loader.dtype, loader.device))
        self._outputs = vmap(weak_method(self._output), in_dims=(0, 0, None, None), randomness="same")
        buffers = {name: b.clone() for name, b in self._model.named_buffers()}
        self._counts = {name: b for name, b in buffers.items() if not b.is_floating_point()}
        self._buffers = {name: stack_twice(b) for name, b in buffers.items() if b.is_floating_point()}
        self._members, self._averages, self.recall = 1, StackedAverages(), False
        self._last_WP: Tensor | None = None  # gradients of the last look, if they are recalled
        self._lay_out(optimizer, weight_decay)
        self._looks = LookHistory()
        self.signals = self._looks.signals
        self.history = self._looks.history

    @torch.no_grad()
    def _lay_out(self, optimizer: Optimizer, weight_decay: float) -> None:
        """Create the first member's row from the model's weights: those that decay, then the others."""
        grads = self._trial_gradients()
        decaying = {name: grad for name, grad in grads.items() if optimizer.decays(grad)}
        ordered = decaying | grads
        self._layouts = {name: layout(grad) for name, grad in ordered.items()}
        self._rule = update_rules.create(optimizer, weight_decay, sum(grad.numel() for grad in decaying.values()))
        if factors := optimizer.multipliers(self._model):
            scales = {name: factors[self._model.get_parameter(name)] for name in ordered}
            self._rule.scale_P = torch.cat([grad.new_full([grad.numel()], scales[n]) for n, grad in ordered.items()])
        width = sum(grad.numel() for grad in ordered.values())
        self._set_rows(torch.empty(2, width, device=self.loader.device, dtype=self.loader.dtype))
        for name, weight_W in self._weights.items():
            weight_W.copy_(self._model.get_parameter(name))

    @torch.enable_grad()
    def _trial_gradients(self) -> NamedTensors:
        """Gradients of one member, by the names of the weights that the loss depends on.

        The other weights never change: torch.optim skips weights without a gradient.

        Raises:
            InputError: the model cannot be stacked.
        """
        weights = {name: stack_twice(p.detach()) for name, p in self._model.named_parameters() if p.requires_grad}
        leaves = [w.requires_grad_() for w in weights.values()]
        try:
            loss_W = self._losses(
                weights, clone_tensors(self._buffers), clone_tensors(self._counts), *self.loader.batch(0)
            )
            grads = torch.autograd.grad(loss_W.sum(), leaves, allow_unused=True)
        except RuntimeError as error:
            raise not_stackable(self.task, error) from error
        return {name: grad[0] for name, grad in zip(weights, grads, strict=True) if grad is not None}

    def _padded(self, rows: Sequence[T]) -> list[T]:
        """One entry for each row, of entries for members."""
        return pad_rows(rows)

    def _set_rows(self, weight_WP: Tensor, grad_WP: Tensor | None = None) -> None:
        """Use these rows from now on, and make the weights and their gradients views of them."""
        self._weight_WP = weight_WP
        self._grad_WP = torch.zeros_like(weight_WP) if grad_WP is None else grad_WP
        self._weights = {name: part.detach().requires_grad_() for name, part in self._parts(weight_WP).items()}
        self._grads = list(self._parts(self._grad_WP).values())

    def _parts(self, flat_WP: Tensor) -> NamedTensors:
        """Views [W, *shape] of rows, by the names of weights."""
        sizes = [math.prod(shape) for shape, _ in self._layouts.values()]
        views = {}
        for (name, (shape, axes)), part in zip(self._layouts.items(), torch.split(flat_WP, sizes, dim=1), strict=True):
            views[name] = part.view(len(flat_WP), *shape).permute(axes)
        return views

    def _output(
        self, weights: NamedTensors, buffers: NamedTensors, counts: NamedTensors, inputs: tuple[Tensor, ...]
    ) -> Any:
        return functional_call(self._model, (weights, buffers, counts), inputs)

    def _loss(
        self, weights: NamedTensors, buffers: NamedTensors, counts: NamedTensors, inputs: Any, target: Any
    ) -> Tensor:
        return self.task.loss(self._output(weights, buffers, counts, inputs), target)

    # ------------------------------------------------------------------------------ look, take and move

    def _state(self) -> Copies:
        """Arguments of a look: the leaves whose gradients are `_grads`, buffers and counts."""
        return self._weights, self._buffers, self._counts

    def look(self, batch: Batch, step: int) -> None:
        """One forward and backward for all rows; does not synchronise."""
        look_2W, dot_W = self._measured(batch, step)
        self._looks.record(look_2W[:, : self._members], None if dot_W is None else dot_W[: self._members])

    def _measured(self, batch: Batch, step: int) -> tuple[Tensor, Tensor | None]:
        """(losses and gradient norms [2, W], grad_dot [W] if it is asked for); the gradients are clipped then."""
        loss_W = self._backward(batch, step)
        if self._accelerator is not None:
            mean_WP, loss_W = mean_over_processes(self._accelerator, [self._grad_WP, loss_W])
            self._grad_WP.copy_(mean_WP)
        dot_W = self._recall_dots() if self.recall else None
        return torch.stack((loss_W, self._clip(self._grad_WP))), dot_W

    def _backward(self, batch: Batch, step: int) -> Tensor:
        """Losses [W], of this process; sets the gradients."""
        return self._look(self._reseed(step), self._state(), batch, self._grads)

    def _reseed(self, step: int) -> Callable[[], None]:
        return partial(reseed, self.loader, step, self.loader.rank)

    def _clip(self, grad_WP: Tensor) -> Tensor:
        """Norms [W] of gradients, which are then clipped in place."""
        norm_W: Tensor = torch.linalg.vector_norm(grad_WP, dim=1)
        if self.task.clip is not None:
            shrink_W = (self.task.clip / (norm_W + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grads_with_norm_
            grad_WP.mul_(shrink_W.unsqueeze(1))
        return norm_W

    def _recall_dots(self) -> Tensor:
        """Inner products [W] of these gradients with the last ones, 0 at the first look; keeps these gradients."""
        if self._last_WP is None:
            self._last_WP = torch.zeros_like(self._grad_WP)
        dot_W: Tensor = torch.linalg.vecdot(self._grad_WP, self._last_WP)
        self._last_WP.copy_(self._grad_WP)
        return dot_W

    def take(self, rows: Sequence[int]) -> None:
        """Member i becomes old member rows[i], gradients included; if nothing changes, nothing is copied."""
        if list(rows) == list(range(self._members)):
            return
        self._members = len(rows)
        index = self._padded(rows)
        self._set_rows(pick_rows(self._weight_WP, index), pick_rows(self._grad_WP, index))
        self._last_WP = None if self._last_WP is None else pick_rows(self._last_WP, index)
        self._buffers = pick_rows_of_all(self._buffers, index)
        self._rule.slots = pick_rows_of_all(self._rule.slots, index)
        self._averages.take(rows)

    def move(self, moves: Sequence[Move]) -> None:
        """Step the optimizer for all rows, each at its LR and momentum."""
        self._rule.move(self._weight_WP, self._grad_WP, self._padded(moves))

    def blend(self, slot: str, rows: Sequence[int], share: float) -> None:
        """See `bench.contract.Engine`."""
        self._averages.blend(slot, rows, share, self._weight_WP)

    # ---------------------------------------------------------------------------------------- evaluate

    def evaluate(self, split: str, rows: Sequence[int]) -> list[dict[str, float]]:
        """Scores of these members, each computed once, on copies."""
        return self._scores(split, rows, self._copies(rows)) if rows else []

    def averaged(self, splits: Sequence[str], rows: Sequence[int], recipe: Recipe) -> list[list[dict[str, float]]]:
        """Scores on each split of these members' averages, with recomputed BatchNorm statistics."""
        copies = self._copies(rows, recipe)
        self._recalibrate(copies)
        return [self._scores(split, rows, copies) for split in splits]

    def recalibrated(self, split: str, rows: Sequence[int]) -> list[dict[str, float]] | None:
        """Scores of copies with recomputed BatchNorm statistics; see `evaluation.recalibrate`."""
        if not batch_norms(self._model):
            return None
        return self.averaged([split], rows, AS_IS)[0] if rows else []

    def weights(self, row: int, recipe: Recipe | None) -> dict[str, Tensor]:
        """See `bench.contract.Engine`."""
        copies = self._copies([row], AS_IS if recipe is None else recipe)
        if recipe is not None:
            self._recalibrate(copies)
        weights, buffers, counts = copies
        own = {name: stacked_W[0] for name, stacked_W in (weights | buffers).items()} | counts
        first = {id(p): name for name, p in self._model.named_parameters()}  # a weight that is tied has several names
        state = self._model.state_dict(keep_vars=True)  # with frozen weights, which have no row
        return contiguous_state({name: own.get(first.get(id(t), name), t) for name, t in state.items()})

    @torch.no_grad()
    def _recalibrate(self, copies: Copies) -> None:
        """Recompute the BatchNorm statistics of the copies, if the model has any."""
        norms, (_, buffers, counts) = batch_norms(self._model), copies
        for prefix, module in self._model.named_modules():
            if module in norms:
                buffers[f"{prefix}.running_mean".lstrip(".")].zero_()
                buffers[f"{prefix}.running_var".lstrip(".")].fill_(1)
                counts[f"{prefix}.num_batches_tracked".lstrip(".")].zero_()
        if norms:
            recalibrate(self._model, self.loader, lambda *inputs: self._outputs(*copies, inputs))
            self._model.train()

    def _copies(self, rows: Sequence[int], recipe: Recipe = AS_IS) -> Copies:
        """Weights mixed by a recipe, buffers and counts, of the distinct rows."""
        index = pad_rows(distinct(rows))
        weights = self._parts(self._averages.mixed(recipe, index, self._weight_WP))
        return weights, pick_rows_of_all(self._buffers, index), clone_tensors(self._counts)

    @torch.no_grad()
    def _scores(self, split: str, rows: Sequence[int], copies: Copies) -> list[dict[str, float]]:
        chunks, target = self.loader.split(split)
        self._model.eval()
        outputs = collect_outputs(chunks, lambda inputs: self._outputs(*copies, inputs), self._accelerator)
        self._model.train()
        scores = {}
        for i, row in enumerate(distinct(rows)):
            own = [pytree.tree_map(itemgetter(i), output_W) for output_W in outputs]
            scores[row] = score(self.task, own, target)
        return [scores[row] for row in rows]

    # ------------------------------------------------------------------------------------ save and load

    def state_dict(self) -> dict[str, Any]:
        """Copies of all rows, as tensors, numbers and dicts. Call it between a move and a look."""
        own = {
            "members": self._members,
            "steps": self._rule.steps,
            "weights": self._weight_WP,
            "last": self._last_WP,
            "slots": self._rule.slots,
            "buffers": self._buffers,
            "counts": self._counts,
            "averages": self._averages.state(),
        }
        state: dict[str, Any] = clone_state(own, CPU)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the members of `state`, any number of them; training continues bit for bit."""
        self._members, self._rule.steps = state["members"], state["steps"]
        self._set_rows(state["weights"].to(self.loader.device, copy=True))
        last = state["last"]
        self._last_WP = None if last is None else last.to(self.loader.device, copy=True)
        self._rule.slots = self._to_device(state["slots"])
        self._buffers = self._to_device(state["buffers"])
        self._counts = self._to_device(state["counts"])
        self._averages.load(state["averages"], self.loader.device)

    def _to_device(self, tensors: NamedTensors) -> NamedTensors:
        return {name: t.to(self.loader.device, copy=True) for name, t in tensors.items()}
