"""Simulated ranks that take whole cohorts, the costliest first: `python -m tests.speed.ranks results/speed/ranks.md`.

Nothing trains: costs are those of the forecast, and what a cohort takes is its cost times a random factor, so the
order is that of a rank which does not know better. Epochs have fewer updates than in the real tasks, in proportion.
"""

import heapq
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import schedules
import tasks
from bench import engine, suites
from bench.data import Data, Split
from bench.plan import Grid, Suite, plan
from bench.plan.forecast import Forecast
from bench.strategies import optimizers

RANKS = (8, 64, 1000)
EPOCH = 8  # updates of an epoch here
SPREAD = 0.2  # standard deviation of the logarithm of that factor

TEXT = """# Ranks that share a plan: simulated

Made by `python -m tests.speed.ranks results/speed/ranks.md`. Each rank takes the costliest cohort that is free; what a
cohort takes is its forecast times a random factor (its logarithm has a standard deviation of {spread}). The makespan is
over the work of the uncut plan, divided by the number of ranks: 1 is the lower bound. "Looks" is what the cut costs,
over the looks of the uncut plan. The plan is cut by `--width`, at the widest that gives each rank a cohort, or else at
one cell.

| plan | cells | ranks | as planned: cohorts | makespan | cut: width | cohorts | looks | makespan |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
{lines}
"""


def many():
    """About 100,000 cells of `digits`."""
    grid = Grid(
        task="digits", schedules=suites.EVERY, budgets=suites.LOW, peak_lrs=(0.1, 0.2, 0.4, 0.8, 1.6), seeds=476
    )
    return Suite("100,000 cells", (grid,))


def stub(text):
    """A task with no more training examples than EPOCH batches."""
    task = tasks.parse(text)
    count = EPOCH * task.batch_size
    part = Split((np.zeros((count, 1), np.uint8),), (np.zeros(count, np.int64),))
    return replace(task, load=lambda: Data(part, part, part))


def canonical(grid):
    texts = tuple(schedules.parse(text).text for text in grid.schedules)
    return replace(
        grid, schedules=texts, optimizer=optimizers.parse(grid.optimizer or tasks.parse(grid.task).optimizer).text
    )


def makespan(costs, ranks, seed=0):
    """Time until the last rank ends, with the costliest cohort first."""
    draw, ends = random.Random(seed), [0.0] * ranks
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost * draw.lognormvariate(-(SPREAD**2) / 2, SPREAD))
    return max(ends)


def lines(suite):
    suite = replace(suite, grids=tuple(map(canonical, suite.grids)))
    by_name = {grid.task: stub(grid.task) for grid in suite.grids}
    whole = plan.build(suite, by_name, engine.choose)
    texts = {cell.schedule for cell in whole.cells}
    forecast = Forecast(whole, by_name, {text: schedules.parse(text) for text in texts})
    costs = [forecast.looks(c.cells) for c in whole.cohorts]
    for ranks in RANKS:
        width, parts = whole.cut_for(ranks)
        own = [forecast.looks(c.cells) for c in parts.cohorts]
        bound = sum(costs) / ranks
        counts = f"{len(whole.cells):,} | {ranks:,} | {len(costs):,}"
        cuts = f"{width} | {len(own):,} | {sum(own) / sum(costs):.2f}"
        spans = [makespan(each, ranks) / bound for each in (costs, own)]
        yield f"| {suite.name} | {counts} | {spans[0]:.2f} | {cuts} | {spans[1]:.2f} |"


def main(path):
    rows = [line for suite in (suites.rex(), suites.imagenet(), many()) for line in lines(suite)]
    Path(path).write_text(TEXT.format(spread=SPREAD, lines="\n".join(rows)), encoding="utf-8")
    print("\n".join(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
