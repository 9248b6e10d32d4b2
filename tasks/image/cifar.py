"""CIFAR-10 and CIFAR-100, with the residual networks of their family or any model of timm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.contract import Margin, Task
from schedules.spec import choose, render
from tasks import classification
from tasks.data.registry import PACKS
from tasks.image import images, timm_models
from tasks.image.augment import crop_and_flip, from_bytes

if TYPE_CHECKING:
    from torch import nn

LAYERS = {f"resnet{layers}": layers for layers in (20, 32, 56)}
SIDE = 32
MEANS = {"cifar10": (0.4914, 0.4822, 0.4465), "cifar100": (0.5071, 0.4865, 0.4409)}
DEVIATIONS = {"cifar10": (0.2470, 0.2435, 0.2616), "cifar100": (0.2673, 0.2564, 0.2762)}
"""Means and standard deviations of each channel over the training images, in the usual rounding."""


def cifar10(model: str = "resnet20") -> Task:
    """CIFAR-10 with ResNet-20, -32 or -56, or a model of timm, `cifar10(model='timm:resnet18')`.

    He et al. (arXiv:1512.03385, section 4.2): batches of 128, SGD at 0.1 with momentum 0.9, weight decay 1e-4, padded
    crops and mirroring, 45,000 images to learn from and 5,000 held out. 300 epochs, the full budget of REX
    (arXiv:2107.04197) for ResNet-20.

    Raises:
        InputError: no such model.
    """
    return _task("cifar10", model, 10)


def cifar10_jpeg_q75(model: str = "resnet20") -> Task:
    """CIFAR-10 (JPEG q75): the same images after a lossy compression, so figures are not those of CIFAR-10.

    All settings are those of `cifar10`.

    Raises:
        InputError: no such model.
    """
    return _task("cifar10_jpeg_q75", model, 10)


def cifar100(model: str = "resnet20") -> Task:
    """CIFAR-100, its 100 fine labels, with the models and settings of `cifar10`.

    Raises:
        InputError: no such model.
    """
    return _task("cifar100", model, 100)


def _task(name: str, model: str, classes: int) -> Task:
    pack, of = PACKS[name], "cifar100" if classes == 100 else "cifar10"
    settings: dict[str, Any] = {} if model == "resnet20" else {"model": model}
    return classification.task(
        name=render(name, (), settings),
        family="image",
        source=f"{pack.source}; 5,000 of the training images are held out as control",
        batch_size=128,
        epochs=300,
        weight_decay=1e-4,
        peak_lrs=(0.03, 0.1, 0.3),
        layers="residual",
        load=partial(images.load, name, classes),
        model=_model(model, classes, name),
        prepare=from_bytes(MEANS[of], DEVIATIONS[of], crop_and_flip),
        eval_epochs=3,
        chance=f"chance and the majority class: {1 / classes:.2f}",
        margin=Margin(0.002, "a fifth of a point, as papers on CIFAR report it between strong methods"),
    )


def _model(name: str, classes: int, task: str) -> Callable[[], nn.Module]:
    if name.startswith(timm_models.PREFIX):
        return timm_models.builder(name, classes, SIDE)
    return partial(_resnet, choose(name, LAYERS, f"model of {task}, besides any timm:NAME,"), classes)


def _resnet(layers: int, classes: int) -> nn.Module:
    from tasks.image.resnet import resnet

    return resnet(layers, classes)
