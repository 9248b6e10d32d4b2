"""Progress of a run, read from rows, leases and files alone."""

import pytest

from bench.cli import main
from bench.contract import InputError
from bench.ledger.leases import Holder
from bench.ledger.ledger import Ledger
from bench.ledger.lines import Row
from bench.plan.packing import Load
from bench.slurm import queue, status
from tests.runs import attempt

PLAN = {"suite": "toy", "cohorts": 6, "cells": 12}
START = 1_790_000_000.0


def row(kind, key, attempt="a", **payload):
    return Row(kind, key, attempt, payload)


def cohort(name, attempt="a", bad=False):
    """The rows of a finished cohort of two cells."""
    ends = ["done", "diverged" if bad else "done"]
    cells = [row("cell", f"{name}{i}", attempt, cohort=name, status=end) for i, end in enumerate(ends)]
    return [*cells, row("cohort", name, attempt, cohort=name)]


def failure(name, error="ValueError: no", number=1):
    key = name if number == 1 else f"{name}/{number}"
    return row("failure", key, cohort=name, task="digits", seed=3, error=error, cells=2)


def resume(name):
    return row("resume", name, cohort=name, step=7)


def holder(name):
    return Holder(cohort=name, number=0, host="n1", process=77, age=12.0, seconds=300.0, ended=False)


ATTEMPT = row("attempt", "a", time="2026-09-21T14:13:20Z")  # START
ROWS = [row("plan", "p", **PLAN), ATTEMPT, *cohort("A"), *cohort("B", bad=True)]


def test_cohorts_are_done_running_waiting_or_failed():
    standing = status.read_standing(
        [*ROWS, *ROWS, failure("C"), failure("D")], {"E": holder("E"), "D": holder("D"), "A": holder("A")}
    )
    assert set(standing.finished) == {"A", "B"}
    assert set(standing.running) == {"D", "E"}  # D is tried again; A is done, whatever its lease says
    assert set(standing.failed) == {"C"}
    assert standing.waiting == 1
    assert len(standing.cells) == 4
    assert standing.diverged == {"B1"}


def test_a_cohort_is_retried_when_another_attempt_was_needed():
    resumed = [row("cell", "C0", "a", cohort="C", status="done"), row("cohort", "C", "b", cohort="C")]
    failed = [failure("B"), failure("D"), failure("D", "KeyError: x", 2), failure("E")]
    standing = status.read_standing([*ROWS, *resumed, *failed, resume("F"), resume("B")], {})
    assert standing.retried == 4  # C by two attempts, B failed before it was done, D failed twice, F from a checkpoint
    assert standing.failed["D"] == "digits seed 3: KeyError: x"


def test_the_time_left_is_the_predicted_cost_at_the_pace_so_far():
    standing = status.read_standing(ROWS, {})
    loads = {name: Load(name, "digits", i, 2, 10.0 * (i + 1)) for i, name in enumerate("ABCDEF")}
    ended = {"A": START + 20, "B": START + 60}  # 30 predicted seconds took 60
    assert status.remaining_seconds(standing, loads, ended) == pytest.approx((30 + 40 + 50 + 60) * 2)
    assert status.remaining_seconds(standing, {}, ended) == pytest.approx(
        4 * 30
    )  # without predictions all count the same
    assert status.remaining_seconds(standing, loads, {}) is None


def test_a_standing_reads_as_it_should():
    standing = status.read_standing([*ROWS, failure("C")], {"E": holder("E")})
    loads = {"E": Load("E", "vowels", 4, 2, 10.0)}
    assert status.summary(standing, loads, 240.0) == [
        "Suite toy: 2 of 6 cohorts done, 4 of 12 cells",
        "  running 1, waiting 2, failed 1, retried 0 cohorts; diverged 1 cells",
        "  time left: about 4 min, with 1 at once, if all cohorts take equally long",
        "running: vowels seed 4, by process 77 on n1, last heard from 12 s ago",
        "failed: digits seed 3: ValueError: no",
    ]


def test_the_time_left_is_said_without_reserve_where_all_costs_were_predicted():
    standing = status.read_standing(ROWS, {"E": holder("E")})
    loads = {name: Load(name, "digits", 0, 2, 10.0) for name in "ABCDEF"}
    assert "  time left: about 4 min, with 1 at once" in status.summary(standing, loads, 240.0)


def test_a_finished_run_has_no_time_left_and_names_nothing():
    rows = [row("plan", "p", suite="toy", cohorts=2, cells=4), ATTEMPT, *cohort("A"), *cohort("B")]
    assert len(status.summary(status.read_standing(rows, {}), {}, 0.0)) == 2


def test_a_ledger_without_a_plan_is_refused():
    with pytest.raises(InputError, match="no plan"):
        status.read_standing([ATTEMPT], {})


@pytest.fixture
def run(tmp_path):
    """A directory with a plan and a submission."""
    book = Ledger(tmp_path, attempt(time="2026-09-21T14:13:20Z", fingerprint="f"))
    book.append("plan", "p", PLAN)
    book.close()
    folder = tmp_path / "slurm" / "001"
    folder.mkdir(parents=True)
    (folder / "cohorts.json").write_text('{"suite": "toy", "plan": "p", "tasks": []}')
    (folder / "jobs.json").write_text('{"array": "7", "report": "8"}')
    return tmp_path


def test_the_command_counts_the_jobs_of_the_queue(run, capsys, monkeypatch):
    states = {"7_1": "RUNNING", "7_2": "PENDING", "7_3": "PENDING", "8": "PENDING"}
    monkeypatch.setattr(queue, "states", lambda jobs, cluster: states if jobs == ["7", "8"] else None)
    assert main.main(["status", str(run)]) == 0
    text = capsys.readouterr().out
    assert "Suite toy: 0 of 6 cohorts done" in text
    assert "time left: not known before a cohort is done" in text
    assert "SLURM: array job 7, report job 8: 3 pending, 1 running" in text


def test_the_command_works_without_a_queue(run, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(run))
    assert main.main(["status", str(run)]) == 0
    assert "SLURM: squeue does not answer here" in capsys.readouterr().out


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert main.main(["status", str(tmp_path)]) == 2
    assert "holds no ledger" in capsys.readouterr().err
