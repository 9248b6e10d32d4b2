"""No update waits for a device, shown without one: on `meta`, reading a value raises, and every copy there is counted.

`tests/engine/precision/test_gpu.py` shows the same where a GPU is at hand.
"""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import tasks
from bench import engine
from bench.contract import Data, Move, Split
from bench.engine.loader import Loader
from bench.numerics import Arithmetic
from tasks.detection import augment as boxes
from tasks.image import augment as images
from tasks.image.resnet import resnet
from tasks.speech import logmel
from tests.engine.test_loader import TEXTS
from tests.engine.toys import Net, toy

META = torch.device("meta")
EMBEDDED = ["digits", "digits(model='cnn')", "vowels", "scenes"]
"""Those of `core` but for `grammar`, whose model of transformers looks at its mask at each forward."""

STEPS = range(1, 4)  # the first update copies the order of its epoch, for which nothing waits either


class Copies(TorchDispatchMode):
    """Counts copies from the CPU to the device, and those for which the CPU waits."""

    copies = waits = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].device.type == "cpu" and result.device == META:
            self.count(kwargs.get("non_blocking", False))
        elif func is torch.ops.aten.copy_.default and args[0].device == META and args[1].device.type == "cpu":
            self.count(args[2] if len(args) > 2 else False)
        return result

    def count(self, freely):
        self.copies += 1
        self.waits += not freely


def crew(name, task, **arithmetic):
    loader = Loader(task, 0, META)
    trained = engine.create(name, loader, task.optimizer, task.weight_decay, None, Arithmetic(**arithmetic))
    trained.take([0, 0])
    return trained, loader


def updates(trained, loader):
    """Copies of some open-loop updates with their batches."""
    moves = [Move(0.01), Move(0.02, 0.8)]
    trained.look(loader.batch(0), 0)
    trained.move(moves)
    with Copies() as copies:
        for k in STEPS:
            trained.look(loader.batch(k), k)
            trained.move(moves)
    return copies


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_update_of_an_embedded_task_reads_nothing_back_and_waits_for_no_copy(name):
    task = tasks.parse(name)
    for each in {"modules", "rowwise", engine.choose(task, task.optimizer, 40)}:
        copies = updates(*crew(each, task))
        assert copies.waits == 0
        assert copies.copies <= (1 if each == "rowwise" else 2) * len(STEPS)  # LRs and momenta of all rows


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("way", [{}, {"accumulate": 2}])
def test_an_update_with_clipping_dropout_and_batch_norm_does_neither(optimizer, way):
    task = dataclasses.replace(toy(Net, 0.3), optimizer=optimizer)
    for name in ("modules",) if way else ("modules", "stacked", "rowwise"):
        assert updates(*crew(name, task, **way)).waits == 0


def test_reading_a_value_back_would_be_noticed():
    trained, loader = crew("modules", toy())
    trained.look(loader.batch(0), 0)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        trained.signals()
    with Copies() as copies:
        torch.ones(3).to(META)
        torch.ones(3).to(META, non_blocking=True)
    assert (copies.copies, copies.waits) == (2, 1)


class Kernels(TorchDispatchMode):
    """Counts operations that launch a kernel at least, and those of them that fill a tensor or copy some."""

    count = fills = copies = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.count += not (func.is_view or name.startswith(("empty", "new_empty", "detach")))
        self.fills += name in ("fill_", "zero_", "zeros", "zeros_like", "new_zeros", "ones_like", "full", "full_like")
        self.copies += name in ("copy_", "clone", "_foreach_copy_")
        return func(*args, **(kwargs or {}))


def noise():
    split = Split((np.zeros((8, 3, 32, 32), np.float32),), (np.arange(8),))
    return Data(split, split, split)


RESNET = dataclasses.replace(toy(lambda: resnet(20, 10)), load=noise, layers="residual")


@pytest.mark.parametrize("name", [*EMBEDDED, "resnet20"])
def test_a_row_costs_few_kernels_more_than_a_bare_look_and_no_fill(name):
    task = RESNET if name == "resnet20" else tasks.parse(name)
    (trained, loader), model = crew("rowwise", task), task.model().to(META)
    batch = loader.batch(0)
    with Kernels() as bare:
        loss = task.loss(model(*batch[0]), batch[1])
        torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    with Kernels() as rows:
        trained._backward(batch, 0)
    # A row and its buffers of two types go in; those, gradients, loss and norm come out. Gradients are made one row.
    types = len(trained._buffers)
    norms = len(trained._layout.ends) + 3  # one kernel a weight, since `meta` has no fused one
    assert rows.count / 2 <= bare.count + 5 + 2 * types + norms
    assert rows.copies / 2 <= bare.copies + 5 + 2 * types
    assert rows.fills == 2 * bare.fills


BYTES, SAMPLES = torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.zeros(4, 8000, dtype=torch.int16)
PREPARES = {
    "images": (images.from_bytes([0.5] * 3, [0.2] * 3, images.crop_and_flip), (BYTES,), ()),
    "boxes": (boxes.from_bytes([0.5] * 3, [0.2] * 3, True), (BYTES,), (torch.zeros(4, 5, 6),)),
    "logmel": (logmel.features(8000), (SAMPLES,), ()),
    "new examples": (tasks.parse("powerlaw").prepare, (torch.zeros(4, 256),), (torch.zeros(4, 1), torch.zeros(4))),
}
COPIES = {"images": 1, "boxes": 1, "logmel": 2, "new examples": 1}
"""Copies of random numbers for a batch; constants are on the device already."""


@pytest.mark.parametrize("name", PREPARES)
def test_preparation_reads_nothing_back_and_waits_for_no_copy(name):
    prepare, inputs, target = PREPARES[name]
    inputs, target = (tuple(a.to(META) for a in part) for part in (inputs, target))
    prepare(inputs, target, torch.Generator().manual_seed(0))
    with Copies() as copies:
        prepare(inputs, target, torch.Generator().manual_seed(0))
    assert (copies.copies, copies.waits) == (COPIES[name], 0)


@pytest.mark.parametrize("name", ["digits", "powerlaw"])
def test_no_epoch_begins_with_a_wait(name):
    task = tasks.parse(name)
    loader = Loader(task, 0, META)
    with Copies() as copies:
        for step in range(2 * loader.epoch_steps):
            loader.batch(step)
    each = 0 if task.prepare is None else 1
    assert (copies.copies, copies.waits) == (2 + each * 2 * loader.epoch_steps, 0)


def test_the_cut_of_texts_to_their_longest_reads_nothing_back():
    loader = Loader(TEXTS, 0, META)
    with Copies() as copies:
        shapes = [loader.batch(step)[0][0].shape for step in range(2 * loader.epoch_steps)]
    assert (copies.copies, copies.waits) == (2, 0)
    assert len({shape[1] for shape in shapes}) > 1
