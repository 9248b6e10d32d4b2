"""One atomic file per cohort holds all of its state: it is there whole, or the previous one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.record import disk


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a snapshot of tensors, numbers, texts, lists and dicts of these."""
    import torch

    disk.write(path, lambda file: torch.save(state, file))


def load(path: Path) -> dict[str, Any] | None:
    """The state that was saved, or None without a snapshot. Never runs code from the file.

    Raises:
        InputError: the file cannot be read as a snapshot.
    """
    import torch

    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is damaged ({reason[:80]}); delete it to train its cohort anew") from None
    return state
