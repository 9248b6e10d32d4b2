"""Schedule-Free, Prodigy, D-Adaptation, MoMo: each against its package alone; forks, checkpoints and readings exact."""

import copy
import importlib.util

import dadaptation
import momo
import numpy as np
import prodigyopt
import pytest
import schedulefree
import torch
from torch.nn import functional

from bench import engine
from bench.contract import InputError, Move
from bench.engine.loader import Loader, key
from bench.ledger import checkpoint
from bench.strategies import external_optimizers, optimizers
from tests.engine.toys import create, same, tensors, toy

DECAY = 0.01
BY_HAND = {
    "schedulefree_sgd": lambda p, lr: schedulefree.SGDScheduleFree(p, lr, weight_decay=DECAY),
    "schedulefree_adamw": lambda p, lr: schedulefree.AdamWScheduleFree(p, lr, weight_decay=DECAY),
    "prodigy": lambda p, lr: prodigyopt.Prodigy([{"params": p, "weight_decay": DECAY}], lr),
    "dadapt_sgd": lambda p, lr: dadaptation.DAdaptSGD(p, lr, momentum=0.9, weight_decay=DECAY),
    "dadapt_adam": lambda p, lr: dadaptation.DAdaptAdam(p, lr, weight_decay=DECAY),
    "momo": lambda p, lr: momo.Momo(p, lr, weight_decay=DECAY),
    "momo(use_fstar=True)": lambda p, lr: momo.Momo(p, lr, weight_decay=DECAY, use_fstar=True),
    "momo_adam": lambda p, lr: momo.MomoAdam(p, lr, weight_decay=DECAY),
}
RATE = {"schedulefree_adamw": 0.01, "momo_adam": 0.03, "schedulefree_sgd": 0.1}  # 1.0 for the others
every = pytest.mark.parametrize("name", BY_HAND)


def rate(name, k):
    """An LR that a schedule lowers."""
    return RATE.get(name, 1.0) / (1 + k / 20)


def train(trained, loader, name, start, end):
    for k in range(start, end):
        trained.look(loader.batch(k), k)
        trained.move([Move(rate(name, k) / (1 + i)) for i in range(len(trained.members))])


def by_hand(name, steps):
    """The toy, trained by the package alone: (weights and buffers in training, weights as read)."""
    loader = Loader(toy(), 0, dtype=torch.float64)
    torch.manual_seed(key(0, "init"))
    model = toy().model().double()
    weights = [p for n, p in model.named_parameters() if p.requires_grad and not n.startswith("idle")]
    optimizer = BY_HAND[name](weights, 1.0)
    reads = hasattr(optimizer, "train")
    if reads:
        optimizer.train()
    for k in range(steps):
        (x,), (y,) = loader.batch(k)
        torch.manual_seed(loader.dropout_key(k))
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate(name, k)
        optimizer.step(loss=loss) if name.startswith("momo") else optimizer.step()
    training = copy.deepcopy(model.state_dict())
    if reads:
        optimizer.eval()
    return training, model.state_dict()


def test_every_contender_is_compared_with_its_package():
    assert {optimizers.parse(name).name for name in BY_HAND} == {kind.__name__ for kind in external_optimizers.ALL}


@every
def test_a_member_is_what_the_package_makes_of_it_bit_for_bit(name):
    trained, loader = create("modules", toy(), name, DECAY)
    train(trained, loader, name, 0, 24)
    training, read = by_hand(name, 24)
    assert same(dict(training), dict(trained.members[0].model.state_dict()))
    weights = {n for n, _ in trained.members[0].model.named_parameters()}
    model = trained._evaluated_model(trained.members[0])
    assert all(torch.equal(model.state_dict()[n], read[n]) for n in weights)
    assert name.startswith("schedulefree") != same(dict(training), dict(read))


@every
def test_it_learns(name):
    trained, loader = create("modules", toy(), name, 0.0)
    losses = []
    for k in range(120):
        trained.look(loader.batch(k % 4), 0)
        trained.move([Move(RATE.get(name, 1.0))])
        losses += [loss for loss, *_ in trained.signals()]
    assert sum(losses[-4:]) < 0.95 * sum(losses[:4])


