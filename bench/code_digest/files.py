"""The files of modules, and whether they are the project's, the user's or other people's."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from functools import cache
from pathlib import Path

TASKS = "tasks"
"""The package whose code counts even if it is installed next to others."""

NUMBERED = ("bench", "schedules")
"""Packages whose meaning a version number covers."""


@cache
def root_of(top: str, path: Path) -> Path | None:
    """Folder of a package or module that a file imports, if it is the project's or the user's; None for other code."""
    if top in NUMBERED or top in sys.stdlib_module_names:
        return None
    folder = path.parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    if path.is_relative_to(folder / top) or (not installed(folder) and module_file(folder / top)):
        return folder
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not (spec.origin or "").endswith(".py"):
        return None
    origin = Path(str(spec.origin)).resolve()
    if top != TASKS and installed(origin):
        return None
    return origin.parent.parent if origin.name == "__init__.py" else origin.parent


def installed(path: Path) -> bool:
    """True for a file of an installed package or of the standard library."""
    standard = Path(sysconfig.get_paths()["stdlib"]).resolve()
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts) or path.is_relative_to(standard)


def module_file(path: Path) -> Path | None:
    """The file of a module or package; None if there is none."""
    for candidate in (path / "__init__.py", path.with_name(path.name + ".py")):
        if candidate.is_file():
            return candidate.resolve()
    return None
