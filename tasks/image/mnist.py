"""MNIST and Fashion-MNIST in full, with the classic MLP or a small CNN."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from bench.contract import Margin, Task
from schedules.spec import choose, render
from tasks import classification
from tasks.data.registry import PACKS
from tasks.image import images
from tasks.image.augment import from_bytes
from tasks.image.digits import Model

if TYPE_CHECKING:
    from torch import nn


def _mlp() -> nn.Module:
    from tasks.models import mlp

    return mlp(784, 128, 10)


def _cnn() -> nn.Module:
    from tasks.models import cnn28

    return cnn28(10)


MODELS = {
    "mlp": Model(_mlp, "mlp", (0.025, 0.1, 0.4)),
    "cnn": Model(_cnn, "conv2d", (0.005, 0.02, 0.08)),
}


def mnist(model: Literal["mlp", "cnn"] = "mlp") -> Task:
    """60,000 handwritten digits of 28x28 pixels: MLP 784-128-10, SGD at 0.1, momentum 0.9, batches of 64, 10 epochs.

    5,000 of the training images are held out as control; the test split is the official one.

    Raises:
        InputError: no such model.
    """
    return _task("mnist", model)


def fashion_mnist(model: Literal["mlp", "cnn"] = "mlp") -> Task:
    """60,000 pictures of clothes in the format of MNIST (arXiv:1708.07747), and its models and settings.

    Raises:
        InputError: no such model.
    """
    return _task("fashion_mnist", model)


def _task(name: str, model: str) -> Task:
    variant, pack = choose(model, MODELS, f"model of {name}"), PACKS[name]
    settings: dict[str, Any] = {} if model == "mlp" else {"model": model}
    return classification.task(
        name=render(name, (), settings),
        family="image",
        source=f"{pack.source}; 5,000 of the training images are held out as control",
        batch_size=64,
        epochs=10,
        peak_lrs=variant.peak_lrs,
        layers=variant.layers,
        load=partial(images.load, name),
        model=variant.build,
        prepare=from_bytes([0.0], [1.0]),
        chance="chance: 0.10; the majority class: 0.11" if name == "mnist" else "chance and the majority class: 0.10",
        margin=Margin(0.001, "a tenth of a point, ten of the 10,000 test images"),
    )
