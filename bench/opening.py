"""The beginning of every use of a run's directory: it is of this plan, and the plan's row is there."""

from __future__ import annotations

from pathlib import Path

from bench.contract import InputError
from bench.order import Prepared
from bench.record.lines import Reader, Row
from bench.work import Site

KINDS = ("plan", "cohort")
"""Rows that a reader given to `opened` should read."""


def opened(reader: Reader[Row], prepared: Prepared, site: Site | None) -> tuple[set[str], list[str]]:
    """Ids of the cohorts done already, and notes; the plan's row is written, if it is not there, by `site`.

    Raises:
        InputError: the directory is of another plan, or cannot be written.
    """
    plan, done, notes, begun = prepared.plan, set[str](), list[str](), False
    reader.notes = notes
    for row in reader.new():
        if row["kind"] == "cohort":
            done.add(row["key"])
        else:
            check(prepared, reader.directory, row)
            begun = begun or row["key"] == plan.id
    reader.notes = None
    if site is not None and not begun:
        book = site.ledger()
        book.append("plan", plan.id, prepared.payload())
        book.close()
        notes += book.notes
    return done, list(dict.fromkeys(notes))


def check(prepared: Prepared, directory: Path, row: Row) -> None:
    """Refuse a recorded plan that this one neither continues nor extends, or that declared another reference.

    Raises:
        InputError: saying which.
    """
    plan, there = prepared.plan, row["payload"]
    if row["key"] not in (plan.id, *plan.extends):
        other = f"another plan (suite {there['suite']}, {row['key']}; this one is {plan.suite}, {plan.id})"
        if width := prepared.width(row["key"]):
            raise InputError(
                f"{directory} belongs to {other}, which has the same cells in cohorts of another width, as memory "
                f"decides if nobody does: --width {width} continues it"
            )
        raise InputError(
            f"{directory} belongs to {other}: give another --out, the settings it was begun with, or --extend for a "
            "plan that holds all its cells and more"
        )
    if there.get("reference", plan.reference) != plan.reference:
        raise InputError(
            f"{directory} was begun with {there['reference']} as the reference, and {plan.reference} cannot take its "
            "place: it is declared before the run"
        )
