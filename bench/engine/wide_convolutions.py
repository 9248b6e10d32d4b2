"""Float32 for convolutions over maps so small that the bf16 gradient of their weights is wrong on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

PLAIN: dict[Any, tuple[str, ...]] = dict.fromkeys(
    (functional.conv1d, functional.conv2d, functional.conv3d),
    ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
)
TRANSPOSED: dict[Any, tuple[str, ...]] = dict.fromkeys(
    (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d),
    ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
)


class WideConvolutions(TorchFunctionMode):
    """Context in which a convolution is computed in float32 if an axis of its map is below its stride or kernel.

    For such maps, oneDNN's bf16 kernels of the weights' gradient (`jit_bf16:avx512_core`, in torch 2.15) sum
    uninitialised scratch memory: for example 3x3 with stride 2 over 1x1, with any groups and in any memory format.
    `torch.utils.deterministic.fill_uninitialized_memory` does not fill that memory. Outputs, gradients of inputs,
    float16 and float32 are right. Larger maps stay in bf16.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        names = PLAIN.get(func) or TRANSPOSED.get(func)
        if names is None:
            return func(*args, **(kwargs or {}))
        call = dict(zip(names, args, strict=False)) | dict(kwargs or {})
        if not _small(call, func in TRANSPOSED):
            return func(**call)
        narrow = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            wide = {k: v.float() if isinstance(v, Tensor) else v for k, v in call.items()}
            return func(**wide).to(narrow)


def _small(call: Mapping[str, Any], transposed: bool) -> bool:
    """True if the map is smaller than the stride or the kernel along an axis.

    The map is the larger one: the input, or the output of a transposed convolution.
    """
    sides, kernel = call["input"].shape[-(call["weight"].ndim - 2) :], call["weight"].shape[2:]
    axes = len(kernel)
    stride, dilation = (_each(call.get(name, 1), axes) for name in ("stride", "dilation"))
    spans = [reach * (taps - 1) + 1 for reach, taps in zip(dilation, kernel, strict=True)]
    if transposed:
        padding, extra = (_each(call.get(name, 0), axes) for name in ("padding", "output_padding"))
        sides = [
            (side - 1) * step - 2 * pad + span + more
            for side, step, pad, span, more in zip(sides, stride, padding, spans, extra, strict=True)
        ]
    return any(side < max(step, span) for side, step, span in zip(sides, stride, spans, strict=True))


def _each(value: int | Sequence[int], axes: int) -> Sequence[int]:
    return [value] * axes if isinstance(value, int) else [*value] * (axes // len(value))
