"""Scores behind the tables as W&B runs: one per task, strategy and seed, so that W&B's grouped lines get bands.

A cell's own run does not depend on other cells, so it cannot say which peak LR was chosen. These runs do. They are
derived from the ledger like any table, and replaced when it has grown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.analysis.comparison import Comparison
from bench.contract import digest
from bench.tracking.runs import CellRun

JOB = "scores"
"""Job type of these runs; the job type of a cell's run is its task."""


def of_comparison(comparison: Comparison) -> Iterator[CellRun]:
    """Runs of every task, strategy and seed that has a cell.

    The history has a row per budget, ascending, with `epoch` (the budget in epochs), `budget`, the `final`, `best` and
    `chosen_peak_lr` of the cell with the chosen peak LR, and the strategy's `rank`; then a row per peak LR tried at the
    largest budget, with `peak_lr` and `final_at_peak_lr`. Cells that diverged or are not recorded yet are left out.
    """
    plan = comparison.study.plan
    for task, facts in comparison.study.tasks.items():
        for strategy in comparison.study.of_task(task):
            for seed in facts.seeds:
                rows = [*_by_budget(comparison, task, strategy, seed), *_by_peak_lr(comparison, task, strategy, seed)]
                if rows:
                    config = {"task": task, "strategy": strategy, "seed": seed, "suite": plan.suite}
                    config |= {"plan": plan.plan, "metric": facts.metric, "direction": facts.direction}
                    yield CellRun(
                        id=digest(f"{plan.plan} scores {task} {strategy} {seed}"),
                        name=f"{strategy} | scores | seed {seed}",
                        group=plan.suite,
                        job_type=JOB,
                        tags=(JOB,),
                        config=config,
                        history=[{"step": i} | row for i, row in enumerate(rows)],
                        summary={"status": "done"},
                    )


def _by_budget(comparison: Comparison, task: str, strategy: str, seed: int) -> Iterator[dict[str, Any]]:
    for budget in comparison.study.budgets(task):
        verdict = comparison.at(task, budget).get(strategy)
        if verdict is None:
            continue
        for t in verdict.score.selected:
            if t.seed == seed:
                values = {"final": t.final, "best": t.best, "chosen_peak_lr": t.peak_lr, "rank": verdict.rank}
                yield {"epoch": t.epochs, "budget": budget} | {k: v for k, v in values.items() if v is not None}


def _by_peak_lr(comparison: Comparison, task: str, strategy: str, seed: int) -> Iterator[dict[str, Any]]:
    full = comparison.full(task).get(strategy)
    for t in full.score.tries if full else ():
        if t.seed == seed and t.final is not None:
            yield {"peak_lr": t.peak_lr, "final_at_peak_lr": t.final}
