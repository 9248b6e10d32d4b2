"""Layers of a model, and the groups of its weights that differ in weight decay or by a multiplier of the LR.

The multipliers are fixed before training and follow from the model alone, so a move stays one LR, and cells with equal
moves share a member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

SCALE = "lr_scale"
"""Key of a group's multiplier of the LR, as timm names it; a group without it has 1."""


class Unit(NamedTuple):
    """Trained weights of one module, or those that a container holds beside its modules."""

    weights: list[Tensor]
    loose: bool  # held by a container


def layers(model: nn.Module) -> list[list[Tensor]]:
    """Trained weights layer by layer, from the input to the head, in the order in which the model registers them.

    A layer is an element of an `nn.Sequential` or `nn.ModuleList`, or a module that has none of these inside; modules
    around them and lists of lists are opened. What holds no weight with two or more axes (a norm, a class token)
    belongs to the layer before it, or to the first one. The last layer is the head: the model's last submodule with
    such a weight, as a whole. A shared weight counts where it is registered first.
    """
    merged: list[list[Tensor]] = []
    waiting: list[Tensor] = []
    for unit in _units(model):
        if not unit.loose and any(w.ndim > 1 for w in unit.weights):
            merged.append(waiting + unit.weights)
            waiting = []
        elif merged:
            merged[-1] += unit.weights
        else:
            waiting += unit.weights
    return merged or [waiting]


def hidden_matrices(model: nn.Module) -> list[Tensor]:
    """Trained weights with two axes outside of the head that are no embeddings.

    Embeddings are the weights of `nn.Embedding`, and those that a container holds itself (positions, class tokens).
    """
    from torch import nn

    head = {id(w) for w in layers(model)[-1]}
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    weights = (w for unit in _units(model) if not unit.loose for w in unit.weights)
    return [w for w in weights if w.ndim == 2 and id(w) not in head | tables]


def multipliers(model: nn.Module, layer_decay: float, head: float) -> dict[Tensor, float]:
    """Multiplier of the LR of each trained weight.

    With L layers, layer i = 1 .. L has layer_decay^(L - i), and the head, which is layer L, `head` (ELECTRA,
    arXiv:2003.10555; the layers are those of `layers`).
    """
    every = layers(model)
    factors = [layer_decay ** (len(every) - i) for i in range(1, len(every) + 1)]
    factors[-1] *= head
    return {w: factor for layer, factor in zip(every, factors, strict=True) for w in layer}


def groups(
    model: nn.Module, decays: Callable[[Tensor], bool], weight_decay: float, factors: Mapping[Tensor, float]
) -> list[dict[str, Any]]:
    """Groups of the trained weights for an optimizer of torch: those that decay first, then by multiplier.

    Args:
        model: The module.
        decays: Whether weight decay applies to a weight.
        weight_decay: That of the groups that decay.
        factors: Multipliers of the LR; weights that are not in it have 1.
    """
    members: dict[tuple[bool, float], list[Tensor]] = {}
    for weight in model.parameters():
        if weight.requires_grad:
            members.setdefault((not decays(weight), factors.get(weight, 1.0)), []).append(weight)
    ordered = sorted(members.items(), key=lambda item: item[0][0])  # a stable sort
    return [
        {"params": weights, "weight_decay": 0.0 if exempt else weight_decay} | ({} if factor == 1 else {SCALE: factor})
        for (exempt, factor), weights in ordered
    ]


def _units(model: nn.Module) -> Iterator[Unit]:
    """Units of a model in the order of registration, each weight once; the head is one unit."""
    yielded: set[int] = set()
    for unit in _walk(model, _head(model)):
        fresh = [w for w in unit.weights if w.requires_grad and id(w) not in yielded]
        yielded.update(map(id, fresh))
        if fresh:
            yield Unit(fresh, unit.loose)


def _head(model: nn.Module) -> nn.Module:
    """The last submodule with a matrix, at the first place where more than one submodule has trained weights."""
    while (only := _only(model)) is not None:
        model = only
    matrices = [m for m in model.children() if any(w.requires_grad and w.ndim > 1 for w in m.parameters())]
    return matrices[-1] if matrices else model


def _only(module: nn.Module) -> nn.Module | None:
    """The submodule with all trained weights of a module around it; None if there is none."""
    children = [m for m in module.children() if any(w.requires_grad for w in m.parameters())]
    own = any(w.requires_grad for w in module.parameters(recurse=False))
    return children[0] if len(children) == 1 and not own else None


def _walk(module: nn.Module, head: nn.Module, opened: bool = True) -> Iterator[Unit]:
    """Units of a module. It is opened if `opened`, or if it is a list; else it is one unit."""
    from torch import nn

    lists = nn.Sequential, nn.ModuleList
    children = list(module.children())
    if module is head or not children or not (opened or isinstance(module, lists)):
        yield Unit(list(module.parameters()), loose=False)
        return
    yield Unit(list(module.parameters(recurse=False)), loose=True)
    only = _only(module)
    for child in children:
        has_lists = any(isinstance(m, lists) for m in child.modules())
        opens = opened if child is only else has_lists and not isinstance(module, lists)
        yield from _walk(child, head, opens)
