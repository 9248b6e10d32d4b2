"""Models of one's own, wherever a task takes a model: `my_model.py:Net(width=64)`, `mypkg.mod:Net`, `timm:resnet18`.

A model of one's own is a class of `torch.nn.Module`, or a function that returns a new module. It is called with its
settings and, where it has parameters of these names that are left open, with facts of the task: `classes` (also as
`num_classes`) and `channels`. It takes the inputs of the task's built-in model, and its output has the same shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from bench.contract import InputError, Layers
from schedules import spec
from tasks import own_code
from tasks.image import timm_models

if TYPE_CHECKING:
    from torch import nn

Facts: TypeAlias = "Callable[[], Mapping[str, Any]]"

FACTS = {"classes": "classes", "num_classes": "classes", "channels": "channels"}
"""Parameters of a model that get a fact of the task."""

TYPICAL = {"classes": 2, "channels": 3, "side": 32}
"""Facts with which a model is built to look at its layers."""


def is_own(text: object) -> bool:
    """True for the text of a model of the user's own or of timm.

    >>> [is_own(t) for t in ("my_model.py:Net(width=64)", "pkg.mod:Net", "timm:resnet18", "mlp", "org/name")]
    [True, True, True, False, False]
    """
    return isinstance(text, str) and re.match(rf"(?:['\"].*)?(?:{spec.REFERENCE})", text) is not None


@dataclass(frozen=True)
class OwnModel:
    """A model of the user's own or of timm."""

    text: str  # canonical, with the digest of its code: my_model.py:Net@1f0c9a77(width=64)
    facts: Facts  # of the task: classes, channels and, for timm, the side of the images
    usual: Callable[[], nn.Module] | None = None  # the task's built-in model, whose output has the right shape

    def __call__(self) -> nn.Module:
        """A new module; its initial weights come from torch's global generator.

        Raises:
            InputError: in place of any exception, or if it is no module.
        """
        return _build(self.text, self.facts())

    @property
    def layers(self) -> Layers:
        """Kind of its layers, by a look at one with few classes."""
        return _layers(self.text)


def resolve(text: str, facts: Facts, usual: Callable[[], nn.Module] | None = None) -> OwnModel:
    """The model of a text, with its digest; its file is executed, no model is built.

    Args:
        text: `my_model.py:Net(width=64)`, `mypkg.mod:Net` or `timm:resnet18`.
        facts: Gives the facts of the task, when a model is built: {"classes": 10, "channels": 3, "side": 32}, or some.
        usual: The built-in model of the task.

    Raises:
        InputError: no such file, class or model, another version of it, or wrong settings.
    """
    call = spec.parse(text)
    if call.name.startswith(timm_models.PREFIX):
        if call.args or call.kwargs:
            raise InputError(f"model {text}: a model of timm has no settings here; a class of your own can pass some")
        timm_models.builder(call.name, TYPICAL["classes"], TYPICAL["side"])
        return OwnModel(call.name, facts, usual)
    return OwnModel(own_code.read(call, "model", FACTS).text, facts, usual)


def _build(text: str, values: Mapping[str, Any]) -> nn.Module:
    from torch import nn

    call = spec.parse(text)
    if call.name.startswith(timm_models.PREFIX):
        return _timm(call.name, values)
    own = own_code.read(call, "model", FACTS)
    model = own.make({name: values[fact] for name, fact in FACTS.items() if own.takes(name) and fact in values})
    if not isinstance(model, nn.Module):
        raise InputError(f"{own.subject}: it should give a torch.nn.Module, not {type(model).__name__}")
    return model


def _timm(name: str, facts: Mapping[str, Any]) -> nn.Module:
    """A model of timm, which sees grey images in three equal channels."""
    classes, channels, side = (facts.get(fact) for fact in TYPICAL)
    if classes is None or side is None or channels not in (1, 3):
        raise InputError(f"model {name}: a model of timm sorts images of 1 or 3 channels into classes")
    model = timm_models.builder(name, classes, side)()
    if channels == 3:
        return model
    from tasks.models import Grey

    return Grey(model)


@cache
def _layers(text: str) -> Layers:
    import torch

    with torch.random.fork_rng(devices=[]):
        return layers_of(_build(text, TYPICAL))


def layers_of(model: nn.Module) -> Layers:
    """Kind of a model's layers, by the modules in it; it decides the engine and the memory format."""
    from torch import nn

    kinds = list(model.modules())

    def count(*types: type) -> int:
        return sum(isinstance(module, types) for module in kinds)

    convolutions = count(nn.Conv2d, nn.Conv3d)
    if any(type(module).__module__.startswith("torchvision.models.detection") for module in kinds):
        return "detector"
    if count(nn.RNNBase, nn.RNNCellBase):
        return "recurrent"
    if any("attention" in type(module).__name__.lower() for module in kinds):
        return "large"
    if convolutions:
        return "residual" if convolutions >= MANY else "conv2d"
    return "conv1d" if count(nn.Conv1d) else "mlp"


MANY = 10
"""Convolutions from which a network costs like a residual one."""
