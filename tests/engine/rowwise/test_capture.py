"""Captured looks and moves, without a GPU: what is repeated with the very tensors and numbers gives the same bits."""

from contextlib import contextmanager

import pytest
import torch

import tasks
from bench.contract import Move
from bench.engine.rowwise import LANES, capture
from bench.engine.stacked import update_rules
from tests.engine.rowwise.frozen import frozen
from tests.engine.rowwise.test_rowwise import Recurrent
from tests.engine.stacked.test_traced import Choosy, Counting
from tests.engine.toys import Net, create, drive, same, toy

MOMENTA = (None, 0.0, 0.8)


class Stream:
    """Stands for a stream of a GPU; `done` has all that was asked of streams, in order."""

    done, present = [], None

    def __init__(self, device=None):
        pass

    def wait_stream(self, other):
        self.done.append(("wait", self, other))

    @contextmanager
    def entered(self):
        before, Stream.present = Stream.present, self
        self.done.append(("enter", self))
        yield
        Stream.present = before


@pytest.fixture
def replays(monkeypatch):
    """Captures on the CPU, with two lanes on streams; gives the stream of each replay."""
    replays, main = [], Stream()

    def counted(function, stream, pool):
        program = frozen(function)
        return lambda: replays.append(Stream.present) or program()

    monkeypatch.setitem(capture.CAPTURE, "cpu", counted)
    monkeypatch.setitem(LANES, "cpu", 2)
    monkeypatch.setattr(Stream, "done", [])
    monkeypatch.setattr(Stream, "present", main)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", Stream.entered)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream.present)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    return replays


def crew(clip=None, optimizer="sgd", model=Net):
    return create("rowwise", toy(model, clip), optimizer, 0.03, torch.float32)


def losses(trained):
    return [[a.tobytes() for a in look] for look in trained.history()]


def test_the_stand_in_freezes_numbers_and_addresses():
    x, out, factor = torch.ones(3), torch.zeros(3), [2.0]
    program = frozen(lambda: out.copy_(x * factor[0]))
    assert not out.any()
    x.fill_(5.0)
    factor[0], x = 3.0, torch.zeros(3)
    program()
    assert out.tolist() == [10.0] * 3
    with pytest.raises(RuntimeError, match="read back"):
        frozen(lambda: out.sum().item())


@pytest.mark.parametrize(("optimizer", "clip"), [("sgd(nesterov=True)", None), ("adam", 0.3), ("adamw", None)])
def test_forks_dropout_batch_norm_and_changing_rates_give_the_same_bits(replays, optimizer, clip):
    fast = drive(*crew(clip, optimizer), 50, 0.02, MOMENTA)
    count = len(replays)
    capture.CAPTURE.pop("cpu")
    slow = drive(*crew(clip, optimizer), 50, 0.02, MOMENTA)
    assert len(replays) == count > 100
    assert len(fast._lanes) == 2
    assert all(lane._proved for lane in fast._lanes)
    assert fast._updates._programs
    assert all(fast._updates._programs.values())
    assert same(fast.state_dict(), slow.state_dict())
    assert losses(fast) == losses(slow)


def test_each_lane_replays_on_its_stream_between_what_it_waits_for_and_what_waits_for_it(replays):
    trained, loader = crew()
    drive(trained, loader, 17, 0.02)
    trained.take([0, 0, 1])
    (first, second), main = (lane._graphs.stream for lane in trained._lanes), Stream.present
    replays.clear()
    Stream.done.clear()
    trained.look(loader.batch(17), 17)
    assert replays == [first, second, first]
    before, after = [("wait", first, main), ("wait", second, main)], [("wait", main, first), ("wait", main, second)]
    assert Stream.done == [*before, *(("enter", stream) for stream in replays), *after]
    replays.clear()
    for _ in range(capture.OFTEN + 2):
        trained.move([Move(0.1)] * 3)
    assert replays == [main] * 2


