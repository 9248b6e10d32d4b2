"""Dataclasses as JSON objects, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

R = TypeVar("R", bound="Payload")


class Payload:
    """A frozen dataclass that is written as a JSON object and read from one."""

    def payload(self) -> dict[str, Any]:
        """Fields by name, in order; those with a default only where they differ from it."""
        values = {f.name: getattr(self, f.name) for f in _fields(self)}
        return {f.name: plain(values[f.name]) for f in _fields(self) if _required(f) or values[f.name] != f.default}

    @classmethod
    def read(cls: type[R], payload: Mapping[str, Any]) -> R:
        """The row that a payload holds; a required field that an older ledger lacks is None."""
        own = {f.name: payload.get(f.name) for f in _fields(cls) if _required(f) or f.name in payload}
        return cls(**own)


def _fields(of: Any) -> tuple[Field[Any], ...]:
    return fields(of)


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def plain(value: Any) -> Any:
    """A value as JSON objects, lists, texts and numbers."""
    if isinstance(value, Payload):
        return value.payload()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value
