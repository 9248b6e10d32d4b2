"""How much memory an array task is to ask for: without a word of it, many clusters give a job very little."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.contract import Cohort, Data, Split
from bench.engine import memory
from bench.runner.config import PreparedRun, RunConfig
from bench.slurm.request import Resources

PROCESS = 1.5e9
"""Bytes of a process with torch and a task's libraries, and of what a backward pass takes besides."""


def options(prepared: PreparedRun, order: RunConfig, request: Resources) -> tuple[str, ...]:
    """`--mem`: for each node, what its processes hold at most, had every cell a member of its own."""
    workers = 1 if request.gpus or order.data_parallel else order.workers or request.cpus
    widest = max(_needs(prepared, order, request), default=0.0)
    own = PROCESS if workers > 1 else 0.0  # of the process that looks after the workers
    total = own + request.processes * workers * (PROCESS + widest)
    return (f"--mem={math.ceil(total / 2**30)}G",)


def _needs(prepared: PreparedRun, order: RunConfig, request: Resources) -> Iterator[float]:
    """Bytes of each kind of cohort: its data, its members and its looks."""
    widest: dict[tuple[str, str, str], Cohort] = {}
    for cohort in prepared.plan.cohorts:
        kind = cohort.task, cohort.cells[0].optimizer, cohort.engine
        widest[kind] = max(widest.get(kind, cohort), cohort, key=lambda it: len(it.cells))
    parts = (order.accumulate or 1) * (request.nodes * request.processes if order.data_parallel else 1)
    for cohort in widest.values():
        task, known = prepared.tasks[cohort.task], prepared.schedules
        recalls = any("grad_dot" in known[cell.schedule].needs for cell in cohort.cells)
        taken = memory.of_cohort(task, cohort.cells, cohort.engine, parts=parts, recalls=recalls)
        yield _held(task.load()) + (taken.shared + len(cohort.cells) * taken.member) / memory.SHARE


def _held(data: Data) -> float:
    return float(sum(a.nbytes for it in data for a in (*(it.inputs if isinstance(it, Split) else ()), *it.target)))
