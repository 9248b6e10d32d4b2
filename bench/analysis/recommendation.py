"""`glideslope recommend`: which decay to take for a task and a budget, from ledgers at hand, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import tasks
from bench.analysis.comparison import Comparison, Verdict
from bench.analysis.results import KINDS, Study
from bench.contract import InputError
from bench.ledger import ledger
from bench.ledger.cell_row import CellRow
from bench.report.numbers import quantity
from schedules.spec import hint

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path("results") if Path.cwd() == ROOT else ROOT / "results"
SEEDS, FACTOR = 3, 2.0
"""Fewest seeds, and furthest budget, that a recommendation rests on."""


class Evidence(NamedTuple):
    """One task of one ledger, at its recorded budget that lies nearest to the one asked for."""

    directory: Path
    comparison: Comparison
    task: str
    budget: float
    epochs: float

    @property
    def ranked(self) -> list[tuple[str, Verdict]]:
        """Strategies that have a rank, best first."""
        group = [(s, v) for s, v in self.comparison.at(self.task, self.budget).items() if v.rank is not None]
        return sorted(group, key=lambda pair: pair[1].rank or 0.0)

    @property
    def n(self) -> int:
        """Seeds of the strategy that has fewest."""
        return min((len(v.score.selected) for _, v in self.ranked), default=0)

    @property
    def unit(self) -> str:
        return self.comparison.study.tasks[self.task].unit

    def off(self, epochs: float) -> float:
        """By which factor, at least 1, its budget misses the one asked for."""
        return math.exp(abs(math.log(self.epochs / epochs)))

    def doubts(self, epochs: float) -> list[str]:
        """Why nothing can be recommended from it; nothing if something can."""
        found = [f"n = {self.n} seed{'s' * (self.n != 1)}, {SEEDS} or more are needed"] * (self.n < SEEDS)
        off = self.off(epochs)
        if off > FACTOR * (1 + 1e-9):
            found.append(f"the nearest budget is {quantity(self.epochs, self.unit)}, off by a factor of {off:.3g}")
        return found + ["only one strategy was run"] * (len(self.ranked) < 2)


def at_hand(given: Sequence[Path], notes: list[str]) -> dict[Path, Comparison]:
    """The ledgers named, or every one under `runs/` and the results that come with the code.

    Of those that were not named, one that can't be read is left out, with a note; so is any whose cells are all in
    another one, as those of a run whose results were copied: they count once.

    Raises:
        InputError: a ledger that was named is not there, or can't be read.
    """
    found, cells = dict[Path, Comparison](), dict[Path, set[str]]()
    for directory in given or [at.parent for root in (Path("runs"), RESULTS) for at in sorted(root.rglob("ledger"))]:
        try:
            rows = ledger.read(directory, notes, KINDS)
            found[directory] = Comparison(Study.of(rows))
            cells[directory] = {row.key for row in rows if row.kind == CellRow.kind}
        except InputError as error:
            if given:
                named = str(directory) in str(error)
                raise InputError(str(error) if named else f"{directory}: {error}") from None
            notes.append(f"{directory} is left out: {error}")
    for directory in reversed(list(found)):
        wholes = [other for other in found if other != directory and cells[directory] <= cells[other]]
        if wholes:
            whole = max(wholes, key=lambda other: len(cells[other]))
            notes.append(f"{directory} is left out: all its cells are in {whole}")
            del found[directory]
    return found


def gather(ledgers: Mapping[Path, Comparison], task: str | None, family: str | None, epochs: float) -> list[Evidence]:
    """What there is on a task or a family, the best of each task first: nearest budget, most seeds, most strategies.

    Raises:
        InputError: the task is neither in a ledger nor known here, or there is no such family.
    """
    known = {name for it in ledgers.values() for name in it.study.tasks}
    if task is not None and task not in known:
        task = tasks.parse(task).name
    there = {_family(it, name) for it in ledgers.values() for name in it.study.tasks}
    families = sorted(there | {tasks.parse(name).family for name in tasks.CATALOGUE})
    if family is not None and family not in families:
        raise InputError(f"no family {family!r}{hint(family, families)}: there are {', '.join(families)}")
    found = []
    for directory, it in ledgers.items():
        for name in it.study.tasks:
            if name == task or (family is not None and _family(it, name) == family):
                found += _nearest(directory, it, name, epochs)
    return sorted(
        found, key=lambda e: (e.task, bool(e.doubts(epochs)), e.off(epochs), -e.n, -len(e.ranked), str(e.directory))
    )


def _family(it: Comparison, task: str) -> str:
    return it.study.tasks[task].family


def _nearest(directory: Path, it: Comparison, task: str, epochs: float) -> list[Evidence]:
    """The nearest budget with a result; nothing where no budget has one."""
    full = it.study.tasks[task].epochs
    held = [Evidence(directory, it, task, b, full * b) for b in it.study.budgets(task)]
    held = [e for e in held if e.ranked]
    return [min(held, key=lambda e: (e.off(epochs), -e.epochs))] if held else []
