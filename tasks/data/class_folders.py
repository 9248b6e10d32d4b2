"""Folders of classes: one folder for each, and files of its examples in it, at any depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.contract import Array, InputError
from tasks.data import inventory


class ClassFolders(NamedTuple):
    """Files of a part, in the order of their classes, which is that of their names."""

    files: list[Path]
    sizes: list[int]  # in bytes
    labels: Array
    names: list[str]  # of the classes


def read(
    tree: Path,
    suffixes: Iterable[str],
    blame: Callable[[object, str], InputError],
    owners: dict[inventory.Identity, str],
) -> ClassFolders:
    """List a part's files and their classes. `owners` are those of the parts before, and are added to.

    Raises:
        InputError: a file lies in no class's folder or in two, is empty or of another kind, or a class has none.
    """
    names = [path.name for path in inventory.visible(tree) if path.is_dir()]
    for path in inventory.visible(tree):
        if not path.is_dir() and path.suffix.lower() not in inventory.NOTES:
            raise blame(path, "lies in no class's folder")
    listed = [(label, f) for label, name in enumerate(names) for f in inventory.files(tree / name, suffixes, blame)]
    files, labels = [file for _, file in listed], np.array([label for label, _ in listed], np.int64)
    sizes = [inventory.claim(file, f"{tree.name}/{file.relative_to(tree)}", owners, blame) for file in files]
    if 0 in sizes:
        raise blame(files[sizes.index(0)], "is empty")
    for name in (names[label] for label in range(len(names)) if label not in set(labels.tolist())):
        raise blame(tree / name, "is a class's folder without an example")
    return ClassFolders(files, sizes, labels, names)
