"""Forecast of a plan: its cost, and the saving by sharing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from bench.contract import Cell, Clock, Cohort, Schedule, Setting, Signals, Task
from bench.layers import LAYERS
from bench.ledger.rows import PlanRow, TaskFacts
from bench.plan.plan import Plan, optimum, shareable_groups
from schedules.borrowed import within
from schedules.refusals import check_ends, check_moves, settings
from schedules.schedule import curve, factors

TRIED = 500  # updates of a closed-loop schedule, to see whether it sets the momentum


class Forecast:
    """Number of looks of each cohort, counted from the schedules alone.

    A closed-loop schedule counts as if it never reacted (factor 1), so it may need more looks than forecast.
    """

    def __init__(self, plan: Plan, tasks: Mapping[str, Task], schedules: Mapping[str, Schedule[Any]]):
        self.plan, self.tasks, self.schedules = plan, tasks, schedules
        self.epoch_steps = {name: len(task.load().train) // task.batch_size for name, task in tasks.items()}
        self._trace = cache(self._factors)
        self._looks = cache(self._optimum)

    def _factors(self, text: str, total: int, epoch_steps: int, peak_lr: float) -> list[Setting]:
        schedule = self.schedules[text]
        return [Setting(1.0)] * total if schedule.needs else factors(schedule, total, epoch_steps, peak_lr)

    def check_moves(self) -> None:
        """Refuse borrowed schedules that never move in any cell, or leave a cell at LR 0.

        Raises:
            InputError: names the schedule, and when it would have moved.
        """
        for text, schedule in self.schedules.items():
            machines = list(within(schedule))
            lines = {(c.total, self.epoch_steps[c.task], c.peak_lr) for c in self.plan.cells if c.schedule == text}
            if not machines or not lines:
                continue
            clocks = [Clock(0, *line) for line in sorted(lines)]
            check_ends(text, [(clock, self._trace(text, *clock[1:])) for clock in clocks])
            for machine in machines:  # a part of a combinator has a part of the budget, so it comes no further
                traces = [(clock, trace) for clock in clocks if (trace := settings(machine, clock))]
                if traces:
                    check_moves(text, machine, traces)

    def _optimum(self, lines: tuple[tuple[str, int, int, float], ...]) -> int:
        return optimum((self._trace(*line) for line in lines), (line[3] for line in lines))

    def looks(self, cells: Iterable[Cell]) -> int:
        """Least number of looks of these cells, which have the same task, optimizer, weight decay and seed."""
        return self._looks(tuple((c.schedule, c.total, self.epoch_steps[c.task], c.peak_lr) for c in cells))

    def sets_momentum(self, cell: Cell) -> bool:
        """True if a cell's schedule sets the momentum; for a closed-loop one, if it does in a short trial."""
        schedule, steps = self.schedules[cell.schedule], self.epoch_steps[cell.task]
        if not schedule.needs:
            return any(s.momentum is not None for s in self._trace(cell.schedule, cell.total, steps, cell.peak_lr))
        state = schedule.init()
        for step in range(min(cell.total, TRIED)):
            signals = Signals(2 - step / cell.total, 1.0 + step % 3)
            setting, state = schedule(state, Clock(step, cell.total, steps, cell.peak_lr), signals)
            if setting.momentum is not None:
                return True
        return False

    def seconds(self, cohort: Cohort) -> float:
        """Rough cost on one thread; the time left is corrected as a run goes on."""
        return self.looks(cohort.cells) * LAYERS[self.tasks[cohort.task].layers].seconds

    def engine(self, cohort: Cohort) -> str:
        """The engine of a cohort, with its arithmetic unless that is the usual one."""
        return f"{cohort.engine} ({cohort.arithmetic.text})" if cohort.arithmetic.text else cohort.engine

    def optimum(self) -> int:
        """Number of looks of the whole plan if no cohort were split: the trie optimum."""
        return sum(map(self.looks, shareable_groups(self.plan.cells)))

    def idle_note(self, takers: int) -> str:
        """A line on workers that have no cohort and on what a cut for them costs; empty if all have one."""
        plan = self.plan
        if takers <= len(plan.cohorts):
            return ""
        width, parts = plan.cut_for(takers)
        idle = f"{takers} workers share {len(plan.cohorts)} cohorts, which leaves {takers - len(plan.cohorts)} idle"
        if len(parts.cohorts) == len(plan.cohorts):
            return f"{idle}: each cohort is of one cell"
        before, after = (sum(self.looks(cohort.cells) for cohort in each.cohorts) for each in (plan, parts))
        return (
            f"{idle}: a new run with --width {width} has {len(parts.cohorts)}, for {after / before - 1:.1%} more looks"
        )

    def row(self) -> PlanRow:
        """The `plan` row."""
        planned = sum(self.looks(c.cells) for c in self.plan.cohorts)
        best = self.optimum()
        return PlanRow(
            suite=self.plan.suite,
            plan=self.plan.id,
            reference=self.plan.reference,
            primary=self.plan.primary,
            seed_looks=self.plan.seed_looks,
            cells=len(self.plan.cells),
            cohorts=len(self.plan.cohorts),
            cell_steps=sum(c.cell_steps for c in self.plan.cohorts),
            looks=planned,
            optimum=best,
            split_loss=planned - best,
            notes=list(self.plan.notes),
            tasks={name: self._task(name) for name in dict.fromkeys(c.task for c in self.plan.cohorts)},
            curves=self._curves(),
        )

    def _task(self, name: str) -> TaskFacts:
        task, data = self.tasks[name], self.tasks[name].load()
        cells = [c for c in self.plan.cells if c.task == name]
        return TaskFacts(
            family=task.family,
            metric=task.metric,
            direction=task.direction,
            baseline=task.baseline(data),
            epochs=task.epochs,
            epoch_steps=self.epoch_steps[name],
            eval_epochs=task.eval_epochs,
            batch_size=task.batch_size,
            source=task.source,
            chance=task.chance,
            margin=task.margin,
            digest=cells[0].data,
            code=cells[0].code,
            sizes={split: len(getattr(data, split)) for split in data._fields},
            layers=task.layers,
            engine=", ".join(dict.fromkeys(self.engine(c) for c in self.plan.cohorts if c.task == name)),
            optimizer=cells[0].optimizer,
            weight_decay=cells[0].weight_decay,
            optimizers=list(dict.fromkeys(f"{c.optimizer}, weight decay {c.weight_decay:g}" for c in cells)),
            seeds=sorted({c.seed for c in cells}),
            budgets=sorted({c.budget for c in cells}),
            peak_lrs=sorted({c.peak_lr for c in cells}),
            schedules=list(dict.fromkeys(c.schedule for c in cells)),
            averagings=list(dict.fromkeys(c.averaging for c in cells)),
        )

    def _curves(self) -> dict[str, dict[str, list[float]]]:
        """Factor against progress of each open-loop schedule, of a cell with its largest number of updates."""
        longest = {}
        for cell in sorted(self.plan.cells, key=lambda c: c.total):
            if not self.schedules[cell.schedule].needs:
                longest[cell.schedule] = cell
        return {text: self._curve(cell) for text, cell in longest.items()}

    def _curve(self, cell: Cell) -> dict[str, list[float]]:
        return curve(self._trace(cell.schedule, cell.total, self.epoch_steps[cell.task], cell.peak_lr))
