"""Training of one model by a recommended strategy on all training data.

It is a run of one cell, with the engine and the loop of any other, in a directory of its own: killed at any moment, the
same command continues.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

import schedules
import tasks
from bench import engine
from bench.analysis.comparison import Comparison
from bench.analysis.recommend.evidence import canonical, gather
from bench.analysis.recommend.recommendation import Recommendation
from bench.analysis.results import KINDS, Study
from bench.contract import InputError, Task
from bench.export.whole import whole
from bench.ledger import ledger, paths
from bench.ledger.cell_row import CellRow, CellSettings
from bench.ledger.lines import LedgerReader, row_of
from bench.ledger.rows import PlanRow, of_kind
from bench.plan import Grid, Suite
from bench.plan.plan import build
from bench.preempt import DONE, FAILED, PREEMPTED, Flag
from bench.runner import pool
from bench.runner.config import PreparedRun
from bench.runner.distributed import ProcessGroup
from bench.runner.progress import ProgressDisplay
from bench.runner.rounds import Round
from bench.runner.run_dir import KINDS as OPENED
from bench.runner.run_dir import open_run_dir
from bench.runner.worker import WorkerContext


@dataclass(frozen=True)
class Followed:
    """A recommendation, and the settings of a cell that followed it."""

    recommendation: Recommendation
    settings: CellSettings


def advice(directory: Path, task: str, epochs: float) -> Followed:
    """The strategy that a run's ledger speaks for, at its budget nearest to so many epochs.

    Raises:
        InputError: the ledger has no result on the task, or every strategy diverged.
    """
    rows = ledger.read(directory, kinds=KINDS)
    comparison = Comparison(Study.of(rows))
    tasks_run = comparison.study.tasks
    task = canonical(task, {name: facts.family for name, facts in tasks_run.items()})
    evidence = gather({directory: comparison}, task, None, epochs)
    recommendation = Recommendation.of(task, False, epochs, evidence)
    best = recommendation.verdicts[0].best if evidence else None
    if best is None:
        raise InputError(f"{directory} has no strategy with a result on {task}; its tasks are: {', '.join(tasks_run)}")
    at, pick = evidence[0], recommendation.verdicts[0].score(best).pick
    own = [t for t in comparison.study.tries if (t.task, t.budget, t.strategy) == (at.task, at.budget, best)]
    cell = next((t.cell for t in own if t.peak_lr == pick), None)
    if cell is None:
        raise InputError(f"{directory}: no peak LR is chosen yet for {best} on {task}: its run is to be finished first")
    return Followed(recommendation, of_kind(rows, CellRow)[cell].settings)


@dataclass(frozen=True)
class Preparation:
    """A run of one cell, ready to train."""

    run: PreparedRun
    task: Task
    obstacle: str  # why control is not trained on; empty if it is


def prepare(settings: CellSettings, epochs: float, seed: int) -> Preparation:
    """The plan of a model's training: the settings of a cell, but for its epochs and its seed.

    Raises:
        InputError: the schedule cannot have this budget.
    """
    schedule = schedules.parse(settings.schedule)
    task, obstacle = whole(tasks.parse(settings.task), schedule)
    grid = Grid(
        task=task.name,
        schedules=(schedule.text,),
        budgets=(epochs / task.epochs,),
        peak_lrs=(settings.peak_lr,),
        seeds=1,
        optimizer=settings.optimizer,
        weight_decay=settings.weight_decay,
        averagings=(settings.averaging,),
    )
    suite, tasks_by_name = Suite("train", (grid,), reference=schedule.text), {task.name: task}
    plan = build(suite, tasks_by_name, engine.choose)
    (cohort,) = plan.cohorts
    cells = tuple(replace(cell, seed=seed) for cell in cohort.cells)
    plan = replace(plan, cohorts=(replace(cohort, cells=cells),))
    by_text = {schedule.text: schedule}
    run = PreparedRun(plan, tasks_by_name, by_text, plan, lambda: plan, (), Round(suite))
    run.forecast  # noqa: B018  # refuses schedules that cannot have this budget
    return Preparation(run, task, obstacle)


def train(preparation: Preparation, directory: Path, console: Console) -> int:
    """Train the model in a run's directory, or continue, and return the exit code of a run.

    Raises:
        InputError: the directory holds another training, or this is one of several processes.
    """
    _check(directory, preparation.run.plan.id)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by deterministic algorithms on a GPU
    group, run = ProcessGroup.detect(), preparation.run
    if group.size > 1:
        raise InputError("glideslope train trains one model in one process: start it without a launcher")
    flag = Flag(speaks=True).install()
    context = WorkerContext(directory, run.plan.id, group.device, run=group.run, keep=True, task=preparation.task)
    finished, notes = open_run_dir(LedgerReader(directory, row_of(OPENED), settled=True), run, context)
    todo = [cohort for cohort in run.plan.cohorts if cohort.id not in finished]
    cost = {cohort.id: run.forecast.seconds(cohort) for cohort in todo}
    outcome = pool.train_in_process(todo, context, flag, ProgressDisplay(console, cost, len(todo), 1))
    for line in (*notes, *outcome.notes, *outcome.failures.values()):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if outcome.stopped:
        console.print("Stopped by a signal; a snapshot is written. The same command continues.")
        return PREEMPTED
    if outcome.elsewhere:
        raise InputError(f"another process is training in {directory}")
    return FAILED if outcome.failures else DONE


def _check(directory: Path, plan: str) -> None:
    """Refuse a directory that holds another training."""
    begun_plans = of_kind(ledger.read(directory, kinds=(PlanRow.kind,)), PlanRow) if paths.parts(directory) else {}
    if any(row.plan != plan for row in begun_plans.values()):
        raise InputError(
            f"{directory} holds another training, by other settings, data or code: give another --to, or remove it"
        )
