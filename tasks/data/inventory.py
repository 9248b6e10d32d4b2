"""Inventory of a data set: its files, and checks that its parts and columns fit together, before anything trains.

The rules are the same for every set:

- Hidden files (`._x`, `.DS_Store`) and what file managers leave (`Thumbs.db`, `desktop.ini`) are not data.
- Suffixes are compared in lower case. Links are followed, because the user put them there; but a name given in a *file*
  of the set (an image's name, say) has to stay within the set's folder.
- An example is one file, by whatever name or link it is reached: none counts twice, in two classes or in two parts.
- Each shard of a part exists once: PART-00000-of-N states N itself, and the numbers of PART/0000.parquet have no gap.
- Of two copies of the same part, neither is used.
- Parts have the same names of classes in the same order; numbers alone are not trusted.

`Blame` turns a description of a fault into the error to raise: `partial(pack.wrong, path)`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bench.contract import Array, InputError

Blame = Callable[[str], InputError]

LEFTOVERS = {"thumbs.db", "desktop.ini"}
IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
NOTES = {".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".pdf"}
"""Suffixes of files that may lie next to examples without being examples."""


def visible(folder: Path) -> list[Path]:
    """Entries of a folder, sorted by name, without hidden files and leftovers."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name.lower() not in LEFTOVERS)


def files(folder: Path, suffixes: Iterable[str], blame: Callable[[object, str], InputError]) -> list[Path]:
    """All files with these suffixes, at any depth; notes are skipped.

    Raises:
        InputError: there is a file of another kind, a broken link or a circle of links.
    """
    allowed, listed, folders = set(suffixes), [], {folder.resolve()}

    def walk(here: Path) -> None:
        for path in visible(here):
            if path.is_dir():
                if path.resolve() in folders:
                    raise blame(path, "is a folder that is reached twice, by a link")
                folders.add(path.resolve())
                walk(path)
            elif not path.is_file():
                raise blame(path, "is neither a file nor a folder, or a link to nothing")
            elif path.suffix.lower() in allowed:
                listed.append(path)
            elif path.suffix.lower() not in NOTES:
                raise blame(path, f"is of no kind that is read here: {', '.join(sorted(allowed))}")

    walk(folder)
    return sorted(listed)


Identity = tuple[int, int]


def claim(path: Path, owner: str, owners: dict[Identity, str], blame: Callable[[object, str], InputError]) -> int:
    """Enter a file among those that have an owner (a class, an image's id, a part), and return its size.

    Raises:
        InputError: it has one already: the same file by another name, a link or a hard link.
    """
    facts = path.stat()
    other = owners.setdefault((facts.st_dev, facts.st_ino), owner)
    if other != owner:
        raise blame(path, f"is one file for {other} and for {owner}: it would count twice")
    return facts.st_size


def only(paths: Sequence[Path], blame: Callable[[object, str], InputError]) -> Path | None:
    """The one of these paths that exists; None if none does.

    Raises:
        InputError: two of them exist and are not the same file.
    """
    existing = [path for path in paths if path.exists()]
    for other in existing[1:]:
        if not other.samefile(existing[0]):
            raise blame(other, f"is there twice: {existing[0]} is the other; keep the right one")
    return existing[0] if existing else None


def shards(folder: Path, part: str, blame: Callable[[object, str], InputError]) -> list[Path]:
    """The parquet files of a part: PART.parquet, PART-00000-of-N.parquet or PART/*.parquet, in order; may be empty.

    Raises:
        InputError: there are two sets of shards, or a shard is missing.
    """
    if not folder.is_dir():
        return []
    layouts = []
    for place in (folder, *(path for path in visible(folder) if path.is_dir() and path.name != part)):
        tables = [path for path in visible(place) if path.suffix.lower() == ".parquet"]
        layouts += [[path] for path in tables if path.stem == part]
        layouts.append([p for p in tables if re.fullmatch(rf"{re.escape(part)}-\d+-of-\d+", p.stem)])
        inner = place / part
        layouts.append([p for p in visible(inner) if p.suffix.lower() == ".parquet"] if inner.is_dir() else [])
    existing = [layout for layout in layouts if layout]
    for other in existing[1:]:
        raise blame(other[0], f"is there twice: {existing[0][0]} is the other; keep the right one")
    return _ordered_shards(existing[0], blame) if existing else []


