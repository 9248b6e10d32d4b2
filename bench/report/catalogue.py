"""Catalogues of `glideslope list`, printed in the terminal."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

import schedules
import tasks
from bench.contract import Task
from bench.strategies import averagings, optimizers, own_optimizers
from bench.strategies.optimizer import SHARED
from bench.suites import SUITES
from schedules import external
from schedules.arguments import words
from schedules.reference import installed
from schedules.spec import OWN
from tasks import own_task
from tasks.data import dataset
from tasks.data.registry import PACKS


def show(kind: str, console: Console, *, long: bool = False) -> None:
    """Print the catalogue of a kind: tasks, schedules, optimizers, averagings, suites or data.

    `long` adds details of tasks and schedules.
    """
    if kind == "schedules":
        table = _schedules_at_length() if long else _schedules()
        table.title_justify = "left"
        console.print(table)
        return
    catalogues: dict[str, Callable[[], Text]] = {
        "data": _data,
        "suites": _suites,
        "tasks": _tasks_at_length if long else _tasks,
        "optimizers": _optimizers,
        "averagings": partial(_dataclasses, averagings.CATALOGUE),
    }
    console.print(catalogues[kind](), soft_wrap=True)  # no hard wraps: names and commands are copied whole


def _tasks() -> Text:
    """One line for each task."""
    head = ("task", "family", "epochs", "metric")
    rows = [(t.name, t.family, f"{t.epochs:g}", t.metric) for t in _catalogue()]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["  ".join(field.ljust(width) for field, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    lines += [f"{name}  offered by an installed package: {place}" for name, place in installed(own_task.GROUP).items()]
    last = f"\n--long says more: data, chance, direction, optimizer, peak LRs.\nOne of your own: {OWN['task']}"
    return Text("\n").join([Text(lines[0].rstrip(), "bold"), *(Text(line.rstrip()) for line in lines[1:]), Text(last)])


def _tasks_at_length() -> Text:
    lines = []
    for task in _catalogue():
        facts = {
            "budget": f"{task.epochs:g} epochs in batches of {task.batch_size}, evaluated every {task.eval_epochs}",
            "metric": f"{task.metric} ({task.direction})",
            "chance": task.chance,
            "optimizer": f"{task.optimizer}, weight decay {task.weight_decay:g}",
            "peak LRs": ", ".join(f"{lr:g}" for lr in task.peak_lrs),
            "data": task.source,
        }
        lines += [Text(""), Text.assemble((task.name, "bold"), f": {task.family}"), *_facts(facts)]
    return Text("\n").join(lines[1:])


def _catalogue() -> list[Task]:
    return [tasks.parse(name) for name in tasks.CATALOGUE]


def _facts(facts: Mapping[str, str]) -> list[Text]:
    return [Text(f"    {name:<12}{fact}") for name, fact in facts.items()]


def _schedules() -> Table:
    table = Table(title="Schedules", show_lines=True)
    for head in ("schedule", "formula", "horizon"):
        table.add_column(head, overflow="fold")
    table.add_column("source", overflow="fold")
    for name, factory in schedules.CATALOGUE.items():
        table.add_row(*map(Text, (name, factory.formula, factory.horizon, factory.paper)))
    for name, reference in installed(external.GROUP).items():  # not imported: other people's code
        table.add_row(*map(Text, (name, "offered by an installed package", "", reference)))
    return table


def _schedules_at_length() -> Table:
    table = Table(title="Schedules", show_lines=True)
    for head in ("schedule", "formula, settings, source"):
        table.add_column(head, overflow="fold")
    for name, factory in schedules.CATALOGUE.items():
        horizon = f"horizon: {factory.horizon}"
        lines = [summary(factory), "", factory.formula, "", *map(": ".join, settings(factory)), horizon, factory.paper]
        table.add_row(Text(name, "bold"), Text("\n".join(lines)))
    return table


def settings(factory: Any) -> Iterator[tuple[str, str]]:
    """Each setting of a schedule with its default, and its type in words."""
    for parameter in inspect.signature(factory).parameters.values():
        default = "" if parameter.default is parameter.empty else f" = {_value(parameter.default)}"
        yield f"{parameter.name}{default}", words(parameter.annotation)


def _value(default: object) -> str:
    return f"{default:g}" if isinstance(default, float) else repr(default)


def _dataclasses(catalogue: Mapping[str, Any]) -> Text:
    """Each optimizer or averaging as a call with its defaults, and its first line."""
    lines = []
    for name, kind in catalogue.items():
        arguments = [field for field in fields(kind) if field.name not in SHARED]
        defaults = ", ".join(f"{field.name}={_value(field.default)}" for field in arguments)
        lines += [Text.assemble((name, "bold"), f"({defaults})"), Text(f"    {summary(kind)}")]
    return Text("\n").join(lines)


def _optimizers() -> Text:
    """Those of the catalogue, those of libraries, and how to bring one."""
    lines = [_dataclasses(optimizers.CATALOGUE)]
    for name, make in own_optimizers.LIBRARIES.items():
        lines += [Text.assemble((f"{name}('NAME', ...)", "bold")), Text(f"    {summary(make)}")]
    for name, reference in installed(own_optimizers.GROUP).items():  # not imported: other people's code
        lines += [Text(name, "bold"), Text(f"    offered by an installed package: {reference}")]
    last = "All but those with one LR take layer_decay=1, head_lr=1: multipliers of the LR by layer."
    return Text("\n").join([*lines, Text(f"\n{last}"), Text(f"One of your own: {OWN['optimizer']}; give --peak-lrs")])


def _suites() -> Text:
    lines = []
    for name, suite in SUITES.items():
        names = ", ".join(dict.fromkeys(grid.task for grid in suite().grids))
        lines += [Text.assemble((name, "bold"), f": {summary(suite)}"), Text(f"    {names}")]
    return Text("\n").join([*lines, Text(f"\nOne of your own: {OWN['suite']}")])


def _data() -> Text:
    lines = [Text(f"Data sets, in the folder that --data DIR or {dataset.ROOT} names", "italic")]
    for pack in PACKS.values():
        facts = {
            "layout": " or ".join(pack.layouts),
            "size": pack.size,
            "licence": pack.licence,
            "checked by": pack.check,
            "to get it": pack.get,
        }
        lines += [Text(""), Text.assemble((pack.name, "bold"), f": {pack.title}")]
        lines += _facts(facts)
    return Text("\n").join(lines)


def summary(factory: object) -> str:
    """The first line of the docstring of a schedule, optimizer, averaging or suite."""
    return (factory.__doc__ or "").strip().split("\n")[0]
