"""Settings that every task takes: `digits(batch_size=16, epochs=5)`. A task's own parameter of the same name wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.contract import Task
from schedules import spec
from schedules.reference import call_text

NAMES = ("batch_size", "epochs", "optimizer", "weight_decay", "clip", "eval_epochs", "peak_lrs", "layers")
"""The settings, which are fields of `Task`, in the order of the canonical text."""


def apply(task: Task, values: Mapping[str, Any]) -> Task:
    """The task with these settings, named in its text unless they are its own."""
    plain = {name: _plain(values[name]) for name in NAMES if name in values}
    changed = {name: value for name, value in plain.items() if value != _plain(getattr(task, name))}
    return replace(task, name=extended(task.name, changed), **changed)


def extended(text: str, settings: Mapping[str, Any]) -> str:
    """Text of a call with more settings."""
    call = spec.parse(text)
    return call_text(replace(call, kwargs=tuple((dict(call.kwargs) | dict(settings)).items())))


def _plain(value: Any) -> Any:
    """A setting in the form that equal settings share: tuples, whole numbers without a point, calls as text."""
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    if isinstance(value, spec.Call):
        return call_text(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
