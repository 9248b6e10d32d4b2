"""Python code of the user's own, from a file: suites and schedules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from schedules.contract import InputError, digest


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Whatever code that is not ours raises inside becomes one line, which begins with `what`.

    Raises:
        InputError: in place of any other exception.
    """
    try:
        yield
    except InputError:
        raise
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise InputError(f"{what}{line}: {error.msg}") from None
    except (Exception, SystemExit) as error:  # whatever a user's code may raise
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{what}: {type(error).__name__}: {reason}") from None


def execute(path: Path, what: str) -> ModuleType:
    """The module that a file makes, under a name that is its own.

    Raises:
        InputError: one line, which begins with `what`.
    """
    name = f"glideslope_{path.stem}_{digest(str(path.resolve()))}"
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and annotations look their names up
    with blamed(what):
        # Not `exec_module`: a compiled module that Python kept is taken for new while size and second of writing agree.
        exec(loader.source_to_code(path.read_bytes(), path), module.__dict__)
    return module
