"""A member's forward and backward: micro-batches, precision and compilation. How it is done, never what is learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from bench.contract import Batch, InputError
from bench.engine.data_parallel import SyncedNorms
from bench.engine.loader import Loader
from bench.engine.wide_convolutions import WideConvolutions
from bench.numerics import Arithmetic

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def reseed(feed: Loader, step: int, micro_batch: int) -> None:
    """Put the device's generator where a forward of update `step` begins; `torch.manual_seed` does more, slowly."""
    seed = feed.dropout_key(step, micro_batch)
    torch.default_generator.manual_seed(seed)
    if feed.device.type == "cuda":
        torch.cuda.manual_seed(seed)


class ForwardBackward:
    """Forward and backward of any member, the same for all.

    Args:
        feed: Task, device, and which micro-batches are this process's.
        arithmetic: How it is done.
        accelerator: Given where BatchNorm is to have the statistics of all processes.

    Raises:
        InputError: no such backend.
    """

    def __init__(self, feed: Loader, arithmetic: Arithmetic, accelerator: Any = None):
        self.feed, self.task, self.parts = feed, feed.task, arithmetic.accumulate
        self._dtype = DTYPES.get(arithmetic.precision)
        self._norms = None if accelerator is None else SyncedNorms(accelerator)
        self._trained: Callable[..., Any] = compiled(arithmetic.backend) if arithmetic.backend else answer

    def backward(self, model: nn.Module, batch: Batch, step: int, scale: Tensor | None = None) -> Tensor:
        """Add the gradient of the micro-batches' mean loss, times `scale`, to the weights'; returns that mean."""
        losses: list[Tensor] = []
        for nth, (inputs, target) in enumerate(self._cut(batch)):
            reseed(self.feed, step, self.feed.rank * self.parts + nth)
            loss = self.task.loss(self._cast(self._trained, model, inputs), target)
            share = loss if self.parts == 1 else loss / self.parts
            (share if scale is None else share * scale).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return losses[0] if self.parts == 1 else torch.stack(losses).mean()

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        """While it is entered, forwards compute in float32."""
        dtype, self._dtype = self._dtype, None
        try:
            yield
        finally:
            self._dtype = dtype

    @property
    def overflows(self) -> bool:
        """Whether numbers that float32 holds overflow in a forward."""
        return self._dtype == torch.float16

    def output(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        """What a model answers where it is read: never compiled, for the shapes differ, and by this process alone."""
        return self._widened(answer, model, inputs)

    def synced(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        """The same, by all processes together: what BatchNorm takes statistics of while they are computed anew."""
        return self._cast(answer, model, inputs)

    def _cast(self, forward: Callable[..., Any], model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        """The answer in float32, whatever the forward computed in: losses and scores are taken of that."""
        if self._norms is not None:
            with self._norms:
                return self._widened(forward, model, inputs)
        return self._widened(forward, model, inputs)

    def _widened(self, forward: Callable[..., Any], model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        if self._dtype is None:
            return forward(model, *inputs)
        device = self.feed.device.type
        small = WideConvolutions() if (device, self._dtype) == ("cpu", torch.bfloat16) else nullcontext()
        with torch.autocast(device, self._dtype), small:
            output = forward(model, *inputs)
        return pytree.tree_map(lambda a: a.float() if getattr(a, "dtype", None) == self._dtype else a, output)

    def _cut(self, batch: Batch) -> Sequence[Batch]:
        """The batch's micro-batches, in order, of equal sizes."""
        if self.parts == 1:
            return (batch,)
        inputs, target = (list(zip(*(t.chunk(self.parts) for t in side), strict=True)) for side in batch)
        return list(zip(inputs, target, strict=True))


def answer(model: nn.Module, *inputs: Tensor) -> Any:
    """A plain forward."""
    return model(*inputs)


def compiled(backend: str) -> Callable[..., Any]:
    """`answer`, compiled once for each shape: members are its argument, so they share what is compiled.

    Raises:
        InputError: torch has no such backend.
    """
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise InputError(f"torch.compile has no backend {backend!r}; there are: {', '.join(known)}")
    return torch.compile(answer, backend=backend)
