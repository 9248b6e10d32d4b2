"""Models of timm, given as `timm:resnet18` in a task's settings, with random initial weights."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.contract import InputError

if TYPE_CHECKING:
    from torch import nn

PREFIX = "timm:"


def builder(name: str, classes: int, side: int) -> Callable[[], nn.Module]:
    """Builder of the timm model `timm:NAME`, for colour images of `side` pixels and that many classes.

    Raises:
        InputError: timm has no such model.
    """
    import timm

    bare = name.removeprefix(PREFIX)
    if not timm.is_model(bare):
        near = difflib.get_close_matches(bare, timm.list_models(), 3)
        hint = f" (did you mean {' or '.join(PREFIX + n for n in near)}?)" if near else ""
        raise InputError(f"unknown model {name!r}{hint}; timm.list_models() lists all")
    return partial(_build, bare, classes, side)


def _build(name: str, classes: int, side: int) -> nn.Module:
    import timm

    config = timm.get_pretrained_cfg(name)
    fixed: dict[str, Any] = {"img_size": side} if config is not None and config.fixed_input_size else {}
    model: nn.Module = timm.create_model(name, num_classes=classes, **fixed)
    return model
