"""Arithmetic of an update: precision, micro-batches, processes and compilation, for any engine."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Arithmetic:
    """Choices that change rounding but not the task. They are part of a cohort's identity unless they are the defaults.

    A batch is cut into `processes` * `accumulate` micro-batches, whose gradients are averaged before clipping; process
    r has those from r * `accumulate` on. So two processes equal, up to rounding, one that accumulates twice as often.
    With BatchNorm they don't: its statistics are those of the micro-batches that all processes compute together.
    """

    precision: Precision = "fp32"  # of forward and backward, under autocast; weights and updates stay in float32
    accumulate: int = 1  # micro-batches of an update that a process computes in turn
    processes: int = 1  # number that share each batch; more than one with --data-parallel
    backend: str = ""  # of torch.compile, for the forward pass of training; "" does not compile

    @property
    def text(self) -> str:
        """The choices other than the defaults, such as `precision=bf16, accumulate=2`; empty if there are none."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return ", ".join(f"{f.name}={values[f.name]}" for f in fields(self) if values[f.name] != f.default)

    @property
    def micro_batches(self) -> int:
        return self.processes * self.accumulate


USUAL = Arithmetic()
