"""Models of n-grams, the simple predictors that a language model is compared with.

N = rows, L = ids of a row that are predicted.
"""

from __future__ import annotations

from math import log

import numpy as np

from bench.contract import Array, Baseline, Data, Split

DISCOUNT = 0.75
"""Taken off every count, and given to the model of the next shorter context."""


def bits(train: Array, test: Array, order: int, ids: int) -> float:
    """Mean bits of the predicted ids of the test rows [N, L + 1], by counts of the train rows.

    Interpolated absolute discounting (Ney, Essen and Kneser, 1994) with D = DISCOUNT. With n(h, c) the number of times
    that id c follows the context h of k ids, and h' the context without its first id,

        p_k(c | h) = (max(n(h, c) - D, 0) + D |{c: n(h, c) > 0}| p_(k-1)(c | h')) / sum_c n(h, c)

    and p_(k-1)(c | h') where h is new; p_(-1) = 1 / `ids`. `order` is 1 for single ids, 5 for contexts of up to 4. Near
    the start of a row contexts are shorter, as they are for the models.
    """
    length = test.shape[1] - 1
    p = np.full((len(test), length), 1.0 / ids)
    for k in range(order):
        p[:, max(0, k - 1) :] = _refined(_grams(train, k, ids), _grams(test, k, ids), ids, p[:, max(0, k - 1) :])
    return float(-np.log2(p).mean())


def single_bits(train: Array, test: Array) -> float:
    """Mean bits of the predicted ids of the test rows [N, L + 1], by the frequencies of single ids in the train rows.

    Each id that is in either has one count more than it occurs, so none is impossible.
    """
    ids, place = np.unique(np.concatenate((train[:, 1:].ravel(), test[:, 1:].ravel())), return_inverse=True)
    train_place, test_place = np.split(place, [train[:, 1:].size])
    counts = 1 + np.bincount(train_place, minlength=len(ids))
    return float(np.log2(counts.sum()) - np.log2(counts[test_place]).mean())


def single_ids(in_bits: bool, data: Data) -> Baseline:
    """The headline on the test split of the frequencies of single ids in the train split, each counted once more."""
    assert isinstance(data.train, Split)
    assert isinstance(data.test, Split)
    bits = single_bits(data.train.inputs[0], data.test.inputs[0])
    return Baseline("single ids", bits if in_bits else bits * log(2))


def _grams(rows: Array, k: int, ids: int) -> Array:
    """Codes of the grams of a context of k ids and the predicted id after it, [N, L + 1 - max(k, 1)]."""
    width = rows.shape[1] - max(k, 1)
    first = max(k, 1) - k
    code = np.zeros((len(rows), width), np.int64)
    for i in range(k + 1):
        code = code * ids + rows[:, first + i : first + i + width]
    return code


def _refined(train: Array, test: Array, ids: int, shorter: Array) -> Array:
    """Probabilities of the test grams, where `shorter` has those by the next shorter context."""
    grams, counts = np.unique(train, return_counts=True)
    contexts, begin, kinds = np.unique(grams // ids, return_index=True, return_counts=True)
    totals = np.add.reduceat(counts, begin)
    own = _looked_up(grams, counts, test)
    total = _looked_up(contexts, totals, test // ids)
    kind = _looked_up(contexts, kinds, test // ids)
    mixed = (np.maximum(own - DISCOUNT, 0) + DISCOUNT * kind * shorter) / np.maximum(total, 1)
    return np.where(total > 0, mixed, shorter)


def _looked_up(keys: Array, values: Array, wanted: Array) -> Array:
    """Values of the keys in `wanted`; 0 for one that is not there. Keys are ascending."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
