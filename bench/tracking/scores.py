"""What the tables are made of, as W&B runs: one per task, strategy and seed, so that W&B's grouped lines get bands.

A cell's own run knows nothing of other cells, so it cannot say which peak LR was chosen. These runs do. They are
derived from the ledger like any table, and replaced where it has grown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.analysis.comparison import Comparison
from bench.contract import digest
from bench.tracking.runs import CellRun

JOB = "scores"
"""Job type of these runs; that of a cell's run is its task."""


def of_comparison(it: Comparison) -> Iterator[CellRun]:
    """The runs of every task, strategy and seed that has a cell.

    History, a row each: for each budget, ascending, `epoch` (the budget in epochs), `budget`, and the chosen
    cell's `final`, `best` and `chosen_peak_lr`, and the strategy's `rank`; then for each peak LR tried at the largest
    budget `peak_lr` and `final_at_peak_lr`. What diverged or is not recorded yet is left out.
    """
    plan = it.study.plan
    for task, facts in it.study.tasks.items():
        for strategy in it.study.of_task(task):
            for seed in facts.seeds:
                rows = [*_by_budget(it, task, strategy, seed), *_by_peak_lr(it, task, strategy, seed)]
                if rows:
                    about = {"task": task, "strategy": strategy, "seed": seed, "suite": plan.suite}
                    about |= {"plan": plan.plan, "metric": facts.metric, "direction": facts.direction}
                    yield CellRun(
                        id=digest(f"{plan.plan} scores {task} {strategy} {seed}"),
                        name=f"{strategy} | scores | seed {seed}",
                        group=plan.suite,
                        job_type=JOB,
                        tags=(JOB,),
                        config=about,
                        history=[{"step": i} | row for i, row in enumerate(rows)],
                        summary={"status": "done"},
                    )


def _by_budget(it: Comparison, task: str, strategy: str, seed: int) -> Iterator[dict[str, Any]]:
    for budget in it.study.budgets(task):
        verdict = it.at(task, budget).get(strategy)
        if verdict is None:
            continue
        for t in verdict.score.selected:
            if t.seed == seed:
                said = {"final": t.final, "best": t.best, "chosen_peak_lr": t.peak_lr, "rank": verdict.rank}
                yield {"epoch": t.epochs, "budget": budget} | {k: v for k, v in said.items() if v is not None}


def _by_peak_lr(it: Comparison, task: str, strategy: str, seed: int) -> Iterator[dict[str, Any]]:
    full = it.full(task).get(strategy)
    for t in full.score.tries if full else ():
        if t.seed == seed and t.final is not None:
            yield {"peak_lr": t.peak_lr, "final_at_peak_lr": t.final}
