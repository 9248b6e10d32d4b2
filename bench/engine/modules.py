"""The reference engine: M plain modules, each with a stock `torch.optim` optimizer, stepped in turn.

A member equals, bit for bit, a hand-written loop with the same batches, initial weights and memory format. It does not
depend on the other members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from bench.contract import SKIPPED, Batch, InputError, Move, Recipe
from bench.engine.clone import CPU, clone_model, contiguous_state
from bench.engine.data_parallel import mean_over_processes, multi_process
from bench.engine.evaluation import LookHistory, batch_norms, collect_outputs, distinct, recalibrate, score
from bench.engine.forward_backward import ForwardBackward
from bench.engine.loader import Loader, key
from bench.engine.member import TrainedMember
from bench.layers import LAYERS
from bench.numerics import USUAL, Arithmetic, Precision
from bench.strategies.optimizer import FUSED, SKIPPING, Optimizer
from bench.strategies.optimizers import adjust


def initial_model(loader: Loader, precision: Precision = "fp32") -> nn.Module:
    """Create the model with the initial weights of the loader's seed, in training mode.

    On a CPU, models of 2-D convolutions are channels_last: equal up to rounding, and 1.2 to 1.3 times as fast. In bf16
    they are so on any device: a GPU's units for half precision take that layout.
    """
    torch.manual_seed(key(loader.seed, "init"))
    model = loader.task.model().to(device=loader.device, dtype=loader.dtype)
    if LAYERS[loader.task.layers].images and (loader.device.type == "cpu" or precision == "bf16"):
        model = model.to(memory_format=torch.channels_last)
    return model.train()


def takes_fused_kernel(optimizer: str, device: torch.device, scaled: bool, accelerator: Any = None) -> bool:
    """True if members are updated by torch's fused kernel: with loss scaling, and on a GPU by a single process.

    Fused kernels refuse gradients of another memory layout than their weights, as those averaged over processes are.
    """
    if scaled:
        return optimizer in SKIPPING
    return optimizer in FUSED and device.type == "cuda" and accelerator is None


class Modules:
    """The engine of plain modules; for its methods see `bench.contract.Engine`.

    Under data parallelism every process has all members, and averages losses and gradients with the others.

    Args:
        loader: Source of the task, the batches and the splits.
        optimizer: Any of `optimizers.CATALOGUE`.
        weight_decay: Weight decay as in torch.optim.
        accelerator: Accelerator of Accelerate under data parallelism, else None.
        arithmetic: Precision, micro-batches and compilation.

    Raises:
        InputError: a model that cannot be compiled.
    """

    def __init__(
        self,
        loader: Loader,
        optimizer: Optimizer,
        weight_decay: float,
        accelerator: Any = None,
        arithmetic: Arithmetic = USUAL,
    ):
        self.loader, self.task = loader, loader.task
        self._accelerator = multi_process(accelerator)
        scaled = arithmetic.precision == "fp16"
        fused = takes_fused_kernel(optimizer.name, loader.device, scaled, self._accelerator)
        self._build: Callable[[nn.Module], TrainedMember] = lambda m: TrainedMember(
            m, optimizer.build(m, weight_decay, fused=fused), scaled
        )
        self.members = [self._build(initial_model(loader, arithmetic.precision))]
        self._has_norms = bool(batch_norms(self.members[0].model))
        self._pass = ForwardBackward(loader, arithmetic, self._accelerator if self._has_norms else None)
        if arithmetic.backend and self._accelerator is not None and self._has_norms:
            raise InputError(f"{self.task.name} has BatchNorm, which --data-parallel trains without --compile only")
        if arithmetic.backend:
            self._try_compiling()
        self.recall = False
        self._looks = LookHistory()
        self.signals = self._looks.signals
        self.history = self._looks.history

    def _try_compiling(self) -> None:
        """Compile on a copy, so that a model that cannot be compiled is refused before anything is written."""
        try:
            self._pass.backward(self._fork(self.members[0]).model, self.loader.batch(0), 0)
        except Exception as error:  # whatever the compiler raises
            reason = " ".join(str(error).split("\n")[:2]).strip()  # the first line names the backend
            raise InputError(f"{self.task.name} cannot be compiled: run without --compile ({reason})") from error

    def look(self, batch: Batch, step: int) -> None:
        """One forward and backward per member; does not synchronise."""
        losses, norms, *dots = zip(*(self._look_at(member, batch, step) for member in self.members), strict=True)
        look_2M = torch.stack((*losses, *norms)).view(2, len(losses))
        self._looks.record(look_2M, *(torch.stack(column) for column in dots))

    def _look_at(self, member: TrainedMember, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """(loss, gradient norm) of one member, and `grad_dot` if gradients are recalled, each []."""
        scaler = member.scaler
        statistics = member.statistics() if scaler else []
        loss = self._pass.backward(member.model, batch, step, scaler.scale if scaler else None)
        weights = [p for p in member.weights if p.grad is not None]
        if self._accelerator is not None:
            # The local gradients get no name here, so that the means replace them in memory.
            *means, loss = mean_over_processes(
                self._accelerator, [*(p.grad for p in weights if p.grad is not None), loss]
            )
            for weight, mean in zip(weights, means, strict=True):
                weight.grad = mean
        grads = [p.grad for p in weights if p.grad is not None]
        if scaler is not None:
            scaler.unscale(grads, loss)
            member.undo_overflow(statistics)
        member.loss = loss
        norm = get_total_norm(grads)
        dots = (member.recall_dot(grads),) if self.recall else ()
        if self.task.clip is not None:
            clip_grads_with_norm_(weights, self.task.clip, norm)
        return (loss, norm if scaler is None else scaler.select(SKIPPED, norm), *dots)

    def take(self, rows: Sequence[int]) -> None:
        """Member i becomes old member rows[i]: itself at its first mention, then forks with its gradients."""
        assigned: set[int] = set()
        members = []
        for row in rows:
            members.append(self._fork(self.members[row]) if row in assigned else self.members[row])
            assigned.add(row)
        self.members = members

    def _fork(self, member: TrainedMember) -> TrainedMember:
        fork = self._build(clone_model(member.model))
        fork.load(member.state())
        fork.loss = member.loss
        for old, new in zip(member.weights, fork.weights, strict=True):
            new.grad = None if old.grad is None else old.grad.clone()
        return fork

    def move(self, moves: Sequence[Move]) -> None:
        """Step each member's optimizer at its LR and momentum."""
        for member, move in zip(self.members, moves, strict=True):
            adjust(member.optimizer, move)
            member.update()

    def blend(self, slot: str, rows: Sequence[int], share: float) -> None:
        """See `bench.contract.Engine`."""
        for row, member in enumerate(self.members):
            if row in rows:
                member.blend(slot, share)
            else:
                member.averages.pop(slot, None)

    def evaluate(self, split: str, rows: Sequence[int]) -> list[dict[str, float]]:
        """Scores of these members, each computed once; no member changes."""
        scores = self._scores({row: self._evaluated_model(self.members[row]) for row in distinct(rows)}, split)
        return [scores[row] for row in rows]

    def averaged(self, splits: Sequence[str], rows: Sequence[int], recipe: Recipe) -> list[list[dict[str, float]]]:
        """Scores on each split of these members' averages, with recomputed BatchNorm statistics."""
        models = {row: self._recalibrated(self.members[row].mixed(recipe)) for row in distinct(rows)}
        scores = [self._scores(models, split) for split in splits]
        return [[by_row[row] for row in rows] for by_row in scores]

    def recalibrated(self, split: str, rows: Sequence[int]) -> list[dict[str, float]] | None:
        """Scores of copies with recomputed BatchNorm statistics; see `evaluation.recalibrate`."""
        if not self._has_norms:
            return None
        copies = {row: clone_model(self._evaluated_model(self.members[row])) for row in distinct(rows)}
        models = {row: self._recalibrated(copy) for row, copy in copies.items()}
        scores = self._scores(models, split)
        return [scores[row] for row in rows]

    def weights(self, row: int, recipe: Recipe | None) -> dict[str, Tensor]:
        """See `bench.contract.Engine`."""
        member = self.members[row]
        model = self._evaluated_model(member) if recipe is None else self._recalibrated(member.mixed(recipe))
        return contiguous_state(model.state_dict())

    def _evaluated_model(self, member: TrainedMember) -> nn.Module:
        """The model that is evaluated: the member's own, or for Schedule-Free a copy with its average.

        BatchNorm statistics are recomputed for the average: the running ones belong to other weights.
        """
        # Changing to the average and back would change bits, so it is done on a copy.
        if not hasattr(member.optimizer, "eval"):
            return member.model
        fork = self._fork(member)
        fork.optimizer.eval()  # type: ignore[attr-defined]  # Schedule-Free has it
        return self._recalibrated(fork.model)

    @torch.no_grad()
    def _scores(self, models: Mapping[int, nn.Module], split: str) -> dict[int, dict[str, float]]:
        """Scores of models by row. Each chunk is read and prepared once for all models, by one process.

        Models whose outputs overflow in fp16 are evaluated again in float32.
        """
        chunks, target = self.loader.split(split)
        for model in models.values():
            model.eval()

        def forward(inputs: tuple[Tensor, ...]) -> list[Any]:
            return [self._pass.output(model, inputs) for model in models.values()]

        outputs = collect_outputs(chunks, forward, self._accelerator)
        for model in models.values():
            model.train()
        scores = {row: score(self.task, own, target) for row, *own in zip(models, *outputs, strict=True)}
        overflowed = {row: models[row] for row, own in scores.items() if not own["finite"]}
        if overflowed and self._pass.overflows:
            with self._pass.in_float32():
                scores |= self._scores(overflowed, split)
        return scores

    @torch.no_grad()
    def _recalibrated(self, model: nn.Module) -> nn.Module:
        """The same model with recomputed BatchNorm statistics; unchanged without BatchNorm."""
        norms = batch_norms(model)
        for norm in norms:
            norm.reset_running_stats()
        if norms:
            recalibrate(model, self.loader, lambda *inputs: self._pass.synced_output(model, inputs))
        if self._pass.overflows and not all(t.isfinite().all() for norm in norms for t in norm.buffers()):
            with self._pass.in_float32():
                return self._recalibrated(model)
        return model

    def state_dict(self) -> dict[str, Any]:
        """Copies of all members, as tensors, numbers, texts, lists and dicts. Call it between a move and a look."""
        return {"members": [member.state(CPU) for member in self.members]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the members of `state`, any number of them; training continues bit for bit."""
        model = self.members[0].model  # for its structure and its frozen weights
        self.members = [self._build(clone_model(model)) for _ in state["members"]]
        for member, saved in zip(self.members, state["members"], strict=True):
            member.load(saved)
