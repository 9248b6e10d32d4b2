"""Overflow in fp16: what is skipped is told as skipped, misleads nobody, and is no divergence; what stays so is one."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

import schedules
from bench.contract import SKIPPED, Move
from bench.ledger import ledger, trace
from bench.numerics import Arithmetic
from bench.plan import Grid, Suite
from bench.plan.plan import build
from bench.train.decisions import Decisions
from bench.train.io import TrainingIO
from bench.train.loop import Training
from bench.train.roster import Member
from schedules.refined import read as norms_of
from tests.engine.toys import Net, Plain, accuracy, create, toy
from tests.runs import attempt

LOUD, BURST = 3, 1e6


def noisy(model=Net, loud=lambda step: step == LOUD):
    """A toy some of whose batches hold an example too large for fp16, and its loader."""
    task = dataclasses.replace(toy(model), score=lambda o, t: accuracy(o, t) | {"loss": 1.0})
    engine, loader = create("modules", task, "sgd", 0.0, torch.float32, precision="fp16")
    plain = loader.batch

    def batch(step):
        (x,), target = plain(step)
        return ((torch.cat((x[:1] * BURST, x[1:])),) if loud(step) else (x,)), target

    loader.batch = batch
    for member in engine.members:
        member.scaler.scale.fill_(2.0**10)
    return task, engine, loader


def trained(task, engine, loader, out, *texts):
    """Rows of the cells, and the columns of the trace."""
    grid = Grid(task="toy", schedules=texts, budgets=(1.0,), seeds=1)
    (cohort,) = build(Suite("s", (grid,)), {"toy": task}, lambda *_: "modules").under(Arithmetic("fp16")).cohorts
    book = ledger.Ledger(out, attempt())
    Training(cohort, task, {t: schedules.parse(t) for t in texts}, engine, loader, TrainingIO(out, book)).run()
    book.close()
    rows = ledger.read(out)
    return rows, trace.read(out / "traces" / f"{cohort.id}.npz")


def test_one_overflowing_forward_is_skipped_and_no_divergence(tmp_path):
    rows, columns = trained(*noisy(), tmp_path, "constant")
    (cell,) = (row.payload for row in rows if row.kind == "cell")
    assert cell["status"] == "done"
    assert cell["final"]["loss"] == cell["recalibrated"]["loss"] == 1.0
    norms = columns["grad_norm"]
    assert [int(i) for i in np.flatnonzero(~np.isfinite(norms))] == [LOUD]
    assert math.isnan(norms[LOUD])
    assert not math.isfinite(columns["loss"][LOUD])
    (first, *_) = (row.payload for row in rows if row.kind == "eval")
    known = [k for k in range(4) if k != LOUD]
    assert first["grad_norm"] == pytest.approx(float(np.mean(norms[known])))
    assert first["train_loss"] == pytest.approx(float(np.mean(columns["loss"][known])))
    assert min(norms_of(str(next((tmp_path / "traces").glob("*.npz"))), 0)) > 0


def test_a_skipped_update_changes_neither_weights_nor_statistics():
    _, engine, loader = noisy()
    for k in range(LOUD):
        engine.look(loader.batch(k), k)
        engine.move([Move(0.1)])
    before = {name: t.clone() for name, t in engine.members[0].tensors().items()}
    engine.look(loader.batch(LOUD), LOUD)
    (loss, norm, _), scale = engine.signals()[0], engine.members[0].scaler.scale.item()
    engine.move([Move(0.1)])
    assert norm == SKIPPED
    assert not math.isfinite(loss)
    assert engine.members[0].scaler.scale.item() == scale / 2
    after = engine.members[0].tensors()
    assert all(torch.equal(before[name], after[name]) for name in before if not name.endswith("num_batches_tracked"))


def test_what_overflows_at_every_scale_is_a_divergence(tmp_path):
    rows, _ = trained(*noisy(loud=lambda step: step >= LOUD), tmp_path, "constant")
    (cell,) = (row.payload for row in rows if row.kind == "cell")
    assert cell["status"] == "diverged"
    assert cell["first_bad_step"] == LOUD + 10, "after ten halvings of 2^10"


def test_an_epoch_of_overflows_has_no_mean():
    kept = trace.Trace()
    kept.seat(0, [0], [0], [0.1])
    kept.fold([(np.array([2.0], np.float32), np.array([SKIPPED], np.float32))])
    assert kept.means() == [(2.0, None)]
    kept.seat(1, [0], [0], [0.1])
    kept.fold([(np.array([np.inf], np.float32), np.array([SKIPPED], np.float32))])
    assert kept.means() == [(2.0, None)]
    again = trace.Trace()
    again.load(kept.state())
    assert again.means() == kept.means()
    again.load(kept.state() | {"counts": [2, 2, 4]})  # as older snapshots have it
    assert again.means() == [(0.5, 0.0)]


def test_a_schedule_that_needs_a_gradient_is_not_asked_where_there_is_none():
    texts = "polyak", "hypergradient", "greedy", "constant"
    made = build(
        Suite("s", (Grid(task="toy", schedules=texts, budgets=(1.0,), seeds=1),)), {"toy": toy()}, lambda *_: "modules"
    )
    known = {t: schedules.parse(t) for t in texts}
    decisions = Decisions(made.cohorts[0].cells, known, 4)
    names = [c.schedule for c in decisions.cells]
    seats = [(Member(0, lr=0.02), range(4))]

    def moves(step, *signals):
        before = dict(zip(names, decisions.states, strict=True))
        decided = dict(zip(names, (decisions.moves(step, seats, lambda: [signals])[i] for i in range(4)), strict=True))
        return decided, {name for name, s in zip(names, decisions.states, strict=True) if s != before[name]}

    rested, moved = moves(5, 1.0, SKIPPED, 0.0)
    assert rested["polyak"] == rested["hypergradient"] == Move(0.02)
    assert rested["greedy"] == rested["constant"] == Move(0.1)
    assert moved == {"greedy"}
    _, moved = moves(6, math.inf, SKIPPED, 0.0)
    assert moved == set()
    _, moved = moves(7, 1.0, 2.0, 3.0)
    assert {"greedy", "hypergradient"} <= moved
    assert not decisions.failed


def test_a_gradient_is_recalled_over_a_skipped_update():
    _, engine, loader = noisy(Plain)
    engine.recall = True
    for k in range(LOUD + 2):
        engine.look(loader.batch(k), k)
        if k == LOUD - 1:
            kept = engine.members[0].last.clone()
        if k < LOUD + 1:
            engine.move([Move(0.0)])
    dot = torch.dot(engine.members[0].last, kept).item()
    assert engine.signals()[0][2] == pytest.approx(dot, rel=1e-5)
    assert dot != 0


def test_one_micro_batch_that_overflows_skips_the_whole_update():
    task = toy(Plain)
    engine, loader = create("modules", task, "adamw", 0.0, torch.float32, precision="fp16", accumulate=4)
    (x,), target = loader.batch(0)
    before = {n: t.clone() for n, t in engine.members[0].tensors().items()}
    engine.look(((torch.cat((x[:-1], x[-1:] * BURST)),), target), 0)
    assert engine.signals()[0][1] == SKIPPED
    engine.move([Move(0.1)])
    assert all(torch.equal(before[n], t) for n, t in engine.members[0].tensors().items())


class Other:
    """Stands for an accelerator whose other process saw what `part` gives."""

    num_processes = 2

    def __init__(self, part):
        self.part = part

    def reduce(self, tensor, reduction):
        return (tensor + torch.full_like(tensor, self.part)) / 2


def test_processes_skip_together_where_one_overflows():
    for part, skipped in ((0.0, False), (math.inf, True), (math.nan, True)):
        engine, loader = create("modules", toy(Plain), "sgd", 0.0, torch.float32, Other(part), precision="fp16")
        engine.members[0].scaler.scale.fill_(8.0)
        engine.look(loader.batch(0), 0)
        assert (engine.signals()[0][1] == SKIPPED) is skipped
        engine.move([Move(0.1)])
        assert engine.members[0].scaler.scale.item() == (4.0 if skipped else 8.0)


def test_an_answer_that_overflows_fp16_alone_is_scored_in_float32():
    task = dataclasses.replace(
        toy(Plain), score=lambda o, t: accuracy(o, t) | {"loss": functional.cross_entropy(o, t[0]).item()}
    )
    half, _ = create("modules", task, "sgd", 0.0, torch.float32, precision="fp16")
    whole, _ = create("modules", task, "sgd", 0.0, torch.float32)
    for engine in (half, whole):
        with torch.no_grad():
            engine.members[0].model.weight.mul_(1e6)
    assert half.evaluate("test", [0]) == whole.evaluate("test", [0])
    assert half.evaluate("test", [0])[0]["finite"] == 1.0
    with torch.no_grad():
        half.members[0].model.weight.fill_(torch.nan)
    assert half.evaluate("test", [0])[0]["finite"] == 0.0
