"""Python code from users' files: suites and schedules."""

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


def execute(path: Path, subject: str) -> ModuleType:
    """Execute a file as a module with a unique name.

    Raises:
        InputError: one line that begins with `subject`, for any exception of the file.
    """
    name = f"glideslope_{path.stem}_{digest(str(path.resolve()))}"
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and annotations look names up there
    with blamed(subject):
        # Not `exec_module`: it would take a cached module for this file if size and second of modification agree.
        exec(loader.source_to_code(path.read_bytes(), path), module.__dict__)
    return module
