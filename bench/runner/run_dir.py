"""The beginning of every use of a run's directory: it is of this plan, and the plan's row is there."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.ledger.lines import Reader, Row
from bench.ledger.rows import standing
from bench.plan.plan import Plan
from bench.runner.config import Prepared
from bench.runner.worker import Site

KINDS = ("plan", "cohort")
"""Rows that a reader given to `opened` should read."""


def opened(reader: Reader[Row], prepared: Prepared, site: Site | None) -> tuple[set[str], list[str]]:
    """Ids of the cohorts done already, and notes; the plan's row is written, if it is not there, by `site`.

    Raises:
        InputError: the directory is of another plan, or cannot be written.
    """
    plan, notes = prepared.plan, list[str]()
    reader.notes = notes
    rows = list(reader.new())
    reader.notes = None
    done = {row["key"] for row in rows if row["kind"] == "cohort"}
    plans = {row["key"]: row for row in rows if row["kind"] == "plan"}
    last = standing(plans.values()) if plans else None
    key, replaced, begun = plan.id, {}, last is not None and last["payload"]["plan"] == plan.id
    if last is not None and not begun and renews(plan, last["payload"]):
        replaced = {"replaces": sorted(plans)}
        key = next(name for n in count(1) if (name := plan.id + f"/{n}" * (n > 1)) not in plans)
        notes += [uncounted(plan, rows)]
    elif last is not None:
        for row in plans.values():
            if row["key"] not in last["payload"].get("replaces", ()):
                check(prepared, reader.directory, row)
    if site is not None and not begun:
        book = site.ledger()
        book.append("plan", key, prepared.payload() | replaced)
        book.close()
        notes += book.notes
    return done, list(dict.fromkeys(notes))


def renews(plan: Plan, recorded: Row) -> bool:
    """Whether a plan is the recorded one but for what its tasks' code does."""
    codes = {task: facts.get("code", "") for task, facts in recorded["tasks"].items()}
    return plan.coded(codes).id == str(recorded["plan"])


def uncounted(plan: Plan, rows: Iterable[Row]) -> str:
    """Why recorded cells don't count, in a line."""
    codes, cells = {cell.task: cell.code for cell in plan.cells}, dict[str, int]()
    for row in rows:
        it = row["payload"]
        if row["kind"] == "cohort" and it["task"] in codes and it.get("code", "") != codes[it["task"]]:
            cells[it["task"]] = cells.get(it["task"], 0) + it["cells"]
    each = ", ".join(f"{n:,} cells of {task}" for task, n in cells.items()) or "no cell"
    return (
        f"the code of a task has changed since this directory was begun: {each} recorded under other code, which stay "
        "in the ledger and don't count; this run trains and shows cells of the code as it is now"
    )


def check(prepared: Prepared, directory: Path, row: Row) -> None:
    """Refuse a recorded plan that this one neither continues nor extends, or that declared another reference.

    Raises:
        InputError: saying which.
    """
    plan, there = prepared.plan, row["payload"]
    if there["plan"] not in (plan.id, *plan.extends):
        other = f"another plan (suite {there['suite']}, {row['key']}; this one is {plan.suite}, {plan.id})"
        if width := prepared.width(row["key"]):
            raise InputError(
                f"{directory} belongs to {other}, which has the same cells in cohorts of another width, as memory "
                f"decides if nobody does: --width {width} continues it"
            )
        raise InputError(
            f"{directory} belongs to {other}: {differing(there, prepared.payload())}; give another --out, the settings "
            "it was begun with, or --extend for a plan that holds all its cells and more"
        )
    if there.get("reference", plan.reference) != plan.reference:
        raise InputError(
            f"{directory} was begun with {there['reference']} as the reference, and {plan.reference} cannot take its "
            "place: it is declared before the run"
        )


SETTINGS = {
    "schedules": "schedules",
    "budgets": "budgets",
    "peak_lrs": "peak LRs",
    "seeds": "seeds",
    "optimizers": "optimizers",
    "epochs": "full epochs",
    "eval_epochs": "epochs between evaluations",
    "batch_size": "batch size",
    "metric": "metric",
    "digest": "data",
    "code": "code",
    "engine": "engine",
}
"""What a plan's row says of a task and decides its cells, in words."""

SHOWN = 3  # differences in a line


def differing(there: Row, here: Row) -> str:
    """In which settings two plans' rows differ, in a few words.

    >>> old = {"tasks": {"digits": {"seeds": [0, 1, 2], "epochs": 20}, "vowels": {}}}
    >>> differing(old, {"tasks": {"digits": {"seeds": [0, 1], "epochs": 20}, "scenes": {}}})
    'it has vowels and lacks scenes; seeds of digits: [0, 1, 2] there, [0, 1] here'
    """
    old, new = there["tasks"], here["tasks"]
    lost, added = ([t for t in a if t not in b] for a, b in ((old, new), (new, old)))
    sides = [f"{word} {', '.join(names)}" for word, names in (("has", lost), ("lacks", added)) if names]
    found = [f"it {' and '.join(sides)}"] if sides else []
    by_words: dict[str, list[str]] = {}
    for task in [t for t in old if t in new]:
        for key, name in SETTINGS.items():
            a, b = old[task].get(key), new[task].get(key)
            follows = key == "engine" and by_words  # from the number of cells
            if a != b and not (a is None or b is None or follows):
                by_words.setdefault(f"{name} of {{}}: {_only(a, b)} there, {_only(b, a)} here", []).append(task)
    found += [words.format(", ".join(names)) for words, names in by_words.items()]
    more = [f"{len(found) - SHOWN} more settings differ"] if len(found) > SHOWN else []
    return "; ".join([*found[:SHOWN], *more]) or "the same settings make other cells or cohorts here"


def _only(these: Any, others: Any) -> str:
    """A value; of long lists what the other lacks."""
    if isinstance(these, list) and isinstance(others, list) and len(these) > SHOWN:
        own = [it for it in these if it not in others]
        return f"{len(these)}, {', '.join(map(str, own[:SHOWN]))} among them" if own else f"{len(these)}"
    return str(these)
