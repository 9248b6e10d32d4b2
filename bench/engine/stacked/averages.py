"""Averages of stacked rows, by slot. Suffixes: M = members, K = members that have a slot, P = weights of one member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.contract import Recipe
from bench.engine.stacked.layout import picked
from bench.strategies.averagings import PRESENT


class StackedAverages:
    """What members keep of their weights: for each slot the members that have it, and their rows [K, P]."""

    def __init__(self) -> None:
        self.slots: dict[str, tuple[list[int], Tensor]] = {}

    def blend(self, slot: str, rows: Sequence[int], share: float, weight_WP: Tensor) -> None:
        """See `bench.contract.Engine`."""
        owners = list(rows)
        whole = owners == list(range(len(owners)))  # the first rows, or all of them, are averaged where they lie
        now_KP = weight_WP[: len(owners)] if whole else picked(weight_WP, owners)
        if share == 1:
            self.slots[slot] = owners, now_KP.clone()
            return
        if self.slots[slot][0] != owners:
            self.slots[slot] = owners, self._of(slot, owners)
        self.slots[slot][1].lerp_(now_KP, share)

    def mixed(self, recipe: Recipe, rows: Sequence[int], weight_WP: Tensor) -> Tensor:
        """What a recipe mixes for each of these members, as rows of their own."""
        mixed_KP = torch.empty(0)
        for slot, share in recipe:  # no part outlives its turn: each may be as large as all members
            if share == 1:
                mixed_KP = self._part(slot, rows, weight_WP)
            else:
                mixed_KP.lerp_(self._part(slot, rows, weight_WP), share)
        return mixed_KP

    def _part(self, slot: str, rows: Sequence[int], weight_WP: Tensor) -> Tensor:
        return picked(weight_WP, rows) if slot == PRESENT else self._of(slot, rows)

    def _of(self, slot: str, rows: Sequence[int]) -> Tensor:
        owners, kept_KP = self.slots[slot]
        return picked(kept_KP, [owners.index(row) for row in rows])

    def take(self, rows: Sequence[int]) -> None:
        """Member i becomes old member rows[i]."""
        for slot, (owners, kept_KP) in list(self.slots.items()):
            heirs = [i for i, row in enumerate(rows) if row in owners]
            if heirs:
                self.slots[slot] = heirs, picked(kept_KP, [owners.index(rows[i]) for i in heirs])
            else:
                del self.slots[slot]

    def state(self) -> dict[str, Any]:
        """For a snapshot, which copies it."""
        return {slot: {"owners": owners, "rows": kept} for slot, (owners, kept) in self.slots.items()}

    def load(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Become the bank of `state`."""
        self.slots = {s: (list(own["owners"]), own["rows"].to(device, copy=True)) for s, own in state.items()}
