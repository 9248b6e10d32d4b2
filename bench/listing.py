"""`glideslope list`: what there is, as a table in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

import schedules
import tasks
from bench.suites import SUITES
from schedules import external


def show(what: str, console: Console) -> None:
    """Print the catalogue of tasks, schedules or suites."""
    table = {"tasks": _tasks, "schedules": _schedules, "suites": _suites}[what]()
    table.title_justify = "left"
    console.print(table)


def _tasks() -> Table:
    table = Table(
        "task", "family", "full budget", "metric", "chance", "optimizer", "data", title="Tasks", show_lines=True
    )
    for name in tasks.CATALOGUE:
        task = tasks.parse(name)
        metric = f"{task.metric} ({task.direction})"
        row = (name, task.family, f"{task.epochs:g} epochs", metric, task.chance, task.optimizer, task.source)
        table.add_row(*map(Text, row))
    return table


def _schedules() -> Table:
    table = Table("schedule", "what it is", "formula", "horizon", "source", title="Schedules", show_lines=True)
    for name, factory in schedules.CATALOGUE.items():
        row = (name, _summary(factory), factory.formula, factory.horizon, factory.paper)
        table.add_row(*map(Text, row))
    for name, reference in external.installed().items():  # not loaded: they are someone else's
        table.add_row(*map(Text, (name, "offered by an installed package", "", "", reference)))
    return table


def _suites() -> Table:
    table = Table("suite", "what it is", "tasks", title="Suites", show_lines=True)
    for name, suite in SUITES.items():
        table.add_row(name, _summary(suite), "\n".join(dict.fromkeys(g.task for g in suite().grids)))
    return table


def _summary(thing: object) -> str:
    return (thing.__doc__ or "").strip().split("\n")[0]
