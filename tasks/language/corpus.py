"""A user's corpus: its files, which split each of them is of, and the texts or token ids in them.

Texts are UTF-8: `.txt`, `.raw` and `.tokens` as they are, `.jsonl` (also `.jsonl.gz`) and `.parquet` by their column
`text`. Token ids are shards: `.npy` of one dimension, and `.bin`, which is raw or has the header of llm.c.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.contract import Array, InputError
from tasks.data import inventory
from tasks.data.dataset import HUB, ROOT, root
from tasks.language import rows

LINES, TABLES = (".txt", ".raw", ".tokens"), (".jsonl", ".gz", ".parquet")
SHARDS = (".npy", ".bin")
DTYPES = ("uint16", "uint32")
"""Types of the ids in a raw shard."""

COLUMN = "text"
HEADERS = {20240520: "uint16", 20240801: "uint32"}
"""First number of llm.c's headers of 256 int32, with the type of the ids; the third number counts them."""

PARTS = {"train": "train", "valid": "control", "val": "control", "validation": "control", "dev": "control"}
PARTS |= {"test": "test"}
"""Words in the names of files and folders that say which part a file is of."""


class Corpus(NamedTuple):
    """Files of each split, in the order in which they are read; or one table whose documents are split."""

    train: list[Path]
    control: list[Path]
    test: list[Path]
    by_document: bool
    shards: bool


def find(name: str) -> Path:
    """The file or folder of a corpus: `name` itself, or DIR/NAME in the folder of the data.

    Raises:
        InputError: there is neither.
    """
    folder = "" if root() == HUB else root()
    for place in (Path(name), *([Path(folder) / name] if folder else [])):
        if place.exists():
            return place
    raise InputError(
        f"lm: no corpus {name!r}: give a file or a folder of .txt, .jsonl, .parquet, .npy or .bin files, or put it "
        f"into DIR/{name} and give --data DIR (or set {ROOT})"
    )


def read(place: Path) -> Corpus:
    """The files of a corpus by split: by the words of PARTS in their paths, or else by the hash of their paths.

    Three or more files without such words are split by file. Of fewer, tables are split by document. Where names say
    train and one other part, that is test, and control is a tenth of the train files, by the hash of their paths.

    Raises:
        InputError: there is nothing to read, files of several kinds, or no way to split them.
    """
    suffixes = (*LINES, *TABLES, *SHARDS)
    files = [place] if place.is_file() else inventory.files(place, suffixes, _wrong)
    files = [file for file in files if file.stat().st_size]
    if not files or files[0].suffix.lower() not in suffixes:
        raise InputError(f"lm: {place} holds no text: give {', '.join(suffixes)} files that are not empty")
    shards = {file.suffix.lower() in SHARDS for file in files}
    if len(shards) > 1:
        raise InputError(f"lm: {place} holds texts and shards of token ids; give a folder of one of them")
    names = {file.relative_to(place if place.is_dir() else place.parent).as_posix(): file for file in files}
    parts: dict[str, list[str]] = {"train": [], "control": [], "test": [], "": []}
    for name in names:
        parts[_part(name)].append(name)
    if all(file.suffix.lower() in TABLES for file in files) and len(files) < 3 and parts[""]:
        return Corpus(files, files, files, by_document=True, shards=False)
    split = _by_parts(place, parts) if parts["train"] else _by_hash(place, list(names))
    train, control, test = ([names[name] for name in part] for part in split)
    return Corpus(train, control, test, by_document=False, shards=shards.pop())


def _part(name: str) -> str:
    """The part that a path names: its last word of PARTS."""
    words = [PARTS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in PARTS]
    return words[-1] if words else ""


def _by_parts(place: Path, parts: dict[str, list[str]]) -> tuple[list[str], list[str], list[str]]:
    if other := parts[""]:
        raise InputError(f"lm: {place} holds parts, and {other[0]} is of none: name it train, validation or test")
    train, control, test = parts["train"], parts["control"], parts["test"]
    if control and test:
        return train, control, test
    if not (control or test) or len(train) < 2:
        raise _unsplit(place, "of each part, train, validation and test, or more train files")
    rest, one, other = rows.by_hash(train)
    return sorted(rest + other), one, control or test


