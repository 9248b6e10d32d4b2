"""The engines and the rule that chooses between them. Torch is imported only when an engine is created."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from typing import Any, get_args

from bench.contract import Engine, EngineName, InputError, Task
from bench.engine.loader import Loader
from bench.layers import LAYERS
from bench.numerics import USUAL, Arithmetic, Precision, settle
from bench.strategies import optimizers

STACKING: tuple[EngineName, ...] = ("stacked", "compiled")
"""Engines that look at all members at once."""

PRECISIONS: dict[EngineName, tuple[Precision, ...]] = {
    "stacked": ("fp32", "tf32"),
    "compiled": ("fp32", "tf32"),
    "rowwise": ("fp32", "tf32", "bf16"),
}
"""Precisions of the engines whose members are rows; they have no micro-batches, and don't compile models."""

FEWEST = 4
"""Cells from which stacking pays."""

STACKED_LAYERS = tuple(name for name, facts in LAYERS.items() if facts.stacking_pays)

RULE = (
    f"auto: stacked for {FEWEST} cells or more with an optimizer of {', '.join(sorted(optimizers.STACKABLE))}, "
    f"for the layers {', '.join(STACKED_LAYERS)}; modules otherwise; compiled and rowwise by their names only"
)  # never compiled: its bits differ, and a plan must not depend on whether a machine has a compiler, or a GPU


def choose(task: Task, optimizer: str, cells: int, wish: str = "auto", arithmetic: Arithmetic = USUAL) -> EngineName:
    """The engine of a cohort: the one that `wish` names, or for `auto` the one that RULE gives.

    Raises:
        InputError: an unknown engine, or one that does not support the task, the optimizer, the
            arithmetic or the machine.
    """
    name = optimizers.parse(optimizer).name
    if wish == "modules":
        return "modules"
    if wish == "auto":
        pays = LAYERS[task.layers].stacking_pays and computes("stacked", arithmetic)
        return "stacked" if pays and cells >= FEWEST and name in optimizers.STACKABLE else "modules"
    engine = next((each for each in PRECISIONS if each == wish), None)
    if engine is None:
        raise InputError(f"unknown engine {wish!r}; there are: auto, {', '.join(get_args(EngineName))}")
    require(name, wish)
    if engine in STACKING and (reason := LAYERS[task.layers].unstackable):
        raise InputError(f"the {wish} engine has no {reason} ({task.name}): use --engine modules")
    if not computes(engine, arithmetic):
        raise InputError(f"the {wish} engine has no {arithmetic.text}: use --engine modules")
    if engine == "compiled" and not shutil.which(compiler()):
        raise InputError(
            f"the compiled engine needs a C++ compiler, and there is no {compiler()}: install one, name it by CXX, "
            "or use --engine stacked"
        )
    return engine


def computes(engine: EngineName, arithmetic: Arithmetic) -> bool:
    """True if an engine whose members are rows has this arithmetic."""
    usual = replace(arithmetic, processes=1, precision=USUAL.precision) == USUAL
    return usual and arithmetic.precision in PRECISIONS[engine]


def compiler() -> str:
    """The C++ compiler that torch calls."""
    return os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")


def check_parts(task: Task, arithmetic: Arithmetic) -> None:
    """Refuse a batch that cannot be split equally over processes and micro-batches.

    Raises:
        InputError: names the batch and the parts.
    """
    if task.batch_size % arithmetic.micro_batches:
        parts = f"{arithmetic.processes} processes x {arithmetic.accumulate} micro-batches"
        raise InputError(f"{task.name}: a batch of {task.batch_size} has no equal parts for {parts}")


def require(optimizer: str, engine: str = "stacked") -> None:
    """Refuse an optimizer that cannot be stacked.

    Raises:
        InputError: names those that can.
    """
    if optimizer not in optimizers.STACKABLE:
        able = ", ".join(sorted(optimizers.STACKABLE))
        raise InputError(f"the {engine} engine has no {optimizer}: use --engine modules, or one of {able}")


def create(
    name: EngineName,
    loader: Loader,
    optimizer: str,
    weight_decay: float,
    accelerator: Any = None,
    arithmetic: Arithmetic = USUAL,
) -> Engine:
    """Create an engine with one member at its initial weights, and settle how this process computes on its device.

    Raises:
        InputError: the engine cannot train the optimizer or the model.
    """
    settle(arithmetic, loader.device)
    if name == "compiled" or arithmetic.backend == "inductor":
        from bench.engine.stacked import program_cache

        program_cache.mend()
    parsed = optimizers.parse(optimizer)
    if name != "modules":
        require(parsed.name, name)
    if name == "rowwise":
        from bench.engine.rowwise.engine import Rowwise

        return Rowwise(loader, parsed, weight_decay, accelerator, arithmetic)
    if name == "compiled":
        from bench.engine.stacked.compiled import Compiled

        return Compiled(loader, parsed, weight_decay, accelerator)
    if name == "stacked":
        from bench.engine.stacked.engine import Stacked

        return Stacked(loader, parsed, weight_decay, accelerator)
    from bench.engine.modules import Modules

    return Modules(loader, parsed, weight_decay, accelerator, arithmetic)
