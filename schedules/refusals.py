"""Checks of other libraries' schedulers: texts that nothing reads, an LR of 0, an LR that never moves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from schedules.contract import Clock, InputError, Setting

AMOUNT = re.compile(r"\s*(?:(\d+\.?\d*(?:e-?\d+)?|\.\d+) *\* *)?(total|epochs|epoch_steps|peak_lr)\s*")
TRIAL = Clock(0, 200, 10, 0.1)
LONG = 10
"""Number of budgets after which a schedule that has not moved counts as constant."""


def amounts(value: Any) -> Iterator[re.Match[str]]:
    """Amounts in a setting, including those in lists and dicts, as matches of `AMOUNT`."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from amounts(part)
    elif isinstance(value, dict):
        yield from amounts(list(value.values()))
    elif isinstance(value, str) and (amount := AMOUNT.fullmatch(value)):
        yield amount


def check_texts(where: str, value: Any, parameter: inspect.Parameter | None, depth: int) -> None:
    """Check that each text is an amount, or an argument for which the scheduler takes texts.

    Raises:
        InputError: a text is neither.
    """
    if isinstance(value, tuple | list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            check_texts(where, part, parameter, depth + 1)
    elif isinstance(value, str) and not AMOUNT.fullmatch(value):
        hint = "" if parameter is None else str(parameter.annotation)
        texts = parameter is not None and (isinstance(parameter.default, str) or re.search(r"\bstr\b|Literal", hint))
        if depth or not texts:
            raise InputError(
                f"{where} should be a number or an amount, not {value!r}: an amount is total, epochs (of the budget), "
                "epoch_steps (updates of an epoch) or peak_lr, or a multiple, as in '0.5 * total'"
            )


def try_out(machine: Any, *, relative: bool) -> None:
    """Refuse a scheduler that trains nothing at any budget.

    An error of the library itself may depend on the budget. It is raised later, for a budget that is trained.

    Raises:
        InputError: not a scheduler, an LR of 0 from the start, or an LR that moves only after the end of every budget.
    """
    where = f"schedule {machine.text}: {machine.name}"
    lrs, total = [], TRIAL.total
    trace = machine.trace(TRIAL)
    try:
        lrs += [next(trace) for _ in range(total)]
    except InputError:
        raise
    except NotImplementedError:
        raise InputError(f"{where} is not a scheduler by itself") from None
    except Exception:  # the plan meets it again at a budget that is trained
        return
    if not any(setting.factor for setting in lrs[1:]):
        raise InputError(f"{where} leaves an LR of 0 at every update, so that nothing would be trained")
    if relative and len(set(lrs)) == 1:
        try:
            longer = enumerate(islice(trace, LONG * total), total)
            later = next((t for t, setting in longer if setting != lrs[0]), None)
        except Exception:  # as above
            return
        if later is not None:
            raise InputError(
                f"{where} never moves: it would at update {later} of a budget of {total} first; "
                f"it is stepped once an {machine.per}, and what it counts should lie within the budget"
            )


def check_moves(text: str, machine: Any, traces: Sequence[tuple[Clock, Sequence[Setting]]]) -> None:
    """Refuse a schedule that leaves a cell at an LR of 0, or that moves in no cell but would in a longer one.

    Raises:
        InputError: with the update at which it would move first, or fell to 0.
    """
    for clock, trace in traces:
        first_zero = next((t for t in range(len(trace), 0, -1) if trace[t - 1].factor), 0)
        if first_zero <= len(trace) // 10 < len(trace) - first_zero:
            raise InputError(
                f"schedule {text} leaves an LR of 0 from update {first_zero} of {clock.total} on, so that little would "
                "be trained: say how long it lasts, as in 'total'"
            )
    if any(len(set(trace)) > 1 for _, trace in traces):
        return
    clock, trace = max(traces, key=lambda pair: pair[0].total)
    try:
        longer = islice(machine.trace(clock), clock.total, LONG * clock.total)
        later = next((t for t, setting in enumerate(longer, clock.total) if setting != trace[0]), None)
    except Exception:  # the scheduler ends with its budget, within which it was constant
        return
    if later is not None:
        raise InputError(
            f"schedule {text} never moves: it would at update {later} first, and the longest budget has {clock.total}"
        )
