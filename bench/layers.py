"""Kinds of models by their layers: the one list from which costs, engines and memory formats derive."""

from __future__ import annotations

from typing import NamedTuple

from bench.contract import Layers


class LayerFacts(NamedTuple):
    """Costs and abilities of a kind of layers."""

    seconds: float  # rough cost of a member's step on one CPU thread: it orders the work
    stacking_pays: bool = False  # trains faster stacked: measured on a CPU, expected on a GPU
    unstackable: str = ""  # why vmap cannot stack it; empty where it can
    images: bool = False  # 2-D convolutions, which are faster in channels_last on a CPU


LAYERS: dict[Layers, LayerFacts] = {
    "mlp": LayerFacts(1.5e-4, stacking_pays=True),
    "conv1d": LayerFacts(5e-4, stacking_pays=True),
    "recurrent": LayerFacts(1e-3, unstackable="recurrent layers"),
    "conv2d": LayerFacts(6e-3, images=True),
    "residual": LayerFacts(0.2, images=True),
    "transformer": LayerFacts(3.5e-3, stacking_pays=True),
    "detector": LayerFacts(0.6, unstackable="detectors, where the number of boxes decides shapes", images=True),
    "large": LayerFacts(1.0, unstackable="encoders of transformers, whose attention vmap has no rule for"),
}
