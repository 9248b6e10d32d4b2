"""`glideslope list`: what there is, as a table in the terminal."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

import schedules
import tasks
from bench.suites import SUITES
from schedules import external
from schedules.arguments import words
from tasks import pack
from tasks.packs import PACKS


def show(what: str, console: Console, *, long: bool = False) -> None:
    """Print the catalogue of tasks, schedules, suites or data sets; `long` is of schedules: all there is to know."""
    if what == "data":
        console.print(_data(), soft_wrap=True)  # commands to copy stay whole
        return
    kinds = {"tasks": _tasks, "schedules": _at_length if long else _schedules, "suites": _suites}
    table = kinds[what]()
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
    table = Table("schedule", "formula", "horizon", title="Schedules", show_lines=True)
    table.add_column("source", overflow="fold")
    for name, factory in schedules.CATALOGUE.items():
        table.add_row(*map(Text, (name, factory.formula, factory.horizon, factory.paper)))
    for name, reference in external.installed().items():  # not loaded: they are someone else's
        table.add_row(*map(Text, (name, "offered by an installed package", "", reference)))
    return table


def _at_length() -> Table:
    table = Table("schedule", "formula, settings, source", title="Schedules", show_lines=True)
    for name, factory in schedules.CATALOGUE.items():
        horizon = f"horizon: {factory.horizon}"
        lines = [summary(factory), "", factory.formula, "", *map(": ".join, settings(factory)), horizon, factory.paper]
        table.add_row(Text(name, "bold"), Text("\n".join(lines)))
    return table


def settings(factory: Any) -> Iterator[tuple[str, str]]:
    """Each setting of a schedule with its default, and what it may be."""
    for it in inspect.signature(factory).parameters.values():
        default = "" if it.default is it.empty else f" = {_value(it.default)}"
        yield f"{it.name}{default}", words(it.annotation)


def _value(default: object) -> str:
    return f"{default:g}" if isinstance(default, float) else repr(default)


def _suites() -> Table:
    table = Table("suite", "what it is", "tasks", title="Suites", show_lines=True)
    for name, suite in SUITES.items():
        tasks_of = "\n".join(dict.fromkeys(g.task for g in suite().grids))
        table.add_row(*map(Text, (name, summary(suite), tasks_of)))
    return table


def _data() -> Text:
    lines = [Text(f"Data sets, in the folder that --data DIR or {pack.ROOT} names", "italic")]
    for it in PACKS.values():
        facts = {
            "layout": " or ".join(it.layouts),
            "size": it.size,
            "licence": it.licence,
            "checked by": it.check,
            "to get it": it.get,
        }
        lines += [Text(""), Text.assemble((it.name, "bold"), f": {it.title}")]
        lines += [Text(f"    {name:<12}{fact}") for name, fact in facts.items()]
    return Text("\n").join(lines)


def summary(thing: object) -> str:
    """The first line of its docstring."""
    return (thing.__doc__ or "").strip().split("\n")[0]
