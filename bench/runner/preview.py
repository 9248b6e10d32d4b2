"""`glideslope plan`: the plan of a run with its cost, estimated from short trials."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import engine
from bench.contract import Cohort, Move, Task
from bench.engine.loader import Loader
from bench.ledger.lines import LedgerReader, row_of
from bench.plan.forecast import Forecast
from bench.runner.config import PreparedRun, RunConfig, prepare
from bench.runner.distributed import ProcessGroup
from bench.runner.run_dir import KINDS, open_run_dir

ROW_BYTES = {"eval": 420, "cell": 900, "move": 16}
"""Bytes of an eval row, a cell row, and a step of a member in a compressed trace, as measured on `core`."""

MEMBERS = 8  # in a trial
SLOW = 2.0  # seconds; after a slower first look the trial is one more look of one member


def show(config: RunConfig, console: Console) -> int:
    """Print the plan of a configuration; nothing is written."""
    group = ProcessGroup.detect(config.data_parallel)
    prepared = prepare(config, group)
    config.part(prepared.plan)  # refuses a share that is not there
    # A directory that `run` would refuse is refused here, too.
    open_run_dir(LedgerReader(config.directory, row_of(KINDS)), prepared, None)
    forecast, plan = prepared.forecast, prepared.plan
    table, seconds, costs = _table(), 0.0, dict[str, float]()
    for name in dict.fromkeys(c.task for c in plan.cohorts):
        task, cohorts = prepared.tasks[name], [c for c in plan.cohorts if c.task == name]
        looks = sum(forecast.looks(c.cells) for c in cohorts)
        cell_steps = sum(c.cell_steps for c in cohorts)
        look_seconds, member_bytes, weights_bytes = trial(task, cohorts[0], group.device)
        costs[name] = look_seconds
        cells = sum(len(c.cells) for c in cohorts)
        evals = looks / forecast.epoch_steps[name] / task.eval_epochs
        disk = evals * ROW_BYTES["eval"] + cells * ROW_BYTES["cell"] + looks * ROW_BYTES["move"]
        disk += 0 if config.keep == "none" else cells * weights_bytes  # at most, before those not chosen are removed
        seconds += look_seconds * looks
        table.add_row(
            Text(name),
            ", ".join(dict.fromkeys(forecast.engine(c) for c in cohorts)),
            f"{cells:,}",
            f"{looks:,}",
            f"{1 - looks / cell_steps:.0%}",
            _duration(look_seconds * looks),
            _size(disk),
            _size(member_bytes * max(len(c.cells) for c in cohorts)),
        )
    console.print(table)
    _totals(forecast, seconds, config.takers(group), console)
    for line in _rounds(prepared, costs):
        console.print(line, highlight=False, markup=False)
    return 0


def _table() -> Table:
    """An empty table; its columns fit into 80 characters."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("task", overflow="fold")
    table.add_column("engine", no_wrap=True)
    for name in ("cells", "looks", "saved", "time", "disk", "memory"):
        table.add_column(name, no_wrap=True, justify="right")
    return table


def _totals(forecast: Forecast, seconds: float, takers: int, console: Console) -> None:
    plan = forecast.plan
    planned, best = sum(forecast.looks(c.cells) for c in plan.cohorts), forecast.optimum()
    alone = sum(c.cell_steps for c in plan.cohorts)
    lines = [
        f"{len(plan.cells):,} cells in {len(plan.cohorts):,} cohorts: {alone:,} cell-steps in {planned:,} looks "
        f"({1 - planned / alone:.0%} saved by sharing; the optimum is {best:,}, so cohorts lose {planned - best:,}).",
        f"About {_duration(seconds)} on one worker, from a short trial of each task; memory: of the widest cohort.",
        "A closed-loop schedule is counted as if it never reacted.",
        f"Engine: {engine.RULE}",
        *(f"Note: {note}" for note in plan.notes),
    ]
    if note := forecast.idle_note(takers):
        lines.append(f"Note: {note}")
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _rounds(prepared: PreparedRun, costs: Mapping[str, float]) -> Iterator[str]:
    """Lines on the round of the plan, and on those that may follow. `costs` has each task's seconds per look."""
    planner, current = prepared.planner, prepared.round
    if planner is None:
        return
    yield from prepared.closing or current.reasons
    if prepared.closing:
        return
    most = Forecast(planner.most(current), prepared.tasks, prepared.schedules)
    whole = Forecast(prepared.whole, prepared.tasks, prepared.schedules)
    looks = {name: _looks(most, name) - _looks(whole, name) for name in prepared.tasks}
    seconds = sum(n * costs.get(name, max(costs.values())) for name, n in looks.items())
    yield (
        f"This is round {current.number} of a run that goes on by {planner.rule.text}: further rounds come to "
        f"{len(most.plan.cells) - len(whole.plan.cells):,} cells and {_duration(seconds)} more, at most."
    )


def _looks(forecast: Forecast, task: str) -> int:
    return sum(forecast.looks(c.cells) for c in forecast.plan.cohorts if c.task == task)


def trial(task: Task, cohort: Cohort, device: str) -> tuple[float, float, float]:
    """Train a few members for a few steps: (seconds per look of a member, bytes of a member and of its final weights).

    On a CPU the seconds are CPU time, so that other work on the machine does not count.
    """
    torch.set_num_threads(cohort.threads)
    clock = time.process_time if device == "cpu" else time.perf_counter
    loader = Loader(task, 0, device)
    cell = cohort.cells[0]
    population = engine.create(cohort.engine, loader, cell.optimizer, cell.weight_decay, None, cohort.arithmetic)
    start = clock()
    population.look(loader.batch(0), 0)  # the first step warms up
    population.history()
    slow = clock() - start > SLOW
    members, steps = (1, 1) if slow else (min(MEMBERS, len(cohort.cells)), 3)
    population.take([0] * members)
    moves = [Move(cell.peak_lr)] * members
    population.move(moves)
    population.history()
    start = clock()
    for step in range(1, steps + 1):
        population.look(loader.batch(step), step)
        population.move(moves)
    population.history()
    spent = (clock() - start) / steps / members
    own = _bytes(population.state_dict()) / members * 2  # gradients and the copy of a fork come on top
    return spent, own, _bytes(population.weights(0, None))


def _bytes(state: object) -> float:
    if isinstance(state, dict):
        return sum(map(_bytes, state.values()))
    if isinstance(state, list | tuple):
        return sum(map(_bytes, state))
    return float(getattr(state, "nbytes", 0))


def _duration(seconds: float) -> str:
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds > 90 else f"{seconds:.0f} s"


def _size(count: float) -> str:
    units = iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while count >= 1000:
        count, unit = count / 1000, next(units)
    return f"{count:.0f} {unit}"
