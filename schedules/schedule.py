"""From a formula to a schedule: the decorator, and what a built schedule can do."""

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

SEES: dict[str, tuple[Callable[[Clock], Any], str | None]] = {
    "progress": (lambda clock: clock.progress, "relative"),
    "epoch": (lambda clock: clock.epoch, "absolute"),
    "clock": (lambda clock: clock, None),
}
"""What the first parameter's name says: what a curve is drawn over, and the horizon that follows from it."""


@dataclass(frozen=True)
class Built:
    """A schedule with its settings. Equal texts are equal schedules."""

    text: str
    machine: Any = field(compare=False)  # what was decorated, with its settings
    needs: frozenset[str] = field(compare=False)
    horizon: str = field(compare=False)

    def __repr__(self) -> str:
        return self.text

    def __deepcopy__(self, memo: Any) -> Built:
        return self

    def __reduce__(self) -> Any:
        """Pickled by its text, from which it is built anew: its machine may hold what cannot be pickled."""
        return _rebuilt, (self.text,)

    def init(self) -> Any:
        """State before update 0: None or a (nested) tuple of numbers."""
        return self.machine.init()

    def __call__(self, state: Any, clock: Clock, seen: Signals | None = None) -> tuple[Setting, Any]:
        """Setting for the update at `clock.step`, and the next state. Pure."""
        answer, state = self.machine(state, clock, seen)
        return answer if isinstance(answer, Setting) else Setting(answer), state

    def at(self, *points: float) -> tuple[float, ...]:
        """Factors of a curve at points of progress, or of epochs if it is drawn over epochs.

        Combinators count updates, which a point lacks: see `factors`.
        """
        clocks = [Clock(point, 1, 1, 1.0) for point in points]  # type: ignore[arg-type]  # either quotient is the point
        return tuple(self(None, clock)[0].factor for clock in clocks)


def _rebuilt(text: str) -> Schedule[Any]:
    import schedules  # which builds on this module

    return schedules.parse(text)


@dataclass(frozen=True, slots=True)
class Curve:
    """An open-loop schedule's machine: a function of what it sees, without state."""

    function: Callable[..., float | Setting]
    sees: Callable[[Clock], Any] | None
    settings: dict[str, Any]

    def init(self) -> None:
        return None

    def __call__(self, state: Any, clock: Clock, seen: Signals | None) -> tuple[float | Setting, Any]:
        where = () if self.sees is None else (self.sees(clock),)
        return self.function(*where, **self.settings), state


class Around:
    """What a combinator around one schedule has from it; its own `horizon`, say, goes before."""

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
) -> Callable[[Callable[..., Any]], Callable[..., Built]]:
    """Make a factory of schedules from a formula. It registers nothing: `schedules.CATALOGUE` is written by hand.

    A function `curve(progress, *, settings)` is open loop. Its first parameter is named for what it is drawn over:
    `progress` (horizon relative), `epoch` (absolute) or `clock` (then say which); without one there is no horizon.
    A frozen dataclass with `init()` and `__call__(state, clock, seen)` is closed loop, a combinator, or a curve whose
    settings are checked together; its own `needs` and `horizon`, where it has them, go before those given here.
    Either answers with a factor or a `Setting`.
    Settings are checked against their annotations (`schedules.arguments`) when a schedule is built.

    Raises:
        TypeError: the first parameter has another name, or nothing says the horizon.
    """

    def decorate(rule: Callable[..., Any]) -> Callable[..., Built]:
        machine, reach, settings = _machine(rule, horizon)
        signature = inspect.Signature(settings)

        def factory(*args: Any, **kwargs: Any) -> Built:
            given = signature.bind(*args, **kwargs)
            for name, value in given.arguments.items():
                given.arguments[name] = fit(rule.__name__, name, value, signature.parameters[name].annotation)
            given.apply_defaults()
            it = machine(**given.arguments)
            if isinstance(rule, type):  # which may have filled some in
                given.arguments.update({name: getattr(it, name, value) for name, value in given.arguments.items()})
            needed = frozenset(getattr(it, "needs", needs))
            return Built(_text(rule.__name__, settings, given.arguments), it, needed, getattr(it, "horizon", reach))

        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(factory, name, getattr(rule, name))
        vars(factory).update(paper=paper, horizon=reach, formula=formula(rule), __signature__=signature)
        return factory

    return decorate


