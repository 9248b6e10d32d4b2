"""Code of the user's own, behind tasks and models: its version and its settings.

A reference (`schedules.reference`) gets the digest of all code behind it: of the file, and of the files of the project
that it imports (`bench.code_digest`). Comments and layout make no difference.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bench.code_digest import digest
from bench.contract import InputError
from schedules import spec
from schedules.reference import Reference, find, text
from schedules.user_code import blamed

LENGTH = 8
"""Digits of a digest in a name."""

_IMPORTED: dict[str, str] = {}
"""Digest of the code behind each object of a module, as it was when this process imported it."""


@dataclass(frozen=True)
class OwnCall:
    """A call of a user's function or class."""

    name: str  # with its digest
    value: Callable[..., Any]
    settings: Mapping[str, Any]
    subject: str  # for errors

    @property
    def text(self) -> str:
        """Canonical text, which parses back."""
        return text(self.name, spec.render("", (), self.settings))

    def make(self, more: Mapping[str, Any] | None = None) -> Any:
        """Result of the call, with more arguments if there are some.

        Raises:
            InputError: in place of any exception, in one line.
        """
        with blamed(self.subject):
            return self.value(**self.settings, **(more or {}))

    def takes(self, name: str) -> bool:
        """True if the function has a parameter of this name, and the call leaves it open."""
        return name not in self.settings and name in inspect.signature(self.value).parameters


def function(name: str, kind: str) -> Reference:
    """The function or class that a reference names.

    Raises:
        InputError: there is none, or nobody can tell its arguments.
    """
    referent = find(name, kind)
    if not callable(referent.value):
        raise InputError(f"{referent.subject}: it should be a function or a class, not {type(referent.value).__name__}")
    with blamed(referent.subject):
        inspect.signature(referent.value)
    return referent


def read(call: spec.Call, kind: str, offered: Collection[str] = ()) -> OwnCall:
    """The call of a user's function or class, with its version and its settings checked.

    Args:
        call: The call; its name is a reference.
        kind: Kind of thing that it makes, for errors: task or model.
        offered: Names of arguments that it need not have, since they are given later.

    Raises:
        InputError: no such function, another version, or settings that it has not.
    """
    referent = function(call.name, kind)
    with blamed(referent.subject):
        mark = digest.of_name(referent.path, referent.attribute)[:LENGTH]
    if not referent.place.endswith(".py") and _IMPORTED.setdefault(call.name.partition("@")[0], mark) != mark:
        raise InputError(f"{referent.subject}: its code has changed since it was imported: start anew")
    name = referent.versioned(mark)
    return OwnCall(name, referent.value, _settings(call, referent.subject, referent.value, offered), referent.subject)


def _settings(call: spec.Call, subject: str, value: Any, offered: Collection[str]) -> dict[str, Any]:
    """Settings of a call by name, without those at their defaults."""
    signature = inspect.signature(value)
    parameters = signature.parameters
    if any(p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY) for p in parameters.values()):
        raise InputError(f"{subject}: its settings should be named, not taken as *args")
    filled = {*list(parameters)[: len(call.args)], *dict(call.kwargs)}
    later = {name: None for name in offered if name in parameters and name not in filled}
    try:
        bound = signature.bind(*call.args, **dict(call.kwargs), **later).arguments
    except TypeError as error:
        raise InputError(f"{subject}: {error}; it is called as {call.name}{spec.signature_text(signature)}") from None
    values: dict[str, Any] = {}
    for name, setting in bound.items():
        if parameters[name].kind == inspect.Parameter.VAR_KEYWORD:
            values |= setting
        elif name not in later and not _same(setting, parameters[name].default):
            values[name] = setting
    for name, setting in values.items():
        if isinstance(setting, spec.Call):
            raise InputError(f"{subject}: its setting {name} should be a number, a text or a list, not a call")
    return values


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)
