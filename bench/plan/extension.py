"""Extensions of recorded plans: all recorded cells and more. Recorded cells are not trained again.

The new plan's cohorts contain only the missing cells, so no recorded row changes. Updates that they could have shared
with recorded cells are computed again; the plan counts these as lost in splitting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from bench.contract import InputError
from bench.ledger.cell_row import CellRow
from bench.ledger.lines import Row
from bench.ledger.rows import AttemptRow, PlanRow, of_code, of_kind
from bench.plan.plan import Plan

Without: TypeAlias = Callable[[frozenset[str]], Plan]
"""A function that builds a plan without the cells of some ids."""


class Past(NamedTuple):
    """A plan in a ledger, and the cells recorded under it."""

    key: str
    row: PlanRow
    cells: frozenset[str]


def lineage(rows: Iterable[Row]) -> list[Past]:
    """The plans of a ledger, from the oldest; each extends the one before."""
    rows = list(rows)
    by_key, cells = of_kind(rows, PlanRow), dict[str, set[str]]()
    replaced = {key for plan in by_key.values() for key in plan.replaces}
    plans = {plan.plan: plan for key, plan in by_key.items() if key not in replaced}
    plan_of = {key: attempt.plan for key, attempt in of_kind(rows, AttemptRow).items()}
    first = next((plan for plan in plans.values() if plan.extends is None), None)
    for row in rows:
        if row.kind == CellRow.kind and row.attempt is not None:
            plan = plan_of[row.attempt]
            if plan in plans:
                cells.setdefault(plan, set()).add(row.key)
            elif first is not None and of_code(first, CellRow.read(row.payload).settings):
                cells.setdefault(first.plan, set()).add(row.key)  # its task's code has not changed since
    successors = {plan.extends: key for key, plan in plans.items()}
    line, key = list[Past](), successors.get(None)
    while key is not None:
        line.append(Past(key, plans[key], frozenset(cells.get(key, ()))))
        key = successors.get(key)
    return line


def begun(past: Sequence[Past], without: Without, places: Iterable[int]) -> tuple[int, Plan] | None:
    """The place in the lineage, among `places`, of the plan that `without` builds, with this plan; None if at none."""
    for n in places:
        before = past[:n]
        plan = replace(without(cells_of(before)), extends=tuple(recorded_plan.key for recorded_plan in before))
        if plan.id == past[n].key:
            return n, plan
    return None


def extend(whole: Plan, past: Sequence[Past], without: Without, why: str = "--extend") -> Plan:
    """The extension of recorded plans to `whole`: the one that was begun, or a new one.

    Args:
        whole: The requested plan.
        past: The lineage of the ledger.
        without: Builds the requested plan without the cells of some ids.
        why: What asks for the extension; errors begin with it.

    Raises:
        InputError: a recorded cell is not in the plan, the last recorded plan is not finished, or nothing is added.
    """
    if not past or (len(past) == 1 and past[0].key == whole.id):
        return whole
    codes = {task: facts.code for task, facts in past[-1].row.tasks.items()}
    if changed := {c.task for c in whole.cells if codes.get(c.task, c.code) != c.code}:
        if len(past) == 1 and past[0].key == whole.coded(codes).id:
            return whole
        raise InputError(
            f"{why}: cells of {', '.join(sorted(changed))} are recorded under other task code, and are not what "
            "would be trained now: give another --out"
        )
    recorded = cells_of(past)
    if lacking := recorded - {c.id for c in whole.cells}:
        raise InputError(
            f"{why}: {len(lacking):,} of {len(recorded):,} recorded cells are not in this plan: an extension holds "
            "all that is recorded, and more"
        )
    if found := begun(past, without, range(1, len(past))):
        return found[1]
    last = past[-1].row
    if len(recorded) < last.cells:
        raise InputError(
            f"{why}: {last.cells - len(recorded):,} cells of the recorded plan ({last.suite}, {past[-1].key}) "
            "have no row yet: finish it first, by the command that it was begun with"
        )
    plan = replace(without(recorded), extends=tuple(recorded_plan.key for recorded_plan in past))
    if not plan.cohorts:
        raise InputError(f"{why}: the recorded plans hold all cells of this one already: nothing to add")
    note = f"extends plan {past[-1].key}: {len(recorded):,} cells are recorded and not trained again"
    return replace(plan, notes=(note, *plan.notes))


def cells_of(past: Iterable[Past]) -> frozenset[str]:
    """Ids of the cells recorded under some plans."""
    return frozenset[str]().union(*(plan.cells for plan in past))


def row(whole: PlanRow, before: PlanRow, added: PlanRow) -> PlanRow:
    """The `plan` row of an extension, from those of the whole plan, the extended plan and the added cells."""
    looks = before.looks + added.looks
    return replace(
        whole,
        plan=added.plan,
        extends=before.plan,
        cohorts=before.cohorts + added.cohorts,
        looks=looks,
        split_loss=looks - whole.optimum,
        notes=list(dict.fromkeys([*before.notes, *added.notes])),
    )
