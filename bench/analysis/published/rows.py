"""Published logs as rows of a ledger, so that the same tables run on other people's data.

Such a row is marked `published` (source, citation, licence) and has no attempt, as it was not run here. Facts that a
source doesn't give (a control split, best epochs) are left empty, or filled with one constant (seeds).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import schedules
from bench.contract import InputError, digest
from bench.ledger.cell_row import CellRow, CellSettings, Diverged, Done, Publication
from bench.ledger.deposit import row
from bench.ledger.lines import Row
from bench.ledger.rows import PlanRow, TaskFacts
from schedules.schedule import curve, factors

METRIC = "val_loss"
REPEAT = "repeat"  # kind of the rows of further runs of a cell
EPOCH_STEPS = 1000
"""Updates that stand for an epoch, as language models are trained on a stream."""


class Source(NamedTuple):
    """Source of the numbers; stands on every row."""

    source: str
    citation: str
    licence: str
    reference: str  # the strategy that the others are compared with


class PublishedRun(NamedTuple):
    """One published run: its settings and final loss."""

    task: str
    strategy: str  # our schedule where there is an equal one, else the source's name
    known_as: str  # the source's name
    optimizer: str
    peak_lr: float
    total: int  # updates
    seed: int
    loss: float  # final validation loss
    group: str = "main"  # part of the source; of equal runs the one of `main` is the cell, the others are repeats


def rows(runs: Sequence[PublishedRun], about: Source, name: str) -> list[Row]:
    """Rows of a ledger: a plan, a cell for each configuration, a `repeat` for each further run of one."""
    first, repeats = _sorted_out(runs)
    full = {task: max(r.total for r in first if r.task == task) for task in dict.fromkeys(r.task for r in first)}
    publication = Publication(about.source, about.citation, about.licence)
    cells = [_cell(run, full[run.task], i, publication) for i, run in enumerate(first)]
    others = [_cell(run, full[run.task], i, publication) for i, run in enumerate(repeats, len(first))]
    plan = replace(_plan(first, repeats, full, name), published=publication, reference=about.reference)
    return [
        row(PlanRow.kind, plan.plan, plan.payload()),
        *(row(CellRow.kind, cell.settings.cell, cell.payload()) for cell in cells),
        *(row(REPEAT, f"{cell.settings.cell}/{cell.settings.segment}", cell.payload()) for cell in others),
    ]


def _sorted_out(runs: Sequence[PublishedRun]) -> tuple[list[PublishedRun], list[PublishedRun]]:
    """Split runs into one of each configuration (of group `main` if there is one) and the others."""
    first: dict[tuple[Any, ...], PublishedRun] = {}
    others = []
    for run in sorted(runs, key=lambda r: r.group != "main"):
        key = (run.task, run.strategy, run.optimizer, run.peak_lr, run.total, run.seed)
        if first.setdefault(key, run) is not run:
            others.append(run)
    return list(first.values()), others


def spread(first: Sequence[PublishedRun], repeats: Sequence[PublishedRun]) -> dict[str, float]:
    """Spread of repeats of a configuration: `runs`, and the pooled standard deviation `deviation`; {} without repeats.

    Seed and data are the same, so repeats differ in rounding only. Their spread is a lower bound of the noise between
    seeds, which a single seed doesn't show.
    """
    groups: dict[tuple[Any, ...], list[float]] = {}
    for run in (*first, *repeats):
        groups.setdefault(run[:2] + run[3:7], []).append(run.loss)
    several = [losses for losses in groups.values() if len(losses) > 1]
    if not several:
        return {}
    squares = math.fsum((x - math.fsum(g) / len(g)) ** 2 for g in several for x in g)
    return {"runs": sum(map(len, several)), "deviation": math.sqrt(squares / sum(len(g) - 1 for g in several))}


def _cell(run: PublishedRun, full: int, number: int, publication: Publication) -> CellRow:
    identity = [*run[:2], *run[3:7]]
    settings = CellSettings(
        cell=digest(json.dumps(identity)),
        task=run.task,
        family="text",
        schedule=run.strategy,
        optimizer=run.optimizer,
        weight_decay=None,
        peak_lr=run.peak_lr,
        budget=run.total / full,
        epochs=run.total / EPOCH_STEPS,
        total=run.total,
        seed=run.seed,
        data=None,
        cohort="published",
        engine="published",
        segment=number,
    )
    if not math.isfinite(run.loss):
        return CellRow(settings, Diverged(first_bad_step=None), publication)
    loss = {METRIC: run.loss}
    return CellRow(settings, Done(final=loss, best=None, control=loss, recalibrated=None), publication)


def _plan(
    first: Sequence[PublishedRun], repeats: Sequence[PublishedRun], full: Mapping[str, int], name: str
) -> PlanRow:
    names = {run.strategy: run.known_as for run in (*repeats, *first)}
    return PlanRow(
        suite=name,
        plan=digest(json.dumps([first, repeats])),
        reference=None,
        cells=len(first),
        cohorts=0,
        cell_steps=0,
        looks=0,
        optimum=0,
        split_loss=0,
        notes=[],
        tasks={task: _task([r for r in first if r.task == task], repeats, total) for task, total in full.items()},
        curves=_curves(first),
        known_as=dict(sorted(names.items())),
    )


def _task(runs: Sequence[PublishedRun], repeats: Sequence[PublishedRun], full: int) -> TaskFacts:
    """Facts of a task for the plan; None where the source gives nothing."""
    return TaskFacts(
        family="text",
        metric=METRIC,
        direction="min",
        baseline=None,
        epochs=full / EPOCH_STEPS,
        epoch_steps=EPOCH_STEPS,
        unit="thousand updates",
        eval_epochs=None,
        batch_size=None,
        source="published",
        chance="",
        digest=None,
        sizes={},
        layers="transformer",
        engine="published",
        optimizer=runs[0].optimizer,
        weight_decay=None,
        optimizers=sorted({r.optimizer for r in runs}),
        seeds=sorted({r.seed for r in runs}),
        budgets=sorted({r.total / full for r in runs}),
        peak_lrs=sorted({r.peak_lr for r in runs}),
        schedules=sorted({r.strategy for r in runs}),
        repeats=spread(runs, [r for r in repeats if r.task == runs[0].task]) or None,
    )


def _curves(runs: Sequence[PublishedRun]) -> dict[str, dict[str, list[float]]]:
    """Factor against progress of each strategy that is one of our schedules, at its longest run."""
    longest = {run.strategy: run for run in sorted(runs, key=lambda r: r.total)}
    curves = {}
    for text, run in sorted(longest.items()):
        if points := _curve(text, run.total, run.peak_lr):
            curves[text] = points
    return curves


@cache  # models have schedules in common
def _curve(text: str, total: int, peak_lr: float) -> dict[str, list[float]] | None:
    """Factor against progress; None for a source's own name, whose settings are unknown."""
    try:
        schedule = schedules.parse(text)
    except InputError:
        return None
    return curve(factors(schedule, total, EPOCH_STEPS, peak_lr))
