"""This process among those that Accelerate, torchrun or SLURM started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class World:
    """This process among those that Accelerate or torchrun started."""

    rank: int
    size: int
    local_size: int
    device: str

    @classmethod
    def here(cls) -> World:
        import torch
        from accelerate import PartialState
        from accelerate.utils import parse_flag_from_env

        # Unless told that it is on CPUs, Accelerate takes each process for the only one there.
        cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
        state = PartialState(cpu=cpu)
        local = int(os.environ.get("LOCAL_WORLD_SIZE", state.num_processes))
        return cls(state.process_index, state.num_processes, local, str(state.device))

    def accelerator(self) -> Any:
        """What data parallelism needs; None in a world of one."""
        if self.size == 1:
            return None
        from accelerate import Accelerator

        return Accelerator(cpu=self.device == "cpu")
