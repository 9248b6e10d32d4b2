"""Members as rows: weights, gradients and state of the optimizer are rows [W, P], and one update moves all of them.

Engines differ in how they look. M = members, W = rows, P = weights of one member.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from bench.contract import Batch, InputError, Move, Recipe
from bench.engine.clone import CPU, clone_state, contiguous_state
from bench.engine.data_parallel import mean_over_processes, multi_process
from bench.engine.evaluation import LookHistory, batch_norms, collect_outputs, distinct, score
from bench.engine.forward_backward import reseed
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from bench.engine.stacked import update_rules
from bench.engine.stacked.averages import StackedAverages
from bench.engine.stacked.layout import NamedTensors, clone_tensors, pad_rows, pick_rows, pick_rows_of_all
from bench.numerics import Precision
from bench.strategies.averagings import AS_IS
from bench.strategies.optimizer import Optimizer

T = TypeVar("T")
Copies: TypeAlias = tuple[Tensor, NamedTensors, NamedTensors]  # weights [K, P], buffers and counts of K members


class RowEngine(ABC):
    """Members as rows, without looks; for the methods see `bench.contract.Engine`.

    Under data parallelism every process has all members, and averages losses and gradients with the others.

    The trained weights of a member are one row; buffers have an axis for rows. Those that are equal for all members may
    be counts, of which there is one.

    Args:
        loader: Source of the task, the batches and the splits.
        accelerator: Accelerator of Accelerate under data parallelism, else None.
        precision: Precision of forward and backward, on which the memory format depends.

    Raises:
        InputError: BatchNorm under data parallelism.
    """

    LEAST = 1
    """Fewest rows; members that are fewer have shadows."""

    _buffers: NamedTensors
    _counts: NamedTensors

    def __init__(self, loader: Loader, accelerator: Any = None, precision: Precision = "fp32"):
        self.loader, self.task = loader, loader.task
        self._model = initial_model(loader, precision)  # for its structure and its frozen weights
        self._models = [self._model]  # those that compute outputs
        self._accelerator = multi_process(accelerator)
        if self._accelerator is not None and batch_norms(self._model):
            raise InputError(
                f"{loader.task.name} has BatchNorm, which --data-parallel trains with --engine modules only"
            )
        self._members, self._averages, self.recall = 1, StackedAverages(), False
        self._last_WP: Tensor | None = None  # gradients of the last look, if they are recalled
        self._looks = LookHistory()
        self.signals = self._looks.signals
        self.history = self._looks.history

    @torch.no_grad()
    def _lay_out(self, grads: NamedTensors, optimizer: Optimizer, weight_decay: float) -> None:
        """Create the first member's row from the model's weights that have gradients: those that decay come first."""
        decaying = {name: grad for name, grad in grads.items() if optimizer.decays(grad)}
        ends = self._arrange(decaying | grads)
        width = max(ends.values(), default=0)
        self._rule = update_rules.create(optimizer, weight_decay, max((ends[n] for n in decaying), default=0))
        self._set_rows(torch.zeros(self.LEAST, width, device=self.loader.device, dtype=self.loader.dtype))
        for name, weight_W in self._parts(self._weight_WP).items():
            weight_W.copy_(self._model.get_parameter(name))
        if factors := optimizer.multipliers(self._model):
            scale_1P = torch.ones_like(self._weight_WP[:1])
            for name, scale_1 in self._parts(scale_1P).items():
                scale_1.fill_(factors[self._model.get_parameter(name)])
            self._rule.scale_P = scale_1P[0]

    @abstractmethod
    def _arrange(self, grads: NamedTensors) -> Mapping[str, int]:
        """Give each of these weights its place in a row, in this order; returns where each place ends."""

    @abstractmethod
    def _parts(self, flat_WP: Tensor) -> NamedTensors:
        """Views [W, *shape] of rows, by the names of weights."""

    def _padded(self, rows: Sequence[T]) -> list[T]:
        """One entry for each row, of entries for members."""
        return pad_rows(rows, self.LEAST)

    def _set_rows(self, weight_WP: Tensor, grad_WP: Tensor | None = None) -> None:
        """Use these rows from now on."""
        self._weight_WP = weight_WP
        self._grad_WP = torch.zeros_like(weight_WP) if grad_WP is None else grad_WP

    # ------------------------------------------------------------------------------ look, take and move

    def look(self, batch: Batch, step: int) -> None:
        """One forward and backward for each row; does not synchronise."""
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

    @abstractmethod
    def _backward(self, batch: Batch, step: int) -> Tensor:
        """Losses [W], of this process; sets the gradients."""

    def _reseed(self, step: int) -> Callable[[], None]:
        return partial(reseed, self.loader, step, self.loader.rank)

    def _clip(self, grad_WP: Tensor) -> Tensor:
        """Norms [W] of gradients, which are then clipped in place."""
        norm_W = self._norms(grad_WP)
        if self.task.clip is not None:
            shrink_W = (self.task.clip / (norm_W + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grads_with_norm_
            grad_WP.mul_(shrink_W.unsqueeze(1))
        return norm_W

    @abstractmethod
    def _norms(self, grad_WP: Tensor) -> Tensor:
        """Norms [W] of gradients."""

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

    @abstractmethod
    def _outputs_of(self, copies: Copies, inputs: tuple[Tensor, ...]) -> Any:
        """Outputs of all copies, in a nest of tensors."""

    @abstractmethod
    def _output_of(self, outputs: Any, i: int) -> Any:
        """The output of copy i in such a nest."""

    @abstractmethod
    def _recompute(self, copies: Copies) -> None:
        """Recompute the BatchNorm statistics of copies of a model that has some."""

    @abstractmethod
    def _named(self, copies: Copies, i: int) -> NamedTensors:
        """Trained weights and buffers of copy i, by name."""

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
        own = self._named(copies, 0)
        first = {id(p): name for name, p in self._model.named_parameters()}  # a weight that is tied has several names
        state = self._model.state_dict(keep_vars=True)  # with frozen weights, which have no row
        return contiguous_state({name: own.get(first.get(id(t), name), t) for name, t in state.items()})

    @torch.no_grad()
    def _recalibrate(self, copies: Copies) -> None:
        """Recompute the BatchNorm statistics of the copies, if the model has any."""
        if batch_norms(self._model):
            self._recompute(copies)

    def _copies(self, rows: Sequence[int], recipe: Recipe = AS_IS) -> Copies:
        """Weights mixed by a recipe, buffers and counts, of the distinct rows."""
        index = pad_rows(distinct(rows), self.LEAST)
        weight_KP = self._averages.mixed(recipe, index, self._weight_WP)
        return weight_KP, pick_rows_of_all(self._buffers, index), clone_tensors(self._counts)

    @torch.no_grad()
    def _scores(self, split: str, rows: Sequence[int], copies: Copies) -> list[dict[str, float]]:
        chunks, target = self.loader.split(split)
        for model in self._models:
            model.eval()
        outputs = collect_outputs(chunks, lambda inputs: self._outputs_of(copies, inputs), self._accelerator)
        for model in self._models:
            model.train()
        scores = {}
        for i, row in enumerate(distinct(rows)):
            scores[row] = score(self.task, [self._output_of(each, i) for each in outputs], target)
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
