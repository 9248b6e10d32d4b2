"""What both engines promise of members: forks, states, neighbours, evaluations, processes."""

import numpy as np
import pytest
import torch

from bench.contract import InputError, Move
from tests.engine.toys import Plain, apart, create, drive, same, tensors, toy

both = pytest.mark.parametrize("name", ["modules", "stacked", "rowwise"])
optimizers = pytest.mark.parametrize("optimizer", ["sgd(nesterov=True)", "adamw"])


@both
@optimizers
def test_a_fork_takes_along_the_gradients_since_the_look(name, optimizer):
    solo, loader = create(name, toy(), optimizer, 0.1)
    forked, _ = create(name, toy(), optimizer, 0.1)
    for k in range(5):
        solo.look(loader.batch(k), k)
        forked.look(loader.batch(k), k)
        if k == 3:
            forked.take([0, 0])
        solo.move([Move(0.1)])
        forked.move([Move(0.1)] * (2 if k >= 3 else 1))
    one, (first, second) = tensors(solo)[0], tensors(forked)
    assert same(one, first)
    assert same(first, second)


@both
@optimizers
def test_a_saved_state_goes_on_bit_for_bit(name, optimizer):
    momenta = (None, 0.0, 0.9)
    for cut in (0, 11, 19):
        whole, loader = create(name, toy(), optimizer, 0.1, torch.float32)
        drive(whole, loader, cut, 0.05, momenta)
        state = whole.state_dict()
        resumed, _ = create(name, toy(), optimizer, 0.1, torch.float32)
        resumed.load_state_dict(state)
        whole.history()
        for trained in (whole, resumed):
            drive(trained, loader, 24, 0.05, momenta, start=cut)
        assert same(whole.state_dict(), resumed.state_dict())
        for ours, theirs in zip(whole.history(), resumed.history(), strict=True):
            assert np.array_equal(ours, theirs)


@both
def test_a_saved_state_is_a_copy(name):
    trained, loader = create(name, toy(), "adam")
    drive(trained, loader, 5, 0.1)
    state = trained.state_dict()
    kept = [t.clone() for member in tensors(trained) for t in member.values()]
    other, _ = create(name, toy(), "adam")
    other.load_state_dict(state)
    drive(other, loader, 9, 0.1, start=5)
    trained.load_state_dict(state)
    assert same(kept, [t for member in tensors(trained) for t in member.values()])


@both
def test_evaluating_at_random_steps_changes_no_bit(name):
    draw = np.random.default_rng(1)

    def evaluate(step):
        if draw.random() < 0.4:
            rows = draw.integers(len(tensors(watched)), size=2).tolist()
            before = watched.state_dict()
            assert watched.evaluate("control", rows) is not None
            assert watched.recalibrated("test", rows) is not None
            assert same(before, watched.state_dict())

    watched, loader = create(name, toy(), "adamw", 0.1, torch.float32)
    alone, _ = create(name, toy(), "adamw", 0.1, torch.float32)
    drive(watched, loader, 24, 0.05, visit=evaluate)
    drive(alone, loader, 24, 0.05)
    assert same(watched.state_dict(), alone.state_dict())


@both
@optimizers
def test_a_member_that_diverges_harms_no_neighbour(name, optimizer):
    crowd, loader = create(name, toy(), optimizer)
    sound, _ = create(name, toy(), optimizer)
    crowd.take([0, 0, 0])
    sound.take([0, 0])
    for k in range(12):
        for trained, lrs in ((crowd, (0.1, 1e300 if k > 2 else 0.1, 0.05)), (sound, (0.1, 0.05))):
            trained.look(loader.batch(k), k)
            trained.move([Move(lr) for lr in lrs])
    first, lost, last = tensors(crowd)
    assert not lost["outside.weight"].isfinite().all()
    if name == "modules":
        assert same([first, last], tensors(sound))
    assert apart([first, last], tensors(sound)) <= 1e-10
    scores = crowd.evaluate("test", [0, 1, 2])
    assert [s["finite"] for s in scores] == [1.0, 0.0, 1.0]


class Halving:
    """Stands for an accelerator of two processes whose other process saw zeros."""

    num_processes = 2

    def reduce(self, tensor, reduction):
        assert reduction == "mean"
        return tensor / 2


@both
def test_processes_average_losses_and_gradients(name):
    halved, loader = create(name, toy(Plain), "sgd", accelerator=Halving())
    whole, _ = create(name, toy(Plain), "sgd")
    halved.take([0, 0])
    whole.take([0, 0])
    for k in range(3):
        whole.look(loader.batch(k), k)
        halved.look(loader.batch(k), k)
        if k == 0:
            halves = [(loss / 2, norm / 2, dot / 4) for loss, norm, dot in whole.signals()]
            assert halved.signals() == [pytest.approx(half) for half in halves]
        whole.move([Move(0.125), Move(0.25)])
        halved.move([Move(0.25), Move(0.5)])
    assert same(tensors(whole), tensors(halved))


def test_batch_norm_over_processes_cannot_be_stacked():
    with pytest.raises(InputError, match="toy has BatchNorm, which --data-parallel trains with --engine modules only"):
        create("stacked", toy(), accelerator=Halving())


def test_batch_norm_over_processes_cannot_be_compiled():
    with pytest.raises(InputError, match="toy has BatchNorm, which --data-parallel trains without --compile only"):
        create("modules", toy(), accelerator=Halving(), backend="aot_eager")