def _machine(rule: Any, horizon: str | None) -> tuple[Callable[..., Any], str, list[inspect.Parameter]]:
    """How to make the machine, its horizon, and its settings with what they may be."""
    hints = get_type_hints(rule, include_extras=True)
    settings = [p.replace(annotation=hints.get(p.name, Any)) for p in inspect.signature(rule).parameters.values()]
    if isinstance(rule, type):
        return rule, horizon or "none", settings
    sees = None
    if settings and settings[0].kind is not inspect.Parameter.KEYWORD_ONLY:
        first = settings.pop(0).name
        if first not in SEES:
            raise TypeError(f"{rule.__name__}({first}, ...): the first parameter is one of {', '.join(SEES)}")
        sees, follows = SEES[first]
        horizon = follows or horizon
        if horizon is None:
            raise TypeError(
                f"{rule.__name__}({first}, ...): say the horizon, as in @schedule(paper=..., horizon='none')"
            )
    return lambda **chosen: Curve(rule, sees, chosen), horizon or "none", settings


def _text(name: str, settings: list[inspect.Parameter], chosen: dict[str, Any]) -> str:
    """The call a reader would type: defaults left out, 1.0 written as 1."""
    other = {p.name: _plain(chosen[p.name]) for p in settings if chosen[p.name] != p.default}
    leading = [p.name for p in settings if p.kind is not p.KEYWORD_ONLY and p.default is p.empty]
    return render(name, [other.pop(k) for k in leading], other)


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


def factors(it: Schedule[Any], total: int, epoch_steps: int, peak_lr: float) -> list[Setting]:
    """Every setting of an open-loop schedule over `total` updates."""
    state, settings = it.init(), []
    for step in range(total):
        setting, state = it(state, Clock(step, total, epoch_steps, peak_lr), None)
        settings.append(setting)
    return settings


def curve(settings: Sequence[Setting], points: int = 200) -> dict[str, list[float]]:
    """A curve as rows keep it: `progress` and `factor` at so many points, evenly spaced, ends included."""
    total = len(settings)
    at = sorted({i * (total - 1) // points for i in range(points + 1)})
    return {"progress": [i / total for i in at], "factor": [settings[i].factor for i in at]}


def steer(optimizer: Any, group: dict[str, Any], lr: float, momentum: float | None) -> None:
    """Set a group's LR and its momentum, in Adam's family the first beta; None stands for the one it was built with.

    Raises:
        InputError: a momentum for an optimizer that has none.
    """
    group["lr"], usual = lr, optimizer.defaults
    if "momentum" in usual:
        group["momentum"] = usual["momentum"] if momentum is None else momentum
    elif "betas" in usual:
        beta1, beta2 = usual["betas"]
        group["betas"] = (beta1 if momentum is None else momentum, beta2)
    elif momentum is not None:
        raise InputError(f"{type(optimizer).__name__} has no momentum to cycle: use sgd, rmsprop or Adam's family")


def pack(state: Any) -> Any:
    """A schedule's state as numbers and lists of them, fit for a snapshot."""
    return [pack(part) for part in state] if isinstance(state, tuple) else state


def unpack(like: Any, packed: Any) -> Any:
    """The state that was packed; `like` is the schedule's `init()`, which says where its tuples have names.

    Tuples may have grown since, or stand where `init()` has none: without names, then.
    """
    if not isinstance(packed, list):
        return packed
    beginnings = like if isinstance(like, tuple) else ()
    parts = [unpack(*pair) for pair in zip_longest(beginnings[: len(packed)], packed)]
    return type(like)(*parts) if hasattr(like, "_fields") and len(like) == len(packed) else tuple(parts)


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal to the bit and of the same types; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)
