"""Data parallelism: what processes that share batches and splits have to tell each other. C = channels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bench.contract import InputError


def several(accelerator: Any) -> Any:
    """The accelerator if it stands for several processes, else None."""
    return None if accelerator is None or accelerator.num_processes == 1 else accelerator


def averaged(accelerator: Any, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor's mean over all processes, in one collective."""
    flat = accelerator.reduce(torch.cat([t.reshape(-1) for t in tensors]), reduction="mean")
    parts = flat.split([t.numel() for t in tensors])
    return [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]


def gathered(accelerator: Any, own: Iterable[Any]) -> list[Any]:
    """What processes made of the parts that they were dealt in turn: on each the whole list, in order.

    One part of each process travels at a time, for NCCL takes them through the GPUs.

    Raises:
        InputError: that of a process whose part could not be made; the others raise it, too, or they would wait.
    """
    if accelerator is None:
        return list(own)
    from accelerate.utils import gather_object

    parts: list[Any] = []
    try:
        parts.extend(own)
    except InputError as error:
        parts = [error]
    whole: list[Any] = []
    met: list[Any] = [None] * accelerator.num_processes
    while len(met) == accelerator.num_processes:  # in the last round some have no part left, or all
        met = gather_object(parts[:1])
        del parts[:1]
        for part in met:
            if isinstance(part, InputError):
                raise part
        whole += met
    return whole


class Mean(torch.autograd.Function):
    """The mean over all processes, in the gradient too: that of the sum of all their losses."""

    @staticmethod
    def forward(ctx: Any, local: Tensor, accelerator: Any) -> Tensor:
        ctx.accelerator = accelerator
        mean: Tensor = accelerator.reduce(local, reduction="mean")
        return mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.accelerator.reduce(grads[0], reduction="mean"), None


class SyncedNorms(TorchFunctionMode):
    """While it is entered, BatchNorm in training has the statistics of all processes' examples.

    It stands before `torch.nn.functional.batch_norm`, so it holds for whatever layers call that, without another
    model. `torch.nn.SyncBatchNorm` trains on GPUs alone. All processes have equally many examples.
    """

    SIGNATURE = inspect.signature(functional.batch_norm)

    def __init__(self, accelerator: Any):
        super().__init__()
        self.accelerator = accelerator

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm:
            bound = self.SIGNATURE.bind(*args, **kwargs)
            bound.apply_defaults()
            if bound.arguments["training"]:
                return self.normed(**bound.arguments)
        return func(*args, **kwargs)

    def normed(
        self,
        *,
        input: Tensor,
        running_mean: Any,
        running_var: Any,
        weight: Any,
        bias: Any,
        momentum: float,
        eps: float,
        **_: Any,
    ) -> Tensor:
        """As `torch.nn.functional.batch_norm`, in two collectives; half precision is widened for the statistics."""
        wide = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        axes = [axis for axis in range(input.ndim) if axis != 1]
        column = [-1 if axis == 1 else 1 for axis in range(input.ndim)]
        mean_C = Mean.apply(wide.mean(axes), self.accelerator)
        centred = wide - mean_C.view(column)
        var_C = Mean.apply(centred.square().mean(axes), self.accelerator)
        if running_mean is not None:
            count = input.numel() // input.shape[1] * self.accelerator.num_processes
            with torch.no_grad():
                running_mean.lerp_(mean_C.to(running_mean.dtype), momentum)
                running_var.lerp_((var_C * (count / (count - 1))).to(running_var.dtype), momentum)
        scale_C = torch.rsqrt(var_C + eps)
        scale_C = scale_C if weight is None else scale_C * weight
        output: Tensor = centred * scale_C.view(column)
        if bias is not None:
            output = output + bias.view(column)
        return output.to(input.dtype)
