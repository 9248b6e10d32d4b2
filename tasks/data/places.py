"""Places of the user's own data: a path that is found again from any working directory.

A relative path is looked up in the folder that --data names first, and is recorded as it is if it lies there: such a
name is short, and holds on another machine that has the data in its own --data. Otherwise it is looked up in the
working directory, and recorded as an absolute path.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import InputError
from schedules.spec import hint, render
from tasks.data import checkpoint
from tasks.data.dataset import HUB, Pack, root
from tasks.data.inventory import visible

ON_HUB = "hub:"
"""The beginning of a place on the hub: hub:NAME, or hub:NAME:CONFIGURATION."""


@dataclass(frozen=True, kw_only=True)
class OwnPack(Pack):
    """The record of data of the user's choice; its name is a path as `recorded` gives it, or a name on the hub."""

    config: str = ""  # of a data set of the hub

    __hash__ = Pack.__hash__

    @property
    def source(self) -> str:
        """Text for a task's `source`: where it is."""
        return f"{self.name} ({self.licence})"

    def _root(self) -> str:
        if Path(self.name).is_absolute():
            return self.name
        if not _in_data(self.name):
            raise self.absent()
        return root()

    def absent(self) -> InputError:
        """The error for a path that is not there, or that holds no such data."""
        layouts = " or ".join(self.layouts)
        if is_there(self):
            return InputError(f"{self.title}: {self.folder}: no data: put {layouts} into it")
        kind, name = "file" if Path(self.name).suffix else "folder", Path(self.name)
        parents = [name.parent, Path(root() if root() not in ("", HUB) else ".") / name.parent]
        alike = hint(name.name, [path.name for parent in parents if parent.is_dir() for path in visible(parent)])
        where = "" if name.is_absolute() else ", neither here nor in the folder that --data names"
        return InputError(
            f"{self.title}: {self.name}: no data: put {layouts} there; there is no {kind} {self.name}{alike}{where}"
        )

    def wrong(self, path: object, what: str) -> InputError:
        """The error for a wrong file or, if `path` is a text, for a part of the data; `what` describes the fault."""
        subject = str(path) if self.name in str(path) else f"{self.name}: {path}"
        remedy = f"; {self.remedy}" if isinstance(path, Path) else ""
        return InputError(f"{self.title}: {subject}: {what}{remedy}")


def own(kind: str, place: str, layout: str) -> OwnPack:
    """The record of the user's own data for a kind of task, with the layout it should have, in words."""
    name, _, config = place.removeprefix(ON_HUB).partition(":") if place.startswith(ON_HUB) else (place, "", "")
    unknown: dict[str, Any] = {"get": "", "size": "", "check": "", "licence": "licence not known", "published": False}
    hub = name if place.startswith(ON_HUB) else ""
    return OwnPack(name=name, title=kind, layouts=(layout,), hub=hub, config=config, **unknown)


def on_hub(name: object, config: object) -> str:
    """The place of a data set on the hub.

    Raises:
        InputError: no such names are possible.
    """
    if not (isinstance(name, str) and name and ":" not in name and isinstance(config, str)):
        raise InputError(f"hub: give the name of a data set, hub('OWNER/NAME'), not {name!r} with config={config!r}")
    return f"{ON_HUB}{name}:{config}"


def is_there(pack: OwnPack) -> bool:
    """True if the folder or file exists; a relative name needs a folder that --data names."""
    return (Path(pack.name).is_absolute() or _in_data(pack.name)) and pack.folder.exists()


def _in_data(name: str) -> bool:
    """True if a relative path is looked up in the folder that --data names, and there is one."""
    return root() not in ("", HUB) and ".." not in Path(name).parts


def recorded(kind: str, path: object) -> str:
    """The text by which a task records a path.

    Raises:
        InputError: `path` is no text.
    """
    if not isinstance(path, str) or not path:
        raise InputError(f"{kind}: give the path of your data as a text, {kind}('PATH'), not {path!r}")
    place = Path(path).expanduser()
    if not place.is_absolute() and _in_data(path) and (root() / place).exists():
        return place.as_posix()
    return os.path.normpath(place.absolute()) if place.is_absolute() or place.exists() else path


def recorded_checkpoint(model: str) -> str:
    """The text by which a task records a checkpoint: an absolute path, for a folder in the working directory."""
    place = Path(model).expanduser()
    return os.path.normpath(place.absolute()) if (place / checkpoint.CONFIG).is_file() else model


def call(factory: Callable[..., object], place: str, settings: Mapping[str, object]) -> str:
    """Canonical text of a task's call: its place, and the settings that are not at the defaults of `factory`."""
    defaults = inspect.signature(factory).parameters
    changed = {name: value for name, value in settings.items() if value != defaults[name].default}
    return render(factory.__name__, (place,), changed)
