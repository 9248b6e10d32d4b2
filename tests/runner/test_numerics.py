"""Precision, micro-batches, compilation and width as ordered: where they come from, and what they are a part of."""

import dataclasses
import sys

import numpy as np
import pytest
import torch

from bench.cli import main
from bench.contract import InputError
from bench.engine import memory
from bench.ledger import ledger
from bench.ledger.lines import LedgerReader, row_of
from bench.numerics import USUAL, Arithmetic
from bench.runner import worker
from bench.runner.config import RunConfig, prepare
from bench.runner.distributed import ProcessGroup
from bench.runner.run_dir import KINDS, open_run_dir
from bench.runner.worker import WorkerContext
from tests.runs import launch

FEW = {"suite": "smoke", "tasks": "digits", "schedules": "constant,cosine", "peak_lrs": (0.1,), "seeds": 1}
UNUSUAL = {"precision": "bf16", "accumulate": 2, "backend": "inductor"}


def test_tf32_is_a_part_of_the_plans_identity_and_any_engine_may_train_in_the_precision():
    gpu = ProcessGroup(device="cuda")
    usual, other = (prepare(RunConfig(**FEW, precision=name), gpu).plan for name in ("fp32", "tf32"))
    assert [c.id for c in other.cells] == [c.id for c in usual.cells]
    assert other.id != usual.id
    assert {c.arithmetic.text for c in other.cohorts} == {"precision=tf32"}
    assert [c.engine for c in other.cohorts] == [c.engine for c in usual.cohorts]


def test_a_gpu_without_tf32_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GeForce")
    ProcessGroup(device="cuda:1").arithmetic(False, precision="tf32")  # planned here for another machine
    with pytest.raises(InputError, match="precision tf32: GeForce has no such products"):
        ProcessGroup(device="cuda:1", run="5e1f").arithmetic(False, precision="tf32")


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_changes_numbers_is_a_part_of_the_plans_identity_and_not_of_a_cells(name):
    usual, other = prepare(RunConfig(**FEW)).plan, prepare(RunConfig(**FEW, **{name: UNUSUAL[name]})).plan
    assert [c.id for c in other.cells] == [c.id for c in usual.cells]
    assert other.id != usual.id
    assert {c.engine for c in other.cohorts} == {"modules"}
    assert {c.arithmetic.text for c in other.cohorts} == {f"{name}={UNUSUAL[name]}"}


def test_processes_that_share_a_batch_are_a_part_of_it_too():
    pair = ProcessGroup(size=2)
    shared, apart = (prepare(RunConfig(**FEW, data_parallel=both), pair).plan for both in (True, False))
    assert shared.id != apart.id == prepare(RunConfig(**FEW)).plan.id


def test_accelerates_own_configuration_is_taken_unless_told_otherwise(monkeypatch):
    settings = {"MIXED_PRECISION": "fp16", "GRADIENT_ACCUMULATION_STEPS": "4", "DYNAMO_BACKEND": "AOT_EAGER"}
    nothing = {"precision": None, "accumulate": None, "backend": None}
    assert ProcessGroup().arithmetic(True, **nothing) == USUAL
    for name, value in settings.items():
        monkeypatch.setenv(f"ACCELERATE_{name}", value)
    assert ProcessGroup(size=3).arithmetic(True, **nothing) == Arithmetic("fp16", 4, 3, "aot_eager")
    assert ProcessGroup().arithmetic(False, **UNUSUAL) == Arithmetic("bf16", 2, 1, "inductor")
    for name, value in {"MIXED_PRECISION": "no", "GRADIENT_ACCUMULATION_STEPS": "1", "DYNAMO_BACKEND": "NO"}.items():
        monkeypatch.setenv(f"ACCELERATE_{name}", value)
    assert ProcessGroup().arithmetic(False, **nothing) == USUAL


def test_processes_that_have_made_different_plans_do_not_begin():
    ProcessGroup().agree("5e1f")
    ProcessGroup(size=3, all_gather=lambda name, own: [own] * 3).agree("5e1f")
    with pytest.raises(InputError, match=r"^processes have made different plans \(5e1f, 0c2d\): suite, .*$"):
        ProcessGroup(size=3, all_gather=lambda name, own: [own, "0c2d", "0c2d"]).agree("5e1f")


class Rank:
    """Stands for an accelerator whose other process found a snapshot of another step, or of the same."""

    device = "cpu"

    def __init__(self, ahead):
        self.ahead = ahead

    def gather(self, steps):
        return torch.cat((steps, steps + self.ahead))


