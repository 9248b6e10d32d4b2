"""Detection in COCO's format with detectors of torchvision: COCO itself, blood cells, and any folder in this format.

Images are stretched to 320x320 when they are read (`annotations.py`), and training images are zoomed, shifted, mirrored
and recoloured (`augment.py`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.contract import Data, Margin, Task
from schedules.spec import choose, render
from tasks.data import places
from tasks.data.dataset import Pack
from tasks.data.registry import PACKS
from tasks.detection import anchor_free, augment
from tasks.detection.annotations import load

if TYPE_CHECKING:
    from torch import nn

HALF, IMAGENET = ((0.5,) * 3, (0.5,) * 3), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MODELS = {"ssdlite": HALF, "fasterrcnn": IMAGENET}
"""Builders in `tasks.detection.models`, with the mean and deviation by which each standardises its images."""

BACKBONES = {"scratch": False, "imagenet": True}
BATCH = 24
LAYOUT = (
    "annotations/instances_{train,val}2017.json next to train2017/ and val2017/, or instances_{train,val,test}.json or "
    "one file of annotations next to images/, in COCO's format"
)
BLIND = "mean boxes of the commonest class on a grid"


def coco(folder: str = "coco", model: str = "ssdlite", *, backbone: str = "scratch", batch_size: int = BATCH) -> Task:
    """COCO, or another folder in its format, `coco('cells')`: SSDLite320 or Faster R-CNN 320, both MobileNetV3.

    SGD with momentum 0.9, weight decay 4e-5: torchvision's recipe of SSDLite on one GPU, for 60 of its 660 epochs.
    Without a `test` part, 1 in 10 training images, 5,000 at most, are held out as control, and test is `val`. A folder
    of the user's own with one file of annotations is split by content (`tasks/own/splits.py`).

    Args:
        folder: A path, or the name of a folder in the one that --data names.
        model: ssdlite or fasterrcnn.
        backbone: `imagenet` for torchvision's weights, which have to lie in its cache.
        batch_size: Images of a batch, 24 at most for few of them.

    Raises:
        InputError: no such model or backbone.
    """
    place = folder if folder == "coco" else places.recorded("coco", folder)
    pack = PACKS["coco"] if place == "coco" else places.own("coco", place, LAYOUT)
    settings: dict[str, Any] = {} if place == "coco" else {"folder": place}
    settings |= {} if batch_size == BATCH else {"batch_size": batch_size}
    return _task("coco", pack, settings, model, backbone, batch_size=batch_size, epochs=60)


def bccd(model: str = "ssdlite", *, backbone: str = "scratch") -> Task:
    """BCCD: find red and white blood cells and platelets in 364 pictures of a microscope.

    The official parts train, val and test are train, control and test.

    Raises:
        InputError: no such model or backbone.
    """
    usual: dict[str, Any] = {"batch_size": 4, "epochs": 60, "eval_epochs": 4, "optimizer": "adamw"}
    usual |= {"weight_decay": 0.01, "peak_lrs": (5e-4, 2e-3), "chance": f"{BLIND}: mAP 0.004"}
    return _task("bccd", PACKS["bccd"], {}, model, backbone, **usual)


def _task(name: str, pack: Pack, settings: dict[str, Any], model: str, backbone: str, **usual: Any) -> Task:
    mean, std = choose(model, MODELS, f"model of {name}")
    pretrained = choose(backbone, BACKBONES, f"backbone of {name}")
    settings |= {} if model == "ssdlite" else {"model": model}
    settings |= {} if backbone == "scratch" else {"backbone": backbone}
    upright = name != "bccd"
    defaults: dict[str, Any] = {
        "name": render(name, (), settings),
        "family": "detection",
        "source": pack.source,
        "metric": "map",
        "direction": "max",
        "optimizer": "sgd(momentum=0.9)",
        "weight_decay": 4e-5,
        "peak_lrs": (0.01, 0.03, 0.1),
        "layers": "detector",
        "load": partial(_load, pack, upright),
        "model": partial(_model, model, pack, upright, usual["batch_size"], pretrained),
        "prepare": augment.from_bytes(mean, std, upright),
        "loss": anchor_free.total,
        "score": anchor_free.judged,
        "baseline": anchor_free.blind,
        "clip": 10.0,
        "chance": f"{BLIND}: the baseline",
        "margin": Margin(0.01, "one point of mAP"),
    }
    return Task(**defaults | usual)


def _load(pack: Pack, upright: bool) -> Data:
    return load(pack, upright).data


def _model(name: str, pack: Pack, upright: bool, batch: int, pretrained: bool) -> nn.Module:
    from tasks.detection import models

    classes = len(load(pack, upright).names)
    detector: nn.Module = getattr(models, name)(classes, batch, pretrained)
    return detector
