"""Files of kept weights: safetensors, each named by the digest of its content, so that equal weights are one file."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.contract import InputError
from bench.ledger import atomic, paths
from bench.ledger.rows import WeightsRow

if TYPE_CHECKING:
    from torch import Tensor

METADATA = {"format": "pt"}  # which transformers asks for


class KeptFile(NamedTuple):
    """A file of weights."""

    sha256: str
    size: int  # in bytes


def write(directory: Path, tensors: Mapping[str, Tensor]) -> KeptFile:
    """Write weights to a run's directory, unless they are there."""
    from safetensors.torch import save

    data = save(dict(tensors), METADATA)
    sha256 = hashlib.sha256(data).hexdigest()
    if not (path := paths.weights(directory, sha256)).exists():
        atomic.write(path, lambda file: file.write(data))
    return KeptFile(sha256, len(data))


def read(directory: Path, row: WeightsRow) -> dict[str, Tensor]:
    """The weights of a row.

    Raises:
        InputError: the file is missing, or its content is not what the digest says.
    """
    from safetensors.torch import load

    path = paths.weights(directory, row.sha256)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing, which the ledger names as the weights of cell {row.cell}") from None
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise InputError(f"{path} is damaged: its content has another sha256 than its name and the ledger say")
    return load(data)


def files(directory: Path) -> list[Path]:
    """All files of kept weights, and what is left of killed writes."""
    folder = paths.weights(directory, "").parent
    return sorted(folder.iterdir()) if folder.is_dir() else []


def remove(listed: Collection[Path], digests: Collection[str]) -> int:
    """Remove the listed files but for those of these digests, and return how many files of weights went."""
    spare = [path for path in listed if path.stem not in digests]
    for path in spare:
        path.unlink(missing_ok=True)
    return sum(not path.name.startswith(".") for path in spare)
