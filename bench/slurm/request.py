"""Resources and options that `glideslope submit` requests from SLURM."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

MEMORY = ("SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU", "SBATCH_MEM_PER_GPU")
"""Environment variables by which a user requests memory from sbatch, which accepts only one of them at a time."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """A request to SLURM. None leaves a value to the cluster, or to the predicted costs."""

    array: int | None = None  # array tasks
    max_parallel: int | None = None
    partition: str | None = None
    time: str | None = None
    cpus: int = 1  # per process
    gpus: int = 0  # per node
    nodes: int = 1
    retries: int = 10  # restarts of an array task
    setup: tuple[str, ...] = ()  # shell lines before Python
    python: tuple[str, ...] = (sys.executable,)
    only_missing: bool = False
    dry_run: bool = False
    extra: tuple[str, ...] = ()  # any other options of sbatch

    @property
    def memory_given(self) -> bool:
        """True if the user requests memory, on the command line or by sbatch's environment variables."""
        return any(word.startswith("--mem") for word in self.extra) or any(map(os.environ.get, MEMORY))

    @property
    def processes(self) -> int:
        """Processes of an array task on each of its nodes."""
        return max(1, self.gpus)