@every
def test_a_fork_is_a_run_alone(name):
    forked, loader = create("modules", toy(), name, DECAY)
    train(forked, loader, name, 0, 9)
    forked.look(loader.batch(9), 9)
    forked.take([0, 0])
    forked.move([Move(rate(name, 9)), Move(rate(name, 9) / 2)])
    train(forked, loader, name, 10, 20)
    for i in range(2):
        alone, _ = create("modules", toy(), name, DECAY)
        for k in range(20):
            alone.look(loader.batch(k), k)
            alone.move([Move(rate(name, k) / (1 + i * (k >= 9)))])
        assert same(tensors(forked)[i], tensors(alone)[0])
        assert forked.evaluate("test", [i]) == alone.evaluate("test", [0])


@every
@pytest.mark.parametrize("cut", [0, 1, 13])
def test_a_checkpoint_goes_on_bit_for_bit(name, cut, tmp_path):
    whole, loader = create("modules", toy(), name, DECAY, torch.float32)
    whole.take([0, 0])
    train(whole, loader, name, 0, cut)
    checkpoint.save(tmp_path / "state.pt", whole.state_dict())
    resumed, _ = create("modules", toy(), name, DECAY, torch.float32)
    resumed.load_state_dict(checkpoint.load(tmp_path / "state.pt"))
    for trained in (whole, resumed):
        train(trained, loader, name, cut, 20)
    assert same(whole.state_dict(), resumed.state_dict())


@every
def test_reading_at_random_steps_changes_no_bit(name):
    draw = np.random.default_rng(2)
    watched, loader = create("modules", toy(), name, DECAY, torch.float32)
    alone, _ = create("modules", toy(), name, DECAY, torch.float32)
    for k in range(20):
        train(watched, loader, name, k, k + 1)
        if draw.random() < 0.5:
            before = watched.state_dict()
            watched.evaluate("control", [0])
            watched.recalibrated("test", [0])
            assert same(before, watched.state_dict())
    train(alone, loader, name, 0, 20)
    assert same(watched.state_dict(), alone.state_dict())


def test_schedule_free_is_read_with_statistics_of_the_weights_that_are_read():
    trained, loader = create("modules", toy(), "schedulefree_sgd")
    train(trained, loader, "schedulefree_sgd", 0, 20)
    assert trained.evaluate("test", [0]) == trained.recalibrated("test", [0])


@every
def test_an_lr_of_zero_is_an_update_like_any_other(name):
    trained, loader = create("modules", toy(), name, 0.0)
    start = [t.clone() for t in trained.members[0].weights]
    for k, lr in enumerate((0.0, 0.0, 0.1, 0.0, 0.1)):
        trained.look(loader.batch(k), k)
        trained.move([Move(lr)])
        moved = not same(start, [t.detach() for t in trained.members[0].weights])
        assert moved == (k > 1)
    assert all(t.isfinite().all() for t in trained.members[0].weights)


@every
def test_a_member_that_diverges_harms_no_neighbour(name):
    crowd, loader = create("modules", toy(), name)
    sound, _ = create("modules", toy(), name)
    crowd.take([0, 0])
    for k in range(8):
        for trained, lrs in ((crowd, (rate(name, k), 1e100)), (sound, (rate(name, k),))):
            trained.look(loader.batch(k), k)
            trained.move([Move(lr) for lr in lrs])
        if k == 3:
            with torch.no_grad():
                crowd.members[1].weights[0].fill_(torch.nan)
    assert same(tensors(crowd)[0], tensors(sound)[0])
    assert crowd.evaluate("test", [1])[0]["finite"] == 0.0


@every
def test_stacked_has_none_of_them(name):
    assert engine.choose(toy(), name, 100) == "modules"
    with pytest.raises(InputError, match="use --engine modules"):
        engine.choose(toy(), name, 100, wish="stacked")


def test_a_missing_package_is_one_line_that_names_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^prodigy needs the package prodigyopt"):
        optimizers.parse("prodigy")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schedulefree_sgd(momentum=0.0)", "momentum is a number above 0 and below 1"),
        ("schedulefree_adamw(beta1=0)", "beta1 is a number above 0 and below 1"),
        ("prodigy(safeguard_warmup=1)", "safeguard_warmup is True or False"),
        ("momo(lb=-1)", "lb is a number from 0"),
        ("dadapt_sgd(decay='matrices')", "unexpected keyword argument 'decay'"),
    ],
)
def test_settings_that_a_package_would_not_honour_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        optimizers.parse(text)


def test_a_momentum_is_refused_where_it_cannot_cycle():
    for name, words in (("schedulefree_adamw", "which cannot cycle"), ("momo", "Momo has no momentum to cycle")):
        trained, loader = create("modules", toy(), name)
        trained.look(loader.batch(0), 0)
        with pytest.raises(InputError, match=words):
            trained.move([Move(0.1, 0.9)])
