"""Schedules from elsewhere, beside the built-in ones: a function in a file of one's own, or in an installed package.

A *reference* names one: `my_file.py:mine`, `mypkg.mymod:mine`, both with settings behind, `my_file.py:mine(k=3)`. What
is built bears the digest of the source file in its name, `my_file.py:mine@1f0c9a77(k=3)`: two versions of a file are
two schedules. The digest is that of the file it is defined in, and of the one it was found in, whatever they import.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from schedules.contract import Clock, InputError, Setting, Signals, digest
from schedules.schedule import SEES, Built, pack, same, schedule, unpack
from schedules.spec import REFERENCE
from schedules.user_code import blamed, execute

GROUP = "glideslope.schedules"
"""The entry points by which installed packages offer schedules: `halving = "mypkg.mymod:halving"`."""


@cache
def installed() -> dict[str, str]:
    """References of the schedules that installed packages offer, by their names."""
    from importlib.metadata import entry_points  # slow to import, and rarely asked for

    return {point.name: point.value for point in entry_points(group=GROUP)}


def factory(reference: str) -> Callable[..., Built]:
    """What builds the schedules that a reference names; each is tried out (`probe`) as it is built.

    What it names is a function of progress, epoch or clock (or of nothing), or a class with `init()` and
    `__call__(state, clock, seen)`; `schedules.schedule.schedule` may decorate either, and need not.

    Raises:
        InputError: nothing of that name, another version of the file than named, or a broken rule.
    """
    place, _, rest = reference.rpartition(":")
    attribute, _, wanted = rest.partition("@")
    path = _locate(place, reference)
    place = Path(place).as_posix() if place.endswith(".py") else place
    rule: Any = _module(place, path, digest(_text(path)))
    for part in attribute.split("."):
        if not hasattr(rule, part):
            raise InputError(f"schedule {reference}: {place} has no {part}")
        rule = getattr(rule, part)
    mark = _mark(path, rule)
    if wanted not in ("", mark):
        raise InputError(f"schedule {reference}: {place} has changed, its digest is {mark} now, not {wanted}")
    name = f"{place}:{attribute}@{mark}"
    make = rule if hasattr(rule, "formula") else _decorated(rule, reference)

    def build(*args: Any, **kwargs: Any) -> Built:
        with blamed(f"schedule {reference}"):
            plain: Built = make(*args, **kwargs)
        text = _spelled(name, plain.text.removeprefix(make.__name__))
        it = replace(plain, text=text, machine=Guest(plain.machine, text))
        probe(it)
        return it

    vars(build).update(paper=make.paper, formula=make.formula, horizon=make.horizon, __doc__=make.__doc__)
    build.__signature__ = inspect.signature(make)  # type: ignore[attr-defined]  # what `inspect.signature` answers
    return build


def _locate(place: str, reference: str) -> Path:
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise InputError(f"schedule {reference}: file {place} is not there")
        return Path(place)
    with blamed(f"schedule {reference}"):
        spec = importlib.util.find_spec(place)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise InputError(f"schedule {reference}: there is no module {place}; a file is my_file.py:name")
    return Path(spec.origin)


@cache
def _module(place: str, path: Path, mark: str) -> ModuleType:
    """Executed once for each version (`mark`) of a file."""
    if place.endswith(".py"):
        return execute(path, f"schedule file {place}")
    with blamed(f"schedule module {place}"):
        return importlib.import_module(place)


def _mark(path: Path, rule: Any) -> str:
    """Digest of the file where a rule was found and, if it was imported there, of the one that defines it."""
    home = Path(getattr(sys.modules.get(getattr(rule, "__module__", "")), "__file__", None) or path)
    sources = [path, home] if home.suffix == ".py" and not path.samefile(home) else [path]
    return digest("".join(map(_text, sources)), 8)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")  # only its digest is wanted


def _decorated(rule: Any, reference: str) -> Any:
    """A plain function or class as `schedule` makes a factory of it."""
    if not callable(rule) or (isinstance(rule, type) and not (hasattr(rule, "init") and "__call__" in vars(rule))):
        raise InputError(
            f"schedule {reference}: it should be a function of {', '.join(SEES)}, or a class with init() and __call__()"
        )
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in inspect.signature(rule).parameters.values()):
        raise InputError(f"schedule {reference}: its settings should be named, not taken as *args or **kwargs")
    try:
        return schedule(paper=f"{reference}, by its user", horizon="relative")(rule)
    except TypeError as error:
        raise InputError(f"schedule {reference}: {error}") from None


def _spelled(name: str, settings: str) -> str:
    """The text that names it, which parses back: in quotes where a name holds a blank, say."""
    return name + settings if re.fullmatch(REFERENCE, name) else f"{name!r}{settings or '()'}"


@dataclass(frozen=True, slots=True)
class Guest:
    """A machine from elsewhere, none of whose answers is taken on trust."""

    machine: Any
    text: str

    def init(self) -> Any:
        with blamed(f"schedule {self.text}: its init() raised"):
            return self.machine.init()

    def __call__(self, state: Any, clock: Clock, seen: Signals | None) -> tuple[Setting, Any]:
        where = f"at update {clock.step} of {clock.total}"
        with blamed(f"schedule {self.text}: it raised {where}"):
            answer, state = self.machine(state, clock, seen)
        factor, momentum = answer if isinstance(answer, Setting) else Setting(answer)
        if not (isinstance(factor, Real) and 0 <= factor < inf):
            raise InputError(
                f"schedule {self.text}: it gave {factor} {where}: a factor is a finite number and not negative"
            )
        if not (momentum is None or (isinstance(momentum, Real) and 0 <= momentum < 1)):
            raise InputError(
                f"schedule {self.text}: it gave the momentum {momentum} {where}: a number from 0 to below 1, or None"
            )
        if state is not None:  # in training, too: what cannot be restored would make its cohort unresumable
            self.check_state(state, where)
        return Setting(float(factor), None if momentum is None else float(momentum)), state

    def check_state(self, state: Any, where: str) -> None:
        """Refuse a state that a snapshot would not give back as it is.

        Raises:
            InputError: what is wrong with it.
        """
        if reason := _unsound(state):
            raise InputError(
                f"schedule {self.text}: its state is {_short(state)}, and should be None or numbers in (named) tuples "
                f"({where}: {reason})"
            )
        with blamed(f"schedule {self.text}: its state {where} cannot be restored"):
            restored = unpack(self.init(), pack(state))
        if not same(restored, state):
            raise InputError(
                f"schedule {self.text}: its state {where} is {_short(state)}, and a snapshot would give back "
                f"{_short(restored)}: tuples have names only where those of init() have them"
            )


def probe(it: Built) -> None:
    """Try a schedule out, update by update and then backwards from saved states, before it is believed.

    Raises:
        InputError: one line that says which rule it breaks.
    """
    guest: Guest = it.machine
    guest.check_state(it.init(), "from init()")
    if not same(it.init(), it.init()):
        raise InputError(f"schedule {it.text}: it is not pure: init() gave two states")
    for total, epoch_steps in ((1, 1), (60, 7), (500, 50)):
        state, asked, states = it.init(), [], []
        for step in range(total):
            states.append(state)
            clock, seen = (
                Clock(step, total, epoch_steps, 0.1),
                Signals(2 - step / total, 1.0 + step % 3) if it.needs else None,
            )
            setting, state = it(state, clock, seen)
            asked.append((clock, seen, setting, state))
        restored = _through_snapshot(it, [*states, state])
        for before, state, (clock, seen, setting, following) in reversed([*zip(restored, states, asked, strict=False)]):
            again = it(before, clock, seen)
            if not (same(before, state) and again[0] == setting and same(again[1], following)):
                raise InputError(
                    f"schedule {it.text}: it is not pure: asked twice at update {clock.step} of {total} it gave "
                    f"{setting.factor:.6g} and {again[0].factor:.6g}; a factor may depend on nothing but its arguments"
                )


def _through_snapshot(it: Built, states: list[Any]) -> list[Any]:
    """States as a cohort gets them back from a checkpoint, which torch writes and reads."""
    if all(state is None for state in states):
        return states
    import torch

    with blamed(f"schedule {it.text}: its state cannot be saved"):
        torch.save([pack(state) for state in states], file := io.BytesIO())
        file.seek(0)
        packed = torch.load(file, weights_only=True)
    return [unpack(it.init(), state) for state in packed]


DEEPEST, LARGEST = 20, 2**63
"""Tuples within tuples, and whole numbers, that every way of saving takes."""


def _unsound(state: Any, depth: int = 0) -> str:
    """Why a state cannot be saved; nothing if it can."""
    if isinstance(state, tuple):
        if depth == DEEPEST:
            return f"its tuples lie more than {DEEPEST} deep"
        return next((reason for part in state if (reason := _unsound(part, depth + 1))), "")
    if type(state) is int and not -LARGEST <= state < LARGEST:
        return f"{_short(state)} has more than 64 bits"
    if state is None or type(state) in (bool, int, float):
        return ""
    name = f"{type(state).__module__}.{type(state).__qualname__}".removeprefix("builtins.")
    return f"{_short(state)} is of {name}" + (", make it a float(...)" if isinstance(state, Real) else "")


def _short(thing: Any) -> str:
    try:
        text = repr(thing).replace("\n", " ")
    except ValueError:  # a whole number of thousands of digits
        return "a very large number"
    return text if len(text) <= 60 else f"{text[:57]}..."
