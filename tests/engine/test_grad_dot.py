"""The inner product of a gradient with the one before: recalled where asked, through forks, clipping and states."""

import pytest
import torch

from bench.contract import Move
from tests.engine.toys import FORKS, create, toy

STEPS = 14


def recalled(name, cut=None, clip=None):
    """grad_dot of every member at every look of a drive with forks, saved and resumed before step `cut`."""
    trained, loader = create(name, toy(clip=clip), "sgd(momentum=0.9)")
    trained.recall, dots, members = True, [], 1
    for k in range(STEPS):
        if k == cut:
            state = trained.state_dict()
            trained, _ = create(name, toy(clip=clip), "sgd(momentum=0.9)")
            trained.recall = True
            trained.load_state_dict(state)
        trained.look(loader.batch(k), k)
        dots.append([dot for *_, dot in trained.signals()])
        if k in FORKS:
            trained.take(FORKS[k])
            members = len(FORKS[k])
        trained.move([Move(0.05 * (1 + i)) for i in range(members)])
    return dots


def by_hand():
    """The same drive, from the gradients that modules hold, before any clipping."""
    trained, loader = create("modules", toy(), "sgd(momentum=0.9)")
    dots, last, members = [], [None], 1
    for k in range(STEPS):
        trained.look(loader.batch(k), k)
        now = [[p.grad.clone() for p in m.weights if p.grad is not None] for m in trained.members]
        pairs = zip(now, last, strict=True)
        dots.append(
            [0.0 if b is None else sum((x * y).sum().item() for x, y in zip(a, b, strict=True)) for a, b in pairs]
        )
        last = now
        if k in FORKS:
            trained.take(FORKS[k])
            members, last = len(FORKS[k]), [now[row] for row in FORKS[k]]
        trained.move([Move(0.05 * (1 + i)) for i in range(members)])
    return dots


@pytest.mark.parametrize("name", ["modules", "stacked", "rowwise"])
def test_it_is_the_inner_product_worked_out_from_the_gradients(name):
    expected = by_hand()
    assert [len(dots) for dots in expected] == [1] * 4 + [2] * 7 + [3] * 3
    assert expected[0] == [0.0]
    assert all(dot for dots in expected[1:] for dot in dots)
    for dots, mine in zip(expected, recalled(name), strict=True):
        assert mine == pytest.approx(dots, rel=1e-9)


@pytest.mark.parametrize("name", ["modules", "stacked", "rowwise"])
@pytest.mark.parametrize("cut", [1, 4, 11])
def test_a_saved_state_recalls_the_last_gradient(name, cut):
    assert recalled(name, cut) == recalled(name)


@pytest.mark.parametrize("name", ["modules", "stacked", "rowwise"])
def test_it_is_taken_before_clipping(name):
    free, clipped = recalled(name), recalled(name, clip=1e-3)
    assert clipped[0] == free[0]
    assert clipped[1][0] > 1e-3  # of two gradients clipped to 0.001 it would be 1e-6 at most


@pytest.mark.parametrize("name", ["modules", "stacked", "rowwise"])
def test_nothing_is_kept_unless_asked(name):
    trained, loader = create(name, toy(), "sgd")
    for k in range(2):
        trained.look(loader.batch(k), k)
        trained.move([Move(0.1)])
    assert trained.signals()[0][2] == 0.0
    before = sum(t.numel() for t in torch.utils._pytree.tree_leaves(trained.state_dict()) if hasattr(t, "numel"))
    trained.recall = True
    trained.look(loader.batch(2), 2)
    after = sum(t.numel() for t in torch.utils._pytree.tree_leaves(trained.state_dict()) if hasattr(t, "numel"))
    assert after > before
