"""Loss curves of a run, read from its traces. N = seeds, P = points, T = updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import schedules
from bench.analysis.prediction.fit import LossCurve
from bench.analysis.results import KINDS, SEPARATOR, Study, Try
from bench.contract import Array, Clock, InputError
from bench.ledger import ledger, paths, trace

BINS = 32
"""Points of a curve: means of the loss over so many equal parts of the budget. The last one is its final loss."""

DROPPED = 2
"""Parts at the start that take no part in fits: no law covers the first updates."""

FEWEST = 4 * BINS
"""Fewest updates of a budget that is fitted."""


class Recorded(NamedTuple):
    """All seeds of one schedule at one budget and peak LR."""

    schedule: str
    budget: float
    lrs: Array  # [T]
    losses: Array  # [N, P], means over the parts, the first ones included
    seeds: tuple[int, ...]

    @property
    def total(self) -> int:
        """The budget in updates."""
        return len(self.lrs)

    @property
    def finals(self) -> Array:
        """Final training loss of each seed."""
        return self.losses[:, -1]

    def curve(self, weights_N: Array | None = None) -> LossCurve:
        """Mean loss curve over seeds, or a weighted mean, for a fit."""
        losses_P = np.average(self.losses, axis=0, weights=weights_N)
        return LossCurve(self.lrs, points(self.total)[DROPPED:], losses_P[DROPPED:])


def points(total: int) -> Array:
    """Middle update of each of `BINS` equal parts of a budget."""
    ends = np.linspace(0, total, BINS + 1).round().astype(int)
    middle_P: Array = (ends[:-1] + ends[1:] - 1) // 2
    return middle_P


def open_loop_lrs(text: str, total: int, epoch_steps: int, peak_lr: float) -> Array:
    """LRs [T] of a schedule.

    Raises:
        InputError: an unknown schedule, a setting that is not allowed, or a schedule that reacts to training.
    """
    schedule = schedules.parse(text)
    if schedule.needs:
        reacts = f"it reacts to training ({', '.join(sorted(schedule.needs))}), so its LRs are known after a run only"
        raise InputError(f"schedule {schedule.text} cannot be predicted: {reacts}")
    clocks = (Clock(step, total, epoch_steps, peak_lr) for step in range(total))
    return peak_lr * np.array([schedule(schedule.init(), clock, None)[0].factor for clock in clocks])


def study(directory: Path) -> Study:
    """The rows of a run that has traces.

    Raises:
        InputError: it has none, or no ledger.
    """
    rows = Study.of(ledger.read(directory, [], KINDS))
    if not paths.traces(directory):
        raise InputError(f"{directory} has no traces: published results have the ledger alone; run its suite here")
    return rows


def read(directory: Path, rows: Study, task: str, peak_lr: float | None, notes: list[str]) -> Readings:
    """Curves of a task's open-loop schedules at one peak LR, under the task's usual optimizer and weight decay.

    Args:
        directory: The run.
        rows: Its rows, as of `study`.
        task: A task of it.
        peak_lr: The peak LR; by default the one with the lowest mean final loss over schedules, at the largest budget.
        notes: Receives a line for whatever is left out.

    Raises:
        InputError: no run that can be fitted, or a peak LR that was not run.
    """
    tries = [t for t in rows.tries if t.task == task and SEPARATOR not in t.strategy and t.final is not None]
    broken = sum(t.task == task and t.final is None for t in rows.tries)
    if broken:
        notes.append(f"{task}: {broken} cells that diverged or failed are left out")
    long = [t for t in tries if t.total >= FEWEST]
    if not long:
        most = max((t.total for t in tries), default=0)
        reason = f"its budgets have {most} updates at most, {FEWEST} are needed" if most else "no cell of it is done"
        raise InputError(f"{task} in {directory} cannot be fitted: {reason}")
    if short := sorted({t.budget for t in tries} - {t.budget for t in long}):
        notes.append(
            f"{task}: budgets of less than {FEWEST} updates are left out: {', '.join(f'{b:g}' for b in short)}"
        )
    grid = sorted({t.peak_lr for t in long})
    if peak_lr is not None and peak_lr not in grid:
        raise InputError(f"{task} was not run at peak LR {peak_lr:g}; there are {', '.join(f'{v:g}' for v in grid)}")
    every = _curves(directory, rows, long, notes)
    peak_of_fit = peak_lr if peak_lr is not None else _best_peak(every)
    curves = tuple(r for (_, _, peak), r in every.items() if peak == peak_of_fit)
    return Readings(task, peak_of_fit, rows.tasks[task].epoch_steps, rows.tasks[task].epochs, curves)


class Readings(NamedTuple):
    """The curves of a task at one peak LR."""

    task: str
    peak_lr: float
    epoch_steps: int
    epochs: float  # the task's full budget
    recorded: tuple[Recorded, ...]

    @property
    def schedules(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(r.schedule for r in self.recorded))

    @property
    def budgets(self) -> tuple[float, ...]:
        return tuple(sorted({r.budget for r in self.recorded}))


def _curves(
    directory: Path, rows: Study, tries: Sequence[Try], notes: list[str]
) -> Mapping[tuple[str, float, float], Recorded]:
    """Curves by (schedule, budget, peak LR); each with the seeds that have a trace of finite losses."""
    parts: dict[tuple[str, float, float], list[tuple[int, Array, Array]]] = {}
    missing = 0
    by_cohort: dict[str, list[Try]] = {}
    for t in tries:
        if not _reacts(t.strategy):
            by_cohort.setdefault(t.ride[0], []).append(t)
    for cohort, own in by_cohort.items():
        path = paths.trace(directory, cohort)
        if not path.exists():
            missing += len(own)
            continue
        columns = trace.read(path)
        for t in own:
            lrs_T, losses_T = _joined(columns, rows.courses.pieces(cohort, t.ride[1], t.total))
            if len(losses_T) == t.total and np.isfinite(losses_T).all():
                parts.setdefault((t.strategy, t.budget, t.peak_lr), []).append((t.seed, lrs_T, _parts(losses_T)))
            else:
                missing += 1
    reacting = sorted({t.strategy for t in tries if _reacts(t.strategy)})
    if reacting:
        notes.append(f"{tries[0].task}: not fitted, as their LRs differ between seeds: {', '.join(reacting)}")
    if missing:
        notes.append(f"{tries[0].task}: {missing} cells without a whole trace of finite losses are left out")
    if not parts:
        raise InputError(f"{tries[0].task} in {directory}: no cell of an open-loop schedule has a whole trace")
    return {key: _recorded(key[0], key[1], own) for key, own in parts.items()}


def _recorded(schedule: str, budget: float, own: Sequence[tuple[int, Array, Array]]) -> Recorded:
    own = sorted(own, key=lambda one: one[0])
    return Recorded(schedule, budget, own[0][1], np.stack([p for *_, p in own]), tuple(seed for seed, *_ in own))


def _reacts(text: str) -> bool:
    try:
        return bool(schedules.parse(text).needs)
    except InputError:
        return False  # a schedule of the user's whose file is not here: its recorded LRs are enough


def _joined(columns: Mapping[str, Array], pieces: Iterable[tuple[int, int, int]]) -> tuple[Array, Array]:
    """LRs and losses of a cell, from the segments that it rode."""
    lrs, losses = [], []
    for segment, start, end in sorted(pieces, key=lambda piece: piece[1]):
        first, last = np.searchsorted(columns["segment"], [segment, segment + 1])
        inside = slice(*(first + np.searchsorted(columns["step"][first:last], [start, end])))
        lrs.append(columns["lr"][inside])
        losses.append(columns["loss"][inside])
    return np.concatenate(lrs), np.concatenate(losses).astype(float)


def _parts(losses_T: Array) -> Array:
    """Mean loss of each of `BINS` equal parts [P]."""
    ends = np.linspace(0, len(losses_T), BINS + 1).round().astype(int)
    means_P: Array = np.add.reduceat(losses_T, ends[:-1]) / np.diff(ends)
    return means_P


def _best_peak(every: Mapping[tuple[str, float, float], Recorded]) -> float:
    """The peak LR that most schedules have and, among those, with the lowest mean final loss at the largest budget."""
    largest = max(budget for _, budget, _ in every)
    finals: dict[float, list[float]] = {}
    for (_, budget, peak), r in every.items():
        if budget == largest:
            finals.setdefault(peak, []).append(float(r.finals.mean()))
    return min(finals, key=lambda peak: (-len(finals[peak]), sum(finals[peak]) / len(finals[peak]), peak))
