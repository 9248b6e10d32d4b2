"""Memory of an array task, predicted from the plan: without `--mem`, many clusters give a job very little."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.contract import Cohort, Data, Split
from bench.engine import memory
from bench.runner.config import PreparedRun, RunConfig
from bench.slurm.request import Resources

PROCESS = 1.5e9
"""Bytes of a process that has imported torch and a task's libraries, with what a backward pass needs in addition."""


def options(prepared: PreparedRun, order: RunConfig, request: Resources) -> tuple[str, ...]:
    """Option `--mem` of sbatch: the most that the processes of a node need, if every cell had a member of its own."""
    workers = 1 if request.gpus or order.data_parallel else order.workers or request.cpus
    widest = max(_cohort_bytes(prepared, order, request), default=0.0)
    parent = PROCESS if workers > 1 else 0.0  # the process that supervises the workers
    total = parent + request.processes * workers * (PROCESS + widest)
    return (f"--mem={math.ceil(total / 2**30)}G",)


def _cohort_bytes(prepared: PreparedRun, order: RunConfig, request: Resources) -> Iterator[float]:
    """Bytes that the widest cohort of each kind needs: its data, its members and its looks."""
    widest: dict[tuple[str, str, str], Cohort] = {}
    for cohort in prepared.plan.cohorts:
        kind = cohort.task, cohort.cells[0].optimizer, cohort.engine
        if kind not in widest or len(cohort.cells) > len(widest[kind].cells):
            widest[kind] = cohort
    parts = (order.accumulate or 1) * (request.nodes * request.processes if order.data_parallel else 1)
    for cohort in widest.values():
        task, schedules = prepared.tasks[cohort.task], prepared.schedules
        recalls = memory.needs_last_gradient(schedules[cell.schedule] for cell in cohort.cells)
        demand = memory.of_cohort(task, cohort.cells, cohort.engine, parts=parts, recalls=recalls)
        yield _data_bytes(task.load()) + demand.taken(len(cohort.cells)) / memory.SHARE


def _data_bytes(data: Data) -> float:
    """Bytes of all arrays of a task's data."""
    total = 0
    for split in data:
        inputs = split.inputs if isinstance(split, Split) else ()
        total += sum(array.nbytes for array in (*inputs, *split.target))
    return float(total)