def _by_hash(place: Path, names: list[str]) -> tuple[list[str], list[str], list[str]]:
    if len(names) < 3:
        raise _unsplit(place, "in all, of which one is control and one is test")
    return rows.by_hash(names)


def _unsplit(place: Path, need: str) -> InputError:
    return InputError(
        f"lm: {place} cannot be split by file, and a split by position would test on the text that it trained on: "
        f"give three files or more {need}"
    )


def _wrong(path: object, fault: str) -> InputError:
    return InputError(f"lm: {path}: {fault}")


# ---------------------------------------------------------------------------------------------------- texts


def texts(path: Path) -> Iterator[str]:
    """The lines of a text file, each with its end, or the documents of a table.

    Raises:
        InputError: it is not UTF-8 text, or not a table with a column of texts.
    """
    suffix = path.suffix.lower()
    documents: Iterator[object] = _rows(path) if suffix == ".parquet" else _lines(path)
    if suffix in (".jsonl", ".gz"):
        documents = (_document(path, line) for line in _lines(path))
    for text in documents:
        if not isinstance(text, str):
            raise _wrong(path, f"a row's {COLUMN} is {text!r:.40}, no text")
        if "\0" in text:
            raise _wrong(path, "holds a byte 0: it is no text, but binary")
        if text:
            yield text


def _lines(path: Path) -> Iterator[str]:
    packed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            for line in file:
                yield line.decode()
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise _wrong(path, f"is no UTF-8 text ({str(error).split(':')[0]})") from None


def _document(path: Path, line: str) -> object:
    if not line.strip():
        return ""
    try:
        row = json.loads(line)
    except ValueError:
        raise _wrong(path, f"a line is no JSON: {line.strip()!r:.40}") from None
    if not isinstance(row, dict) or COLUMN not in row:
        has = ", ".join(row) if isinstance(row, dict) else type(row).__name__
        raise _wrong(path, f"has no column {COLUMN}, but {has}")
    return row[COLUMN]


def _rows(path: Path) -> Iterator[object]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as table:
            if COLUMN not in table.schema_arrow.names:
                raise _wrong(path, f"has no column {COLUMN}, but {', '.join(table.schema_arrow.names)}")
            for batch in table.iter_batches(batch_size=1000, columns=[COLUMN]):
                yield from batch.column(0).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise _wrong(path, f"is no whole parquet file ({str(error).splitlines()[0]:.60})") from None


# ---------------------------------------------------------------------------------------------------- shards


def shard(path: Path, dtype: str) -> Array:
    """The ids of a shard, mapped from the file.

    Raises:
        InputError: its length or type is wrong.
    """
    if path.suffix.lower() == ".bin":
        return _raw(path, dtype)
    try:
        ids = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError):
        raise _wrong(path, "is no array of numpy's; raw ids are .bin") from None
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise _wrong(path, f"holds {ids.dtype} of shape {ids.shape}; ids are whole numbers in one dimension")
    return np.asarray(ids)


def _raw(path: Path, dtype: str) -> Array:
    size, begin = path.stat().st_size, 0
    head = np.fromfile(path, "<i4", min(size // 4, 256))
    if len(head) == 256 and int(head[0]) in HEADERS:
        begin, dtype = head.nbytes, HEADERS[int(head[0])]
    width = np.dtype(dtype).itemsize
    if (size - begin) % width:
        raise _wrong(path, f"has {size - begin:,} bytes of ids, no multiple of {width}, as {dtype} has: see dtype=")
    ids = np.memmap(path, np.dtype(dtype).newbyteorder("<"), "r", begin)
    if begin and len(ids) != head[2]:
        raise _wrong(path, f"has {len(ids):,} ids, and its header says {head[2]:,}: it is cut short")
    return ids


# ---------------------------------------------------------------------------------------------------- rows


def cut(files: Iterable[Iterable[Array]], length: int, most: int) -> Array:
    """At most so many rows [N, length + 1] of the ids of files; each is cut alone, and read no further than needed."""
    parts: list[Array] = []
    for file in files:
        pieces, need = [], most - sum(map(len, parts))
        for piece in file:
            pieces.append(piece)
            if sum(map(len, pieces)) > need * length:
                break
        if pieces and need:
            parts.append(rows.cut(np.concatenate(pieces), length)[:need])
    return np.concatenate(parts) if parts else np.empty((0, length + 1), np.uint8)
