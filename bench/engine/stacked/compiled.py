"""The compiled engine: stacked rows whose forward and backward is one program of torch's inductor. W = rows.

Its kernels are fused, so the last bits differ from those of `stacked`. A program is compiled for one number of rows,
which takes seconds; so few numbers are used, and none is compiled for a few looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from bench.contract import Batch, InputError
from bench.engine.forward_backward import reseed
from bench.engine.loader import Loader, weak_method
from bench.engine.stacked.engine import Stacked
from bench.engine.stacked.layout import NamedTensors
from bench.engine.stacked.traced import Program, State, TracedLook, Traces, flat
from bench.strategies.optimizer import Optimizer

T = TypeVar("T")

STEP = 32
"""Numbers of rows above this one are its multiples; those below are powers of two."""

OFTEN = 100
"""Looks with so many rows before they are compiled; until then they are those of `stacked`."""

ROWS = "rows"
"""Name of all weights as one leaf, so that a program writes all gradients as one tensor."""

OPTIONS = {"fallback_random": True}
"""Options of inductor: random numbers are those of torch's generator, so that dropout is the same in all engines."""


def width(members: int) -> int:
    """Number of rows for so many members.

    >>> [width(members) for members in (0, 1, 3, 17, 33, 64, 65)]
    [0, 2, 4, 32, 64, 64, 96]
    """
    if members > STEP:
        return -(-members // STEP) * STEP
    return members and max(2, 1 << (members - 1).bit_length())


class Compiled(Stacked):
    """The engine of stacked rows with compiled looks; for its methods see `bench.contract.Engine`.

    Rows are filled up to one of few widths by copies of the last member. Looks of a width are counted, and the count is
    part of the state: so a resumed cohort computes the same looks by the same program.

    Raises:
        InputError: a model that cannot be stacked or traced.
    """

    def __init__(self, loader: Loader, optimizer: Optimizer, weight_decay: float, accelerator: Any = None):
        super().__init__(loader, optimizer, weight_decay, accelerator)
        self._look: CompiledLook = CompiledLook(weak_method(self._losses_of_rows))
        try:
            trace = self._look.trace(self._state(), loader.batch(0))
        except Exception as error:  # whatever tracing raises
            reason = str(error).strip().split("\n")[0]
            raise InputError(f"{self.task.name} cannot be compiled: use --engine stacked ({reason})") from error
        seed = partial(reseed, loader, 1, loader.rank)
        if not self._look.equals(trace.forward, seed, self._state(), loader.batch(1), self._grads):
            reason = "a look does more than operations on tensors"
            raise InputError(f"{self.task.name} cannot be compiled: use --engine stacked ({reason})")

    def _losses_of_rows(self, leaves: NamedTensors, *rest: Any) -> Tensor:
        losses: Tensor = self._losses(self._parts(leaves[ROWS]), *rest)
        return losses

    def _set_rows(self, weight_WP: Tensor, grad_WP: Tensor | None = None) -> None:
        super()._set_rows(weight_WP, grad_WP)
        self._leaves = {ROWS: weight_WP.detach().requires_grad_()}
        self._grads = [self._grad_WP]

    def _state(self) -> State:
        return self._leaves, self._buffers, self._counts

    def _padded(self, rows: Sequence[T]) -> list[T]:
        return [*rows, *list(rows[-1:]) * (width(len(rows)) - len(rows))]

    def state_dict(self) -> dict[str, Any]:
        """As that of `Stacked`, with the number of looks by width."""
        return super().state_dict() | {"looks": dict(self._look.looks)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the members of `state`, any number of them; training continues bit for bit."""
        super().load_state_dict(state)
        self._look.looks = Counter(state["looks"])


class CompiledLook(TracedLook):
    """Losses and gradients of all rows, by a compiled program for a width that comes often.

    Attributes:
        looks: Looks by width, up to OFTEN.
    """

    def __init__(self, losses: Callable[..., Tensor]):
        super().__init__(losses, Traces())
        self.looks: Counter[int] = Counter()

    def _prepared(
        self, shapes: Any, reseed: Callable[[], None], state: State, batch: Batch, grads: Sequence[Tensor]
    ) -> Program | None:
        rows = len(grads[0])
        if self.looks[rows] < OFTEN:
            self.looks[rows] += 1
            return None
        reseed()
        trace = self.trace(state, batch)
        with torch.no_grad():
            self._programs[shapes] = torch._inductor.compile(trace, flat(state, batch), options=OPTIONS)
        return self._programs[shapes]
