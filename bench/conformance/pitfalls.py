"""Known traps of schedules in other code, tried out with the installed versions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from math import exp
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

from bench.conformance.agreement import judge
from bench.conformance.factors import LibraryComparison, optimizer, version


class Trap(NamedTuple):
    """A trap that was tried out."""

    title: str
    library: str  # with its version; for a formula, its origin
    expected: str
    observed: str
    shows: bool  # whether the observed behaviour differs from the expected one


# ----------------------------------------------------------------------- formulas of REX in public code


def _tenths(x: float) -> float:
    return (1 - x) / (0.1 + 0.9 * (1 - x)) if x < 1 else 1.0  # `last_epoch % num_epochs`: from the start again


def _unpeaked(x: float) -> float:
    return (1 - x) / (1 - x / 2) if x else 0.0


def _root(x: float) -> float:
    return float((1 - x) ** 0.6)


def _valley(x: float) -> float:
    return exp(-10 * x) if x < 0.5 else exp(10 * (x - 1))


def _rex(source: str, formula: Callable[[float], float]) -> Trap:
    def values(rule: Callable[[float], float]) -> list[float]:
        return [rule(t / 100) for t in range(101)]

    def paper(x: float) -> float:
        return (1 - x) / (0.5 + 0.5 * (1 - x))

    def words(factors: list[float]) -> str:
        return ", ".join(f"{factors[t]:.4g} at {t} %" for t in (0, 50, 90, 100))

    expected, observed = values(paper), values(formula)
    shows = judge(expected, observed).kind != "equal"
    return Trap(f"REX: {source}", "its formula, written anew", words(expected), words(observed), shows)


# -------------------------------------------------------------------------------------------- torch


def _advance(scheduler: Any, o: Any, updates: int) -> None:
    for _ in range(updates):
        o.step()
        scheduler.step()


def _lr(o: Any) -> float:
    return float(o.param_groups[0]["lr"])


def _climb() -> Trap:
    from torch.optim.lr_scheduler import CosineAnnealingLR

    o = optimizer()
    scheduler = CosineAnnealingLR(o, 100)
    _advance(scheduler, o, 100)
    low = _lr(o)
    _advance(scheduler, o, 100)
    return _torch(
        "CosineAnnealingLR stepped on past T_max", f"stays at {low:.3g}", f"{_lr(o):.3g} at 2 T_max", _lr(o) > low
    )


def _warm_cosine(o: Any, last: int = -1) -> Any:
    from torch.optim import lr_scheduler as lr

    parts = [lr.LinearLR(o, 0.1, 1.0, 10), lr.CosineAnnealingLR(o, 90)]
    return lr.SequentialLR(o, parts, [10], last_epoch=last)


def _resumed(title: str, make: Callable[..., Any], last: int, *, load: bool) -> Trap:
    """Train 50 updates, save, build the scheduler for a restored optimizer, and take one more update."""
    o = optimizer()
    scheduler = make(o)
    _advance(scheduler, o, 50)
    restored = optimizer()
    restored.load_state_dict(o.state_dict())
    resumed = make(restored, last) if last >= 0 else make(restored)
    if load:
        resumed.load_state_dict(scheduler.state_dict())
    before, after = _lr(o), _lr(restored)
    _advance(scheduler, o, 1)
    _advance(resumed, restored, 1)
    expected, observed = f"{before:.4g}, then {_lr(o):.4g}", f"{after:.4g}, then {_lr(restored):.4g}"
    return _torch(title, f"LR of update 50, and of the next: {expected}", observed, observed != expected)


def _half(o: Any) -> Any:
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(o, lambda t: 1 - t / 100)


def _longer() -> Trap:
    from torch.optim.lr_scheduler import OneCycleLR

    o = optimizer()
    scheduler = OneCycleLR(o, 1.0, total_steps=100)
    _advance(scheduler, o, 50)
    longer = OneCycleLR(optimizer(), 1.0, total_steps=200)
    longer.load_state_dict(scheduler.state_dict())
    total = int(longer.total_steps)
    title = "OneCycleLR for 200 updates, loaded from one for 100"
    return _torch(title, "total_steps 200", f"total_steps {total}", total != 200)


def _torch(title: str, expected: str, observed: str, shows: bool) -> Trap:
    return Trap(title, f"torch {version('torch')}", expected, observed, shows)


# ------------------------------------------------------------------------------- accelerate, transformers


def _accelerate(
    title: str, unit: str, make: Callable[[Any], Any], stop: Callable[[float], bool], *metrics: float
) -> Trap:
    """Steps until `stop(LR)`, with the wrapper of `accelerator.prepare` in 1 process and as if in 4.

    Args:
        title: Title of the trap, without the number of processes.
        unit: Unit of the number of steps, in words.
        make: Builds the scheduler of an optimizer.
        stop: Whether an LR ends the count.
        metrics: Arguments of each step.
    """
    from accelerate.scheduler import AcceleratedScheduler

    def steps(processes: int) -> int:
        o = optimizer()
        scheduler = AcceleratedScheduler(make(o), SimpleNamespace(step_was_skipped=False))
        with mock.patch("accelerate.scheduler.AcceleratorState", return_value=SimpleNamespace(num_processes=processes)):
            for t in range(1, 2000):
                o.step()
                scheduler.step(*metrics)
                if stop(_lr(o)):
                    return t
        return 0

    one, four = steps(1), steps(4)
    library = f"accelerate {version('accelerate')}"
    return Trap(f"{title}, on 4 processes", library, f"{one} {unit}", f"{four} {unit}", four != one)


def _processes() -> Trap:
    from torch.optim.lr_scheduler import LinearLR

    title, unit = "A linear decay over 1000 updates", "updates until LR 0"
    return _accelerate(title, unit, lambda o: LinearLR(o, 1.0, 0.0, 1000), lambda lr: lr == 0)


def _evaluations() -> Trap:
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    title, unit = "ReduceLROnPlateau with patience 3", "evaluations without progress until the first cut"
    return _accelerate(title, unit, lambda o: ReduceLROnPlateau(o, patience=3), lambda lr: lr < 1, 1.0)


def _greedy() -> Trap:
    from transformers.optimization import get_greedy_schedule

    o = optimizer(2e-5)
    scheduler = get_greedy_schedule(o)
    for _ in range(100):
        scheduler.step(1.0)
    title = "GreedyLR with its defaults, at the fine-tuning LR 2e-5, 100 evaluations without progress"
    lr = _lr(o)
    return Trap(title, f"transformers {version('transformers')}", "below 2e-05", f"{lr:g}", not lr < 2e-5)


TRAPS: tuple[Callable[[], Trap], ...] = (
    partial(_rex, "IvanVassi/REX_LR, much copied", _tenths),
    partial(_rex, "pytorch_optimizer", _unpeaked),
    partial(_rex, "a public file citing a paper that is not there", _root),
    partial(_rex, "a public file with two exponentials", _valley),
    _climb,
    partial(_resumed, "SequentialLR resumed by last_epoch=49", _warm_cosine, 49, load=False),
    partial(_resumed, "SequentialLR built after the optimizer was loaded", _warm_cosine, -1, load=True),
    partial(_resumed, "LambdaLR built after the optimizer was loaded", _half, -1, load=True),
    _longer,
    _processes,
    _evaluations,
    _greedy,
)


def tried() -> list[Trap]:
    """All traps, tried out with the installed versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own
        return [trap() for trap in TRAPS]


def offsets(comparisons: Iterable[LibraryComparison]) -> list[Trap]:
    """The calls that are off by one or two steps, or were expected to be."""
    steps = ("late", "early")
    traps = []
    for comparison in comparisons:
        name, equivalent, finding = comparison.library.name, comparison.equivalent, comparison.finding
        if finding.kind in steps or equivalent.expected in steps:
            title, expected = f"Off by a step: {equivalent.call}", f"equal to {equivalent.schedule}"
            traps.append(Trap(title, f"{name} {version(name)}", expected, finding.text, finding.kind in steps))
    return traps
