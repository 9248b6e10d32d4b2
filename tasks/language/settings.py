"""Checks of the numbers that a user gives a language model."""

from __future__ import annotations

from bench.contract import InputError


def require(task: str, name: str, value: object, least: int, most: int, step: int = 1) -> None:
    """Refuse a setting that is no whole number in a range, or no multiple of `step`.

    Raises:
        InputError: names the task, the setting and what is allowed.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole and least <= value <= most and value % step == 0):  # type: ignore[operator]  # it is an int
        kind = "a whole number" if step == 1 else f"a multiple of {step}"
        raise InputError(f"{task}: {name} is {value!r}; it should be {kind} from {least:,} to {most:,}")
