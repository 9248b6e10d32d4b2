"""Opening of a run's directory: check that it belongs to this plan, and write the plan's row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import count
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.ledger.lines import LedgerReader, Payload, Row
from bench.ledger.rows import CohortRow, PlanRow, TaskFacts, last_plan, of_kind
from bench.plan.plan import Plan
from bench.runner.config import PreparedRun
from bench.runner.worker import WorkerContext

KINDS = (PlanRow.kind, CohortRow.kind)
"""Kinds of rows that the reader for `open_run_dir` should read."""


def open_run_dir(
    reader: LedgerReader[Row], prepared: PreparedRun, context: WorkerContext | None
) -> tuple[set[str], list[str]]:
    """Open the directory of a run.

    Args:
        reader: Reads rows of KINDS from the directory.
        prepared: The plan that the directory should be of.
        context: Writes the plan's row if it is missing; None to write nothing.

    Returns:
        (ids of the cohorts that are done, notes).

    Raises:
        InputError: the directory belongs to another plan, or cannot be written.
    """
    plan, notes = prepared.plan, list[str]()
    reader.notes = notes
    rows = list(reader.new())
    reader.notes = None
    plans, cohorts = of_kind(rows, PlanRow), of_kind(rows, CohortRow)
    last = last_plan(plans) if plans else None
    key, row, has_row = plan.id, None, last is not None and last.plan == plan.id
    if last is not None and not has_row and renews(plan, last):
        row = replace(prepared.row(), replaces=tuple(sorted(plans)))
        names = (plan.id if n == 1 else f"{plan.id}/{n}" for n in count(1))
        key = next(name for name in names if name not in plans)
        notes += [uncounted(plan, cohorts.values())]
    elif last is not None:
        for name, recorded in plans.items():
            if name not in last.replaces:
                check(prepared, reader.directory, name, recorded)
    if context is not None and not has_row:
        book = context.ledger()
        book.append(PlanRow.kind, key, (row or prepared.row()).payload())
        book.close()
        notes += book.notes
    return set(cohorts), list(dict.fromkeys(notes))


def renews(plan: Plan, recorded: PlanRow) -> bool:
    """True if a plan differs from the recorded one in the code of its tasks alone."""
    codes = {task: facts.code for task, facts in recorded.tasks.items()}
    return plan.coded(codes).id == recorded.plan


def uncounted(plan: Plan, cohorts: Iterable[CohortRow]) -> str:
    """A line that says why recorded cells don't count."""
    codes, cells, unknown = {cell.task: cell.code for cell in plan.cells}, dict[str, int](), False
    for cohort in cohorts:
        if cohort.task in codes and cohort.code != codes[cohort.task]:
            cells[cohort.task] = cells.get(cohort.task, 0) + cohort.cells
            unknown = unknown or not cohort.code
    each = ", ".join(f"{n:,} cells of {task}" for task, n in cells.items()) or "no cell"
    if unknown:
        reason = f"this directory was begun by a version that did not record the code of tasks: {each} of unknown code"
    else:
        reason = f"the code of a task has changed since this directory was begun: {each} recorded under other code"
    return (
        f"{reason}, which stay in the ledger and don't count; this run trains and shows cells of the code as it is now"
    )


def check(prepared: PreparedRun, directory: Path, key: str, recorded: PlanRow) -> None:
    """Refuse a recorded plan that this one neither continues nor extends, or that declared another way to test.

    Raises:
        InputError: the two plans differ; the message says how.
    """
    plan = prepared.plan
    if recorded.plan not in (plan.id, *plan.extends):
        other = f"another plan (suite {recorded.suite}, {key}; this one is {plan.suite}, {plan.id})"
        if width := prepared.width(key):
            raise InputError(
                f"{directory} belongs to {other}, which has the same cells in cohorts of another width, as memory "
                f"decides unless it is given: --width {width} continues it"
            )
        raise InputError(
            f"{directory} belongs to {other}: {differing(recorded, prepared.row())}; give another --out, "
            "the settings it was begun with, or --extend for a plan that holds all its cells and more"
        )
    if (recorded.reference or plan.reference) != plan.reference:
        raise InputError(
            f"{directory} was begun with {recorded.reference} as the reference, and {plan.reference} cannot take its "
            "place: it is declared before the run"
        )
    if recorded.seed_looks != plan.seed_looks:
        raise InputError(
            f"{directory} was begun with {looks_text(recorded.seed_looks)}, and {looks_text(plan.seed_looks)} cannot "
            "take its place: they are declared before the run; give another --out"
        )


