"""Several runs, one directory: each cohort is trained by one of them, and a failure is recorded and superseded."""

import json
import os
import subprocess
import sys

import pytest
import torch

from bench.ledger import leases, ledger, lines
from bench.preempt import Flag
from bench.runner.config import RunConfig, prepare
from bench.runner.worker import WorkerContext, train
from tests.runs import ROOT, attempt, count_lines, launch, payloads, traces

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite

def suite():
    some = ("constant", "step", "cosine")
    return Suite("together", (Grid(task="linreg", schedules=some, budgets=(0.1, 0.2), peak_lrs=(0.1,), seeds=6),))
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("together") / "together.py"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def alone(suite):
    launch(suite, "--out", suite.parent / "alone", "--workers", 1)
    return suite.parent / "alone"


def test_two_runs_at_once_train_each_cohort_once(suite, alone, tmp_path):
    command = [sys.executable, "bench/run.py", str(suite), "--out", str(tmp_path / "out"), "--workers", "2"]
    settings = os.environ | {"ACCELERATE_USE_CPU": "true"}
    runs = [subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert payloads(tmp_path / "out") == payloads(alone)
    assert traces(tmp_path / "out") == traces(alone)
    rows = [row.key for row in lines.LedgerReader(tmp_path / "out", lines.row_of(("cohort",))).new()]
    assert len(rows) == len(set(rows)) == 6
    assert not list((tmp_path / "out" / "claims").iterdir())


def test_a_cohort_claimed_elsewhere_is_left_alone_and_joins_later(suite, alone, tmp_path):
    cohort = prepare(RunConfig(suite=str(suite))).plan.cohorts[2]
    claim = leases.take(tmp_path, cohort.id)
    claim.path.write_text(json.dumps(json.loads(claim.path.read_text()) | {"machine": "another", "host": "node7"}))
    text = launch(suite, "--out", tmp_path, "--workers", 1).stdout
    assert "Being trained elsewhere (node7): 1 cohorts, 6 cells." in text
    assert "Not finished: 6 of 36 planned cells" in text
    assert cohort.id not in {row.key for row in ledger.read(tmp_path, kinds=("cohort",))}
    claim.path.unlink()
    assert "elsewhere" not in launch(suite, "--out", tmp_path, "--workers", 1).stdout
    assert payloads(tmp_path) == payloads(alone)
    assert count_lines(tmp_path) == count_lines(alone)


@pytest.fixture
def trained(suite, tmp_path, one_thread):
    """Train the suite's first cohort in this process: (how it ended, its id)."""
    plan = prepare(RunConfig(suite=str(suite))).plan
    cohort = plan.cohorts[0]

    def trained(told=lambda cell_steps, cells: None, book=None, **site):
        book = book or ledger.Ledger(tmp_path, attempt(fingerprint="here"))
        try:
            return train(cohort, WorkerContext(tmp_path, plan.id, **site), book, Flag(), told), cohort.id
        finally:
            book.close()

    yield trained
    torch.use_deterministic_algorithms(False)


def test_who_loses_a_cohort_in_the_middle_writes_nothing_more_for_it(trained, tmp_path):
    def displace(cell_steps, cells):
        leases.take(tmp_path, next((tmp_path / "claims").glob("*.0")).stem, leases.LEASE)

    how, cohort = trained(displace, lease_seconds=0.0, cadence=0.0)
    assert how == "elsewhere"
    assert list(leases.standing(tmp_path)) == [cohort]
    assert ("cohort", cohort) not in payloads(tmp_path)
    assert not ledger.read(tmp_path, kinds=("failure",))


def test_a_cohort_that_was_done_meanwhile_is_not_trained_again(trained, tmp_path):
    other = ledger.Ledger(tmp_path, attempt(fingerprint="there"))
    cohort = trained()[1]
    assert ("cohort", cohort) not in other
    assert trained(lambda *news: pytest.fail("it is trained again"), other)[0] == "elsewhere"
    assert not leases.standing(tmp_path)


def test_a_failure_is_recorded_once_and_superseded_by_success(trained, tmp_path):
    def broken(cell_steps, cells):
        raise MemoryError("no room for <tensor at 0x7f3a>")

    for run in ("one", "another"):
        with pytest.raises(MemoryError):
            trained(broken, run=run)
    assert trained(run="another")[0] == "elsewhere"  # a run tries once what fails; the same command again is another
    (row,) = ledger.read(tmp_path, kinds=("failure",))
    cohort = row.key
    assert row.payload == {
        "cohort": cohort,
        "task": "linreg",
        "code": row.payload["code"],
        "seed": 0,
        "error": "MemoryError: no room for <tensor at 0x…>",
        "cells": 6,
    }
    assert not leases.standing(tmp_path)
    assert trained(run="a third") == ("done", cohort)
    assert ("cohort", cohort) in payloads(tmp_path)
