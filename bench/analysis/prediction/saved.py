"""The held-out predictions of a run as a file beside its ledger, as the traces that they need are not published."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bench.analysis.prediction.predictor import HeldOut, Order, Predictor
from bench.contract import InputError


class Saved(NamedTuple):
    """The best law of a task, judged at one budget on schedules that were held out."""

    task: str
    cells: int  # of the task, done when it was fitted
    law: str
    peak_lr: float
    spread: float  # of schedules, as `Predictor.spread`
    order: Order
    held_out: tuple[HeldOut, ...]


COLUMNS = "task cells law peak_lr spread budget tau ceiling_low ceiling_high schedule measured predicted"


def of(p: Predictor, cells: int) -> list[Saved]:
    """A task's predictions, by budget."""
    r, best = p.readings, p.best
    return [
        Saved(
            r.task,
            cells,
            best.law.name,
            r.peak_lr,
            p.spread,
            order,
            tuple(h for h in best.held_out if h.budget == order.budget),
        )
        for order in p.orders
    ]


def lines(saved: Iterable[Saved]) -> list[dict[str, object]]:
    """Lines of the file, one for each schedule that was held out."""
    every: list[dict[str, object]] = []
    for s in saved:
        low, high = s.order.ceiling or (None, None)
        shared = {"task": s.task, "cells": s.cells, "law": s.law, "peak_lr": s.peak_lr, "spread": s.spread}
        order = {"budget": s.order.budget, "tau": s.order.tau, "ceiling_low": low, "ceiling_high": high}
        for h in s.held_out:
            every.append(shared | order | {"schedule": h.schedule, "measured": h.measured, "predicted": h.predicted})
    return every


def read(path: Path) -> list[Saved]:
    """The predictions of a file; [] where there is none.

    Raises:
        InputError: the file is no such table.
    """
    if not path.exists():
        return []
    groups: dict[tuple[str, float], list[dict[str, str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                groups.setdefault((line["task"], float(line["budget"])), []).append(line)
        return [_group(own) for own in groups.values()]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no table of predictions ({error}): `glideslope predict` writes it anew") from None


def _group(own: list[dict[str, str]]) -> Saved:
    first = own[0]
    budget, low, high = float(first["budget"]), first["ceiling_low"], first["ceiling_high"]
    ceiling = (float(low), float(high)) if low and high else None
    held_out = (HeldOut(o["schedule"], budget, float(o["measured"]), float(o["predicted"])) for o in own)
    return Saved(
        first["task"],
        int(first["cells"]),
        first["law"],
        float(first["peak_lr"]),
        float(first["spread"]),
        Order(budget, float(first["tau"]), ceiling),
        tuple(held_out),
    )
