"""From a formula to a schedule: the decorator, the schedules that it builds, and functions on schedules and states."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile, zip_longest
from typing import Any, get_type_hints

from schedules.arguments import fit
from schedules.contract import Clock, InputError, Schedule, Setting, Signals
from schedules.spec import render

DOMAINS: dict[str, tuple[Callable[[Clock], Any], str | None]] = {
    "progress": (lambda clock: clock.progress, "relative"),
    "epoch": (lambda clock: clock.epoch, "absolute"),
    "clock": (lambda clock: clock, None),
}
"""Variable of a curve and the horizon that follows from it, by the name of the first parameter."""


@dataclass(frozen=True)
class BuiltSchedule:
    """A schedule with its settings. Schedules with equal texts are equal."""

    text: str
    machine: Any = field(compare=False)  # the decorated function or class, with its settings
    needs: frozenset[str] = field(compare=False)
    horizon: str = field(compare=False)

    def __repr__(self) -> str:
        return self.text

    def __deepcopy__(self, memo: Any) -> BuiltSchedule:
        return self

    def __reduce__(self) -> Any:
        """Pickle the text alone, and build the schedule from it again: not every machine can be pickled."""
        return _from_text, (self.text,)

    def init(self) -> Any:
        """State before update 0: None or a (nested) tuple of numbers."""
        return self.machine.init()

    def __call__(self, state: Any, clock: Clock, signals: Signals | None = None) -> tuple[Setting, Any]:
        """Setting for the update at `clock.step`, and the next state. Pure."""
        answer, state = self.machine(state, clock, signals)
        return answer if isinstance(answer, Setting) else Setting(answer), state

    def at(self, *points: float) -> tuple[float, ...]:
        """Factors of a curve at points of progress, or at epochs if it is a function of epochs.

        Not for combinators, which count updates: see `factors`.
        """
        clocks = [Clock(point, 1, 1, 1.0) for point in points]  # type: ignore[arg-type]  # progress and epoch are both the point
        return tuple(self(None, clock)[0].factor for clock in clocks)


def _from_text(text: str) -> Schedule[Any]:
    import schedules  # late: the package imports this module

    return schedules.parse(text)


@dataclass(frozen=True, slots=True)
class Curve:
    """Machine of an open-loop schedule: a function of its variable, without state."""

    function: Callable[..., float | Setting]
    variable: Callable[[Clock], Any] | None  # its value at a clock; None for a function of settings alone
    settings: dict[str, Any]

    def init(self) -> None:
        return None

    def __call__(self, state: Any, clock: Clock, signals: Signals | None) -> tuple[float | Setting, Any]:
        point = () if self.variable is None else (self.variable(clock),)
        return self.function(*point, **self.settings), state


class Combinator:
    """Base of combinators around one schedule, with its needs, horizon and state; a subclass may override each."""

    __slots__ = ()
    inner: Schedule[Any]

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs

    @property
    def horizon(self) -> str:
        return self.inner.horizon

    def init(self) -> Any:
        return self.inner.init()


def schedule(
    *, paper: str, needs: Iterable[str] = (), horizon: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., BuiltSchedule]]:
    """Make a factory of schedules from a formula. It registers nothing: `schedules.CATALOGUE` is written by hand.

    A function `curve(progress, *, settings)` is open loop. The name of its first parameter is its variable: `progress`
    (the horizon is relative), `epoch` (absolute) or `clock` (then `horizon` is required). Without one the horizon is
    "none". A frozen dataclass with `init()` and `__call__(state, clock, signals)` is a closed-loop schedule, a
    combinator, or a curve with settings that are checked together. If it has `needs` and `horizon` of its own, they
    override the arguments. Both kinds return a factor or a `Setting`.
    Settings are checked against their annotations (`schedules.arguments`) when a schedule is built.

    Raises:
        TypeError: the first parameter has another name, or the horizon is missing.
    """

    def decorate(rule: Callable[..., Any]) -> Callable[..., BuiltSchedule]:
        make, usual_horizon, parameters = _interpret(rule, horizon)
        signature = inspect.Signature(parameters)

        def factory(*args: Any, **kwargs: Any) -> BuiltSchedule:
            call = signature.bind(*args, **kwargs)
            for name, value in call.arguments.items():
                call.arguments[name] = fit(rule.__name__, name, value, signature.parameters[name].annotation)
            call.apply_defaults()
            settings = call.arguments
            machine = make(**settings)
            if isinstance(rule, type):  # a class may change its settings, as `refined` fills in its digest
                settings.update({name: getattr(machine, name, value) for name, value in settings.items()})
            text = _text(rule.__name__, parameters, settings)
            signals = frozenset(getattr(machine, "needs", needs))
            return BuiltSchedule(text, machine, signals, getattr(machine, "horizon", usual_horizon))

        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(factory, name, getattr(rule, name))
        vars(factory).update(paper=paper, horizon=usual_horizon, formula=formula(rule), __signature__=signature)
        return factory

    return decorate


def _interpret(rule: Any, horizon: str | None) -> tuple[Callable[..., Any], str, list[inspect.Parameter]]:
    """Function that makes the machine from its settings, the horizon, and the settings with their annotations."""
    hints = get_type_hints(rule, include_extras=True)
    settings = [p.replace(annotation=hints.get(p.name, Any)) for p in inspect.signature(rule).parameters.values()]
    if isinstance(rule, type):
        return rule, horizon or "none", settings
    variable = None
    if settings and settings[0].kind is not inspect.Parameter.KEYWORD_ONLY:
        first = settings.pop(0).name
        if first not in DOMAINS:
            raise TypeError(f"{rule.__name__}({first}, ...): the first parameter is one of {', '.join(DOMAINS)}")
        variable, usual_horizon = DOMAINS[first]
        horizon = usual_horizon or horizon
        if horizon is None:
            raise TypeError(
                f"{rule.__name__}({first}, ...): say the horizon, as in @schedule(paper=..., horizon='none')"
            )
    return lambda **values: Curve(rule, variable, values), horizon or "none", settings


def _text(name: str, parameters: list[inspect.Parameter], settings: dict[str, Any]) -> str:
    """Canonical call: without settings at their defaults, and with 1 for 1.0."""
    keywords = {p.name: _plain(settings[p.name]) for p in parameters if settings[p.name] != p.default}
    leading = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY and p.default is p.empty]
    return render(name, [keywords.pop(name) for name in leading], keywords)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() and value < 1e6 else value


def formula(rule: Any) -> str:
    """The first indented block of a docstring."""
    lines = inspect.cleandoc(rule.__doc__ or "").split("\n")
    start = next((i for i, line in enumerate(lines) if line.startswith("    ")), len(lines))
    block = list(takewhile(lambda line: not line or line.startswith("    "), lines[start:]))
    return textwrap.dedent("\n".join(block)).strip()


def factors(schedule: Schedule[Any], total: int, epoch_steps: int, peak_lr: float) -> list[Setting]:
    """Settings of an open-loop schedule at each of `total` updates."""
    state, settings = schedule.init(), []
    for step in range(total):
        setting, state = schedule(state, Clock(step, total, epoch_steps, peak_lr), None)
        settings.append(setting)
    return settings


def curve(settings: Sequence[Setting], points: int = 200) -> dict[str, list[float]]:
    """Curve as ledgers store it: `progress` and `factor` at `points` + 1 evenly spaced updates, ends included."""
    total = len(settings)
    steps = sorted({i * (total - 1) // points for i in range(points + 1)})
    return {"progress": [step / total for step in steps], "factor": [settings[step].factor for step in steps]}


def steer(optimizer: Any, group: dict[str, Any], lr: float, momentum: float | None) -> None:
    """Set a group's LR and its momentum (Adam's first beta); None restores the momentum of the optimizer's defaults.

    Raises:
        InputError: a momentum for an optimizer without one.
    """
    group["lr"] = lr
    defaults = optimizer.defaults
    if "momentum" in defaults:
        group["momentum"] = defaults["momentum"] if momentum is None else momentum
    elif defaults.get("betas"):
        beta1, *others = defaults["betas"]
        group["betas"] = (beta1 if momentum is None else momentum, *others)
    elif momentum is not None:
        raise InputError(f"{type(optimizer).__name__} has no momentum to cycle: use sgd, rmsprop or Adam's family")


def pack(state: Any) -> Any:
    """State of a schedule as numbers and (nested) lists of numbers, for a checkpoint."""
    return [pack(part) for part in state] if isinstance(state, tuple) else state


def unpack(like: Any, packed: Any) -> Any:
    """State from its packed form. `like` is the schedule's `init()`, which shows the named tuples.

    Tuples that have grown since, or that `init()` does not have, become plain tuples.
    """
    if not isinstance(packed, list):
        return packed
    examples = like if isinstance(like, tuple) else ()
    parts = [unpack(*pair) for pair in zip_longest(examples[: len(packed)], packed)]
    if hasattr(like, "_fields") and len(like) == len(packed):
        return type(like)(*parts)
    return tuple(parts)


def same(one: Any, other: Any) -> bool:
    """Equality of two states in every bit and type; NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)
