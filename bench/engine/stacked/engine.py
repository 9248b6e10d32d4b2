"""The fast engine: M members as rows of stacked weights and buffers, with one vmapped forward and backward for all.

A member equals its solo run in `modules` to rounding. At width 1 other kernels run, and the last bit differs; so a lone
member has a shadow, and there are W = max(M, 2) rows. Suffixes: M = members, W = rows, P = weights of one member.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.utils import _pytree as pytree

from bench.contract import Batch, InputError, Move, Recipe
from bench.engine.clone import CPU, copied
from bench.engine.data_parallel import averaged, several
from bench.engine.evaluation import LookHistory, answers, batch_norms, distinct, renew, score
from bench.engine.forward_backward import reseed
from bench.engine.loader import Loader, weakly
from bench.engine.modules import initial
from bench.engine.stacked import update_rules
from bench.engine.stacked.averages import StackedAverages
from bench.engine.stacked.layout import Named, cloned, layout, paired, picked, selected, twice
from bench.strategies.averagings import AS_IS
from bench.strategies.optimizer import Optimizer

Copies: TypeAlias = tuple[Named, Named, Named]  # weights, buffers and counts


class Stacked:
    """See `bench.contract.Engine`. Under data parallelism every process holds all members, and looks are averaged.

    All weights of a member that are trained lie in one row; buffers are stacked one by one. Buffers of integers
    (counts of batches, positions) are the same for all members, so there is one of each.

    Args:
        feed: Task, seed, device and dtype.
        optimizer: One of `optim.STACKABLE`.
        weight_decay: As torch.optim understands it.
        accelerator: Of Accelerate, given under data parallelism only.

    Raises:
        InputError: a model that cannot be stacked, or BatchNorm under data parallelism.
    """

    def __init__(self, feed: Loader, optimizer: Optimizer, weight_decay: float, accelerator: Any = None):
        self.feed, self.task = feed, feed.task
        self._model = initial(feed)  # its structure, and whatever is not trained
        self._accelerator = several(accelerator)
        if self._accelerator is not None and batch_norms(self._model):
            raise InputError(f"{feed.task.name} has BatchNorm, which --data-parallel trains with --engine modules only")
        self._losses = vmap(weakly(self._loss), in_dims=(0, 0, None, None, None), randomness="same")
        self._outputs = vmap(weakly(self._output), in_dims=(0, 0, None, None), randomness="same")
        buffers = {name: b.clone() for name, b in self._model.named_buffers()}
        self._counts = {name: b for name, b in buffers.items() if not b.is_floating_point()}
        self._buffers = {name: twice(b) for name, b in buffers.items() if b.is_floating_point()}
        self._members, self._bank, self.recall = 1, StackedAverages(), False
        self._last_WP: Tensor | None = None  # gradients of the last look, where they are to be recalled
        self._begin(optimizer, weight_decay)
        self._readings = LookHistory()
        self.signals = self._readings.signals
        self.history = self._readings.history

    @torch.no_grad()
    def _begin(self, optimizer: Optimizer, weight_decay: float) -> None:
        """Lay out a first member at the model's weights: those that decay, then the others."""
        grads = self._trial()
        decaying = {name: grad for name, grad in grads.items() if optimizer.decays(grad)}
        ordered = decaying | grads
        self._layouts = {name: layout(grad) for name, grad in ordered.items()}
        self._rule = update_rules.create(optimizer, weight_decay, sum(grad.numel() for grad in decaying.values()))
        width = sum(grad.numel() for grad in ordered.values())
        self._lay(torch.empty(2, width, device=self.feed.device, dtype=self.feed.dtype))
        for name, weight_W in self._weights.items():
            weight_W.copy_(self._model.get_parameter(name))

    @torch.enable_grad()
    def _trial(self) -> Named:
        """Gradients of one member, by the names of the weights that the loss depends on.

        The other weights never change, for torch.optim leaves those without a gradient alone.
        """
        weights = {name: twice(p.detach()) for name, p in self._model.named_parameters() if p.requires_grad}
        leaves = [w.requires_grad_() for w in weights.values()]
        try:
            loss_W = self._losses(weights, cloned(self._buffers), cloned(self._counts), *self.feed.batch(0))
            grads = torch.autograd.grad(loss_W.sum(), leaves, allow_unused=True)
        except RuntimeError as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(f"{self.task.name} cannot be stacked: use --engine modules ({reason})") from error
        return {name: grad[0] for name, grad in zip(weights, grads, strict=True) if grad is not None}

    def _lay(self, weight_WP: Tensor, grad_WP: Tensor | None = None) -> None:
        """Take these rows for one's own; the model's weights and their gradients are views of them."""
        self._weight_WP = weight_WP
        self._grad_WP = torch.zeros_like(weight_WP) if grad_WP is None else grad_WP
        self._weights = {name: part.requires_grad_() for name, part in self._parts(weight_WP).items()}
        self._held = list(self._parts(self._grad_WP).values())

    def _parts(self, flat_WP: Tensor) -> Named:
        """Views [W, *shape] of rows, by the names of weights."""
        parts = torch.split(flat_WP, [math.prod(shape) for shape, _ in self._layouts.values()], dim=1)
        named = zip(self._layouts.items(), parts, strict=True)
        return {name: part.detach().view(len(flat_WP), *shape).permute(axes) for (name, (shape, axes)), part in named}

    def _output(self, weights: Named, buffers: Named, counts: Named, inputs: tuple[Tensor, ...]) -> Any:
        return functional_call(self._model, (weights, buffers, counts), inputs)

    def _loss(self, weights: Named, buffers: Named, counts: Named, inputs: Any, target: Any) -> Tensor:
        return self.task.loss(self._output(weights, buffers, counts, inputs), target)

    # ------------------------------------------------------------------------------ look, take and move

    def look(self, batch: Batch, step: int) -> None:
        """One forward and backward for all rows; never waits for the device."""
        reseed(self.feed, step, self.feed.rank)
        loss_W = self._losses(self._weights, self._buffers, self._counts, *batch)
        # Members share no weight, so each finds its own gradient in that of the sum.
        for held, grad in zip(self._held, torch.autograd.grad(loss_W.sum(), list(self._weights.values())), strict=True):
            held.copy_(grad)
        loss_W = loss_W.detach()
        if self._accelerator is not None:
            mean_WP, loss_W = averaged(self._accelerator, [self._grad_WP, loss_W])
            self._grad_WP.copy_(mean_WP)
        norm_W = torch.linalg.vector_norm(self._grad_WP, dim=1)
        dot_W = self._recalled() if self.recall else None
        if self.task.clip is not None:
            shrink_W = (self.task.clip / (norm_W + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grads_with_norm_
            self._grad_WP.mul_(shrink_W.unsqueeze(1))
        m = self._members
        self._readings.hold(loss_W[:m], norm_W[:m], None if dot_W is None else dot_W[:m])

    def _recalled(self) -> Tensor:
        """Inner products of these gradients with the last ones, whose place they take."""
        if self._last_WP is None:
            self._last_WP = torch.zeros_like(self._grad_WP)
        dot_W: Tensor = torch.linalg.vecdot(self._grad_WP, self._last_WP)
        self._last_WP.copy_(self._grad_WP)
        return dot_W

    def take(self, rows: Sequence[int]) -> None:
        """Member i becomes old member rows[i], gradients included; nothing is copied where nothing changes."""
        if list(rows) == list(range(self._members)):
            return
        self._members = len(rows)
        index = paired(rows)
        self._lay(picked(self._weight_WP, index), picked(self._grad_WP, index))
        self._last_WP = None if self._last_WP is None else picked(self._last_WP, index)
        self._buffers = selected(self._buffers, index)
        self._rule.slots = selected(self._rule.slots, index)
        self._bank.take(rows)

    def move(self, moves: Sequence[Move]) -> None:
        """One optimizer step for all rows, each at its LR and momentum."""
        shadow = moves if self._members == 1 else ()
        self._rule.move(self._weight_WP, self._grad_WP, [*moves, *shadow])

    def blend(self, slot: str, rows: Sequence[int], share: float) -> None:
        """See `bench.contract.Engine`."""
        self._bank.blend(slot, rows, share, self._weight_WP)

    # ---------------------------------------------------------------------------------------- evaluate

    def evaluate(self, split: str, rows: Sequence[int]) -> list[dict[str, float]]:
        """Scores of the named members, each computed once, on copies."""
        return self._scored(split, rows, self._copies(rows)) if rows else []

    def averaged(self, splits: Sequence[str], rows: Sequence[int], recipe: Recipe) -> list[list[dict[str, float]]]:
        """Scores on each split of the named members' averages, BatchNorm statistics computed anew for them."""
        self._renew(copies := self._copies(rows, recipe))
        return [self._scored(split, rows, copies) for split in splits]

    def recalibrated(self, split: str, rows: Sequence[int]) -> list[dict[str, float]] | None:
        """Scores of copies whose BatchNorm statistics were averaged anew; see `readings.renew`."""
        if not batch_norms(self._model):
            return None
        return self.averaged([split], rows, AS_IS)[0] if rows else []

    @torch.no_grad()
    def _renew(self, copies: Copies) -> None:
        """Compute BatchNorm statistics anew, if there are any."""
        norms = batch_norms(self._model)
        for prefix, module in self._model.named_modules():
            if module in norms:
                copies[1][f"{prefix}.running_mean".lstrip(".")].zero_()
                copies[1][f"{prefix}.running_var".lstrip(".")].fill_(1)
        if norms:
            renew(self._model, self.feed, lambda *inputs: self._outputs(*copies, inputs))
            self._model.train()

    def _copies(self, rows: Sequence[int], recipe: Recipe = AS_IS) -> Copies:
        """Weights as a recipe mixes them, buffers and counts of the distinct rows."""
        index = paired(distinct(rows))
        weights = self._parts(self._bank.mixed(recipe, index, self._weight_WP))
        return weights, selected(self._buffers, index), cloned(self._counts)

    @torch.no_grad()
    def _scored(self, split: str, rows: Sequence[int], copies: Copies) -> list[dict[str, float]]:
        chunks, target = self.feed.split(split)
        self._model.eval()
        outputs = answers(chunks, lambda inputs: self._outputs(*copies, inputs), self._accelerator)
        self._model.train()
        scores = {}
        for i, row in enumerate(distinct(rows)):
            own = [pytree.tree_map(itemgetter(i), output_W) for output_W in outputs]
            scores[row] = score(self.task, own, target)
        return [scores[row] for row in rows]

    # ------------------------------------------------------------------------------------ save and load

    def state_dict(self) -> dict[str, Any]:
        """Copies of all rows, as tensors, numbers and dicts. Taken between a move and a look."""
        own = {
            "members": self._members,
            "steps": self._rule.steps,
            "weights": self._weight_WP,
            "last": self._last_WP,
            "slots": self._rule.slots,
            "buffers": self._buffers,
            "counts": self._counts,
            "averages": self._bank.state(),
        }
        state: dict[str, Any] = copied(own, CPU)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the members of `state`, however many they are; go on bit for bit."""
        self._members, self._rule.steps = state["members"], state["steps"]
        self._lay(state["weights"].to(self.feed.device, copy=True))
        last = state["last"]
        self._last_WP = None if last is None else last.to(self.feed.device, copy=True)
        self._rule.slots = self._placed(state["slots"])
        self._buffers = self._placed(state["buffers"])
        self._counts = self._placed(state["counts"])
        self._bank.load(state["averages"], self.feed.device)

    def _placed(self, tensors: Named) -> Named:
        return {name: t.to(self.feed.device, copy=True) for name, t in tensors.items()}
