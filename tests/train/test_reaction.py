"""Closed-loop schedules in training: what they are told is theirs alone, in company, alone, and resumed at any step."""

from dataclasses import replace

import pytest

from bench.ledger import ledger, trace
from bench.ledger.ledger import Ledger
from bench.runner.config import RunConfig, prepare
from bench.runner.worker import WorkerContext, build_engine
from bench.train.io import GO, STOP, TrainingIO
from bench.train.loop import Training
from tests.runs import attempt

pytestmark = pytest.mark.usefixtures("one_thread")
SCHEDULES = (
    "constant, polyak(c=200), polyak(c=500), hypergradient(beta=1e-05), hypergradient(beta=1e-06), greedy(patience=0), "
    "warmup(hypergradient(beta=1e-05), epochs=1), greedy(patience=1, high=1)"
)


@pytest.fixture(params=["modules", "stacked"])
def prepared(request):
    order = RunConfig(
        suite="smoke", tasks="quadratic", schedules=SCHEDULES, seeds=1, budgets=(0.05, 0.1), peak_lrs=(0.1,)
    )
    return prepare(replace(order, engine=request.param))


def trained(prepared, cohort, out, stops=()):
    """(row of each cell, trace columns), stopped and resumed before those steps."""
    context, left = WorkerContext(out, "test"), set(stops)
    while True:
        feed, engine = build_engine(cohort, prepared.tasks[cohort.task], context)
        book = Ledger(out, attempt())

        def verdict(step):
            stop = step in left
            left.discard(step)
            return STOP if stop else GO

        task = prepared.tasks[cohort.task]
        ended = Training(cohort, task, prepared.schedules, engine, feed, TrainingIO(out, book, verdict)).run()
        book.close()
        if ended:
            break
    assert not left
    columns = trace.read(out / "traces" / f"{cohort.id}.npz")
    return {row.key: row.payload for row in ledger.read(out) if row.kind == "cell"}, columns


def test_resuming_at_any_step_changes_no_bit(prepared, tmp_path):
    (cohort,) = prepared.plan.cohorts
    cells, columns = trained(prepared, cohort, tmp_path / "whole")
    total = max(c.total for c in cohort.cells)
    assert len({c["segment"] for c in cells.values()}) == 8, "some schedules do not react"
    again, others = trained(prepared, cohort, tmp_path / "cut", stops=(1, 2, 3, total // 3, total // 2, total - 1))
    assert again == cells
    for name, column in columns.items():
        assert column.tobytes() == others[name].tobytes(), name


def test_a_cell_alone_is_the_cell_in_company(prepared, tmp_path):
    (cohort,) = prepared.plan.cohorts
    if cohort.engine == "stacked":
        return  # to rounding only, on which closed-loop schedules branch
    cells, _ = trained(prepared, cohort, tmp_path / "all")
    for cell in cohort.cells[1::4]:
        alone, _ = trained(prepared, replace(cohort, cells=(cell,)), tmp_path / cell.id)
        for key in ("final", "best", "status"):
            assert alone[cell.id][key] == cells[cell.id][key], cell.schedule
