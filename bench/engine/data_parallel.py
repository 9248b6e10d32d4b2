"""Data parallelism: collectives of processes that share batches and splits. C = channels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bench.contract import InputError


def multi_process(accelerator: Any) -> Any:
    """The accelerator if it has several processes, else None."""
    return None if accelerator is None or accelerator.num_processes == 1 else accelerator


def mean_over_processes(accelerator: Any, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor's mean over all processes, in one collective."""
    flat = accelerator.reduce(torch.cat([t.reshape(-1) for t in tensors]), reduction="mean")
    parts = flat.split([t.numel() for t in tensors])
    return [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]


def gather_in_order(accelerator: Any, own: Iterable[Any]) -> list[Any]:
    """Gather results of parts that processes take in turn: each process gets the whole list, in order.

    Raises:
        InputError: a process could not compute one of its parts; all processes raise it, so that none waits.
    """
    # One part of each process is sent at a time, because NCCL sends them through the GPUs.
    if accelerator is None:
        return list(own)
    from accelerate.utils import gather_object

    parts: list[Any] = []
    try:
        parts.extend(own)
    except InputError as error:
        parts = [error]
    whole: list[Any] = []
    round_: list[Any] = [None] * accelerator.num_processes
    while len(round_) == accelerator.num_processes:  # in the last round some processes, or all, have no part
        round_ = gather_object(parts[:1])
        del parts[:1]
        for part in round_:
            if isinstance(part, InputError):
                raise part
        whole += round_
    return whole


class Mean(torch.autograd.Function):
    """Mean over all processes; its gradient is that of the sum of their losses."""

    @staticmethod
    def forward(ctx: Any, local: Tensor, accelerator: Any) -> Tensor:
        ctx.accelerator = accelerator
        mean: Tensor = accelerator.reduce(local, reduction="mean")
        return mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.accelerator.reduce(grads[0], reduction="mean"), None


class SyncedNorms(TorchFunctionMode):
    """Context in which BatchNorm in training uses the statistics of all processes' examples.

    It intercepts `torch.nn.functional.batch_norm`, so it works for all layers that call it and the model stays as it
    is. `torch.nn.SyncBatchNorm` trains only on GPUs. All processes have the same number of examples.
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
                return self.batch_norm(**bound.arguments)
        return func(*args, **kwargs)

    def batch_norm(
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
        """As `torch.nn.functional.batch_norm`, with two collectives; half precision is computed in float32."""
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
