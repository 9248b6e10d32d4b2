"""References: names of objects in users' files and in installed packages.

`my_file.py:mine` and `mypkg.mymod:mine` name an object, `my_file.py:mine@1f0c9a77` one version of it. Schedules, tasks
and models of one's own are named so; a call adds settings, `my_file.py:mine(k=3)`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from schedules.contract import InputError, digest
from schedules.spec import REFERENCE, Call, hint, render
from schedules.user_code import blamed, execute, neighbours


@cache
def installed(group: str) -> dict[str, str]:
    """References that installed packages declare as entry points of a group, by name."""
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    return {point.name: point.value for point in entry_points(group=group)}


@dataclass(frozen=True)
class Reference:
    """A reference, with the object that it names."""

    subject: str  # for errors: `task my_task.py:task`
    place: str  # a file or a module
    attribute: str
    version: str  # "" for whatever version there is
    path: Path  # of the place
    value: Any

    def versioned(self, mark: str) -> str:
        """The reference with the digest of the version that there is.

        Raises:
            InputError: the reference is to another version.
        """
        if self.version not in ("", mark):
            raise InputError(f"{self.subject}: {self.place} has changed, its digest is {mark} now, not {self.version}")
        return f"{self.place}:{self.attribute}@{mark}"


def find(reference: str, kind: str) -> Reference:
    """The object that a reference names; its file is executed, once for each version.

    Raises:
        InputError: no such file, module or object, or an error of the file; one line that begins with `kind`.
    """
    subject = f"{kind} {reference}"
    place, _, rest = reference.rpartition(":")
    attribute, _, version = rest.partition("@")
    path = _locate(place, subject)
    place = Path(place).as_posix() if place.endswith(".py") else place
    with blamed(f"{kind} file {place}"):
        sources = [path, *neighbours(path)] if place.endswith(".py") else [path]
    value: Any = _module(place, path.resolve(), digest("".join(map(source, sources))), kind)
    for part in attribute.split("."):
        if not hasattr(value, part):
            names = [name for name in dir(value) if not name.startswith("_")]
            raise InputError(f"{subject}: {place} has no {part}{hint(part, names)}")
        value = getattr(value, part)
    return Reference(subject, place, attribute, version, path, value)


def _locate(place: str, subject: str) -> Path:
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise InputError(f"{subject}: file {place} is not there")
        return Path(place)
    with blamed(subject):
        spec = importlib.util.find_spec(place)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise InputError(f"{subject}: there is no module {place}; a file is my_file.py:name")
    return Path(spec.origin)


@cache
def _module(place: str, path: Path, mark: str, kind: str) -> ModuleType:
    """Module of a file or package; a file is executed once for each version (`mark`)."""
    if place.endswith(".py"):
        return execute(path, f"{kind} file {place}")
    with blamed(f"{kind} module {place}"):
        return importlib.import_module(place)


def source(path: Path) -> str:
    """The text of a file, for its digest."""
    return path.read_text(encoding="utf-8", errors="replace")


def text(name: str, settings: str) -> str:
    """Text of a call of a reference, which parses back: in quotes if the name is no plain reference."""
    return name + settings if re.fullmatch(REFERENCE, name) else f"{name!r}{settings or '()'}"


def call_text(call: Call) -> str:
    """Text of a call, which parses back to it; its name is a plain one or a reference."""
    settings = render("", call.args, dict(call.kwargs))
    return text(call.name, settings) if ":" in call.name else call.name + settings
