"""The reference engine: M plain modules, each with a stock `torch.optim` optimizer, stepped in turn.

A member is bitwise what a hand-written loop with the same batches, initial weights and memory format gives, whoever
trains beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from bench.contract import SKIPPED, Batch, InputError, Move, Recipe
from bench.engine.clone import CPU, twin
from bench.engine.data_parallel import averaged, several
from bench.engine.evaluation import LookHistory, answers, batch_norms, distinct, renew, score
from bench.engine.forward_backward import ForwardBackward
from bench.engine.loader import Loader, key
from bench.engine.member import TrainedMember
from bench.layers import LAYERS
from bench.numerics import USUAL, Arithmetic
from bench.strategies.optimizer import Optimizer
from bench.strategies.optimizers import adjust


def initial(feed: Loader) -> nn.Module:
    """The model of a feed's seed, in training mode.

    On a CPU, models of 2-D convolutions lie channels_last: the same numbers up to rounding, 1.2 to 1.3 times as fast.
    """
    torch.manual_seed(key(feed.seed, "init"))
    model = feed.task.model().to(device=feed.device, dtype=feed.dtype)
    if LAYERS[feed.task.layers].images and feed.device.type == "cpu":
        model = model.to(memory_format=torch.channels_last)
    return model.train()


class Modules:
    """See `bench.contract.Engine`. Under data parallelism every process holds all members, and looks are averaged.

    Args:
        feed: Task, seed, device and dtype.
        optimizer: Any of `optim.CATALOGUE`.
        weight_decay: As torch.optim understands it.
        accelerator: Of Accelerate, given under data parallelism only.

        arithmetic: Precision, micro-batches, compilation.

    Raises:
        InputError: a model that cannot be compiled.
    """

    def __init__(
        self,
        feed: Loader,
        optimizer: Optimizer,
        weight_decay: float,
        accelerator: Any = None,
        arithmetic: Arithmetic = USUAL,
    ):
        self.feed, self.task = feed, feed.task
        scaled = arithmetic.precision == "fp16"
        self._build: Callable[[nn.Module], TrainedMember] = lambda m: TrainedMember(
            m, optimizer.build(m, weight_decay, fused=scaled), scaled
        )
        self.members = [self._build(initial(feed))]
        self._accelerator = several(accelerator)
        self._has_norms = bool(batch_norms(self.members[0].model))
        self._pass = ForwardBackward(feed, arithmetic, self._accelerator if self._has_norms else None)
        if arithmetic.backend and self._accelerator is not None and self._has_norms:
            raise InputError(f"{self.task.name} has BatchNorm, which --data-parallel trains without --compile only")
        if arithmetic.backend:
            self._try()
        self.recall = False
        self._readings = LookHistory()
        self.signals = self._readings.signals
        self.history = self._readings.history

    def _try(self) -> None:
        """Compile now, on a copy: what cannot be compiled is refused before anything is written."""
        try:
            self._pass.backward(self._fork(self.members[0]).model, self.feed.batch(0), 0)
        except Exception as error:  # whatever the compiler raises
            reason = " ".join(str(error).split("\n")[:2]).strip()  # the first says which backend raised
            raise InputError(f"{self.task.name} cannot be compiled: run without --compile ({reason})") from error

    def look(self, batch: Batch, step: int) -> None:
        """One forward and backward per member; never waits for the device."""
        readings = [self._looked(member, batch, step) for member in self.members]
        self._readings.hold(*(torch.stack(column) for column in zip(*readings, strict=True)))

    def _looked(self, member: TrainedMember, batch: Batch, step: int) -> tuple[Tensor, ...]:
        scaler, statistics = member.scaler, member.statistics() if member.scaler else []
        loss = self._pass.backward(member.model, batch, step, scaler.scale if scaler else None)
        held = [p for p in member.weights if p.grad is not None]
        if self._accelerator is not None:
            *means, loss = averaged(self._accelerator, [*(p.grad for p in held if p.grad is not None), loss])
            for weight, mean in zip(held, means, strict=True):
                weight.grad = mean
        grads = [p.grad for p in held if p.grad is not None]
        if scaler is not None:
            scaler.unscale(grads, loss)
            member.spare(statistics)
        member.loss = loss
        norm = get_total_norm(grads)
        dots = (member.recalled(grads),) if self.recall else ()
        if self.task.clip is not None:
            clip_grads_with_norm_(held, self.task.clip, norm)
        return (loss, norm if scaler is None else scaler.chosen(SKIPPED, norm), *dots)

    def take(self, rows: Sequence[int]) -> None:
        """Member i becomes old member rows[i]: itself at its first mention, a copy with gradients after that."""
        seen: set[int] = set()
        members = []
        for row in rows:
            members.append(self._fork(self.members[row]) if row in seen else self.members[row])
            seen.add(row)
        self.members = members

    def _fork(self, member: TrainedMember) -> TrainedMember:
        fork = self._build(twin(member.model))
        fork.load(member.state())
        fork.loss = member.loss
        for old, new in zip(member.weights, fork.weights, strict=True):
            new.grad = None if old.grad is None else old.grad.clone()
        return fork

    def move(self, moves: Sequence[Move]) -> None:
        """Each member's own optimizer step, at its LR and momentum; MoMo asks for the loss."""
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
        """Scores of the named members, each computed once; nothing of a member changes."""
        scores = self._scored({row: self._read(self.members[row]) for row in distinct(rows)}, split)
        return [scores[row] for row in rows]

    def averaged(self, splits: Sequence[str], rows: Sequence[int], recipe: Recipe) -> list[list[dict[str, float]]]:
        """Scores on each split of the named members' averages, BatchNorm statistics computed anew for them."""
        models = {row: self._renewed(self.members[row].mixed(recipe)) for row in distinct(rows)}
        scores = [self._scored(models, split) for split in splits]
        return [[seen[row] for row in rows] for seen in scores]

    def recalibrated(self, split: str, rows: Sequence[int]) -> list[dict[str, float]] | None:
        """Scores of copies whose BatchNorm statistics were averaged anew; see `readings.renew`."""
        if not self._has_norms:
            return None
        models = {row: self._renewed(twin(self._read(self.members[row]))) for row in distinct(rows)}
        scores = self._scored(models, split)
        return [scores[row] for row in rows]

    def _read(self, member: TrainedMember) -> nn.Module:
        """The model that is evaluated: the member's own, or the average that Schedule-Free forms to be read.

        Forming it and going back changes bits, so it is done to a copy. BatchNorm statistics are computed anew for
        it, as for every average: the running ones are those of other weights.
        """
        if not hasattr(member.optimizer, "eval"):
            return member.model
        fork = self._fork(member)
        fork.optimizer.eval()  # type: ignore[attr-defined]  # Schedule-Free has it
        return self._renewed(fork.model)

    @torch.no_grad()
    def _scored(self, models: Mapping[int, nn.Module], split: str) -> dict[int, dict[str, float]]:
        """Scores of models by row; a chunk is read and prepared once for all of them, and by one process.

        What overflows in fp16 is computed anew in float32: only an answer that is not finite there is lost.
        """
        chunks, target = self.feed.split(split)
        for model in models.values():
            model.eval()
        whole = answers(
            chunks, lambda inputs: [self._pass.output(model, inputs) for model in models.values()], self._accelerator
        )
        for model in models.values():
            model.train()
        scores = {row: score(self.task, own, target) for row, *own in zip(models, *whole, strict=True)}
        lost = {row: models[row] for row, own in scores.items() if not own["finite"]}
        if lost and self._pass.overflows:
            with self._pass.in_float32():
                scores |= self._scored(lost, split)
        return scores

    @torch.no_grad()
    def _renewed(self, model: nn.Module) -> nn.Module:
        """The model itself, its BatchNorm statistics computed anew; without BatchNorm, as it was."""
        norms = batch_norms(model)
        for norm in norms:
            norm.reset_running_stats()
        if norms:
            renew(model, self.feed, lambda *inputs: self._pass.synced(model, inputs))
        if self._pass.overflows and not all(t.isfinite().all() for norm in norms for t in norm.buffers()):
            with self._pass.in_float32():
                return self._renewed(model)
        return model

    def state_dict(self) -> dict[str, Any]:
        """Copies of all members, as tensors, numbers, texts, lists and dicts. Taken between a move and a look."""
        return {"members": [member.state(CPU) for member in self.members]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the members of `state`, however many they are; go on bit for bit."""
        model = self.members[0].model  # no more than its structure, and what is not trained
        self.members = [self._build(twin(model)) for _ in state["members"]]
        for member, saved in zip(self.members, state["members"], strict=True):
            member.load(saved)
