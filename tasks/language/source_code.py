"""Python source code as bytes: text that comes with the dependencies."""

from __future__ import annotations

from functools import cache, partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract import Baseline, Data, InputError, Margin, Split, Task
from schedules.spec import render
from tasks.data.embedded import packaged
from tasks.language import ngrams, rows
from tasks.language.settings import require

if TYPE_CHECKING:
    from torch import nn

PACKAGE = "sympy"
"""A dependency of torch's, so it is there."""

BYTES = 256
CONTROL, TEST = 2**14, 2**15
"""Bytes that are predicted in these splits."""


def source_code(*, width: int = 32, depth: int = 2, context: int = 32, batch: int = 128, tokens: int = 393_216) -> Task:
    """Next bytes of Python source code, by a small GPT that sees each byte of its training text once.

    The text is the source of the installed sympy without its tests: 16.6 MB in 854 files of version 1.14.0. Splits are
    by file (one file in ten is control, one is test, by the hash of its path), so no test byte stands in a file that
    was trained on. Files are cut into rows, each seen alone: context before the first byte of a row counts for nothing,
    for the model and for the n-grams below. Another version of sympy is another text: its data digest differs, so its
    cells are other cells, and no ledger mixes the two.

    The GPT has learnt positions, no dropout, no biases but those of the norms, and an output layer tied to the
    embedding; initial weights are in `tasks.language.gpt`. AdamW with beta2 = 0.95 and weight decay 0.1 on matrices,
    gradients clipped to norm 1. Put a warmup around each schedule: ``warmup(cosine, epochs=0.03)``.

    Args:
        width: Of the residual stream, a multiple of 16.
        depth: Number of blocks.
        context: Bytes of a row that are predicted, so the first of them has one byte before it, and the last `context`.
        batch: Bytes that are predicted in a batch, a multiple of `context`.
        tokens: Bytes that are predicted in one pass, spread evenly over the training text.

    Raises:
        InputError: a setting is out of range.
    """
    bounds = (
        ("width", width, 16, 4096, 16),
        ("depth", depth, 1, 64, 1),
        ("context", context, 2, 4096, 1),
        ("batch", batch, context, 2**20, context),
        ("tokens", tokens, batch, 10**8, 1),
    )
    for name, value, least, most, step in bounds:
        require("source_code", name, value, least, most, step)
    usual: Any = source_code.__kwdefaults__
    return Task(
        name=render("source_code", (), {name: value for name, value, *_ in bounds if value != usual[name]}),
        family="language",
        source=f"Python source of {PACKAGE} {_version()} (BSD-3-Clause, SymPy's developers)",
        batch_size=batch // context,
        epochs=1,
        metric="bits_per_byte",
        direction="min",
        optimizer="adamw(beta2=0.95, decay='matrices')",
        weight_decay=0.1,
        peak_lrs=(0.001, 0.002, 0.004, 0.008, 0.016),
        layers="transformer",
        load=partial(load_source_code, context, tokens),
        model=partial(_model, width, depth, context, batch),
        loss=rows.loss,
        score=rows.score_bytes,
        baseline=pairs,
        clip=1.0,
        eval_epochs=0.2,
        chance="a uniform guess: 8; of the default text single bytes: 4.73, pairs: 3.68, 5-grams: 2.47 "
        "(absolute discounting); the test text alone by bz2: 3.26, lzma: 3.28, gzip: 3.40",
        margin=Margin(0.01, "about 0.3 % of the size of the text, compressed by these models"),
    )


@cache
def load_source_code(context: int, tokens: int) -> Data:
    """Rows of bytes [n, context + 1] uint8; numbers of predicted bytes [n] int64.

    The splits are by file. A row that is in test is left out of control, and one that is in either out of train.
    """
    root = packaged(PACKAGE, f"{PACKAGE}/__init__.py").parent
    files = [p.relative_to(root) for p in root.rglob("*.py")]
    names = [p.as_posix() for p in files if "tests" not in p.parts]
    parts = [
        np.concatenate([rows.cut(np.fromfile(root / name, np.uint8), context) for name in part])
        for part in rows.by_hash(names)
    ]
    test = rows.spread(parts[2], TEST // context)
    control = rows.spread(rows.without(parts[1], test), CONTROL // context)
    train = rows.without(parts[0], control, test)
    if (most := len(train) * context) < tokens:
        raise InputError(f"source_code: tokens is {tokens:,}; it should be {most:,} at most, as the text has")
    train = rows.spread(train, tokens // context)
    return rows.data(train, control, test, f"{PACKAGE} {metadata.version(PACKAGE)}")


def _version() -> str:
    """Version of the package; none where only the catalogue is installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _model(width: int, depth: int, context: int, batch: int) -> nn.Module:
    from tasks.language.gpt import GPT
    from tasks.language.row_losses import RowLosses

    return RowLosses(GPT(BYTES, context, width, depth), batch // context)


def pairs(data: Data) -> Baseline:
    """Bits per byte on the test split of counts of pairs of bytes, smoothed."""
    assert isinstance(data.train, Split)
    assert isinstance(data.test, Split)
    return Baseline("pairs of bytes", ngrams.bits(data.train.inputs[0], data.test.inputs[0], 2, BYTES))
