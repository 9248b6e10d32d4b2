"""External schedules: a function or class in a user's file, or in an installed package (`schedules.reference`).

The text of the schedule has the digest of the source file in it, `my_file.py:mine@1f0c9a77(k=3)`: two versions of a
file are two schedules. The digest is that of the file in the reference and of the file with the definition, if that is
another; what they import is not in it.
"""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from numbers import Real
from pathlib import Path
from typing import Any

from schedules.contract import Clock, InputError, Setting, Signals, digest
from schedules.reference import Reference, find, source
from schedules.reference import text as text_of
from schedules.schedule import DOMAINS, BuiltSchedule, pack, same, schedule, unpack
from schedules.user_code import blamed, neighbours

GROUP = "glideslope.schedules"
"""Group of entry points for the schedules of installed packages: `halving = "mypkg.mymod:halving"`."""


def factory(reference: str) -> Callable[..., BuiltSchedule]:
    """Factory of the schedules of a reference; each is tried out (`probe`) when it is built.

    The reference is to a function of progress, epoch or clock (or of settings alone), or to a class with `init()` and
    `__call__(state, clock, signals)`. Either may be decorated by `schedules.schedule.schedule`.

    Raises:
        InputError: an unknown name, another version of the file than the reference has, or a broken rule.
    """
    referent = find(reference, "schedule")
    rule, name = referent.value, referent.versioned(_mark(referent))
    make = rule if hasattr(rule, "formula") else _decorate(rule, reference)

    def build(*args: Any, **kwargs: Any) -> BuiltSchedule:
        with blamed(f"schedule {reference}"):
            plain: BuiltSchedule = make(*args, **kwargs)
        text = text_of(name, plain.text.removeprefix(make.__name__))
        candidate = replace(plain, text=text, machine=CheckedMachine(plain.machine, text))
        probe(candidate)
        return candidate

    vars(build).update(paper=make.paper, formula=make.formula, horizon=make.horizon, __doc__=make.__doc__)
    build.__signature__ = inspect.signature(make)  # type: ignore[attr-defined]  # `inspect.signature` returns it
    return build


def _mark(referent: Reference) -> str:
    """Digest of the file with the rule, of the neighbours that it imports, and of the file that defines the rule."""
    path, module = referent.path, sys.modules.get(getattr(referent.value, "__module__", ""))
    home = Path(getattr(module, "__file__", None) or path)
    sources = [path, home] if home.suffix == ".py" and not path.samefile(home) else [path]
    if referent.place.endswith(".py"):
        sources += [file for file in neighbours(path) if not file.samefile(home)]
    return digest("".join(map(source, sources)), 8)


def _decorate(rule: Any, reference: str) -> Any:
    """Factory that `schedule` makes from a plain function or class."""
    if not callable(rule) or (isinstance(rule, type) and not (hasattr(rule, "init") and "__call__" in vars(rule))):
        raise InputError(
            f"schedule {reference}: it should be a function of {', '.join(DOMAINS)}, "
            "or a class with init() and __call__()"
        )
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in inspect.signature(rule).parameters.values()):
        raise InputError(f"schedule {reference}: its settings should be named, not taken as *args or **kwargs")
    try:
        return schedule(paper=f"{reference}, by its user", horizon="relative")(rule)
    except TypeError as error:
        raise InputError(f"schedule {reference}: {error}") from None


