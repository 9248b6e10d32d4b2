"""`glideslope recommend`: which decay to take for a task and a budget, from ledgers at hand, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tasks
from bench.contract import InputError
from bench.evidence import report, tables
from bench.evidence.compare import Comparison, Score, Verdict
from bench.evidence.markup import Item, Table
from bench.evidence.notation import MISSING, counted, listed, value
from bench.evidence.stats import ranks
from bench.evidence.study import KINDS, Study
from bench.record import ledger

if TYPE_CHECKING:
    from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path("results") if Path.cwd() == ROOT else ROOT / "results"
SEEDS, FACTOR = 3, 2.0
"""Fewest seeds, and furthest budget, that a recommendation rests on."""

NAMES = 4
"""Most strategies that are named in a sentence; the table has them all."""


class Evidence(NamedTuple):
    """One task of one ledger, at its recorded budget that lies nearest to the one asked for."""

    directory: Path
    it: Comparison
    task: str
    budget: float
    epochs: float

    @property
    def ranked(self) -> list[tuple[str, Verdict]]:
        """Strategies that have a rank, best first."""
        group = [(s, v) for s, v in self.it.at(self.task, self.budget).items() if v.rank is not None]
        return sorted(group, key=lambda pair: pair[1].rank or 0.0)

    @property
    def n(self) -> int:
        """Seeds of the strategy that has fewest."""
        return min((len(v.score.chosen) for _, v in self.ranked), default=0)

    @property
    def unit(self) -> str:
        return str(self.it.study.tasks[self.task].get("unit", "epochs"))

    def off(self, epochs: float) -> float:
        """By which factor, at least 1, its budget misses the one asked for."""
        return math.exp(abs(math.log(self.epochs / epochs)))

    def doubts(self, epochs: float) -> list[str]:
        """Why nothing can be recommended from it; nothing if something can."""
        found = [f"n = {self.n} seed{'s' * (self.n != 1)}, {SEEDS} or more are needed"] * (self.n < SEEDS)
        off = self.off(epochs)
        if off > FACTOR * (1 + 1e-9):
            found.append(f"the nearest budget is {counted(self.epochs, self.unit)}, off by a factor of {off:.3g}")
        return found + ["only one strategy was run"] * (len(self.ranked) < 2)


def at_hand(given: Sequence[Path], notes: list[str]) -> dict[Path, Comparison]:
    """The ledgers named, or every one under `runs/` and the results that come with the code.

    Of those that were not named, one that can't be read is left out, with a note.

    Raises:
        InputError: a ledger that was named is not there, or can't be read.
    """
    found = {}
    for directory in given or [at.parent for root in (Path("runs"), RESULTS) for at in sorted(root.rglob("ledger"))]:
        try:
            found[directory] = Comparison(Study.of(ledger.read(directory, notes, KINDS)))
        except InputError as error:
            if given:
                named = str(directory) in str(error)
                raise InputError(str(error) if named else f"{directory}: {error}") from None
            notes.append(f"{directory} is left out: {error}")
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
        raise InputError(f"no family {family!r}: there are {', '.join(families)}")
    found = []
    for directory, it in ledgers.items():
        for name in it.study.tasks:
            if name == task or (family is not None and _family(it, name) == family):
                found += _nearest(directory, it, name, epochs)
    return sorted(
        found, key=lambda e: (e.task, bool(e.doubts(epochs)), e.off(epochs), -e.n, -len(e.ranked), str(e.directory))
    )


def _family(it: Comparison, task: str) -> str:
    return str(it.study.tasks[task]["family"])


def _nearest(directory: Path, it: Comparison, task: str, epochs: float) -> list[Evidence]:
    """The nearest budget with a result; nothing where no budget has one."""
    full = it.study.tasks[task]["epochs"]
    held = [Evidence(directory, it, task, b, full * b) for b in it.study.budgets(task)]
    held = [e for e in held if e.ranked]
    return [min(held, key=lambda e: (e.off(epochs), -e.epochs))] if held else []


# ---------------------------------------------------------------------------------------------------- words


def show(found: Sequence[Evidence], asked: str, epochs: float, console: Console) -> None:
    """Print the answer, then what it rests on."""
    for line in answer(found, asked, epochs):
        console.print(line, highlight=False, markup=False)
    console.print()
    for each in found:
        report.put(table(each), console)
    if found:
        last = "Peak LRs: those chosen by seeds; ↓ ↑ mark an edge of the grid, beyond which a better one may lie."
        console.print(f"± is half of the 95 % interval over seeds. {last}", highlight=False, markup=False)


def answer(found: Sequence[Evidence], asked: str, epochs: float) -> Iterator[str]:
    """The recommendation in a sentence for each task, or why there is none."""
    if not found:
        yield f"Not enough data: no ledger at hand has a result on {asked}. Run it, or name one with --ledger DIR."
        return
    best = {e.task: e for e in reversed(found)}  # the first of each task
    sound = [e for e in reversed(best.values()) if not e.doubts(epochs)]
    for e in reversed(best.values()):
        if reasons := e.doubts(epochs):
            yield f"Not enough data on {e.task} for {counted(epochs, e.unit)} ({e.directory}): {'; '.join(reasons)}."
    for e in sound:
        yield _advice(e)
    if len(best) > 1:
        yield _together(sound, asked)


def _advice(e: Evidence) -> str:
    (first, verdict), *others = e.ranked
    near = [s for s, v in others if v.word in ("within noise", "identical run")]
    more = [*near[:NAMES], *[f"{len(near) - NAMES} more"] * (len(near) > NAMES)]
    sure = f"not distinguishable from it: {listed(more)}" if near else "clearly better than all others"
    return (
        f"{e.task}, {counted(e.epochs, e.unit)}: {first} at peak LR {peaks(verdict.score)} ended best, "
        f"{value(verdict.score.final)} ({e.n} seeds, {e.directory}); {sure}."
    )


def _together(sound: Sequence[Evidence], asked: str) -> str:
    """Mean ranks over the tasks of a family, among the strategies that all of them ran."""
    shared = set.intersection(*({s for s, _ in e.ranked} for e in sound)) if sound else set()
    if len(sound) < 2 or len(shared) < 2:
        return f"Not enough data on {asked} as a whole: it takes two tasks with two strategies in common."
    names = sorted(shared)
    lines_TK = []
    for e in sound:
        finals = dict(e.ranked)
        means = [it.mean if (it := finals[s].score.final) else math.nan for s in names]
        lines_TK.append(ranks(means, e.it.direction(e.task)))
    mean = {s: math.fsum(column) / len(sound) for s, column in zip(names, zip(*lines_TK, strict=True), strict=True)}
    order = sorted(names, key=lambda s: mean[s])
    first = ", ".join(f"{s} ({mean[s]:.1f})" for s in order[:3])
    return (
        f"Over {len(sound)} tasks of {asked}, by mean rank among {len(names)} strategies: {first}. "
        "Ranks describe; no test says that they differ."
    )


def table(e: Evidence) -> Table:
    """Every strategy of one piece of evidence, best first."""
    rows = []
    for s, v in e.ranked:
        behind = MISSING if v.word in ("best", "identical run") else value(v.behind)
        fields = Item(tables.outcome(v.score)), Item(behind), Item(peaks(v.score))
        rows.append((Item(s), *fields, Item(v.word, tables.LOOK.get(v.word, ""))))
    facts = e.it.study.tasks[e.task]
    judged = f"final test {facts['metric']} ({facts['direction']})"
    title = f"{e.directory}: {e.task}, {counted(e.epochs, e.unit)}, n = {e.n}, {judged}"
    return Table(title, ("strategy", "final", "behind the best", "peak LR", "verdict"), tuple(rows))


def peaks(score: Score) -> str:
    """Range of the peak LRs chosen, with the edges of the grid."""
    chosen = sorted({t.peak_lr for t in score.chosen})
    edges = "".join({"low": "↓", "high": "↑"}[edge] for edge in score.edges)
    return " to ".join(f"{lr:g}" for lr in dict.fromkeys((chosen[0], chosen[-1]))) + f" {edges}" * bool(edges)
