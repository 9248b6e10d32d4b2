"""From texts to token ids: bytes, or the pieces of a tokenizer of transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bench.contract import Array, InputError
from schedules.user_code import blamed
from tasks.data import checkpoint

BYTES = "bytes"
"""The tokenizer that needs no files."""

IDS = "ids"
"""In place of a tokenizer: the files hold token ids."""

TOGETHER = 1000
"""Texts that are cut at once."""

Encode: TypeAlias = "Callable[[Iterable[str]], Iterator[Array]]"


class Tokenizer(NamedTuple):
    """A cut of texts into ids below `ids`. After a text that does not end in a newline stands a mark of its end."""

    ids: int
    encode: Encode


def dtype(ids: int) -> np.dtype[Any]:
    """The smallest type of arrays that torch can index, for ids below `ids`."""
    return np.dtype(np.uint8 if ids <= 2**8 else np.int16 if ids <= 2**15 else np.int32)


def tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a name: `bytes`, or that of a checkpoint.

    Raises:
        InputError: there is none, or it knows no pieces.
    """
    return Tokenizer(256, _bytes) if name == BYTES else _pretrained(name)


def _bytes(texts: Iterable[str]) -> Iterator[Array]:
    """UTF-8, with byte 0 as the mark."""
    for text in texts:
        ended = text if text.endswith("\n") else f"{text}\0"
        yield np.frombuffer(ended.encode(), np.uint8)


def _pretrained(name: str) -> Tokenizer:
    from transformers import AutoTokenizer

    place, fetch = checkpoint.find(name)
    checkpoint.quiet()
    with blamed(f"{name}: it has no tokenizer"):
        cutter: Any = AutoTokenizer.from_pretrained(place, local_files_only=not fetch)
    usual = set(cutter.get_vocab().values()) - set(cutter.all_special_ids)
    if not usual:
        raise InputError(f"{name}: its tokenizer knows no pieces of words: give the file that lists them")
    count = 1 + max(cutter.get_vocab().values())
    mark: Sequence[int] = [] if cutter.eos_token_id is None else [cutter.eos_token_id]

    def encode(texts: Iterable[str]) -> Iterator[Array]:
        source = iter(texts)
        while some := list(islice(source, TOGETHER)):
            rows = cutter(some, add_special_tokens=False, verbose=False)["input_ids"]
            marks = ([] if text.endswith("\n") else mark for text in some)
            ids = [i for row, end in zip(rows, marks, strict=True) for i in (*row, *end)]
            yield np.array(ids, dtype(count))

    return Tokenizer(count, encode)
