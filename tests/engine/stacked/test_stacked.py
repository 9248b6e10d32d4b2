"""Rows against `modules` in float64: forks, retirements, own LRs, dropout, BatchNorm, every embedded model."""

import itertools

import pytest
import torch

import tasks
from bench import suites
from bench.contract import InputError
from bench.engine.rowwise.engine import Rowwise
from bench.engine.stacked import update_rules
from bench.strategies import optimizers
from tests.engine.toys import Moody, apart, create, drive, tensors, toy

CLOSE = 1e-10
EMBEDDED = [grid.task for grid in suites.core().grids]
SETTINGS = {
    "sgd(momentum=0.0)": (None, 0.5),
    "sgd": (None, 0.0, 0.95, 0.8),
    "sgd(nesterov=True, decay='matrices')": (None, 0.0, 0.95, 0.8),
    "adam": (None, 0.95, 0.0, 0.8),
    "adam(decay='matrices')": (None,),
    "adamw": (None, 0.95, 0.0, 0.8),
    "adamw(decay='matrices')": (None,),
    "sgd(nesterov=True, layer_decay=0.5, head_lr=3)": (None, 0.0, 0.95, 0.8),
    "adamw(decay='matrices', layer_decay=0.5)": (None, 0.95, 0.0, 0.8),
}
"""Optimizers, and momenta that members go through in turn; None is the optimizer's own."""


def crews(task, steps, lr, optimizer=None, weight_decay=0.0, momenta=(None,)):
    """Members of `modules`, and those of the engines of rows."""
    trained = []
    for name in ("modules", "stacked", "rowwise"):
        trained.append(drive(*create(name, task, optimizer, weight_decay), steps, lr, momenta))
    return trained[0], trained[1:]


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_model_trains_as_in_modules(name):
    task = tasks.parse(name)
    slow, rows = crews(task, 50, task.peak_lrs[0] / 2, weight_decay=task.weight_decay)
    history = slow.history()
    for fast in rows:
        assert apart(tensors(fast), tensors(slow)) <= CLOSE
        looks = fast.history()
        if isinstance(fast, Rowwise):  # the same kernels over the same layouts; updates round in another order
            assert [a.tobytes() for a in looks[0]] == [a.tobytes() for a in history[0]]
        for ours, theirs in zip(looks, history, strict=True):
            assert ours[0] == pytest.approx(theirs[0], rel=CLOSE)
            assert ours[1] == pytest.approx(theirs[1], rel=CLOSE)


@pytest.mark.parametrize("optimizer", SETTINGS)
@pytest.mark.parametrize("clip", [None, 0.3])
def test_every_optimizer_equals_torch_with_decay_and_cycling_momentum(optimizer, clip):
    slow, rows = crews(toy(clip=clip), 50, 0.02, optimizer, 0.03, SETTINGS[optimizer])
    for fast in rows:
        assert apart(tensors(fast), tensors(slow)) <= CLOSE
        assert fast.signals() == [pytest.approx(seen, rel=CLOSE) for seen in slow.signals()]


def test_members_that_were_told_apart_end_apart():
    for fast in crews(toy(), 50, 0.02)[1]:
        for a, b in itertools.combinations(tensors(fast), 2):
            assert apart([a], [b]) > 1e-3


def test_scores_and_recalibrated_scores_equal_those_of_modules():
    slow, engines = crews(toy(), 30, 0.05)
    for fast, rows in itertools.product(engines, ([2, 0, 2], [1], [])):
        for read in ("evaluate", "recalibrated"):
            ours, theirs = getattr(fast, read)("test", rows), getattr(slow, read)("test", rows)
            assert ours == [pytest.approx(scores, rel=CLOSE) for scores in theirs]
        assert fast.evaluate("test", [0]) != fast.recalibrated("test", [0])


@pytest.mark.parametrize("engine", ["stacked", "rowwise"])
def test_weights_out_of_use_or_frozen_stay_as_they_were(engine):
    trained, loader = create(engine, toy(), "adamw", 0.1)
    before = {name: t.clone() for name, t in tensors(trained)[0].items()}
    drive(trained, loader, 10, 0.1)
    for member in tensors(trained):
        changed = {name for name, t in member.items() if not torch.equal(t, before[name])}
        assert not {"idle.weight", "idle.bias", "frozen", "positions"} & changed
        assert {"inside.weight", "norm.running_mean", "norm.num_batches_tracked"} <= changed


@pytest.mark.parametrize("engine", ["stacked", "rowwise"])
def test_dropout_in_a_row_has_the_mask_of_its_solo_run_at_each_step(engine):
    trained, loader = create(engine, toy())
    losses = []
    for k in (0, 1, 0):
        trained.look(loader.batch(0), k)
        losses.append(trained.signals()[0][0])
    assert losses[0] != losses[1]
    assert losses[0] == losses[2]


@pytest.mark.parametrize("engine", ["stacked", "rowwise"])
def test_taking_members_as_they_are_copies_nothing(engine):
    trained, loader = create(engine, toy())
    drive(trained, loader, 12, 0.1)
    before = trained._weight_WP.data_ptr()
    trained.take([0, 1, 2])
    assert trained._weight_WP.data_ptr() == before
    trained.take([0, 2, 1])
    assert trained._weight_WP.data_ptr() != before


@pytest.mark.parametrize(("engine", "least"), [("stacked", 2), ("rowwise", 1)])
def test_a_lone_member_has_a_shadow_where_kernels_need_one_and_all_may_leave(engine, least):
    trained, loader = create(engine, toy(), "adam")
    drive(trained, loader, 20, 0.01)
    assert len(trained._weight_WP) == least
    assert len(trained.history()[-1][0]) == 1
    trained.take([])
    assert trained.evaluate("test", []) == []


def test_a_model_that_cannot_be_stacked_is_refused_in_one_line():
    with pytest.raises(InputError, match="toy cannot be stacked: use --engine modules") as caught:
        create("stacked", toy(Moody))
    assert "\n" not in str(caught.value)


def test_rules_are_those_that_the_catalogue_says_can_be_stacked():
    assert set(update_rules.RULES) == optimizers.STACKABLE
