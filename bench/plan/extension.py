"""A recorded plan made larger: all its cells and more, the same for everybody. What is recorded is not trained again.

The new plan's cohorts hold the missing cells alone, so no recorded row changes; what they could have shared with
recorded ones is trained anew, and the plan counts that as lost in splitting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from bench.contract import InputError
from bench.ledger.rows import of_code
from bench.plan.plan import Plan

Row = Mapping[str, Any]


class Past(NamedTuple):
    """A plan in a ledger, and the cells recorded under it."""

    key: str
    payload: Mapping[str, Any]
    cells: frozenset[str]


def lineage(rows: Iterable[Row]) -> list[Past]:
    """The plans of a ledger, each the extension of the one before."""
    plans, under, cells = dict[str, Any](), dict[str, str](), dict[str, set[str]]()
    rows = list(rows)
    replaced = {key for row in rows if row["kind"] == "plan" for key in row["payload"].get("replaces", ())}
    for row in rows:
        if row["kind"] == "plan":
            if row["key"] not in replaced:
                plans[row["payload"]["plan"]] = row["payload"]
        elif row["kind"] == "attempt":
            under[row["key"]] = row["payload"]["plan"]
    ours = next((payload for payload in plans.values() if "extends" not in payload), None)
    for row in rows:
        if row["kind"] == "cell":
            plan = under[row["attempt"]]
            if plan in plans:
                cells.setdefault(plan, set()).add(row["key"])
            elif ours is not None and of_code(ours, row["payload"]):  # of a task whose code has not changed since
                cells.setdefault(ours["plan"], set()).add(row["key"])
    after = {payload.get("extends"): key for key, payload in plans.items()}
    found, key = list[Past](), after.get(None)
    while key is not None:
        found.append(Past(key, plans[key], frozenset(cells.get(key, ()))))
        key = after.get(key)
    return found


def extend(whole: Plan, past: list[Past], without: Callable[[frozenset[str]], Plan]) -> Plan:
    """What `whole` adds to recorded plans: the extension that was begun, or a new one.

    Args:
        whole: The plan that was asked for.
        past: The lineage of the ledger.
        without: The plan that was asked for, less the cells of these ids.

    Raises:
        InputError: a recorded cell is not in the plan, the last recorded plan is not finished, or nothing is added.
    """
    if not past or (len(past) == 1 and past[0].key == whole.id):
        return whole
    codes = {task: facts.get("code", "") for task, facts in past[-1].payload["tasks"].items()}
    if changed := {c.task for c in whole.cells if codes.get(c.task, c.code) != c.code}:
        if len(past) == 1 and past[0].key == whole.coded(codes).id:
            return whole
        raise InputError(
            f"--extend: cells of {', '.join(sorted(changed))} are recorded under other task code, and are not what "
            "would be trained now: give another --out"
        )
    recorded = frozenset[str]().union(*(it.cells for it in past))
    if lacking := recorded - {c.id for c in whole.cells}:
        raise InputError(
            f"--extend: {len(lacking):,} of {len(recorded):,} recorded cells are not in this plan: an extension holds "
            "all that is recorded, and more"
        )
    for n in range(1, len(past) + 1):
        before = past[:n]
        known = frozenset[str]().union(*(it.cells for it in before))
        plan = replace(without(known), extends=tuple(it.key for it in before))
        if plan.id in {it.key for it in past}:
            return plan
    last = past[-1].payload
    if len(recorded) < last["cells"]:
        raise InputError(
            f"--extend: {last['cells'] - len(recorded):,} cells of the recorded plan ({last['suite']}, {past[-1].key}) "
            "have no row yet: finish it first, by the command that it was begun with"
        )
    if not plan.cohorts:
        raise InputError("--extend: the recorded plans hold all cells of this one already: nothing to add")
    note = f"extends plan {past[-1].key}: {len(recorded):,} cells are recorded and not trained again"
    return replace(plan, notes=(note, *plan.notes))


def payload(whole: Row, before: Row, added: Row) -> dict[str, Any]:
    """The `plan` row of an extension, from those of the whole plan, the one that it extends and the added cells."""
    looks = before["looks"] + added["looks"]
    return {
        **whole,
        "plan": added["plan"],
        "extends": before["plan"],
        "cohorts": before["cohorts"] + added["cohorts"],
        "looks": looks,
        "split_loss": looks - whole["optimum"],
        "notes": list(dict.fromkeys([*before["notes"], *added["notes"]])),
    }
