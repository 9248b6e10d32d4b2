"""Evidence for a recommendation: each task of each ledger at hand, at its recorded budget nearest to the one asked for.

No text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import tasks
from bench.analysis.comparison import Comparison, Verdict
from bench.analysis.results import KINDS, Study
from bench.contract import InputError
from bench.ledger import ledger, paths
from bench.ledger.cell_row import CellRow
from bench.ledger.rows import TaskFacts
from schedules.spec import hint

ROOT = Path(__file__).resolve().parents[3]
RESULTS = Path("results") if Path.cwd() == ROOT else ROOT / "results"
SEEDS, FACTOR = 6, 2.0
"""Fewest seeds of a task, and largest factor between budgets, that allow a recommendation.

With 5 seeds no test of signs within one task can be significant, and all seeds choose one peak LR together.
"""

Doubt = Literal["wind tunnel", "distant budget", "one strategy", "reference not run", "few seeds"]
"""Reason for not recommending anything, the gravest first."""


class Evidence(NamedTuple):
    """One task of one ledger, at the recorded budget that is nearest to the requested one."""

    directory: Path
    comparison: Comparison
    task: str
    budget: float
    epochs: float

    @property
    def facts(self) -> TaskFacts:
        return self.comparison.study.tasks[self.task]

    @property
    def ranked(self) -> list[tuple[str, Verdict]]:
        """Strategies that have a rank, best first."""
        group = [(s, v) for s, v in self.comparison.at(self.task, self.budget).items() if v.rank is not None]
        return sorted(group, key=lambda pair: pair[1].rank or 0.0)

    @property
    def n(self) -> int:
        """Number of seeds of the strategy that has fewest."""
        return min((len(v.score.selected) for _, v in self.ranked), default=0)

    def budget_factor(self, epochs: float) -> float:
        """Factor, at least 1, between its budget and the requested one."""
        return math.exp(abs(math.log(self.epochs / epochs)))

    def exact(self, epochs: float) -> bool:
        """True if its budget is the requested one, up to the rounding of shares."""
        return self.budget_factor(epochs) < 1.001

    def doubts(self, epochs: float) -> list[Doubt]:
        """Reasons for not recommending anything from this evidence; [] where a recommendation can be made."""
        names = [s for s, _ in self.ranked]
        holds: dict[Doubt, bool] = {
            "wind tunnel": self.facts.family == "tunnel",
            "distant budget": self.budget_factor(epochs) > FACTOR * (1 + 1e-9),
            "one strategy": len(names) < 2,
            "reference not run": self.comparison.reference(self.task) not in names,
            "few seeds": self.n < SEEDS,
        }
        return [doubt for doubt, held in holds.items() if held]


def at_hand(directories: Sequence[Path], notes: list[str]) -> dict[Path, Comparison]:
    """Read the ledgers in these directories or, without any, all under `runs/` and the published results.

    Among the latter, an unreadable ledger is left out with a note. So is one whose cells are all in another ledger,
    such as a run whose results were copied: they count once.

    Raises:
        InputError: a directory was given whose ledger is missing or unreadable.
    """
    comparisons, cells = dict[Path, Comparison](), dict[Path, set[str]]()
    for directory in directories or _default_directories():
        try:
            rows = ledger.read(directory, notes, KINDS)
            comparisons[directory] = Comparison(Study.of(rows))
            cells[directory] = {row.key for row in rows if row.kind == CellRow.kind}
        except InputError as error:
            if directories:
                message = str(error)
                raise InputError(message if str(directory) in message else f"{directory}: {message}") from None
            notes.append(f"{directory} is left out: {error}")
    for directory in reversed(list(comparisons)):
        supersets = [other for other in comparisons if other != directory and cells[directory] <= cells[other]]
        if supersets:
            largest = max(supersets, key=lambda other: len(cells[other]))
            notes.append(f"{directory} is left out: all its cells are in {largest}")
            del comparisons[directory]
    return comparisons


def _default_directories() -> list[Path]:
    return [directory for root in (Path("runs"), RESULTS) for directory in paths.runs(root)]


def gather(ledgers: Mapping[Path, Comparison], task: str | None, family: str | None, epochs: float) -> list[Evidence]:
    """Collect the evidence on a task or a family, the best of each task first.

    Better is evidence without doubts, then with enough seeds, a nearer budget, more seeds, a margin, more strategies.

    Raises:
        InputError: a task that is neither in a ledger nor in the catalogue, or an unknown family.
    """
    recorded = {name: facts.family for c in ledgers.values() for name, facts in c.study.tasks.items()}
    if task is not None:
        task = canonical(task, recorded)
    families = sorted({*recorded.values()} | {tasks.parse(name).family for name in tasks.CATALOGUE})
    if family is not None and family not in families:
        raise InputError(f"no family {family!r}{hint(family, families)}: there are {', '.join(families)}")
    evidence = []
    for directory, comparison in ledgers.items():
        for name, facts in comparison.study.tasks.items():
            if name == task or (family is not None and facts.family == family):
                evidence += _nearest(directory, comparison, name, epochs)

    def order(e: Evidence) -> tuple[str, int, int, float, int, bool, int, str]:
        grave = sum(doubt != "few seeds" for doubt in e.doubts(epochs)) + (e.n < 2)
        margin, breadth = e.facts.margin is None, -len(e.ranked)
        return e.task, grave, -min(e.n, SEEDS), e.budget_factor(epochs), -e.n, margin, breadth, str(e.directory)

    return sorted(evidence, key=order)


def kindred(ledgers: Mapping[Path, Comparison], task: str) -> tuple[str, ...]:
    """Recorded tasks that have a result and are the same as a task but for their settings."""
    kind = task.partition("(")[0].strip()
    names = [name for c in ledgers.values() for (name, _, _) in c.study.blocks if name.partition("(")[0] == kind]
    return tuple(dict.fromkeys(names))


def canonical(task: str, recorded: Mapping[str, str]) -> str:
    """The name of a task that is in a ledger or in the catalogue.

    Raises:
        InputError: it is in neither; names the nearest ones.
    """
    if task in recorded:
        return task
    try:
        return tasks.parse(task).name
    except InputError as error:
        near = "" if "did you mean" in str(error) else hint(task, recorded)
        raise InputError(f"{error}{near}") from None


def _nearest(directory: Path, comparison: Comparison, task: str, epochs: float) -> list[Evidence]:
    """The evidence at the nearest budget that has a result; [] where none has."""
    full = comparison.study.tasks[task].epochs
    every = [Evidence(directory, comparison, task, b, full * b) for b in comparison.study.budgets(task)]
    ranked = [e for e in every if e.ranked]
    return [min(ranked, key=lambda e: (e.budget_factor(epochs), -e.epochs))] if ranked else []
