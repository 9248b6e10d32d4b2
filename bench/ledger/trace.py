"""Per-step record of one cohort: LR, loss and gradient norm of every member segment, in one compressed file.

A *segment* is a member between two forks: the first child of a fork goes on under its parent's number, each other
child opens a new one. The engine keeps losses on the device; they arrive here some steps late, and in order.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract import SKIPPED, Array
from bench.ledger import atomic

COLUMNS = {"segment": np.int32, "step": np.int32, "lr": np.float64, "loss": np.float32, "grad_norm": np.float32}


class Trace:
    """Folds the engine's history into columns, and into what the loop asks of it, per member row.

    Attributes:
        bad_M: First step whose loss or gradient norm was not finite, -1 while there is none; updates that loss scaling
            skips are none.
        looks: Looks done, the tails of diverged members left out.
        moves: Optimizer steps done or skipped, likewise.
    """

    def __init__(self, members: int = 1) -> None:
        self.bad_M = np.full(members, -1, np.int64)
        self.looks = self.moves = 0
        self._sums_2M = np.zeros((2, members))  # of training losses and gradient norms since the last evaluation
        self._counts_2M = np.zeros((2, members), np.int64)  # of what is in these sums
        self._seats: list[tuple[int, Sequence[int], Sequence[int], Sequence[float]]] = []
        self._columns: list[tuple[Array, ...]] = []
        self._chunks: list[str] = []  # on the disk already
        self._mark = secrets.token_hex(4)

    def seat(self, step: int, rows: Sequence[int], segments: Sequence[int], lrs: Sequence[float]) -> None:
        """Note who moved how after the look at `step`; `rows` are the looked-at rows the movers came from."""
        self._seats.append((step, rows, segments, lrs))

    def fold(self, history: Sequence[tuple[Array, Array]]) -> None:
        """Take in the (loss [M], gradient norm [M]) of every look seated since the last fold."""
        for (step, rows, segments, lrs), (loss_M, norm_M) in zip(self._seats, history, strict=True):
            self.looks += int((self.bad_M < 0).sum())
            skipped_M = norm_M == SKIPPED
            broken_M = ~(np.isfinite(loss_M) & np.isfinite(norm_M)) & ~skipped_M & (self.bad_M < 0)
            self.bad_M = np.where(broken_M, step, self.bad_M)[rows]
            self.moves += int((self.bad_M < 0).sum())
            norm_M = np.where(skipped_M, np.float32(np.nan), norm_M)
            both_2M = np.stack([loss_M, norm_M])
            known_2M = np.isfinite(both_2M) | ~skipped_M
            self._sums_2M = (self._sums_2M + np.where(known_2M, both_2M, 0))[:, rows]
            self._counts_2M = (self._counts_2M + known_2M)[:, rows]
            n = len(rows)
            self._columns.append((np.asarray(segments), np.full(n, step), np.asarray(lrs), loss_M[rows], norm_M[rows]))
        self._seats.clear()

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows train on."""
        self.bad_M, self._sums_2M, self._counts_2M = self.bad_M[rows], self._sums_2M[:, rows], self._counts_2M[:, rows]

    def means(self) -> list[tuple[float | None, float | None]]:
        """Mean (training loss, gradient norm) of each row since the last `restart`; None if all of them overflowed."""
        means_2M = self._sums_2M / np.maximum(1, self._counts_2M)
        return [
            (loss if n else None, norm if k else None)
            for (loss, norm), (n, k) in zip(means_2M.T.tolist(), self._counts_2M.T.tolist(), strict=True)
        ]

    def restart(self) -> None:
        """Begin a new mean: an epoch has been evaluated."""
        self._sums_2M, self._counts_2M = np.zeros_like(self._sums_2M), np.zeros_like(self._counts_2M)

    def state(self) -> dict[str, Any]:
        """What a snapshot needs besides the columns already on disk."""
        return {
            "bad": self.bad_M.tolist(),
            "sums": self._sums_2M.tolist(),
            "counts": [self.looks, self.moves, self._counts_2M.tolist()],
            "chunks": list(self._chunks),  # a copy: the snapshot is written beside the training, which goes on
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.bad_M = np.asarray(state["bad"], np.int64)
        self._sums_2M = np.asarray(state["sums"], np.float64)
        self.looks, self.moves, counts = state["counts"]
        self._counts_2M = np.broadcast_to(counts, self._sums_2M.shape).astype(np.int64)  # in older ones, one
        self._chunks = list(state["chunks"])

    def spill(self, folder: Path, step: int) -> None:
        """Write the columns gathered so far to a chunk, ahead of the snapshot taken at `step`, which names it.

        No other process writes under that name, so whoever else trains the cohort, a snapshot finds what it counts on.
        """
        if self._columns:
            self._chunks.append(f"{step}-{self._mark}.npz")
            _write(folder / self._chunks[-1], self._columns)
            self._columns.clear()

    def finish(self, folder: Path, path: Path) -> None:
        """Join chunks and the rest, sorted by segment and step, into one file."""
        chunks = [read(folder / chunk) for chunk in self._chunks]
        _write(path, [*(tuple(c[name] for name in COLUMNS) for c in chunks), *self._columns])


def discard(folder: Path) -> None:
    """Remove the chunks of a finished cohort."""
    shutil.rmtree(folder, ignore_errors=True)


def read(path: Path) -> dict[str, Array]:
    """Columns `segment`, `step`, `lr`, `loss`, `grad_norm` of a trace file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in COLUMNS}


def _write(path: Path, parts: Sequence[tuple[Array, ...]]) -> None:
    joined = [
        np.concatenate([np.asarray(part[i], kind) for part in parts]) if parts else np.empty(0, kind)
        for i, kind in enumerate(COLUMNS.values())
    ]
    order = np.lexsort((joined[1], joined[0]))
    columns = {name: column[order] for name, column in zip(COLUMNS, joined, strict=True)}
    atomic.write(path, lambda file: np.savez_compressed(file, allow_pickle=False, **columns))
