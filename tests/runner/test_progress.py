"""The time left: all work at the pace so far, and no less than the slowest cohort needs at its own."""

import io

import pytest
from rich.console import Console

from bench.contract import Cell, Cohort
from bench.runner import progress as module
from bench.runner.progress import ProgressDisplay


def cohort(name, total=100):
    settings = {"optimizer": "sgd()", "peak_lr": 0.1, "weight_decay": 0.0, "budget": 1.0, "seed": 0, "data": ""}
    return Cohort((Cell(task=name, schedule="constant", total=total, **settings),), "modules", 1)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def board(clock):
    """Of two cohorts that are thought to cost the same."""
    it = ProgressDisplay(Console(file=io.StringIO()), {cohort("a").id: 1.0, cohort("b").id: 1.0}, 2, 2)
    it.start(cohort("a"))
    it.start(cohort("b"))
    return it


def left(board):
    return board.bar.tasks[0].fields["remaining"]


def test_work_is_left_at_the_pace_so_far(board, clock):
    clock[0] = 60.0
    board.update(cohort("a"), 50, 0)
    assert left(board) == "about 3 min left"  # a quarter of all work took a minute


def test_a_cohort_that_costs_more_than_was_thought_is_waited_for(board, clock):
    board.update(cohort("b"), 1, 0)
    clock[0] = 60.0
    board.update(cohort("a"), 90, 0)
    board.end(cohort("a"), "done")
    board.update(cohort("b"), 2, 0)
    assert left(board) == "about 98 min left"  # at the pace of both it were one minute


def test_what_a_snapshot_had_done_is_not_counted_as_pace(board, clock):
    board.update(cohort("b"), 90, 0)
    clock[0] = 600.0
    board.update(cohort("b"), 91, 0)
    assert left(board) == "about 90 min left"
