"""Momentum that a schedule sets: which optimizers have one, and what becomes of a cell that sets one in vain."""

import dataclasses

import pytest
import torch

import schedules
from bench.contract import InputError, Move, Setting
from bench.ledger import ledger
from bench.plan import Grid, Suite
from bench.plan.plan import build
from bench.runner.config import RunConfig, prepare
from bench.strategies import optimizers
from bench.train.io import TrainingIO
from bench.train.loop import Training
from tests.engine.toys import accuracy, create, toy
from tests.runs import attempt

UNSTEERED = {"adagrad", "momo", "schedulefree_sgd", "schedulefree_adamw"}
STEERED = [name for name in optimizers.CATALOGUE if name not in UNSTEERED]


def test_which_optimizers_have_no_momentum_to_set():
    assert {name for name in optimizers.CATALOGUE if optimizers.parse(name).unsteered()} == UNSTEERED


@pytest.mark.parametrize("name", STEERED)
@pytest.mark.parametrize("momenta", [(None, None, 0.9, 0.0, 0.5, None, 0.3), (0.9, 0.0, None, 0.5)])
def test_every_other_optimizer_takes_a_momentum_at_any_update(name, momenta):
    trained, loader = create("modules", toy(), name, 1e-3)
    for k, momentum in enumerate(momenta):
        trained.look(loader.batch(k), k)
        trained.move([Move(0.03, momentum)])
    assert all(weight.isfinite().all() for weight in trained.members[0].weights)


def test_rmsprop_begins_a_late_momentum_with_a_buffer_of_zeros():
    late, loader = create("modules", toy(), "rmsprop", 1e-3)
    plain, _ = create("modules", toy(), "rmsprop", 1e-3)
    weights = []
    for k, momentum in enumerate((0.0, 0.0, 0.9, 0.8)):
        for trained, own in ((late, momentum), (plain, 0.0)):
            trained.look(loader.batch(k), k)
            trained.move([Move(0.03, own)])
        weights.append([crew.members[0].model.inside.weight.detach().clone() for crew in (late, plain)])
    assert torch.allclose(*weights[2], rtol=0, atol=1e-12)  # zeros add nothing at first
    ahead = weights[3][0] - weights[3][1]
    assert torch.allclose(ahead, 0.8 * (weights[2][1] - weights[1][1]), rtol=0, atol=1e-12)
    assert ahead.abs().max() > 1e-3


SUITE = """
from bench.plan import Grid, Suite


def suite():
    return Suite("mine", (Grid(task="quadratic", schedules=({schedules}), optimizer="{optimizer}", seeds=1),))
"""


def order(folder, optimizer, *schedules):
    (folder / "mine.py").write_text(SUITE.format(optimizer=optimizer, schedules="".join(f"{s!r}, " for s in schedules)))
    return RunConfig(suite=str(folder / "mine.py"))


@pytest.mark.parametrize("optimizer", sorted(UNSTEERED))
def test_a_plan_refuses_a_schedule_that_sets_what_its_optimizer_lacks(tmp_path, optimizer):
    wild = ("onecycle", "chain([linear, onecycle])", "torch('OneCycleLR', max_lr=0.1, total_steps='total')")
    with pytest.raises(InputError) as caught:
        prepare(order(tmp_path, optimizer, "cosine", *wild))
    text = str(caught.value)
    assert "\n" not in text
    for schedule in wild:
        assert f"{schedules.parse(schedule).text} sets the momentum, {optimizers.parse(optimizer).unsteered()}" in text
    assert "cosine" not in text
    assert "give it momentum=False, or cycle_momentum=False in torch's own" in text


def test_what_leaves_the_momentum_alone_is_planned_with_any_optimizer(tmp_path):
    tame = ("onecycle(momentum=False)", "polyak", "torch('OneCycleLR', max_lr=0.1, total_steps='total', "
            "cycle_momentum=False)")  # fmt: skip
    assert len(prepare(order(tmp_path, "adagrad", *tame)).plan.cells)
    assert len(prepare(order(tmp_path, "rmsprop", "onecycle")).plan.cells)


OWN = """
from bench.contract import Setting


class mine:
    needs = frozenset({"loss"})

    def init(self):
        return None

    def __call__(self, state, clock, seen):
        return Setting(1.0, MOMENTUM if seen.loss < 1.9 else None), state
"""


def test_a_closed_loop_schedule_is_tried_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN.replace("MOMENTUM", "0.5"))
    with pytest.raises(InputError, match=r"own\.py:mine@\w+ sets the momentum, which adagrad does not have"):
        prepare(order(tmp_path, "adagrad", "own.py:mine"))
    (tmp_path / "own.py").write_text(OWN.replace("MOMENTUM", "1.5"))
    with pytest.raises(InputError, match=r"it gave the momentum 1\.5 at update \d+ of \d+: a number from 0 to below 1"):
        schedules.parse("own.py:mine")


class Sets:
    """A schedule that sets a momentum, late."""

    needs, horizon = frozenset(), "none"

    def __init__(self, like, momentum):
        self.text, self.momentum = like.text, momentum

    def init(self):
        return None

    def __call__(self, state, clock, seen):
        return Setting(0.5, self.momentum if clock.step >= 2 else None), state


@pytest.mark.parametrize(
    ("optimizer", "momentum", "words"),
    [
        ("adagrad", 0.9, "it sets the momentum, which adagrad does not have"),
        ("sgd", 1.0, "the momentum 1.0: a momentum is a number from 0 to below 1"),
        ("sgd", float("nan"), "the momentum nan"),
    ],
)
def test_a_cell_that_sets_one_in_vain_fails_alone(tmp_path, optimizer, momentum, words):
    task = dataclasses.replace(toy(), optimizer=optimizer, score=lambda o, t: accuracy(o, t) | {"loss": 0.0})
    grid = Grid(task="toy", schedules=("constant", "linear"), budgets=(1.0,), seeds=1)
    (cohort,) = build(Suite("s", (grid,)), {"toy": task}, lambda *_: "modules").cohorts
    known = {text: schedules.parse(text) for text in grid.schedules}
    crew, loader = create("modules", task, optimizer, dtype=torch.float32)
    book = ledger.Ledger(tmp_path, attempt())
    Training(
        cohort, task, known | {"linear": Sets(known["linear"], momentum)}, crew, loader, TrainingIO(tmp_path, book)
    ).run()
    book.close()
    cells = {c["schedule"]: c for c in (row.payload for row in ledger.read(tmp_path, kinds=("cell",)))}
    assert cells["constant"]["status"] == "done"
    assert cells["linear"]["status"] == "failed"
    assert cells["linear"]["failed_step"] == 2
    assert words in cells["linear"]["error"]
