"""The beginning of every use of a run's directory: it is of this plan, and the plan's row is there."""

from __future__ import annotations

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
        elif row["key"] == plan.id:
            begun = True
        else:
            raise InputError(
                f"{reader.directory} belongs to another plan (suite {row['payload']['suite']}, {row['key']}; this "
                f"one is {plan.suite}, {plan.id}): give another --out, or the settings it was begun with"
            )
    reader.notes = None
    if site is not None and not begun:
        book = site.ledger()
        book.append("plan", plan.id, prepared.forecast.payload())
        book.close()
        notes += book.notes
    return done, list(dict.fromkeys(notes))
