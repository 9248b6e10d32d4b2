"""Arithmetic of an update: precision, micro-batches, processes and compilation, for any engine."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import torch

Precision: TypeAlias = Literal["fp32", "tf32", "bf16", "fp16"]


@dataclass(frozen=True)
class Arithmetic:
    """Choices that change rounding but not the task. They are part of a cohort's identity unless they are the defaults.

    A batch is cut into `processes` * `accumulate` micro-batches, whose gradients are averaged before clipping; process
    r has those from r * `accumulate` on. So two processes equal, up to rounding, one that accumulates twice as often.
    With BatchNorm they don't: its statistics are those of the micro-batches that all processes compute together.
    """

    # Of forward and backward: bf16 and fp16 under autocast, tf32 in CUDA's products. Weights stay in float32.
    precision: Precision = "fp32"
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


def settle(arithmetic: Arithmetic, device: torch.device) -> None:
    """Let CUDA round the factors of float32 products and convolutions to TF32, for the precision tf32 alone.

    Torch's own default is TF32 in cuDNN's convolutions and recurrent layers. On other devices nothing changes.
    """
    if device.type == "cuda":
        value = "tf32" if arithmetic.precision == "tf32" else "ieee"
        _set_tf32([value] * len(_products()))


@contextmanager
def tf32_restored() -> Iterator[None]:
    """Context after which CUDA's products are rounded as before."""
    before = [part.fp32_precision for part in _products()]
    try:
        yield
    finally:
        if before != [part.fp32_precision for part in _products()]:
            _set_tf32(before)


def _products() -> tuple[Any, ...]:
    """Settings of torch, each with `fp32_precision`: matrix products, convolutions, recurrent layers."""
    from torch import backends

    return backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn  # type: ignore[attr-defined]


def _set_tf32(values: Sequence[str]) -> None:
    """Set `fp32_precision` of `_products`."""
    from torch import backends

    # The older flags as well: inductor reads them, and torch refuses to read one that contradicts its successor.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backends.cuda.matmul.allow_tf32 = values[0] == "tf32"
        backends.cudnn.allow_tf32 = values[1] == "tf32"
    for part, value in zip(_products(), values, strict=True):
        part.fp32_precision = value
