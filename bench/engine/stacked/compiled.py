"""The compiled engine: stacked rows whose look, clipping and update are programs of torch's inductor. W = rows.

Its kernels are fused, so the last bits differ from those of `stacked`. A program is compiled for one number of rows,
which takes seconds; so few numbers are used, and none is compiled for a few updates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from bench.contract import Batch, InputError, Move
from bench.engine.loader import Loader, weak_method
from bench.engine.rows import RowEngine
from bench.engine.stacked.engine import Stacked
from bench.engine.stacked.layout import NamedTensors, pad_rows
from bench.engine.stacked.traced import Outcome, State, TracedLook, Traces, flat, unflat
from bench.engine.stacked.update_rules import columns
from bench.engine.stacked.widths import width
from bench.strategies.optimizer import Optimizer

T = TypeVar("T")
Function: TypeAlias = Callable[..., Outcome]  # of tensors, which it may change in place

OFTEN = 100
"""Runs of a function with so many rows before it is compiled."""

ROWS = "rows"
"""Name of all weights as one leaf, so that a program writes all gradients as one tensor."""

OPTIONS = {"fallback_random": True}
"""Options of inductor: random numbers are those of torch's generator, so that dropout is the same in all engines."""


class Compiled(Stacked):
    """The engine of stacked rows with compiled updates; for its methods see `bench.contract.Engine`.

    Rows are filled up to one of few widths by copies of the last member. Runs of each program are counted, and the
    counts are part of the state: so a resumed cohort computes the same updates by the same programs.

    Raises:
        InputError: a model that cannot be stacked or traced.
    """

    def __init__(self, loader: Loader, optimizer: Optimizer, weight_decay: float, accelerator: Any = None):
        super().__init__(loader, optimizer, weight_decay, accelerator)
        self._look: WideLook = WideLook(weak_method(self._losses_of_rows), Traces())
        self._programs = Programs()
        try:
            trace = self._look.trace(self._state(), loader.batch(0))
        except Exception as error:  # whatever tracing raises
            reason = str(error).strip().split("\n")[0]
            raise InputError(f"{self.task.name} cannot be compiled: use --engine stacked ({reason})") from error
        if not self._look.equals(trace.forward, self._reseed(1), self._state(), loader.batch(1), [self._grad_WP]):
            reason = "a look does more than operations on tensors"
            raise InputError(f"{self.task.name} cannot be compiled: use --engine stacked ({reason})")

    def _trial_gradients(self) -> NamedTensors:
        # Weights get the layout of the programs' gradients.
        with WideProducts():  # type: ignore[no-untyped-call]
            return super()._trial_gradients()

    def _losses_of_rows(self, leaves: NamedTensors, *rest: Any) -> Tensor:
        losses: Tensor = self._losses(self._parts(leaves[ROWS]), *rest)
        return losses

    def _set_rows(self, weight_WP: Tensor, grad_WP: Tensor | None = None) -> None:
        RowEngine._set_rows(self, weight_WP, grad_WP)  # without the views of `Stacked`, which would keep gradients
        self._leaves = {ROWS: weight_WP.detach().requires_grad_()}

    def _padded(self, rows: Sequence[T]) -> list[T]:
        return pad_rows(rows, width(len(rows)))

    # -------------------------------------------------------------------------------- look, clip and move

    def _measured(self, batch: Batch, step: int) -> tuple[Tensor, Tensor | None]:
        if self.recall or self._accelerator is not None:  # which need the gradients before they are clipped
            return super()._measured(batch, step)
        look_2W, self._grad_WP = self._run_look("clipped look", self._clipped_look, batch, step)
        return look_2W, None

    def _backward(self, batch: Batch, step: int) -> Tensor:
        loss_W, self._grad_WP = self._run_look("look", self._look.outcome, batch, step)
        return loss_W

    def _clipped_look(self, state: State, batch: Batch) -> Outcome:
        loss_W, grad_WP = self._look.outcome(state, batch)
        return torch.stack((loss_W, self._clip(grad_WP))), grad_WP

    def _run_look(self, name: str, look: Callable[[State, Batch], Outcome], batch: Batch, step: int) -> Outcome:
        self._grad_WP = self._weight_WP.new_empty(0)  # those of the last look make room
        state = self._state()
        shapes = tuple((t.shape, t.stride()) for part in batch for t in part)

        def program(*tensors: Tensor) -> Outcome:
            return look(*unflat(tensors, state, batch))

        return self._programs.run((name, shapes), program, flat(state, batch), self._reseed(step))

    def move(self, moves: Sequence[Move]) -> None:
        """Step the optimizer for all rows, each at its LR and momentum."""
        numbers, kind = self._rule.begin(self._padded(moves), self._weight_WP)
        names = self._rule.state_of(kind)  # the rule may have more state, of other kinds

        def move(weight_WP: Tensor, grad_WP: Tensor, *rest: Tensor) -> Outcome:
            slots, numbers = dict(zip(names, rest, strict=False)), rest[len(names) :]
            self._rule.update(weight_WP, grad_WP.clone(), slots, numbers, kind)  # a clone is written nowhere
            return ()

        state = [self._rule.slots[name] for name in names]
        tensors = [self._weight_WP, self._grad_WP, *state, *columns(numbers, self._weight_WP)]
        self._programs.run(("move", kind), move, tensors)

    def state_dict(self) -> dict[str, Any]:
        """As that of `Stacked`, with the number of runs by program."""
        return super().state_dict() | {"runs": dict(self._programs.runs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the members of `state`, any number of them; training continues bit for bit."""
        super().load_state_dict(state)
        self._programs.runs = Counter(state.get("runs", {}))  # which snapshots of older versions lack


class Programs:
    """Programs of functions of tensors, each compiled when it has run often with as many rows.

    Attributes:
        runs: Runs by name of the function and number of rows, up to OFTEN.
    """

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self._compiled: dict[Any, Function] = {}

    def run(
        self,
        key: tuple[str, Any],
        function: Function,
        tensors: Sequence[Tensor],
        reseed: Callable[[], None] | None = None,
    ) -> Outcome:
        """Outcome of a function.

        Args:
            key: Name of the function, and what else tells it from others with as many rows.
            function: Operations on the tensors it is given, and on nothing that differs from run to run.
            tensors: Its arguments; the first has a row for each row.
            reseed: Sets the seed of torch's generators, if the function draws from them.
        """
        rows = len(tensors[0])
        if (program := self._compiled.get((key, rows))) is None:
            name = f"{key[0]}, {rows} rows"
            if self.runs[name] < OFTEN:
                self.runs[name] += 1
                program = function
            else:
                if reseed is not None:
                    reseed()
                program = self._compiled[key, rows] = compile_function(function, tensors)
        if reseed is not None:
            reseed()
        with torch.no_grad():
            return program(*tensors)


def compile_function(function: Function, tensors: Sequence[Tensor]) -> Function:
    """A program of a function, which is tried on copies."""
    copies = [t.detach().clone().requires_grad_(t.requires_grad) for t in tensors]
    trace = make_fx(function)(*copies)
    with torch.no_grad():
        program: Function = torch._inductor.compile(trace, list(tensors), options=OPTIONS)
    return program


class WideProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Batched matrix products whose last axis is the longer one.

    BLAS computes a product with a short last axis, such as the ten scores of a classifier, up to four times as slowly
    as its transpose.
    """

    def __torch_dispatch__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation."""
        if function is torch.ops.aten.bmm.default and args[1].shape[2] < args[0].shape[1]:
            return torch.bmm(args[1].mT, args[0].mT).mT
        return function(*args, **kwargs or {})


class WideLook(TracedLook):
    """Losses and gradients of all rows, by wide products."""

    @torch.enable_grad()
    def outcome(self, state: State, batch: Batch) -> Outcome:
        with WideProducts():  # type: ignore[no-untyped-call]
            return super().outcome(state, batch)
