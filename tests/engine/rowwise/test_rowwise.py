"""`rowwise` where no other engine of rows goes; `tests/engine/stacked/test_stacked.py` compares all with `modules`."""

import dataclasses

import pytest
import torch
from torch import nn

import tasks
from bench import engine
from bench.contract import InputError
from bench.engine import rows
from bench.engine.rowwise.lane import ALIGNMENT, Layout
from bench.numerics import Arithmetic
from tests.engine.toys import Net, Plain, apart, create, drive, same, tensors, toy

CLOSE = 1e-10


class Recurrent(nn.Module):
    """An LSTM, for which vmap has no rule, dropout between its layers, and a weight with two names."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 5, 2, batch_first=True, dropout=0.3)
        self.outside = nn.Linear(5, 3)
        self.again = self.outside

    def forward(self, x):
        return self.again(self.lstm(x.unsqueeze(2))[0][:, -1])


class Replacing(Plain):
    """Replaces a buffer at each forward."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls = self.calls + 1
        return super().forward(x)


class Moving(Plain):
    """Moves a weight at a forward, as `flatten_parameters` of recurrent layers may on a GPU."""

    still = 0

    def forward(self, x):
        if self.still == 0:
            self.weight.data = self.weight.data.clone()
        self.still -= 1
        return super().forward(x)


class MovingLater(Moving):
    """The same, not at its first forward."""

    still = 1


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_recurrent_net_trains_as_in_modules(optimizer):
    slow, fast = (
        drive(*create(name, toy(Recurrent, 0.3), optimizer, 0.03), 50, 0.05) for name in ("modules", "rowwise")
    )
    assert apart(tensors(fast), tensors(slow)) <= CLOSE
    assert fast.evaluate("test", [0, 2]) == [pytest.approx(s, rel=CLOSE) for s in slow.evaluate("test", [0, 2])]
    ours, theirs = fast.weights(1, None), slow.weights(1, None)
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], rtol=0, atol=CLOSE) for name in theirs)
    with pytest.raises(InputError, match="toy cannot be stacked"):
        create("stacked", toy(Recurrent))


def test_half_precision_computes_the_looks_of_modules():
    crews = [create(name, toy(), "sgd", dtype=torch.float32, precision="bf16") for name in ("modules", "rowwise")]
    for trained, loader in crews:
        trained.take([0, 0])
        trained.look(loader.batch(0), 0)
    slow, fast = (trained for trained, _ in crews)
    assert fast.signals() == slow.signals()
    assert fast.evaluate("test", [1]) == slow.evaluate("test", [1])
    full, loader = create("rowwise", toy(), "sgd", dtype=torch.float32)
    full.look(loader.batch(0), 0)
    assert fast.signals()[0] != full.signals()[0]


def test_lanes_and_rows_have_the_layout_of_the_model_of_that_precision(monkeypatch):
    """A GPU has channels last in bf16 alone."""
    asked, make = [], rows.initial_model
    monkeypatch.setattr(rows, "initial_model", lambda loader, precision: asked.append(precision) or make(loader))
    trained, loader = create("rowwise", tasks.parse("digits(model='cnn')"), dtype=torch.float32, precision="bf16")
    assert asked == ["bf16"]
    expected = {name: p.stride() for name, p in make(loader).named_parameters()}
    assert {name: p.stride() for name, p in trained._model.named_parameters()} == expected
    assert {name: t.stride() for name, t in trained._parts(trained._weight_WP[0]).items()} == expected


def test_buffers_of_integers_belong_to_each_member():
    trained, loader = create("rowwise", toy())
    drive(trained, loader, 12, 0.1)
    assert [int(member["norm.num_batches_tracked"]) for member in tensors(trained)] == [12] * 3
    assert all(member["positions"].tolist() == list(range(8)) for member in tensors(trained))


def test_places_keep_strides_and_alignment():
    last = torch.zeros(4, 1, 3, 3).to(memory_format=torch.channels_last)
    own = {"a": torch.zeros(3), "b": last, "c": torch.zeros(()), "d": torch.zeros(2, 5).t()}
    layout = Layout(own)
    flat_WP = torch.arange(2.0 * layout.size).view(2, layout.size)
    views = layout.views(flat_WP[1])
    for name, tensor in own.items():
        assert views[name].shape == tensor.shape
        assert views[name].stride() == tensor.stride()
        assert views[name].storage_offset() * 4 % ALIGNMENT == 0
        assert torch.equal(layout.views(flat_WP)[name][1], views[name])
    every = torch.cat([view.flatten() for view in views.values()])
    assert len(every.unique()) == sum(t.numel() for t in own.values())


def test_optimizers_arithmetic_and_models_that_it_lacks_are_refused_in_one_line():
    def choose(task, optimizer="sgd", **arithmetic):
        return engine.choose(task, optimizer, 8, "rowwise", Arithmetic(**arithmetic))

    task = dataclasses.replace(toy(), layers="recurrent")
    for way in ({}, {"precision": "bf16"}, {"precision": "tf32"}, {"processes": 2}):
        assert choose(task, **way) == "rowwise"
    with pytest.raises(InputError, match="the rowwise engine has no nadam: use --engine modules, or one of adam"):
        choose(task, "nadam")
    for way in ({"precision": "fp16"}, {"accumulate": 2}, {"backend": "inductor"}):
        with pytest.raises(InputError, match=r"the rowwise engine has no .*: use --engine modules"):
            choose(task, **way)
    for model, name in ((Replacing, "calls"), (Moving, "weight")):
        with pytest.raises(InputError, match=f"toy puts {name} elsewhere in memory at a forward: use --engine modules"):
            create("rowwise", toy(model))
    trained, loader = create("rowwise", toy(MovingLater))
    with pytest.raises(InputError, match="toy puts weight elsewhere in memory"):
        trained.look(loader.batch(0), 0)


@pytest.mark.parametrize("cut", [0, 11])
def test_a_saved_state_goes_on_bit_for_bit_in_half_precision(cut):
    crews = [create("rowwise", toy(Net, 0.3), "adam", dtype=torch.float32, precision="bf16") for _ in range(2)]
    (whole, loader), (resumed, _) = crews
    drive(whole, loader, cut, 0.05)
    resumed.load_state_dict(whole.state_dict())
    for trained in (whole, resumed):
        drive(trained, loader, 22, 0.05, start=cut)
    assert same(whole.state_dict(), resumed.state_dict())
