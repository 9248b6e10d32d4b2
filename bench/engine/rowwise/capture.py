"""Functions captured as CUDA graphs: one launch repeats all their kernels.

A graph repeats kernels with the very addresses and numbers that they had; only what tensors hold may change. So a
captured function takes all from tensors that stay where they are, and does nothing else that counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from bench.engine.rowwise import LANES

Program: TypeAlias = Callable[[], None]

OFTEN = 3
"""Calls of a kind that are not captured. They also warm up: libraries and allocators prepare themselves."""

MOST = 8
"""Kinds that are captured; others, such as batches of rare shapes, are not."""


def cuda_graph(function: Program, stream: Any, pool: Any) -> Program:
    """Capture a function, which does not run it.

    Graphs of one pool and one stream share memory: none may run beside another, and no tensor that is made in one may
    be read after it. A replay reads the seed and the offset of torch's default CUDA generator anew.
    """
    graph = torch.cuda.CUDAGraph()
    # Threads that read data may pin memory meanwhile, which "global" would forbid.
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        function()
    return graph.replay


CAPTURE: dict[str, Callable[[Program, Any, Any], Program]] = {"cuda": cuda_graph}
"""How functions are captured, by the type of the device. Elsewhere they run as they are."""


class Places:
    """Tensors at fixed addresses, for kinds that come often on a device that captures."""

    def __init__(self, device: torch.device):
        self._captures = device.type in CAPTURE
        self._calls: Counter[Hashable] = Counter()
        self._tensors: dict[Hashable, list[Tensor]] = {}

    def put(self, kind: Hashable, tensors: Sequence[Tensor]) -> list[Tensor] | None:
        """Copy tensors to where those of their kind lie; None if nothing is to be captured with them."""
        if not self._captures:
            return None
        if kind in self._tensors:
            for own, tensor in zip(self._tensors[kind], tensors, strict=True):
                own.copy_(tensor)
            return self._tensors[kind]
        self._calls[kind] += 1
        if self._calls[kind] <= OFTEN or len(self._tensors) >= MOST:
            return None
        self._tensors[kind] = [tensor.clone() for tensor in tensors]
        return self._tensors[kind]


class Graphs:
    """Captured functions by kind, on one stream.

    Attributes:
        stream: The stream that they are captured on; None where the device has none.
    """

    def __init__(self, device: torch.device):
        streams = device.type in LANES
        self.stream = torch.cuda.Stream(device) if streams else None  # type: ignore[no-untyped-call]  # torch's
        self._pool = torch.cuda.graph_pool_handle() if streams else None
        self._capture = CAPTURE.get(device.type)
        self._programs: dict[Hashable, Program | None] = {}

    def program(self, kind: Hashable, function: Program) -> Program | None:
        """The captured function, which is captured now if it is the first of its kind; None if it cannot be."""
        if kind not in self._programs:
            self._programs[kind] = self._captured(function)
        return self._programs[kind]

    def _captured(self, function: Program) -> Program | None:
        assert self._capture is not None, "no place is given where nothing is captured"
        try:
            return self._capture(function, self.stream, self._pool)
        except Exception:  # whatever capturing raises: the function itself gives the same
            return None

    def refuse(self, kind: Hashable) -> None:
        """Never replay this kind."""
        self._programs[kind] = None
