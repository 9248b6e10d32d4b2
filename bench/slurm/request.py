"""What `glideslope submit` asks of SLURM."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

MEMORY = ("SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU", "SBATCH_MEM_PER_GPU")
"""Variables by which a user asks sbatch for memory. It takes one way at a time."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What is asked of SLURM. None leaves it to the cluster, or to the forecast."""

    array: int | None = None  # array tasks
    max_parallel: int | None = None
    partition: str | None = None
    time: str | None = None
    cpus: int = 1  # a process
    gpus: int = 0  # a node
    nodes: int = 1
    retries: int = 10  # restarts of an array task
    setup: tuple[str, ...] = ()  # shell lines before Python
    python: tuple[str, ...] = (sys.executable,)
    only_missing: bool = False
    dry_run: bool = False
    extra: tuple[str, ...] = ()  # any other options of sbatch

    @property
    def memory_given(self) -> bool:
        """Whether the user says how much memory, on the command line or by the environment of sbatch."""
        return any(word.startswith("--mem") for word in self.extra) or any(map(os.environ.get, MEMORY))

    @property
    def processes(self) -> int:  # of an array task, on each of its nodes
        return max(1, self.gpus)
