"""Rounds of a run: each adds cells to the one before, until a rule says that it is enough.

Whether a round follows and what it adds depends on the cells of the complete rounds alone. A run that was stopped, and
each of several processes, therefore takes the same decisions from the same ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.analysis.comparison import Comparison
from bench.analysis.protocol import sequential, tuning
from bench.analysis.protocol.tuning import EdgeChoice
from bench.analysis.results import Study
from bench.contract import InputError
from bench.ledger.cell_row import CellRow
from bench.ledger.lines import Row
from bench.ledger.rows import PlanRow
from bench.plan import Suite, limits


@dataclass(frozen=True)
class Round:
    """A round of a run, and the decisions that led to it."""

    suite: Suite  # its cells and those of the rounds before
    number: int = 1
    widenings: int = 0  # so far, of each task whose choices still lie at an edge
    look: int = 0  # its place among the looks of the rule
    reasons: tuple[str, ...] = ()  # lines that say what it adds, and why


class Decision(NamedTuple):
    """The round that follows a complete one; None at the end of the run, with lines that say why it ends."""

    following: Round | None
    closing: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoppingRule:
    """When a run goes on: first while choices of peak LRs lie at edges, then while tasks are not decided."""

    tune: int = 0  # widenings at most
    looks: tuple[int, ...] = ()  # numbers of seeds, ascending

    def __bool__(self) -> bool:
        return bool(self.tune or self.looks)

    @property
    def text(self) -> str:
        """The rule as options of the command line."""
        parts = [f"--tune {self.tune}"] * bool(self.tune)
        parts += [f"--until decided --at-most {self.looks[-1]}"] if self.looks else []
        return " ".join(parts)

    @classmethod
    def of(cls, suite: Suite, tune: int | None, until: str | None, at_most: int | None) -> StoppingRule:
        """The rule that the options give; None for `tune` means the suite's own.

        Raises:
            InputError: an option is out of range or lacks the other, or tasks start with different numbers of seeds.
        """
        tune = suite.tune if tune is None else tune
        if not 0 <= tune <= limits.MOST_WIDENINGS:
            raise InputError(f"--tune {tune}: give a number of widenings, 0 to {limits.MOST_WIDENINGS}")
        if until is None and at_most is None:
            return cls(tune)
        if until is None or at_most is None:
            raise InputError("--until decided and --at-most N go together: N seeds are the most that it may take")
        seeds = {grid.seeds: grid.task for grid in suite.grids}
        if len(seeds) > 1:
            each = ", ".join(f"{n} of {task}" for n, task in sorted(seeds.items()))
            raise InputError(f"--until decided: tasks start with different numbers of seeds ({each}); give --seeds N")
        (first,) = seeds
        if at_most <= first:
            raise InputError(f"--at-most {at_most}: the run starts with {first} seeds; give more")
        return cls(tune, (*range(first, at_most, max(2, first // 2)), at_most))

    def after(self, current: Round, comparison: Comparison) -> Decision:
        """The decision after a complete round, from the comparison of its cells alone."""
        edges = tuning.edge_choices(comparison) if self.tune else []
        if edges and current.look == 0 and current.widenings < self.tune:
            return Decision(_wider(current, edges))
        closing = [f"not settled by --tune {self.tune}: {edge.text}" for edge in edges]
        closing += ["tuned: every choice of a peak LR lies inside its grid"] * bool(self.tune and not edges)
        if not self.looks:
            return Decision(None, tuple(closing))
        seeds = self.looks[current.look]
        undecided = sequential.undecided_tasks(comparison, self.looks, current.look)
        tasks = [name for name in _tasks(current.suite, seeds) if name in undecided]  # others have their verdict
        if tasks and current.look + 1 < len(self.looks):
            return Decision(self._more_seeds(current, tasks))
        state = f"not decided at {seeds} seeds, the most allowed: {', '.join(tasks)}" if tasks else ""
        return Decision(None, (*closing, state or f"decided, with {seeds} seeds of {self.looks[-1]} allowed"))

    def _more_seeds(self, current: Round, tasks: Collection[str]) -> Round:
        """The next look, for these tasks."""
        seeds, more = self.looks[current.look], self.looks[current.look + 1]
        grids = tuple(replace(g, seeds=more) if g.task in tasks else g for g in current.suite.grids)
        number, suite = current.number + 1, replace(current.suite, grids=grids)
        reason = f"round {number}: {', '.join(tasks)} not decided at {seeds} seeds: going on to {more}"
        return replace(current, suite=suite, number=number, look=current.look + 1, reasons=(reason,))

    def most(self, current: Round) -> Suite:
        """The suite of the last round, if every later one added all that the rule allows."""
        grids = current.suite.grids
        if self.tune and current.look == 0:
            grids = tuning.widen_everywhere(grids, self.tune - current.widenings)
        if self.looks:
            growing = _tasks(current.suite, self.looks[current.look])
            grids = tuple(replace(g, seeds=self.looks[-1]) if g.task in growing else g for g in grids)
        return replace(current.suite, grids=grids)


def comparison_of(key: str, plan: PlanRow, cells: Collection[str], rows: Iterable[Row]) -> Comparison:
    """The comparison of these cells alone, whatever else the rows hold. `key` is the plan's id."""
    own = [row for row in rows if row.kind == CellRow.kind and row.key in cells]
    return Comparison(Study.of([Row(PlanRow.kind, key, None, plan.payload()), *own]))


def _tasks(suite: Suite, seeds: int) -> list[str]:
    """Tasks with this number of seeds."""
    return list(dict.fromkeys(grid.task for grid in suite.grids if grid.seeds == seeds))


def _wider(current: Round, edges: Collection[EdgeChoice]) -> Round:
    """The round with the grids widened where choices lie at an edge."""
    grids, number = current.suite.grids, current.number + 1
    reasons = []
    for edge in edges:
        own = [grid for grid in grids if (grid.task, grid.optimizer) == (edge.task, edge.optimizer)]
        added = sorted({tuning.beyond(grid.peak_lrs or (), edge.side) for grid in own})
        several = len({grid.optimizer for grid in grids if grid.task == edge.task}) > 1
        reasons.append(
            f"round {number}: {edge.text}: adding {', '.join(f'{lr:g}' for lr in added)} for all strategies"
            + f" with {edge.optimizer}" * several
        )
    wider = replace(current.suite, grids=tuning.widen(grids, edges))
    return replace(current, suite=wider, number=number, widenings=current.widenings + 1, reasons=tuple(reasons))
