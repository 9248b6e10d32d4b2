"""Python code from users' files: suites, schedules, tasks and models.

A file may import modules and packages that lie beside it, its *neighbours*. They come after everything installed.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pickle
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from schedules.contract import InputError, digest


@contextmanager
def blamed(subject: str) -> Iterator[None]:
    """Turn any exception of other people's code inside the block into one line that begins with `subject`.

    Raises:
        InputError: in place of any other exception.
    """
    try:
        yield
    except InputError:
        raise
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise InputError(f"{subject}{line}: {error.msg}") from None
    except (Exception, SystemExit) as error:  # whatever a user's code may raise
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{subject}: {type(error).__name__}: {reason}") from None


EXECUTED: dict[str, Path] = {}
"""File of each module that this process has executed, by the module's name."""

OWN = ("bench", "schedules", "tasks")
"""Packages of the project, which are no neighbours of a file that lies beside them."""

_IMPORTED: dict[Path, str] = {}
"""Digest of each neighbour's source, as it was when it could first be imported."""


def execute(path: Path, subject: str) -> ModuleType:
    """Execute a file as a module with a unique name.

    Raises:
        InputError: one line that begins with `subject`, for any exception of the file, or for a neighbour's name that
            stands for another module.
    """
    name = f"glideslope_{path.stem}_{digest(str(path.resolve()))}"
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and annotations look names up there
    EXECUTED[name] = path.resolve()
    with blamed(subject):
        _renew(neighbours(path))
        # Not `exec_module`: it would take a cached module for this file if size and second of modification agree.
        exec(loader.source_to_code(path.read_bytes(), path), module.__dict__)
    return module


def neighbours(path: Path) -> list[Path]:
    """The neighbours that a file imports, and those that they import, sorted; their folder joins the search path.

    Raises:
        InputError: a neighbour has the name of another module, or a package has no __init__.py.
        SyntaxError: a file cannot be parsed.
    """
    root = path.resolve().parent
    while (root / "__init__.py").exists():
        root = root.parent
    if str(root) not in sys.path:
        sys.path.append(str(root))
        importlib.invalidate_caches()
    files, queue = set[Path](), [path.resolve()]
    for file in queue:  # the loop appends to it
        for top in _imports(file):
            more = [f for f in _beside(root, top, file) if f not in files and f != path.resolve()]
            files.update(more)
            queue += more
    return sorted(files)


def _imports(file: Path) -> set[str]:
    """Names of the modules and outermost packages that a file imports by statements."""
    nodes = list(ast.walk(ast.parse(file.read_bytes(), str(file))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    plain |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain} - sys.stdlib_module_names


def _beside(root: Path, top: str, file: Path) -> list[Path]:
    """Files of the neighbour of a name; [] where there is none."""
    if top in OWN:
        return []
    folder = root / top
    origin = folder / "__init__.py" if (folder / "__init__.py").is_file() else root / f"{top}.py"
    loaded = sys.modules.get(top)
    spec = None if loaded is not None else importlib.util.find_spec(top)
    other = getattr(loaded, "__file__", None) or (spec.origin if spec else None)
    if not origin.is_file():
        if other is None and folder.is_dir():  # Python would import it, as a namespace package
            raise InputError(f"{file} imports {top}: give {folder} an __init__.py, so that changes in it are seen")
        return []
    if other is not None and not origin.samefile(other):
        raise InputError(f"{file} imports {top}, which lies beside it, but is {other} already: rename one of them")
    return sorted(folder.rglob("*.py")) if origin.parent == folder else [origin]


def _renew(files: Iterable[Path]) -> None:
    """Let neighbours be imported again that have changed since they were."""
    now = {file: digest(file.read_text(encoding="utf-8", errors="replace")) for file in files}
    for file in (file for file, mark in now.items() if _IMPORTED.get(file) != mark):
        with suppress(OSError):  # a cached module stands for any file of the same size and second of modification
            Path(importlib.util.cache_from_source(str(file))).unlink()
    if any(_IMPORTED.get(file, mark) != mark for file, mark in now.items()):
        for name, module in list(sys.modules.items()):
            if name not in EXECUTED and getattr(module, "__file__", None) and Path(str(module.__file__)) in now:
                del sys.modules[name]
        importlib.invalidate_caches()
    _IMPORTED.update(now)


class Portable:
    """A value that a new process can be sent, even if its class is defined in a user's file."""

    def __init__(self, value: Any):
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        value = pickle.dumps(self.value)
        return _restored, ([file for name, file in EXECUTED.items() if name.encode() in value], value)


def _restored(files: list[Path], value: bytes) -> Portable:
    for file in files:
        execute(file, str(file))
    return Portable(pickle.loads(value))  # from the process that started this one
