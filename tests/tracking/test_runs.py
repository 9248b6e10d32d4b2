"""W&B's run of a cell has the cell's whole history: its member's, and before each fork its ancestor's."""

import math

import numpy as np
import pytest

from bench.tracking.runs import CohortIndex
from tests.analysis import rows as synthetic

NAME, COHORT, EPOCH = "digits", "cohort0", 10
FACTS = synthetic.task(epoch_steps=EPOCH, optimizers=["sgd(momentum=0.9), weight decay 0.0005"])
FORKS = {0: (None, 0), 1: (0, 10), 2: (1, 15), 3: (1, 24)}  # segment -> its parent, and its first step
LR = 0.1


def cell(name, segment, **results):
    """A cell of 30 steps."""
    usual = {"status": "done", "final": {"accuracy": 0.9}, "recalibrated": None}
    usual["best"] = {"epoch": 3.0, "control": 0.8, "test": 0.7}
    settings = {"cell": name, "task": NAME, "family": "image", "schedule": name, "optimizer": "sgd(momentum=0.9)"}
    settings |= {"weight_decay": 0.0005, "peak_lr": LR, "budget": 1.0, "epochs": 3.0, "total": 30, "seed": 0}
    settings |= {"data": "d", "cohort": COHORT, "engine": "modules", "segment": segment}
    return synthetic.row("cell", name, settings | (results or usual))


def evaluation(segment, step, **more):
    parent, start = FORKS[segment]
    payload = {"cohort": COHORT, "segment": segment, "parent": parent, "start": start, "step": step}
    payload |= dict.fromkeys(("train_loss", "control", "control_loss", "test_loss"), 0.5)
    payload |= {"test": segment + step / 1000} | more
    return synthetic.row("eval", f"{segment}/{step}/{more}", payload | {"cohort": COHORT})


def run(directory, cell_row, *evaluations, traced=None):
    """The run of a cell, from a ledger with these evaluations of its cohort.

    `traced` lists parts of the trace: (segment, first step, end).
    """
    rows = [synthetic.row("plan", "plan0", {"suite": "s", "plan": "plan0", "cells": 1, "tasks": {NAME: FACTS}})]
    rows += [synthetic.row("cohort", COHORT, {"cohort": COHORT}), cell_row, *evaluations]
    if traced is not None:
        steps = [(segment, step) for segment, first, end in traced for step in range(first, end)]
        segments, at = (np.array(column) for column in zip(*steps, strict=True))
        loss = np.where(at == 27, np.nan, 1.0 / (1 + at))
        columns = {"segment": segments, "step": at, "lr": LR * (1 + segments), "loss": loss, "grad_norm": loss}
        (directory / "traces").mkdir()
        np.savez(directory / "traces" / f"{COHORT}.npz", **columns)
    (run,) = CohortIndex(directory, rows).runs(COHORT)
    return run


WHOLE = ((0, 0, 30), (1, 10, 30), (2, 15, 30), (3, 24, 30))


def test_a_forked_cell_carries_what_it_shared(tmp_path):
    evaluations = [evaluation(s, step) for s, (_, start) in FORKS.items() for step in (10, 20, 30) if step > start]
    history = run(tmp_path, cell("wsd", 2), *evaluations, traced=WHOLE).history
    assert [row["step"] for row in history] == list(range(31))
    assert [row["epoch"] for row in history] == [step / EPOCH for step in range(31)]
    assert [round(row["lr"] / LR) - 1 for row in history[:30]] == [0] * 10 + [1] * 5 + [2] * 15
    tested = {row["step"]: row["test"] for row in history if "test" in row}
    assert tested == {10: 0.01, 20: 2.02, 30: 2.03}  # at 10 its ancestor was evaluated, and forked thereafter


def test_a_cell_that_diverged_before_its_first_evaluation_is_known_to_be_a_fork(tmp_path):
    diverged = cell("rex", 3, status="diverged", first_bad_step=27, parent=1, start=24)
    forked = run(tmp_path, diverged, evaluation(0, 10), evaluation(1, 20), traced=WHOLE)
    assert [round(row["lr"] / LR) - 1 for row in forked.history] == [0] * 10 + [1] * 14 + [3] * 6
    assert {row["step"] for row in forked.history if "test" in row} == {10, 20}
    assert "loss" not in forked.history[27]
    assert all(math.isfinite(value) for row in forked.history for value in row.values())
    assert forked.summary == {"status": "diverged", "first_bad_step": 27}


def test_a_failed_cell_says_where_and_why(tmp_path):
    failed = cell("mine", 3, status="failed", failed_step=25, error="ZeroDivisionError: division", parent=1, start=24)
    forked = run(tmp_path, failed, evaluation(1, 20), traced=((0, 0, 10), (1, 10, 24), (3, 24, 25)))
    assert forked.summary == {"status": "failed", "failed_step": 25, "error": "ZeroDivisionError: division"}
    assert [row["step"] for row in forked.history] == list(range(25))


def test_a_ledger_without_its_trace_shows_the_evaluations(tmp_path):
    history = run(tmp_path, cell("step", 1), evaluation(0, 10), evaluation(1, 20), evaluation(1, 30)).history
    assert [(row["step"], row["test"]) for row in history] == [(10, 0.01), (20, 1.02), (30, 1.03)]
    assert not any("lr" in row for row in history)


@pytest.mark.parametrize(
    ("averaging", "track"), [("ema(decay=0.9)", "ema(decay=0.9)"), ("swa(share=0.5)", "swa from 15")]
)
def test_a_cell_that_is_read_by_an_average_shows_the_averages_evaluations(tmp_path, averaging, track):
    averaged_cell = cell("constant", 0)
    averaged_cell.payload["averaging"] = averaging
    plain, averaged = evaluation(0, 20), evaluation(0, 20, average=track, test=0.75)
    averaged_run = run(tmp_path, averaged_cell, plain, averaged, evaluation(0, 20, average="ema(decay=0.5)", test=0.1))
    assert [row["test"] for row in averaged_run.history] == [0.75]
    assert averaged_run.config["strategy"] == f"constant with {averaging}"