def test_a_resumed_cohort_captures_anew_and_gives_the_same_bits(replays):
    whole, loader = crew(0.3, "adamw")
    drive(whole, loader, 11, 0.02, MOMENTA)
    resumed, _ = crew(0.3, "adamw")
    resumed.load_state_dict(whole.state_dict())
    for trained in (whole, resumed):
        drive(trained, loader, 45, 0.02, MOMENTA, start=11)
        assert all(lane._proved for lane in trained._lanes)
        assert trained._updates._programs
    assert same(whole.state_dict(), resumed.state_dict())


SLOW = [pytest.param(name, marks=pytest.mark.faults) for name in ("mnist5k", "scenes", "grammar")]


@pytest.mark.parametrize("name", ["vowels", "digits(model='cnn')", "recurrent", *SLOW])
def test_looks_of_real_models_are_captured_but_for_those_that_read_a_value(replays, name):
    """The model of transformers in `grammar` looks at the batch to decide whether it needs a mask."""
    task, ended = toy(Recurrent) if name == "recurrent" else tasks.parse(name), []
    for _ in range(2):
        trained, loader = create("rowwise", task, None, task.weight_decay, torch.float32)
        trained.take([0, 0])
        for k in range(capture.OFTEN + 4):
            trained.look(loader.batch(k), k)
            trained.move([Move(task.peak_lrs[0] / (1 + i)) for i in range(2)])
        ended.append(trained)
        capture.CAPTURE.pop("cpu", None)
    assert {bool(lane._proved) for lane in ended[0]._lanes} == {name != "grammar"}
    assert same(*(trained.state_dict() for trained in ended))


@pytest.mark.parametrize("model", [Counting, Choosy])
def test_a_model_that_depends_on_more_than_tensors_is_not_replayed(replays, model):
    trained = drive(*crew(model=model), 20, 0.02)
    assert not any(lane._proved for lane in trained._lanes)
    if model is Choosy:  # the other counts the looks that a graph was tried on, too
        capture.CAPTURE.pop("cpu")
        assert same(trained.state_dict(), drive(*crew(model=model), 20, 0.02).state_dict())


def test_a_batch_at_another_address_would_be_noticed(replays, monkeypatch):
    put = capture.Places.put
    monkeypatch.setattr(capture.Places, "put", lambda *a: (p := put(*a)) and [t.clone() for t in p])
    trained = drive(*crew(), 20, 0.02)
    assert not any(lane._proved for lane in trained._lanes)


class Numbered(update_rules.SGD):
    """Keeps a rate as a number."""

    def begin(self, moves, like):
        self.lr = moves[0].lr
        return super().begin(moves, like)

    def update(self, weight_MP, grad_MP, *rest):
        weight_MP.add_(grad_MP, alpha=-self.lr)


@pytest.mark.parametrize("fault", ["a number", "elsewhere"])
def test_a_rate_that_is_a_number_or_lies_elsewhere_would_be_noticed(replays, monkeypatch, fault):
    put = capture.Places.put

    def elsewhere(places, kind, tensors):
        placed = put(places, kind, tensors)
        return [t.clone() for t in placed] if placed and isinstance(kind, str) else placed

    if fault == "elsewhere":
        monkeypatch.setattr(capture.Places, "put", elsewhere)
    else:
        monkeypatch.setitem(update_rules.RULES, "sgd", Numbered)
    fast = drive(*crew(), 40, 0.02)
    capture.CAPTURE.pop("cpu")
    assert not same(fast.state_dict(), drive(*crew(), 40, 0.02).state_dict())


def test_rare_shapes_are_not_captured_and_few_are(replays):
    places = capture.Places(torch.device("cpu"))
    for _ in range(capture.OFTEN):
        assert places.put("shape", [torch.ones(2)]) is None
    (first,) = places.put("shape", [torch.ones(2)])
    (again,) = places.put("shape", [torch.zeros(2)])
    assert again is first
    assert not first.any()
    kept = [places.put(n, [torch.ones(2)]) for n in range(20) for _ in range(capture.OFTEN + 1)]
    assert sum(p is not None for p in kept) == capture.MOST - 1