@dataclass(frozen=True, slots=True)
class CheckedMachine:
    """Machine of an external schedule, with a check of each of its answers."""

    machine: Any
    text: str

    def init(self) -> Any:
        with blamed(f"schedule {self.text}: its init() raised"):
            return self.machine.init()

    def __call__(self, state: Any, clock: Clock, signals: Signals | None) -> tuple[Setting, Any]:
        where = f"at update {clock.step} of {clock.total}"
        with blamed(f"schedule {self.text}: it raised {where}"):
            answer, state = self.machine(state, clock, signals)
        factor, momentum = answer if isinstance(answer, Setting) else Setting(answer)
        if not (isinstance(factor, Real) and 0 <= factor < inf):
            raise InputError(
                f"schedule {self.text}: it gave {factor} {where}: a factor is a finite number and not negative"
            )
        if not (momentum is None or (isinstance(momentum, Real) and 0 <= momentum < 1)):
            raise InputError(
                f"schedule {self.text}: it gave the momentum {momentum} {where}: a number from 0 to below 1, or None"
            )
        if state is not None:  # in training, too: without its state the cohort could not be resumed
            self.check_state(state, where)
        return Setting(float(factor), None if momentum is None else float(momentum)), state

    def check_state(self, state: Any, where: str) -> None:
        """Refuse a state that a checkpoint would not restore exactly.

        Raises:
            InputError: the state has a part that cannot be saved or restored.
        """
        if reason := _unsaveable(state):
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


TRIALS = ((1, 1), (60, 7), (500, 50))
"""Budgets of a probe: updates, and updates per epoch."""


def probe(candidate: BuiltSchedule) -> None:
    """Try a schedule out, update by update and then backwards from saved states, before it is used.

    Raises:
        InputError: one line with the rule that it breaks.
    """
    machine: CheckedMachine = candidate.machine
    machine.check_state(candidate.init(), "from init()")
    if not same(candidate.init(), candidate.init()):
        raise InputError(f"schedule {candidate.text}: it is not pure: init() gave two states")
    for total, epoch_steps in TRIALS:
        _probe_budget(candidate, total, epoch_steps)


def _probe_budget(candidate: BuiltSchedule, total: int, epoch_steps: int) -> None:
    states, decisions = [candidate.init()], []
    for step in range(total):
        clock = Clock(step, total, epoch_steps, 0.1)
        signals = Signals(2 - step / total, 1.0 + step % 3) if candidate.needs else None
        setting, state = candidate(states[-1], clock, signals)
        decisions.append((clock, signals, setting))
        states.append(state)
    restored = _through_checkpoint(candidate, states)
    for step in reversed(range(total)):
        clock, signals, setting = decisions[step]
        repeated, following = candidate(restored[step], clock, signals)
        if not (same(restored[step], states[step]) and repeated == setting and same(following, states[step + 1])):
            raise InputError(
                f"schedule {candidate.text}: it is not pure: asked twice at update {step} of {total} it gave "
                f"{setting.factor:.6g} and {repeated.factor:.6g}; a factor may depend on nothing but its arguments"
            )


def _through_checkpoint(candidate: BuiltSchedule, states: list[Any]) -> list[Any]:
    """States as they come back from a checkpoint, which torch writes and reads."""
    if all(state is None for state in states):
        return states
    import torch

    with blamed(f"schedule {candidate.text}: its state cannot be saved"):
        torch.save([pack(state) for state in states], file := io.BytesIO())
        file.seek(0)
        packed = torch.load(file, weights_only=True)
    return [unpack(candidate.init(), state) for state in packed]


DEEPEST, LARGEST = 20, 2**63
"""Limits that every file format can store: the depth of nested tuples, and the size of whole numbers."""


def _unsaveable(state: Any, depth: int = 0) -> str:
    """Reason why a state cannot be saved; "" if it can."""
    if isinstance(state, tuple):
        if depth == DEEPEST:
            return f"its tuples lie more than {DEEPEST} deep"
        return next((reason for part in state if (reason := _unsaveable(part, depth + 1))), "")
    if type(state) is int and not -LARGEST <= state < LARGEST:
        return f"{_short(state)} has more than 64 bits"
    if state is None or type(state) in (bool, int, float):
        return ""
    name = f"{type(state).__module__}.{type(state).__qualname__}".removeprefix("builtins.")
    return f"{_short(state)} is of {name}" + (", make it a float(...)" if isinstance(state, Real) else "")


def _short(value: Any) -> str:
    try:
        text = repr(value).replace("\n", " ")
    except ValueError:  # a whole number of thousands of digits
        return "a very large number"
    return text if len(text) <= 60 else f"{text[:57]}..."
