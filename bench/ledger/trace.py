"""Per-step record of one cohort: LR, loss and gradient norm of every member segment, in one compressed file.

A *segment* is a member between two forks: the first child of a fork keeps its parent's number, and each other child
begins a new one. The engine keeps losses on the device, so they arrive here some steps late, but in order.
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
    """Folds the engine's history into columns, and into sums and counts for each member row.

    Attributes:
        bad_M: First step whose loss or gradient norm was not finite, -1 if none was; updates that loss scaling skips
            don't count.
        looks: Number of looks, without those of diverged members.
        moves: Number of optimizer steps done or skipped, without those of diverged members.
    """

    def __init__(self, members: int = 1) -> None:
        self.bad_M = np.full(members, -1, np.int64)
        self.looks = self.moves = 0
        self._sums_2M = np.zeros((2, members))  # of training losses and gradient norms since the last evaluation
        self._counts_2M = np.zeros((2, members), np.int64)  # of finite values in these sums
        self._seats: list[tuple[int, Sequence[int], Sequence[int], Sequence[float]]] = []
        self._columns: list[tuple[Array, ...]] = []
        self._chunks: list[str] = []  # names of the files on the disk
        self._mark = secrets.token_hex(4)

    def seat(self, step: int, rows: Sequence[int], segments: Sequence[int], lrs: Sequence[float]) -> None:
        """Note the moves after the look at `step`; `rows` are the rows of that look that the movers came from."""
        self._seats.append((step, rows, segments, lrs))

    def fold(self, history: Sequence[tuple[Array, Array]]) -> None:
        """Add the (loss [M], gradient norm [M]) of every look seated since the last fold."""
        for (step, rows, segments, lrs), (loss_M, norm_M) in zip(self._seats, history, strict=True):
            self.looks += int((self.bad_M < 0).sum())
            skipped_M = norm_M == SKIPPED
            broken_M = ~(np.isfinite(loss_M) & np.isfinite(norm_M)) & ~skipped_M & (self.bad_M < 0)
            self.bad_M = np.where(broken_M, step, self.bad_M)[rows]
            self.moves += int((self.bad_M < 0).sum())
            norm_M = np.where(skipped_M, np.float32(np.nan), norm_M)
            both_2M = np.stack([loss_M, norm_M])
            counted_2M = np.isfinite(both_2M) | ~skipped_M
            self._sums_2M = (self._sums_2M + np.where(counted_2M, both_2M, 0))[:, rows]
            self._counts_2M = (self._counts_2M + counted_2M)[:, rows]
            n = len(rows)
            self._columns.append((np.asarray(segments), np.full(n, step), np.asarray(lrs), loss_M[rows], norm_M[rows]))
        self._seats.clear()

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these."""
        self.bad_M, self._sums_2M, self._counts_2M = self.bad_M[rows], self._sums_2M[:, rows], self._counts_2M[:, rows]

    def means(self) -> list[tuple[float | None, float | None]]:
        """Mean (training loss, gradient norm) of each row since the last `restart`; None if all values overflowed."""
        means_2M = self._sums_2M / np.maximum(1, self._counts_2M)
        pairs = []
        for (loss, norm), (losses, norms) in zip(means_2M.T.tolist(), self._counts_2M.T.tolist(), strict=True):
            pairs.append((loss if losses else None, norm if norms else None))
        return pairs

    def restart(self) -> None:
        """Begin new means, after an evaluation."""
        self._sums_2M, self._counts_2M = np.zeros_like(self._sums_2M), np.zeros_like(self._counts_2M)

    def state(self) -> dict[str, Any]:
        """State for a checkpoint, without the columns that are on the disk."""
        return {
            "bad": self.bad_M.tolist(),
            "sums": self._sums_2M.tolist(),
            "counts": [self.looks, self.moves, self._counts_2M.tolist()],
            "chunks": list(self._chunks),  # a copy: training continues while the checkpoint is written
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a `state`."""
        self.bad_M = np.asarray(state["bad"], np.int64)
        self._sums_2M = np.asarray(state["sums"], np.float64)
        self.looks, self.moves, counts = state["counts"]
        self._counts_2M = np.broadcast_to(counts, self._sums_2M.shape).astype(
            np.int64
        )  # older checkpoints have one count
        self._chunks = list(state["chunks"])

    def spill(self, folder: Path, step: int) -> None:
        """Write the columns gathered so far to a chunk, before the checkpoint at `step`, which refers to it by name.

        The name is unique to this process. So a checkpoint finds its chunks even if another process trains the cohort.
        """
        if self._columns:
            self._chunks.append(f"{step}-{self._mark}.npz")
            write(folder / self._chunks[-1], self._columns)
            self._columns.clear()

    def finish(self, folder: Path, path: Path) -> None:
        """Join the chunks and the columns in memory into one file, sorted by segment and step."""
        chunks = [tuple(read(folder / chunk).values()) for chunk in self._chunks]
        write(path, [*chunks, *self._columns])


def discard(folder: Path) -> None:
    """Remove the chunks of a finished cohort."""
    shutil.rmtree(folder, ignore_errors=True)


def read(path: Path) -> dict[str, Array]:
    """Columns `segment`, `step`, `lr`, `loss`, `grad_norm` of a trace file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in COLUMNS}


def write(path: Path, parts: Sequence[tuple[Array, ...]]) -> None:
    """Write a trace file from parts of its columns, sorted by segment and step."""
    joined: dict[str, Array] = {}
    for i, (name, dtype) in enumerate(COLUMNS.items()):
        arrays = [np.asarray(part[i], dtype) for part in parts]
        joined[name] = np.concatenate(arrays) if arrays else np.empty(0, dtype)
    order = np.lexsort((joined["step"], joined["segment"]))
    columns = {name: column[order] for name, column in joined.items()}
    atomic.write(path, lambda file: np.savez_compressed(file, allow_pickle=False, **columns))
