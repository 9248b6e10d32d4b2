"""`glideslope list`: what there is, as a table in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

import schedules
import tasks
from bench.suites import SUITES


def show(what: str, console: Console) -> None:
    """Print the catalogue of tasks, schedules or suites."""
    table = {"tasks": _tasks, "schedules": _schedules, "suites": _suites}[what]()
    table.title_justify = "left"
    console.print(table)


def _tasks() -> Table:
    table = Table("task", "family", "full budget", "metric", "optimizer", "data", title="Tasks")
    for name in tasks.CATALOGUE:
        task = tasks.parse(name)
        metric = f"{task.metric} ({task.direction})"
        table.add_row(name, task.family, f"{task.epochs:g} epochs", metric, task.optimizer, task.source)
    return table


def _schedules() -> Table:
    table = Table("schedule", "what it is", "horizon", "source", title="Schedules")
    for name, factory in schedules.CATALOGUE.items():
        table.add_row(name, _summary(factory), getattr(factory, "horizon", ""), getattr(factory, "paper", ""))
    return table


def _suites() -> Table:
    table = Table("suite", "what it is", "cells", title="Suites")
    for name, suite in SUITES.items():
        table.add_row(name, _summary(suite), ", ".join(g.task for g in suite().grids))
    return table


def _summary(thing: object) -> str:
    return (thing.__doc__ or "").strip().split("\n")[0]