def looks_text(looks: Iterable[int]) -> str:
    """The looks of a plan in words.

    >>> looks_text((4, 6)), looks_text(())
    ('looks at 4, 6 seeds (--until decided)', 'a fixed number of seeds')
    """
    numbers = ", ".join(map(str, looks))
    return f"looks at {numbers} seeds (--until decided)" if numbers else "a fixed number of seeds"


TITLES = {
    "peak_lrs": "peak LRs",
    "epochs": "full epochs",
    "eval_epochs": "epochs between evaluations",
    "digest": "data",
    "primary": "primary test",
    "seed_looks": "looks at seeds",
}
"""Names in messages of the fields of a plan's row, where they are not the field's own words."""

WORDS = {"family", "source", "chance", "baseline", "margin", "repeats"}
"""Fields of a task that decide no cell."""

IMPLIED = {"optimizer", "weight_decay", "epoch_steps", "sizes", "layers", "direction", "unit", "engine"}
"""Fields of a task that follow from others, and are named only if no other differs."""

SHOWN = 3  # differences in a message, at most


def differing(old: PlanRow, new: PlanRow) -> str:
    """Settings in which two plans differ: "seeds of digits: [0, 1, 2] there, [0, 1] here"."""
    missing, added = [t for t in old.tasks if t not in new.tasks], [t for t in new.tasks if t not in old.tasks]
    sides = [f"{verb} {', '.join(names)}" for verb, names in (("has", missing), ("lacks", added)) if names]
    differences = [f"it {' and '.join(sides)}"] if sides else []
    common = {t: (old.tasks[t], new.tasks[t]) for t in old.tasks if t in new.tasks}
    names = [f.name for f in reversed(fields(TaskFacts)) if f.name not in WORDS]  # the command line's own first
    settings, implied = [name for name in names if name not in IMPLIED], [name for name in names if name in IMPLIED]
    differences += _by_task(common, settings) or ([] if differences else _by_task(common, implied))
    for name in () if differences else ("reference", "primary", "seed_looks"):
        differences += [f"{title}: {a} there, {b} here" for title, a, b in _different_fields(old, new, [name])]
    more = [f"{len(differences) - SHOWN} more settings differ"] if len(differences) > SHOWN else []
    return "; ".join([*differences[:SHOWN], *more]) or (
        "its settings are the same one by one, and are combined to other cells or cohorts"
    )


def _by_task(common: Mapping[str, tuple[TaskFacts, TaskFacts]], names: Sequence[str]) -> list[str]:
    """Differences of tasks in these fields; one text for all tasks that differ alike."""
    tasks_by_text: dict[str, list[str]] = {}
    for task, pair in common.items():
        for title, a, b in _different_fields(*pair, names):
            tasks_by_text.setdefault(f"{title} of {{}}: {a} there, {b} here", []).append(task)
    return [text.replace("{}", ", ".join(tasks), 1) for text, tasks in tasks_by_text.items()]


def _different_fields(old: Payload, new: Payload, names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Fields that differ, each with both values as text; one that is None was not recorded, and tells nothing."""
    for name in names:
        a, b = getattr(old, name), getattr(new, name)
        if a != b and a is not None and b is not None:
            yield TITLES.get(name, name.replace("_", " ")), _only(a, b), _only(b, a)


def _only(values: Any, others: Any) -> str:
    """A value as text; of a long list, its length and entries that the other list lacks."""
    if isinstance(values, list) and isinstance(others, list) and len(values) > SHOWN:
        own = [value for value in values if value not in others]
        return f"{len(values)}, {', '.join(map(str, own[:SHOWN]))} among them" if own else str(len(values))
    return str(values)
