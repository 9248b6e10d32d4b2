"""Checks of other libraries' schedulers: texts that nothing reads, an LR of 0, an LR that never moves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
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


SHARE = "a share of the budget is a text, as in '0.5 * total'"


def check_counts(where: str, value: Any, parameter: inspect.Parameter | None) -> None:
    """Check that what counts updates or epochs is a whole number of them, from 0.

    Libraries take a share (0.5) for a count that is never met, or is met at every update.

    Raises:
        InputError: a number that counts nothing.
    """
    kind = _counted(parameter)
    if kind is None or value is None:
        return
    for part in value if isinstance(value, tuple | list) else (value,):
        if isinstance(part, str):
            if (amount := AMOUNT.fullmatch(part)) and amount[2] == "peak_lr":
                raise InputError(f"{where} is a count, and {part!r} an LR: {SHARE}")
            continue
        real = isinstance(part, int | float) and not isinstance(part, bool)
        if not real or not (0 <= part < LARGEST) or (part % 1 and (kind == "int" or part < 1)):
            whole = "a whole number, 0 or more" if kind == "int" else "0, or a number of 1 or more"
            raise InputError(f"{where} is a count, {whole}, and not {part!r}: {SHARE}")


LARGEST = 2**53  # above which a number cannot count
UNCOUNTED = {"last_epoch", "noise_seed"}
"""Whole numbers that are no counts."""


def _counted(parameter: inspect.Parameter | None) -> str | None:
    """Kind of count of a setting: "int"; "float" (timm's decay_t: 2.4 epochs); None if it counts nothing."""
    if parameter is None or parameter.name in UNCOUNTED:
        return None
    hint = "" if parameter.annotation is parameter.empty else str(parameter.annotation)
    if "Callable" in hint or "bool" in hint:
        return None
    if re.search(r"\bint\b", hint) and "float" not in hint:
        return "int"
    if parameter.name.endswith("_steps") and not hint:
        return "int"
    return "float" if parameter.name.endswith(("_t", "timescale")) else None


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
    if len(set(lrs)) > 1:
        _check_relative(where, machine, lrs)
    elif relative:
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


def _check_relative(where: str, machine: Any, lrs: Sequence[Setting]) -> None:
    """Refuse milestones relative to the budget that no budget contains; a share may be below one epoch of the trial."""
    for key, part in idle(machine, [(TRIAL, lrs)]):
        if {amount[2] for amount in amounts(part)} & {"total", "epochs"} and machine.amount(part, TRIAL) >= 1:
            raise InputError(
                f"{where}: {key} has {part!r}, which never comes: what it counts should lie within the budget; {SHARE}"
            )


Traces = Sequence[tuple[Clock, Sequence[Setting]]]


def check_ends(text: str, traces: Traces) -> None:
    """Refuse a schedule that leaves a cell at an LR of 0.

    Raises:
        InputError: with the update at which it fell to 0.
    """
    for clock, trace in traces:
        first_zero = next((t for t in range(len(trace), 0, -1) if trace[t - 1].factor), 0)
        if first_zero <= len(trace) // 10 < len(trace) - first_zero:
            raise InputError(
                f"schedule {text} leaves an LR of 0 from update {first_zero} of {clock.total} on, so that little would "
                "be trained: say how long it lasts, as in 'total'"
            )


def check_moves(text: str, machine: Any, traces: Traces) -> None:
    """Refuse a scheduler that moves in no cell but would in a longer one, or one of whose milestones is in no cell.

    Raises:
        InputError: with the update at which it would move first, or with the milestone.
    """
    if not any(len(set(trace)) > 1 for _, trace in traces):
        _check_constant(text, machine, traces)
    for key, part in idle(machine, traces):
        clock = max((clock for clock, _ in traces), key=lambda clock: clock.total)
        raise InputError(
            f"schedule {text}: {key} has {part!r}, which never comes: no cell would change there, and the longest "
            f"budget has {clock.total} updates in epochs of {clock.epoch_steps}; {SHARE}"
        )


def _check_constant(text: str, machine: Any, traces: Traces) -> None:
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


def idle(machine: Any, traces: Traces) -> Iterator[tuple[str, Any]]:
    """Counts that no budget reaches, with their setting: milestones, and where nothing moves, counts of any kind.

    Without such a milestone every trace would be the same. Where even a count of 1 would change nothing (a factor of
    1), there is nothing to tell.
    """
    longest_first = sorted(traces, key=lambda pair: -pair[0].total)
    clock, trace = longest_first[0]
    constant = all(len(set(trace)) == 1 for _, trace in traces)
    for key, value in machine.settings:
        if _counted(machine.parameters.get(key)) is None:
            continue
        if not isinstance(value, tuple | list):
            beyond = constant and not isinstance(value, str) and value is not None and value > clock.total
            if beyond and not _same(_changed(machine, key, 1), clock, trace):
                yield key, value
            continue
        for i, part in enumerate(value):
            without, sooner = ((*value[:i], *entry, *value[i + 1 :]) for entry in ((), (1,)))
            one, other = (_changed(machine, key, entries) for entries in (without, sooner))
            if all(_same(one, *pair) for pair in longest_first) and not _same(other, clock, trace):
                yield key, part


def settings(machine: Any, clock: Clock) -> list[Setting]:
    """Settings over a budget; empty if the library raises, as it may at budgets that no cell has."""
    try:
        return list(islice(machine.trace(clock), clock.total))
    except Exception:
        return []


def _changed(machine: Any, key: str, value: Any) -> Any:
    return replace(machine, settings=tuple((k, value if k == key else v) for k, v in machine.settings))


def _same(machine: Any, clock: Clock, trace: Sequence[Setting]) -> bool:
    """True if a scheduler gives this trace; an error of the library itself tells nothing, and counts as a change."""
    try:
        return all(a == b for a, b in zip(trace, machine.trace(clock), strict=False))
    except Exception:
        return False
