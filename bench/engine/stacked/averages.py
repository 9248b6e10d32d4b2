"""Averages of stacked rows, by slot. W = rows, K = members that have a slot, P = weights of one member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.contract import Recipe
from bench.engine.stacked.layout import pick_rows
from bench.strategies.averagings import PRESENT


class StackedAverages:
    """Averages of members' weights: for each slot the members that have it, and their rows [K, P]."""

    def __init__(self) -> None:
        self.slots: dict[str, tuple[list[int], Tensor]] = {}

    def blend(self, slot: str, rows: Sequence[int], share: float, weight_WP: Tensor) -> None:
        """See `bench.contract.Engine`."""
        owners = list(rows)
        leading = owners == list(range(len(owners)))  # the first rows, or all of them, need no copy
        weight_KP = weight_WP[: len(owners)] if leading else pick_rows(weight_WP, owners)
        if share == 1:
            self.slots[slot] = owners, weight_KP.clone()
            return
        if self.slots[slot][0] != owners:
            self.slots[slot] = owners, self._average(slot, owners)
        self.slots[slot][1].lerp_(weight_KP, share)

    def mixed(self, recipe: Recipe, rows: Sequence[int], weight_WP: Tensor) -> Tensor:
        """The mix of a recipe for each of these members, as new rows [K, P]."""
        mixed_KP = torch.empty(0)
        for slot, share in recipe:  # parts are not kept: each may be as large as all members
            if share == 1:
                mixed_KP = self._source(slot, rows, weight_WP)
            else:
                mixed_KP.lerp_(self._source(slot, rows, weight_WP), share)
        return mixed_KP

    def _source(self, slot: str, rows: Sequence[int], weight_WP: Tensor) -> Tensor:
        return pick_rows(weight_WP, rows) if slot == PRESENT else self._average(slot, rows)

    def _average(self, slot: str, rows: Sequence[int]) -> Tensor:
        owners, average_KP = self.slots[slot]
        return pick_rows(average_KP, [owners.index(row) for row in rows])

    def take(self, rows: Sequence[int]) -> None:
        """Member i becomes old member rows[i], with its averages."""
        for slot, (owners, average_KP) in list(self.slots.items()):
            heirs = [i for i, row in enumerate(rows) if row in owners]
            if heirs:
                self.slots[slot] = heirs, pick_rows(average_KP, [owners.index(rows[i]) for i in heirs])
            else:
                del self.slots[slot]

    def state(self) -> dict[str, Any]:
        """State for a checkpoint, not copied."""
        return {slot: {"owners": owners, "rows": average_KP} for slot, (owners, average_KP) in self.slots.items()}

    def load(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore a state that `state` returned."""
        self.slots = {
            slot: (list(saved["owners"]), saved["rows"].to(device, copy=True)) for slot, saved in state.items()
        }
