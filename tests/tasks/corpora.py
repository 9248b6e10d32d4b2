"""Tiny corpora in the layouts that `lm` reads, made of the words of `grammar`."""

import gzip
import json

import numpy as np
import pyarrow
from pyarrow import parquet

from tasks.data.dataset import ROOT
from tasks.text import generate

NAMES = ("lm",)
FILES = 12


def sentences(seed, count=100):
    """A text of so many lines of words, another one for each seed."""
    words = np.array(generate.VOCABULARY[5:65])
    return [f"{' '.join(row)} .\n" for row in words[np.random.default_rng(seed).integers(0, 60, (count, 9))]]


def texts(folder, files=FILES):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(files):
        (folder / f"{i}.txt").write_text("".join(sentences(i)))


def jsonl(path, documents, column="text", packed=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps({column: text}) + "\n" for text in documents).encode()
    path.write_bytes(gzip.compress(content) if packed else content)


def table(path, documents, column="text"):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table({column: documents}), path)


def shard(path, ids, dtype="<u2", header=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = np.zeros(256 if header else 0, "<i4")
    head[: len(header)] = header
    path.write_bytes(head.tobytes() + np.asarray(ids).astype(dtype).tobytes())


def plant(root, _name):
    """A corpus of text files, which are split by the hash of their paths."""
    texts(root / "lm")


def expect(monkeypatch, root):
    """Look for corpora under `root`."""
    monkeypatch.setenv(ROOT, str(root))
