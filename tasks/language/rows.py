"""Rows of ids: how texts are split by file and cut, and how the losses of rows become losses of ids.

N = rows, L = ids of a row that are predicted, so a row has L + 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING

import numpy as np

from bench.contract import Array, Data, Split

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 10
"""One in SHARE files is control, and one in SHARE is test; one of each at least."""


def by_hash(paths: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """(train, control, test): paths in the order of their SHA-256; the first tenth is test, the second control.

    The split of a file depends on the paths alone, not on its content or on the order in which files are listed.
    """
    order = sorted(paths, key=lambda path: hashlib.sha256(path.encode()).digest())
    each = max(1, len(order) // SHARE)
    return sorted(order[2 * each :]), sorted(order[each : 2 * each]), sorted(order[:each])


def of_document(text: str) -> str:
    """The split of a document by its SHA-256, where files are too few: one in SHARE is test, one is control."""
    return {0: "test", 1: "control"}.get(hashlib.sha256(text.encode()).digest()[0] * SHARE >> 8, "train")


def cut(ids: Array, length: int) -> Array:
    """Rows [N, L + 1] of ids [n]; each but the first begins with the last id of the one before, and the tail is left.

    So every id but the first of all and those of the tail is predicted once.
    """
    if len(ids) <= length:
        return np.empty((0, length + 1), ids.dtype)
    return np.lib.stride_tricks.sliding_window_view(ids, length + 1)[::length]


def spread(rows: Array, most: int) -> Array:
    """At most so many of the rows, evenly spaced."""
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]


def without(rows: Array, *others: Array) -> Array:
    """The rows that are in none of the others."""
    excluded = {row.tobytes() for other in others for row in other}
    return rows[[row.tobytes() not in excluded for row in rows]] if excluded else rows


def data(train: Array, control: Array, test: Array, stamp: str) -> Data:
    """Splits of these rows; the target is the number of ids that are predicted in each row, int64 [N]."""
    splits = [Split((rows,), (np.full(len(rows), rows.shape[1] - 1),), stamp) for rows in (train, control, test)]
    return Data(*splits)


def loss(sums_BK: Tensor, target: Sequence[Tensor], z_loss: float = 0.0) -> Tensor:
    """Mean cross-entropy in nats per predicted id, and `z_loss` times the mean squared log-partition.

    Args:
        sums_BK: Output of `RowLosses`: of each row the sum of the cross-entropy and, with a z-loss, of the square.
        target: Predicted ids of each row [B].
        z_loss: Weight of the squared log-partition (Chowdhery et al., arXiv:2204.02311, section 5: 1e-4).
    """
    sums_B = sums_BK[:, 0] + z_loss * sums_BK[:, 1] if z_loss else sums_BK[:, 0]
    return (sums_B / target[0]).mean()


def nats(sums_NK: Tensor, target: Sequence[Tensor]) -> float:
    """Mean cross-entropy in nats per predicted id of a split."""
    return (sums_NK[:, 0].double().sum() / target[0].sum()).item()


def score_bytes(sums_NK: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """Bits per byte, of rows of bytes, and mean cross-entropy in nats per byte."""
    mean = nats(sums_NK, target)
    return {"bits_per_byte": mean / log(2), "loss": mean}


def score_ids(sums_NK: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """Mean cross-entropy in nats per predicted id."""
    return {"loss": nats(sums_NK, target)}
