"""The cell whose model is exported: by default the recommended strategy's, at its chosen peak LR. Nothing is loaded."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import schedules
import tasks
from bench.analysis.choice import choose
from bench.analysis.comparison import Comparison, Score
from bench.analysis.recommend.evidence import gather
from bench.analysis.recommend.recommendation import Recommendation
from bench.analysis.results import KINDS, Study, Try
from bench.contract import InputError
from bench.ledger import ledger, paths
from bench.ledger.cell_row import CellRow, Done
from bench.ledger.rows import AttemptRow, CohortRow, TaskFacts, WeightsRow, of_kind
from schedules.spec import hint

KEEP = "--keep best"


@dataclass(frozen=True)
class Request:
    """The model that is asked for; None leaves a choice to the ledger."""

    task: str | None  # None: the only one of the run
    strategy: str | None = None
    budget: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Winner:
    """A cell with its weights, and the rows that tell of it."""

    directory: Path
    comparison: Comparison
    strategy: str
    score: Score  # of the strategy, over all seeds
    cell: CellRow
    result: Done
    file: WeightsRow
    attempt: AttemptRow | None  # of the process that recorded the cell
    cohort: CohortRow | None
    recommendation: Recommendation

    @property
    def facts(self) -> TaskFacts:
        return self.comparison.study.tasks[self.cell.settings.task]


def find(directory: Path, request: Request) -> Winner:
    """The cell of a run's directory that is asked for.

    Raises:
        InputError: there is no such cell, it has diverged, or its weights are not kept.
    """
    rows = ledger.read(directory, kinds=(*KINDS, WeightsRow.kind))
    comparison, files = Comparison(Study.of(rows)), of_kind(rows, WeightsRow)
    task = _task(directory, comparison, request.task)
    budget = _budget(comparison, task, request.budget)
    epochs = comparison.study.tasks[task].epochs * budget
    recommendation = Recommendation.of(task, False, epochs, gather({directory: comparison}, task, None, epochs))
    strategy = _strategy(comparison, task, budget, request.strategy, recommendation)
    score = comparison.at(task, budget)[strategy].score
    present = {cell: row for cell, row in files.items() if paths.weights(directory, row.sha256).exists()}
    where = f"{strategy} on {task}, budget {budget:g}"
    one = _try(directory, comparison.direction(task), score, request.seed, present, where)
    cell, row = of_kind(rows, CellRow)[one.cell], next(r for r in rows if (r.kind, r.key) == (CellRow.kind, one.cell))
    assert isinstance(cell.result, Done)
    return Winner(
        directory=directory,
        comparison=comparison,
        strategy=strategy,
        score=score,
        cell=cell,
        result=cell.result,
        file=files[one.cell],
        attempt=of_kind(rows, AttemptRow).get(row.attempt or ""),
        cohort=of_kind(rows, CohortRow).get(cell.settings.cohort),
        recommendation=recommendation,
    )


def _task(directory: Path, comparison: Comparison, text: str | None) -> str:
    """The name of a task in the ledger."""
    names = list(comparison.study.tasks)
    if text is None:
        if len(names) > 1:
            raise InputError(f"{directory} has several tasks: name one with --task; there are: {', '.join(names)}")
        return names[0]
    if text in names:
        return text
    try:
        name = tasks.parse(text).name
    except InputError:
        name = text
    if name not in names:
        raise InputError(f"{directory} has no task {name!r}{hint(name, names)}; there are: {', '.join(names)}")
    return name


def _budget(comparison: Comparison, task: str, budget: float | None) -> float:
    """The recorded budget asked for; the largest one by default."""
    budgets = comparison.study.budgets(task)
    if budget is None:
        return budgets[-1]
    near = [b for b in budgets if math.isclose(b, budget, rel_tol=1e-9)]
    if not near:
        raise InputError(f"--budget {budget:g}: {task} was run at {', '.join(f'{b:g}' for b in budgets)}")
    return near[0]


def _strategy(
    comparison: Comparison, task: str, budget: float, text: str | None, recommendation: Recommendation
) -> str:
    """The name in the comparison of the strategy asked for, or of the recommended one."""
    names = list(dict.fromkeys(t.strategy for t in comparison.study.tries if (t.task, t.budget) == (task, budget)))
    if text is None:
        best = next((v.best for v in recommendation.verdicts if v.evidence.budget == budget), None)
        if best is None:
            raise InputError(f"no strategy has a result on {task} at budget {budget:g}: name one with --strategy")
        return best
    for name in _spellings(text):
        if name in names:
            return name
    raise InputError(f"no strategy {text!r} on {task}{hint(text, names)}; there are: {', '.join(names)}")


def _spellings(text: str) -> Iterable[str]:
    """A strategy's name as it is given and, if it is a schedule alone, in canonical form."""
    yield text
    try:
        yield schedules.parse(text).text
    except InputError:
        return


def _try(
    directory: Path, direction: str, score: Score, seed: int | None, files: Mapping[str, WeightsRow], where: str
) -> Try:
    """The cell of a strategy whose weights are there.

    Raises:
        InputError: there is none, or it has diverged.
    """
    at_peak = [t for t in score.tries if t.peak_lr == score.pick]
    if score.pick is None:
        raise InputError(
            f"{where}: no peak LR is chosen yet, as no seed has every one; the run is to be finished first"
        )
    own = [t for t in at_peak if seed is None or t.seed == seed]
    if not own:
        seeds = ", ".join(str(t.seed) for t in at_peak)
        raise InputError(f"--seed {seed}: {where}, was run with the seeds {seeds}")
    if all(t.final is None for t in own):
        fate = "its schedule failed" if own[0].error else "it diverged"
        raise InputError(f"{where}, peak LR {score.pick:g}: {fate}, so there are no final weights")
    own = [t for t in own if t.final is not None and t.cell in files]
    if own and seed is not None:
        return own[0]
    one = choose(score, direction, files) if own else None
    if one is None:
        raise InputError(_advice(directory, where, [t.seed for t in at_peak if t.cell in files], bool(files)))
    return one


def _advice(directory: Path, where: str, seeds: Collection[int], any_kept: bool) -> str:
    """A line on weights that are not there, and how to get them."""
    if seeds:
        return f"{where}: weights are kept of seed {', '.join(map(str, seeds))} alone; --keep all keeps every seed's"
    state = f"{where}: its weights are not kept" if any_kept else f"{directory} holds no weights"
    return (
        f"{state}: run again with another --out and {KEEP}, or train one model: "
        f"glideslope train --recommended {directory} --task ... --epochs ... --to OUT"
    )
