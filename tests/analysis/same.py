"""A/A on real training: one schedule on disjoint seeds, under different names, through the whole comparison.

    glideslope run core --tasks digits --schedules cosine --budgets 1 --seeds 120 --out runs/same
    python -m tests.analysis.same runs/same 1000

Each shuffle deals the seeds of the one task out to names that nothing distinguishes: to five names in one task with
eight seeds each (as in the suite `families`), or in eight tasks with three seeds each (as in `core`). The peak LRs are
chosen, the names are tested and corrected as in any report. Two names that rode one member would differ by exactly 0
and prove nothing, so no seed is dealt twice in a shuffle. Shuffles use the same trainings again: their share is an
unbiased estimate, and its error is that of the disjoint experiments, not of the shuffles.
"""

import random
import sys
from pathlib import Path
from typing import NamedTuple

from bench.analysis.comparison import Comparison
from bench.analysis.protocol.primary import PrimaryTest
from bench.analysis.results import Study
from bench.ledger import ledger
from bench.ledger.lines import Row

NAMES = ("constant", "b", "c", "d", "e")
"""Of groups of seeds; the first is the reference."""


class Layout(NamedTuple):
    """Numbers of tasks and seeds dealt to each name."""

    tasks: int
    seeds: int

    @property
    def size(self):
        return len(NAMES) * self.tasks * self.seeds


LAYOUTS = Layout(1, 8), Layout(8, 3)


class Count(NamedTuple):
    """Results of experiments without any true difference."""

    experiments: int
    significant: int  # in which some name is called significantly different from the reference
    tests: int
    low: int  # with p at most 5 %, before the correction
    pairs: int  # of a name and the reference in one task, at its seeds
    clear: int  # of them called clear by the rule of comparison

    def __str__(self):
        return (
            f"{self.significant} of {self.experiments} experiments ({self.significant / self.experiments:.1%}) call "
            f"something significant after the correction; single tests {self.low} of {self.tests} "
            f"({self.low / self.tests:.1%}) at p <= 5 %; clear by the rule of comparison {self.clear} of {self.pairs} "
            f"({self.clear / self.pairs:.1%})"
        )


def count(rows, layout, shuffles):
    """Deal out the seeds of the rows' only task so many times, as many disjoint experiments each time as they make."""
    plan = next(r.payload for r in rows if r.kind == "plan")
    (facts,) = plan["tasks"].values()
    cells = [r.payload for r in rows if r.kind == "cell"]
    seeds = sorted({c["seed"] for c in cells})
    by_seed = {s: [c for c in cells if c["seed"] == s] for s in seeds}
    if len({(c["schedule"], c["budget"]) for c in cells}) > 1 or len(seeds) < layout.size:
        raise ValueError(f"one schedule, one budget and {layout.size} seeds or more are needed")
    draw, made = random.Random(0), []
    for _ in range(shuffles):
        draw.shuffle(seeds)
        for i in range(len(seeds) // layout.size):
            made.append(_one(plan, facts, [by_seed[s] for s in seeds[i * layout.size :]], layout))
    return Count(len(made), *map(sum, zip(*made, strict=True)))


def _one(plan, facts, dealt, layout):
    """(1 if something is significant, tests, low ones, pairs, clear ones) of one experiment."""
    dealt, rows = iter(dealt), []
    tasks = {
        f"task {i}": facts | {"schedules": list(NAMES), "seeds": list(range(layout.seeds))} for i in range(layout.tasks)
    }
    for task in tasks:
        for name in NAMES:
            for seed in range(layout.seeds):
                rows += [_cell(c, task, name, seed) for c in next(dealt)]
    rows.append(Row("plan", "a", None, plan | {"tasks": tasks, "cells": len(rows), "reference": NAMES[0]}))
    it = Comparison(Study.of(rows))
    found = PrimaryTest(it, interior=False).hypotheses
    lead = [it.full(t)[s].score.behind(it.full(t)[NAMES[0]].score, it.direction(t)) for t in tasks for s in NAMES[1:]]
    low, clear = sum(t.p <= 0.05 for t in found), sum(d.excludes_zero for d in lead)
    return any(t.significant for t in found), len(found), low, len(lead), clear


def _cell(cell, task, name, seed):
    payload = cell | {"task": task, "schedule": name, "seed": seed}
    return Row("cell", f"{task}/{name}/{cell['cell']}", None, payload)


def main(directory, shuffles):
    rows = ledger.read(Path(directory))
    for layout in LAYOUTS:
        print(f"{len(NAMES)} names, {layout.tasks} tasks, {layout.seeds} seeds: {count(rows, layout, shuffles)}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
