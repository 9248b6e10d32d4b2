"""The beginning of every use of a run's directory: it is of this plan, and the plan's row is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.ledger.lines import LedgerReader, Row
from bench.ledger.rows import CohortRow, PlanRow, TaskFacts, last_plan, of_kind
from bench.plan.plan import Plan
from bench.runner.config import PreparedRun
from bench.runner.worker import Site

KINDS = (PlanRow.kind, CohortRow.kind)
"""Rows that a reader given to `opened` should read."""


def open_run_dir(reader: LedgerReader[Row], prepared: PreparedRun, site: Site | None) -> tuple[set[str], list[str]]:
    """Ids of the cohorts done already, and notes; the plan's row is written, if it is not there, by `site`.

    Raises:
        InputError: the directory is of another plan, or cannot be written.
    """
    plan, notes = prepared.plan, list[str]()
    reader.notes = notes
    rows = list(reader.new())
    reader.notes = None
    plans, cohorts = of_kind(rows, PlanRow), of_kind(rows, CohortRow)
    last = last_plan(plans) if plans else None
    key, row, begun = plan.id, None, last is not None and last.plan == plan.id
    if last is not None and not begun and renews(plan, last):
        row = replace(prepared.row(), replaces=tuple(sorted(plans)))
        key = next(name for n in count(1) if (name := plan.id + f"/{n}" * (n > 1)) not in plans)
        notes += [uncounted(plan, cohorts.values())]
    elif last is not None:
        for name, recorded in plans.items():
            if name not in last.replaces:
                check(prepared, reader.directory, name, recorded)
    if site is not None and not begun:
        book = site.ledger()
        book.append(PlanRow.kind, key, (row or prepared.row()).payload())
        book.close()
        notes += book.notes
    return set(cohorts), list(dict.fromkeys(notes))


def renews(plan: Plan, recorded: PlanRow) -> bool:
    """Whether a plan is the recorded one but for what its tasks' code does."""
    codes = {task: facts.code for task, facts in recorded.tasks.items()}
    return plan.coded(codes).id == recorded.plan


def uncounted(plan: Plan, cohorts: Iterable[CohortRow]) -> str:
    """Why recorded cells don't count, in a line."""
    codes, cells = {cell.task: cell.code for cell in plan.cells}, dict[str, int]()
    for cohort in cohorts:
        if cohort.task in codes and cohort.code != codes[cohort.task]:
            cells[cohort.task] = cells.get(cohort.task, 0) + cohort.cells
    each = ", ".join(f"{n:,} cells of {task}" for task, n in cells.items()) or "no cell"
    return (
        f"the code of a task has changed since this directory was begun: {each} recorded under other code, which stay "
        "in the ledger and don't count; this run trains and shows cells of the code as it is now"
    )


def check(prepared: PreparedRun, directory: Path, key: str, recorded: PlanRow) -> None:
    """Refuse a recorded plan that this one neither continues nor extends, or that declared another reference.

    Raises:
        InputError: saying which.
    """
    plan = prepared.plan
    if recorded.plan not in (plan.id, *plan.extends):
        other = f"another plan (suite {recorded.suite}, {key}; this one is {plan.suite}, {plan.id})"
        if width := prepared.width(key):
            raise InputError(
                f"{directory} belongs to {other}, which has the same cells in cohorts of another width, as memory "
                f"decides if nobody does: --width {width} continues it"
            )
        raise InputError(
            f"{directory} belongs to {other}: {differing(recorded.tasks, prepared.row().tasks)}; give another --out, "
            "the settings it was begun with, or --extend for a plan that holds all its cells and more"
        )
    if (recorded.reference or plan.reference) != plan.reference:
        raise InputError(
            f"{directory} was begun with {recorded.reference} as the reference, and {plan.reference} cannot take its "
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


def differing(old: Mapping[str, TaskFacts], new: Mapping[str, TaskFacts]) -> str:
    """Settings in which the tasks of two plans differ: "seeds of digits: [0, 1, 2] there, [0, 1] here"."""
    lost, added = ([t for t in a if t not in b] for a, b in ((old, new), (new, old)))
    sides = [f"{word} {', '.join(names)}" for word, names in (("has", lost), ("lacks", added)) if names]
    found = [f"it {' and '.join(sides)}"] if sides else []
    by_words: dict[str, list[str]] = {}
    for task in [t for t in old if t in new]:
        for key, name in SETTINGS.items():
            a, b = getattr(old[task], key), getattr(new[task], key)
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