def _ordered_shards(paths: list[Path], blame: Callable[[object, str], InputError]) -> list[Path]:
    """Shards in the order of their numbers, each exactly once."""
    numbers: dict[int, Path] = {}
    totals = set()
    for path in paths:
        if match := re.fullmatch(r".*-(\d+)-of-(\d+)", path.stem):
            totals.add(int(match[2]))
        elif not (match := re.fullmatch(r"(\d+)", path.stem)):
            return paths
        if int(match[1]) in numbers:
            raise blame(path, f"is there twice: {numbers[int(match[1])].name} is the other")
        numbers[int(match[1])] = path
    if len(totals) > 1:
        raise blame(paths[-1], f"is one of {max(totals)} shards, and {paths[0].name} one of {min(totals)}")
    total = totals.pop() if totals else max(numbers) + 1
    if missing := sorted(set(range(total)) - set(numbers)):
        gap = f"is one of {total} shards, and number {missing[0]:05} is missing"
        raise blame(paths[0], gap + (f", as are {len(missing) - 1} others" if missing[1:] else ""))
    if more := sorted(set(numbers) - set(range(total))):
        raise blame(numbers[more[0]], f"is numbered past the {total} shards that its name says")
    return [numbers[number] for number in range(total)]


def inside(folder: Path, name: str, blame: Blame) -> PurePosixPath:
    """A path given in a file of the set; it has to stay within the set's folder.

    Raises:
        InputError: it is absolute, or has a part `..`.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise blame(f"names {name!r}, which is not in {folder}: only files within it are read")
    return path


def agree(what: str, parts: Mapping[str, Sequence[object] | None], blame: Callable[[object, str], InputError]) -> None:
    """Refuse parts whose names (of classes, categories, labels) differ from the first part's; None stands for no names.

    Raises:
        InputError: naming both parts and where they differ.
    """
    first, *others = [(part, tuple(names)) for part, names in parts.items() if names is not None] or [("", ())]
    for part, names in others:
        if names == first[1]:
            continue
        alone, missing = (_some(a, b) for a, b in ((names, first[1]), (first[1], names)))
        if not alone and not missing:
            reason = f"in another order than {first[0]}: {_listed(names)}, not {_listed(first[1])}"
        else:
            reason = f"not those of {first[0]}: " + " and ".join(
                filter(None, (alone and f"{alone} in {part} alone", missing and f"{missing} in {first[0]} alone"))
            )
        raise blame(f"the {part} part", f"has the {what} {_listed(names)}, {reason}")


def _some(names: Sequence[object], without: Sequence[object]) -> str:
    rest = [name for name in names if name not in set(without)]
    return _listed(rest)


def _listed(names: Sequence[object], most: int = 8) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def whole(values: Any, blame: Blame, *, below: int | None = None) -> Array:
    """A column of whole numbers from 0 (to `below`), [N] int64.

    Raises:
        InputError: naming the first row that holds something else.
    """
    rows = values.tolist() if isinstance(values, np.ndarray) else list(values)
    top = "" if below is None else f" to {below - 1}"
    for i, value in enumerate(rows):
        if type(value) is not int or value < 0 or (below is not None and value >= below):
            raise blame(f"has {value!r} in row {i}, not a whole number from 0{top}")
    return np.array(rows, np.int64)


def near(name: str, folder: Path) -> str:
    """A hint ` (did you mean X?)` at a folder with a similar name; empty if there is none."""
    names = [path.name for path in visible(folder) if path.is_dir()] if folder.is_dir() else []
    alike = difflib.get_close_matches(name, names, n=1)
    lower = [other for other in names if other.lower() == name.lower() and other != name]
    hint = next(iter(lower + alike), "")
    return f" (did you mean {hint}?)" if hint and hint != name else ""
