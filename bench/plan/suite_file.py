"""Suite files: Python files of users whose `suite()` returns a `bench.plan.Suite`. Every field is checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.plan import Grid, Suite
from schedules import user_code

LISTS: dict[str, tuple[Any, str]] = {
    "schedules": (str, "('cosine', 'rex')"),
    "budgets": (int | float, "(0.1, 0.5)"),
    "peak_lrs": (int | float, "(0.1, 0.3)"),
    "averagings": (str, "('none', 'ema(decay=0.99)')"),
}
"""Fields of a Grid that are tuples: the type of their items, and an example."""


def load(path: Path) -> Suite:
    """The suite of a file, with lists converted to tuples.

    Raises:
        InputError: the file has no working `suite()`, or a field has another type than `bench.plan` declares.
    """
    subject = f"suite file {path}"
    module = user_code.execute(path, subject)
    make = getattr(module, "suite", None)
    if not callable(make):
        raise InputError(f"{subject}: it has no function suite(), which should return a bench.plan.Suite")
    with user_code.blamed(subject):
        suite = make()
    if not isinstance(suite, Suite):
        raise InputError(f"{subject}: suite() should return a bench.plan.Suite, not {type(suite).__name__}")
    return checked(suite, subject)


def checked(suite: Suite, subject: str) -> Suite:
    """The suite with lists converted to tuples; `subject` is what an error is about.

    Raises:
        InputError: a field has another type than `bench.plan` declares.
    """
    if not (isinstance(suite.name, str) and suite.name.strip() and isinstance(suite.reference, str)):
        raise InputError(f"{subject}: its name and reference should be texts, not {suite.name!r}, {suite.reference!r}")
    grids = suite.grids if isinstance(suite.grids, tuple | list) else ()
    if not grids or not all(isinstance(grid, Grid) for grid in grids):
        raise InputError(f"{subject}: its grids should be a tuple of one Grid or more, not {_short(suite.grids)}")
    if not isinstance(suite.tune, int) or isinstance(suite.tune, bool) or suite.tune < 0:
        raise InputError(f"{subject}: tune should be a whole number, 0 or more, not {_short(suite.tune)}")
    return replace(suite, grids=tuple(_typed(grid, subject) for grid in grids))


def _typed(grid: Grid, subject: str) -> Grid:
    """A grid with lists converted to tuples, after a check of each field's type."""

    def should(name: str, be: str) -> InputError:
        return InputError(f"{subject}: {name} of a Grid should be {be}, not {_short(getattr(grid, name))}")

    if not isinstance(grid.task, str):
        raise should("task", "a text such as 'digits'")
    lists: dict[str, Any] = {}
    for name, (kind, example) in LISTS.items():
        values = getattr(grid, name)
        if values is None and name == "peak_lrs":
            continue
        if not isinstance(values, tuple | list) or not values:
            raise should(name, f"a tuple such as {example}")
        if not all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
            raise should(name, f"a tuple such as {example}")
        lists[name] = tuple(values)
    if not isinstance(grid.optimizer, str | None):
        raise should("optimizer", "a text such as 'adamw'")
    if not isinstance(grid.weight_decay, int | float | None) or isinstance(grid.weight_decay, bool):
        raise should("weight_decay", "a number, 0 or more")
    if not isinstance(grid.seeds, int) or isinstance(grid.seeds, bool) or grid.seeds < 1:
        raise should("seeds", "a whole number, 1 or more")
    return replace(grid, **lists)


def _short(value: object) -> str:
    return " ".join(repr(value).split())[:80]