def test_processes_that_found_other_snapshots_do_not_begin(tmp_path):
    worker._check_equal_steps(Rank(0), tmp_path, 16)
    with pytest.raises(InputError, match=r"snapshots of steps \[16, 48\]: .* one folder for all nodes"):
        worker._check_equal_steps(Rank(32), tmp_path, 16)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"precision": "fp8"}, "precision 'fp8': there are fp32, tf32, bf16 and fp16"),
        ({"precision": "tf32"}, "precision tf32 is for CUDA devices, and this run is on cpu: use fp32"),
        ({"accumulate": 0}, "0 micro-batches to accumulate: give 1 or more"),
        ({"accumulate": 3}, "digits: a batch of 64 has no equal parts for 1 processes x 3 micro-batches"),
        ({"precision": "bf16", "engine": "stacked"}, "the stacked engine has no precision=bf16: use --engine modules"),
    ],
)
def test_arithmetic_that_there_is_not_is_refused_in_one_line(wish, words):
    with pytest.raises(InputError, match=words) as caught:
        prepare(RunConfig(**FEW, **wish))
    assert "\n" not in str(caught.value)


def test_a_width_below_one_is_refused(capsys):
    assert main.main(["plan", "smoke", "--width", "0"]) == 2
    assert capsys.readouterr().err == "glideslope: --width 0: give 1 or more\n"


def three_members(order):
    """Bytes that hold three of an order's members."""
    made = prepare(order)
    (cohort,) = made.plan.cohorts
    task = made.tasks["digits"]
    taken = memory.of_cohort(task, cohort.cells, cohort.engine)
    return (taken.shared + 3.5 * taken.member) / memory.SHARE


@pytest.mark.parametrize("engine", ["modules", "stacked"])
def test_a_cohort_is_as_wide_as_memory_allows_and_the_plan_says_so(engine):
    order = RunConfig(**FEW | {"peak_lrs": (0.1, 0.3, 1.0)}, engine=engine)
    (whole,) = prepare(order).plan.cohorts
    three = three_members(order)
    small = prepare(order, ProcessGroup(memory=three)).plan
    assert max(len(c.cells) for c in small.cohorts) == 3
    assert [c.id for c in small.cells] == [c.id for c in whole.cells]
    assert "all that memory holds 3" in small.notes[0]
    assert prepare(order, ProcessGroup(memory=1e12)).plan.cohorts == (whole,)
    wished = prepare(RunConfig(**FEW, engine=engine, width=2), ProcessGroup(memory=three)).plan
    assert {len(c.cells) for c in wished.cohorts} == {2}


def test_a_directory_begun_in_cohorts_of_another_width_says_which_continues_it(tmp_path):
    order = RunConfig(**FEW | {"peak_lrs": (0.1, 0.3, 1.0)}, out=tmp_path, engine="modules")
    small = prepare(order, ProcessGroup(memory=three_members(order)))
    open_run_dir(LedgerReader(tmp_path, row_of(KINDS)), small, WorkerContext(tmp_path, small.plan.id))

    def refused(**changes):
        with pytest.raises(InputError, match="belongs to another plan") as caught:
            open_run_dir(LedgerReader(tmp_path, row_of(KINDS)), prepare(dataclasses.replace(order, **changes)), None)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "in cohorts of another width, as memory decides unless it is given: --width 3 continues it" in refused()
    open_run_dir(LedgerReader(tmp_path, row_of(KINDS)), prepare(dataclasses.replace(order, width=3)), None)
    assert "--width" not in refused(seeds=2)
    assert "--width" not in refused(precision="bf16")


@pytest.mark.faults
def test_accelerate_launch_with_bf16_trains_and_its_rows_say_so(tmp_path):
    launcher = (sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--mixed_precision", "bf16")
    few = ("smoke", "--tasks", "digits", "--schedules", "constant", "--budgets", "0.05", "--peak-lrs", "0.1")
    launch(*few, "--seeds", 1, "--workers", 1, "--accumulate", 2, "--out", tmp_path, launcher=launcher)
    rows = [r.payload for r in ledger.read(tmp_path) if r.kind == "cell"]
    assert rows
    assert {r["arithmetic"] for r in rows} == {"precision=bf16, accumulate=2"}
    assert all(np.isfinite(r["final"]["loss"]) for r in rows)
