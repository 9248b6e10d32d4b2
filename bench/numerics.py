"""How the arithmetic of an update is done, besides the engine that does it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Arithmetic:
    """Choices that change numbers and not what is learnt: a part of a cohort's identity, where they aren't the usual.

    A batch is cut into `processes` * `accumulate` micro-batches, whose gradients are averaged before clipping; process
    r has those from r * `accumulate` on. So two processes equal one that accumulates twice as often, to rounding,
    unless there is BatchNorm: its statistics are those of the micro-batches that all processes compute at one time.
    """

    precision: Precision = "fp32"  # of forward and backward, under autocast; weights and updates stay in float32
    accumulate: int = 1  # micro-batches of an update that a process computes in turn
    processes: int = 1  # that share each batch; more than one under --data-parallel
    backend: str = ""  # of torch.compile, for the forward of training; "" does not compile

    @property
    def text(self) -> str:
        """What is not usual, such as `precision=bf16, accumulate=2`; empty if nothing is."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return ", ".join(f"{name}={value}" for name, value in said.items())

    @property
    def micro_batches(self) -> int:
        return self.processes * self.accumulate


USUAL = Arithmetic()
