"""`modules` against a training loop written by hand with torch.optim and its schedulers: bit for bit."""

import math

import pytest
import torch
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

import tasks
from bench.contract import InputError, Move
from bench.engine import evaluation, modules
from bench.engine.loader import Loader, key
from bench.numerics import Arithmetic
from bench.strategies import external_optimizers, optimizers
from tests.engine.toys import apart, create, drive, same, tensors, toy

STEPS, FORK = 24, 9
CONTENDERS = {kind.__name__ for kind in external_optimizers.ALL}  # `test_external_optimizers.py` tests these
OPTIMIZERS = {
    "sgd(momentum=0.0)": lambda p: torch.optim.SGD(p, 0.05, weight_decay=1e-3),
    "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=1e-3),
    "sgd(nesterov=True)": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=1e-3, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, 0.05, betas=(0.9, optimizers.adamw().beta2), weight_decay=1e-3),
}
SCHEDULERS = {
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, STEPS),
    "lambda": lambda optimizer: LambdaLR(optimizer, lambda t: 0.5 * (1 + math.cos(math.pi * t / STEPS))),
    "cut": lambda optimizer: LambdaLR(optimizer, lambda t: 1.0 if t < FORK else 0.1),
    "constant": lambda optimizer: LambdaLR(optimizer, lambda t: 1.0),
}


def by_hand(task, optimizer, scheduler):
    """Weights and buffers after training alone, and the LRs."""
    loader, lrs = Loader(task, 0), []
    torch.manual_seed(key(0, "init"))
    model = task.model()
    if task.layers == "conv2d":
        model = model.to(memory_format=torch.channels_last)
    steps = OPTIMIZERS[optimizer](model.parameters())
    plan = SCHEDULERS[scheduler](steps)
    for k in range(STEPS):
        (images,), (labels,) = loader.batch(k)
        loss = functional.cross_entropy(model(images), labels)
        steps.zero_grad()
        loss.backward()
        lrs += plan.get_last_lr()
        steps.step()
        plan.step()
    return model.state_dict(), lrs


