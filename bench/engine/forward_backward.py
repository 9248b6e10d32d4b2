"""Forward and backward of a member: micro-batches, precision and compilation."""

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


def reseed(loader: Loader, step: int, micro_batch: int) -> None:
    """Seed the default generators for a forward of update `step`; `torch.manual_seed` does more, and is slower."""
    seed = loader.dropout_key(step, micro_batch)
    torch.default_generator.manual_seed(seed)
    if loader.device.type == "cuda":
        torch.cuda.manual_seed(seed)


class ForwardBackward:
    """Forward and backward, the same for all members.

    Args:
        loader: Source of the task and the device; its rank numbers the micro-batches of this process.
        arithmetic: Precision, micro-batches and backend of compilation.
        accelerator: Accelerator over whose processes BatchNorm takes its statistics; None for this process alone.

    Raises:
        InputError: torch has no such backend.
    """

    def __init__(self, loader: Loader, arithmetic: Arithmetic, accelerator: Any = None):
        self.loader, self.task, self.parts = loader, loader.task, arithmetic.accumulate
        self._dtype = DTYPES.get(arithmetic.precision)
        self._norms = None if accelerator is None else SyncedNorms(accelerator)
        self._training_forward: Callable[..., Any] = plain_forward
        if arithmetic.backend:
            self._training_forward = compiled_forward(arithmetic.backend)

    def backward(self, model: nn.Module, batch: Batch, step: int, scale: Tensor | None = None) -> Tensor:
        """Add the gradient of the micro-batches' mean loss, times `scale`, to the weights' gradients.

        Returns:
            The mean loss, [], without the scale.
        """
        losses: list[Tensor] = []
        for i, (inputs, target) in enumerate(self._micro_batches(batch)):
            reseed(self.loader, step, self.loader.rank * self.parts + i)
            loss = self.loss(model, inputs, target)
            share = loss if self.parts == 1 else loss / self.parts
            (share if scale is None else share * scale).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return losses[0] if self.parts == 1 else torch.stack(losses).mean()

    def loss(self, model: nn.Module, inputs: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> Tensor:
        """Loss [] of a model in training."""
        return self.task.loss(self._run(self._training_forward, model, inputs), target)

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        """Context in which forwards compute in float32."""
        dtype, self._dtype = self._dtype, None
        try:
            yield
        finally:
            self._dtype = dtype

    @property
    def overflows(self) -> bool:
        """True if a forward may overflow where float32 would not."""
        return self._dtype == torch.float16

    def output(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        """Output of a model in evaluation: on this process alone, and not compiled, because shapes differ."""
        return self._run_locally(plain_forward, model, inputs)

    def synced_output(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        """The same on all processes, whose examples BatchNorm statistics are computed from."""
        return self._run(plain_forward, model, inputs)

    def _run(self, forward: Callable[..., Any], model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        """The output in float32, in any precision of the forward: losses and scores are computed in float32."""
        if self._norms is not None:
            with self._norms:
                return self._run_locally(forward, model, inputs)
        return self._run_locally(forward, model, inputs)

    def _run_locally(self, forward: Callable[..., Any], model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        if self._dtype is None:
            return forward(model, *inputs)
        device = self.loader.device.type
        small = WideConvolutions() if (device, self._dtype) == ("cpu", torch.bfloat16) else nullcontext()
        with torch.autocast(device, self._dtype), small:
            output = forward(model, *inputs)
        return pytree.tree_map(lambda a: a.float() if getattr(a, "dtype", None) == self._dtype else a, output)

    def _micro_batches(self, batch: Batch) -> Sequence[Batch]:
        """Micro-batches of a batch, in order and of equal sizes."""
        if self.parts == 1:
            return (batch,)
        inputs, target = (list(zip(*(t.chunk(self.parts) for t in side), strict=True)) for side in batch)
        return list(zip(inputs, target, strict=True))


def plain_forward(model: nn.Module, *inputs: Tensor) -> Any:
    """Run the model."""
    return model(*inputs)


def compiled_forward(backend: str) -> Callable[..., Any]:
    """Compile `plain_forward`, once for each shape; the model is its argument, so members share the graph.

    Raises:
        InputError: torch has no such backend.
    """
    backends = torch.compiler.list_backends(exclude_tags=())
    if backend not in backends:
        raise InputError(f"torch.compile has no backend {backend!r}; there are: {', '.join(backends)}")
    return torch.compile(plain_forward, backend=backend)
