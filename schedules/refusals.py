"""What of another library's schedulers is refused: text that nothing reads, an LR of 0, an LR that never moves."""

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
"""Trial budgets, after which a schedule that has never moved is taken for a constant one."""


def amounts(value: Any) -> Iterator[re.Match[str]]:
    """Every amount in a setting, in lists and dicts, too."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from amounts(part)
    elif isinstance(value, dict):
        yield from amounts(list(value.values()))
    elif isinstance(value, str) and (spelled := AMOUNT.fullmatch(value)):
        yield spelled


def check_texts(where: str, value: Any, parameter: inspect.Parameter | None, depth: int) -> None:
    """Check that each text is an amount, or stands where the scheduler takes texts.

    Raises:
        InputError: it is neither.
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
    """Refuse what trains nothing at any budget; what a library refuses itself may hang on the budget, and waits.

    Raises:
        InputError: it makes no scheduler, leaves an LR of 0 at once, or moves only after the end of every budget.
    """
    where, lrs, total = f"schedule {machine.text}: {machine.name}", [], TRIAL.total
    trace = machine.settled(TRIAL)
    try:
        lrs += [next(trace) for _ in range(total)]
    except InputError:
        raise
    except NotImplementedError:
        raise InputError(f"{where} is not a scheduler by itself") from None
    except Exception:  # whatever it is, the plan meets it again at a budget that is trained
        return
    if not any(setting.factor for setting in lrs[1:]):
        raise InputError(f"{where} leaves an LR of 0 at every update, so that nothing would be trained")
    if relative and len(set(lrs)) == 1:
        try:
            later = next((t for t, setting in enumerate(islice(trace, LONG * total), total) if setting != lrs[0]), None)
        except Exception:  # as above
            return
        if later is not None:
            raise InputError(
                f"{where} never moves: it would at update {later} of a budget of {total} first; "
                f"it is stepped once an {machine.per}, and what it counts should lie within the budget"
            )


def check_moves(text: str, machine: Any, traces: Sequence[tuple[Clock, Sequence[Setting]]]) -> None:
    """Refuse a schedule that leaves one of its cells at an LR of 0, or never moves in any of them though it could.

    Raises:
        InputError: at which update it would have moved, or fell to 0.
    """
    for clock, trace in traces:
        zeros = next((t for t in range(len(trace), 0, -1) if trace[t - 1].factor), 0)
        if zeros <= len(trace) // 10 < len(trace) - zeros:
            raise InputError(
                f"schedule {text} leaves an LR of 0 from update {zeros} of {clock.total} on, so that little would be "
                "trained: say how long it lasts, as in 'total'"
            )
    if any(len(set(trace)) > 1 for _, trace in traces):
        return
    clock, trace = max(traces, key=lambda pair: pair[0].total)
    try:
        longer = islice(machine.settled(clock), clock.total, LONG * clock.total)
        later = next((t for t, setting in enumerate(longer, clock.total) if setting != trace[0]), None)
    except Exception:  # at the end of what it was made for: within it, it stood still
        return
    if later is not None:
        raise InputError(
            f"schedule {text} never moves: it would at update {later} first, and the longest budget has {clock.total}"
        )