@pytest.mark.parametrize("task", ["digits", "digits(model='cnn')"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
class TestAgainstALoopByHand:
    @pytest.mark.parametrize("scheduler", ["cosine", "lambda"])
    def test_a_member_has_the_same_weights_bit_for_bit(self, task, optimizer, scheduler):
        task = tasks.parse(task)
        expected, lrs = by_hand(task, optimizer, scheduler)
        trained, loader = create("modules", task, optimizer, 1e-3, torch.float32)
        for k, lr in enumerate(lrs):
            trained.look(loader.batch(k), k)
            trained.move([Move(lr)])
        assert same(dict(expected), dict(trained.members[0].model.state_dict()))

    def test_a_fork_has_the_weights_of_a_run_that_had_its_rates_from_the_start(self, task, optimizer):
        task = tasks.parse(task)
        trained, loader = create("modules", task, optimizer, 1e-3, torch.float32)
        for k in range(STEPS):
            trained.look(loader.batch(k), k)
            if k == FORK:
                trained.take([0, 0])
            trained.move([Move(0.05), Move(0.05 * 0.1)][: 2 if k >= FORK else 1])
        for member, scheduler in zip(trained.members, ("constant", "cut"), strict=True):
            expected, _ = by_hand(task, optimizer, scheduler)
            assert same(dict(expected), dict(member.model.state_dict())), scheduler


@pytest.mark.parametrize("name", [name for name in optimizers.CATALOGUE if name not in CONTENDERS])
def test_every_optimizer_of_the_catalogue_trains_and_resumes(name):
    trained, loader = create("modules", toy(), name, 1e-3)
    momentum, crews, losses = None if name == "adagrad" else 0.8, [trained], []
    for k in range(30):
        if k == 15:
            resumed, _ = create("modules", toy(), name, 1e-3)
            resumed.load_state_dict(trained.state_dict())
            crews.append(resumed)
        for crew in crews:
            crew.look(loader.batch(k % 4), 0)
            crew.move([Move(0.03, momentum)])
        losses += [loss for loss, *_ in trained.signals()]
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4])
    assert same(trained.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("momenta", [(None,), (0.8, 0.9)])
@pytest.mark.parametrize("name", ["sgd", "sgd(momentum=0.0)", "sgd(nesterov=True)", "adam", "adamw(layer_decay=0.5)"])
def test_a_fused_kernel_is_an_optimizers_own_arithmetic(monkeypatch, name, momenta):
    usual = drive(*create("modules", toy(), name, 1e-3), 24, 0.01, momenta)
    asked = []
    monkeypatch.setattr(modules, "takes_fused_kernel", lambda *what: asked.append(what) or True)
    fused = drive(*create("modules", toy(), name, 1e-3), 24, 0.01, momenta)
    assert asked == [(name.partition("(")[0], torch.device("cpu"), False, None)]
    assert all(member.optimizer.defaults["fused"] for member in fused.members)
    assert apart(tensors(fused), tensors(usual)) < 1e-10


def test_fused_kernels_are_for_gpus_and_for_loss_scaling():
    takes, gpu, cpu = modules.takes_fused_kernel, torch.device("cuda"), torch.device("cpu")
    assert [takes(name, gpu, False) for name in ("sgd", "adamw", "rmsprop")] == [True, True, False]
    assert [takes(name, gpu, True) for name in ("sgd", "adamw", "rmsprop")] == [False, True, False]
    assert [takes(name, cpu, False) for name in optimizers.CATALOGUE] == [False] * len(optimizers.CATALOGUE)
    assert takes("adam", cpu, True)
    assert not takes("adamw", gpu, False, "two processes")


@pytest.mark.parametrize(
    ("device", "precision", "last"), [("meta", "fp32", 0), ("meta", "bf16", 1), ("cpu", "fp32", 1)]
)
def test_models_of_images_are_channels_last_where_that_is_faster(device, precision, last):
    loader = Loader(tasks.parse("digits(model='cnn')"), 0, device)
    trained = modules.Modules(loader, optimizers.parse("sgd"), 0.0, None, Arithmetic(precision))
    (filters, *_) = (p for p in trained.members[0].weights if p.ndim == 4 and p.shape[1] > 1)
    assert filters.is_contiguous(memory_format=torch.channels_last) == bool(last)


@pytest.mark.parametrize("name", ["modules", "rowwise"])
def test_the_layout_follows_the_precision_in_every_engine_that_has_several(monkeypatch, name):
    asked, original = [], modules.initial_model
    for place in ("modules", "rows"):
        spy = lambda *what: asked.append(what[1:]) or original(*what)  # noqa: E731  # it records and goes on
        monkeypatch.setattr(f"bench.engine.{place}.initial_model", spy)
    create(name, toy(), "sgd", dtype=torch.float32, precision="bf16")
    assert asked == [("bf16",)]


def test_a_momentum_for_an_optimizer_without_one_is_refused():
    trained, loader = create("modules", toy(), "adagrad")
    trained.look(loader.batch(0), 0)
    with pytest.raises(InputError, match="Adagrad has no momentum"):
        trained.move([Move(0.1, 0.9)])


class DeviceOutput:
    """Stands for an output on a GPU: counts those alive."""

    alive = 0

    def __init__(self):
        DeviceOutput.alive += 1

    def cpu(self):
        DeviceOutput.alive -= 1
        return torch.ones(2)


def test_outputs_leave_the_device_chunk_by_chunk():
    counts = []

    def forward(inputs):
        counts.append(DeviceOutput.alive)
        return [{"boxes": [DeviceOutput(), DeviceOutput()], "loss": (DeviceOutput(),)}]

    (first, *_), *_ = outputs = evaluation.collect_outputs(range(3), forward)
    assert counts == [0, 0, 0]
    assert len(outputs) == 3
    assert torch.equal(first["boxes"][1], torch.ones(2))


def test_a_split_is_read_once_for_all_members():
    engine, loader = create("modules", toy(), "sgd", 0.0)
    engine.take([0, 0, 0])
    (chunks, target), read = loader.split("control"), []
    loader.split = lambda name: ((read.append(name) or chunk for chunk in chunks), target)
    scores = engine.evaluate("control", [0, 1, 2, 1])
    assert len(read) == len(list(chunks))
    assert scores[0] == scores[1] == scores[2] == scores[3]


def test_weights_that_are_not_trained_exist_once_and_are_in_no_checkpoint():
    trained, loader = create("modules", toy(), "sgd")
    trained.look(loader.batch(0), 0)
    trained.take([0, 0])
    trained.move([Move(0.1), Move(0.2)])
    one, two = (member.model for member in trained.members)
    assert one.frozen is two.frozen
    assert one.outside.weight is not two.outside.weight
    state = trained.state_dict()
    assert not [name for member in state["members"] for name in member["tensors"] if "frozen" in name]
    resumed, _ = create("modules", toy(), "sgd")
    resumed.load_state_dict(state)
    for engine in (trained, resumed):
        engine.look(loader.batch(1), 1)
        engine.move([Move(0.1), Move(0.2)])
    assert same(trained.state_dict(), resumed.state_dict())
