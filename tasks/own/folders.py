"""Files of the user's own in folders of classes, in parts or not: `DIR/CLASS/x.png`, or `DIR/train/CLASS/x.png`.

This is the layout of the builders `imagefolder` and `audiofolder` of `datasets`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.contract import Array
from tasks.data import class_folders, inventory
from tasks.data.places import OwnPack
from tasks.own import splits


class Listing(NamedTuple):
    """Files of all parts, their labels, and the indices of the train, control and test split."""

    files: list[Path]
    marks: list[bytes]  # of each file's content
    labels: Array
    names: tuple[str, ...]  # of the classes
    splits: tuple[Array, Array, Array]


def read(pack: OwnPack, suffixes: Iterable[str]) -> Listing:
    """List a folder of classes, and split its files.

    Raises:
        InputError: it is missing or empty, a file lies in no class, or the splits do not do.
    """
    if not pack.folder.is_dir():
        raise pack.absent()
    trees = _trees(pack)
    owners: dict[inventory.Identity, str] = {}
    listed = {part: class_folders.read(tree, suffixes, pack.wrong, owners) for part, tree in trees.items()}
    names = tuple(listed["train"].names) if "train" in listed else ()
    if "train" in listed and not names:
        raise pack.wrong(trees["train"], f"has no folder of a class: give {pack.layouts[0]}")
    inventory.agree("classes", {part: folders.names for part, folders in listed.items()}, pack.wrong)
    files, parts = [], list[str]()
    for part, folders in listed.items():
        pack_files = folders.files
        files += pack_files
        parts += [part] * len(pack_files)
    for file in files:
        pack.verify(file)
    marks = [splits.mark([file.read_bytes()]) for file in files]
    labels = np.concatenate([folders.labels for folders in listed.values()])
    selection = splits.assign(parts, marks, pack.wrong)
    splits.check_classes(labels, names, selection[0], pack.wrong)
    return Listing(files, marks, labels, names, selection)


def _trees(pack: OwnPack) -> dict[str, Path]:
    """The folder of each part; the whole folder as `train` if it has no parts."""
    folders = [path for path in inventory.visible(pack.folder) if path.is_dir()]
    trees: dict[str, Path] = {}
    for folder in folders:
        if part := splits.part_of(folder.name):
            if part in trees:
                raise pack.wrong(folder, f"is the {part} part, as {trees[part].name} is: keep the right one")
            trees[part] = folder
    if not trees:
        return {"train": pack.folder}
    if others := [folder for folder in folders if folder not in trees.values()]:
        names = " and ".join(path.name for path in trees.values())
        raise pack.wrong(others[0], f"lies next to {names}, and is no part: give {pack.layouts[0]}")
    return {part: trees[part] for part in splits.PARTS if part in trees}
