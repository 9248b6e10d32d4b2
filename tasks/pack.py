"""Where real data lie: what is known of a data set, and finders that say in one line what is missing or wrong.

`--data DIR`, or the environment's GLIDESLOPE_DATA, names the folder that holds a folder of each set; `--data hub` lets
the `datasets` library fetch them from the hub instead, into its own cache. Nothing is fetched without that word.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import InputError

if TYPE_CHECKING:
    from datasets import Dataset

ROOT = "GLIDESLOPE_DATA"
HUB = "hub"


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A data set as its publishers lay it out."""

    name: str  # of its folder
    title: str  # what people call it
    layouts: tuple[str, ...]  # what may lie in the folder, in words
    get: str  # a command that fetches it into DIR, or where it is to be had
    size: str
    licence: str
    check: str  # how its files are checked, in words
    hub: str = ""  # its repository there
    revision: str = ""  # of that, if it is not the main one
    rows: Mapping[str, int] = field(default_factory=dict)  # examples of each official part
    sums: Mapping[str, str] = field(default_factory=dict)  # MD5 or SHA-256 of files, by name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def source(self) -> str:
        """What a task says of where its data come from."""
        return f"{self.title} ({self.licence})"

    @property
    def on_hub(self) -> bool:
        """Whether it is to come from the hub, by `--data hub`."""
        return bool(self.hub) and root() == HUB

    def find(self, *places: str) -> Path | None:
        """The first of these places that is there, in the set's own folder or straight in DIR."""
        here = Path(self._root())
        paths = (base / place for place in places for base in (here / self.name, here))
        return next((path for path in paths if path.exists()), None)

    def need(self, *places: str) -> Path:
        """As `find`.

        Raises:
            InputError: none of them is there.
        """
        found = self.find(*places)
        if found is None:
            raise self.absent()
        return found

    def absent(self) -> InputError:
        """That it is not there, and how to get it."""
        ways = f"put {' or '.join(self.layouts)} into {Path(self._root()) / self.name} ({self.get})"
        return InputError(f"{self.name}: no data: {ways}" + (f", or give --data {HUB}" if self.hub else ""))

    def wrong(self, path: object, what: str) -> InputError:
        """That a file of it is not what it should be."""
        return InputError(f"{self.name}: {path}: {what}; get it anew ({self.get})")

    def table(self, part: str, config: str = "") -> Dataset:
        """A part (`train`, `test`, ...) in the hub's layout, or from the hub itself: see `parquet`.

        Images and audio are left as bytes. Files are checked against `sums` and DIR's SHA256SUMS.

        Raises:
            InputError: it is not there, is not what its digest says, or cannot be read.
        """
        import datasets

        datasets.disable_progress_bars()
        if self.on_hub:
            try:
                return _raw(datasets.load_dataset(self.hub, split=part, **self._which(part, config)))
            except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
                # no network, no such part, terms not accepted, or not the columns that are declared
                reason = str(error).split("\n")[0]
                raise InputError(f"{self.name}: the hub does not give {part} of {self.hub}: {reason}") from None
        files = self.parquet(part, config)
        if not files:
            raise self.absent()
        for file in files:
            self.verify(file)
        try:
            return _raw(datasets.load_dataset("parquet", data_files={part: [str(f) for f in files]}, split=part))
        except (datasets.exceptions.DatasetGenerationError, OSError, ValueError):
            raise self.wrong(files[0], "is no whole parquet file of such columns") from None

    def _which(self, part: str, config: str) -> dict[str, Any]:
        """Of a repository, what `load_dataset` is to take: a revision made of tables has no configurations."""
        if not self.revision:
            return {"name": config or None}
        return {"revision": self.revision, "data_files": {part: f"{config}/{part}/*.parquet"}}

    def parquet(self, part: str, config: str = "") -> list[Path]:
        """PART.parquet, PART-00000-of-N.parquet or PART/*.parquet, in order; none if it is not there."""
        folder = Path(self._root()) / self.name / config
        names = f"{part}.parquet", f"{part}-*-of-*.parquet", f"{part}/*.parquet"
        found = [sorted(folder.glob(f"{depth}{name}")) for depth in ("", "*/") for name in names]
        return next(filter(None, found), [])

    def verify(self, path: Path) -> None:
        """Hold a file against the digest that is known of it, by this record or by a SHA256SUMS in DIR.

        Raises:
            InputError: it is another file, or cut short.
        """
        for digest in (self.sums.get(path.name), _sums(Path(self._root())).get(path.absolute())):
            if digest:
                self.compare(path, path.read_bytes(), digest)

    def compare(self, path: object, content: bytes, digest: str) -> None:
        """Refuse content that has not this MD5 or SHA-256, whichever is as long.

        Raises:
            InputError: naming the file that it is of.
        """
        kind = "md5" if len(digest) == 32 else "sha256"
        found = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
        if found != digest:
            raise self.wrong(path, f"its {kind.upper()} is {found[:8]}..., not {digest[:8]}...")

    def _root(self) -> str:
        here = root()
        if not here or (here == HUB and not self.hub):
            raise InputError(
                f"{self.name}: no data: give --data DIR or set {ROOT}, with {' or '.join(self.layouts)} in "
                f"DIR/{self.name} ({self.get})" + (f", or give --data {HUB}" if self.hub else "")
            )
        return here


def root() -> str:
    """The folder of all data sets, or HUB; empty if none is named."""
    return os.environ.get(ROOT, "")


def use(folder: str) -> None:
    """Name the folder of all data sets, for this process and those that it starts.

    Raises:
        InputError: it is not there.
    """
    if folder != HUB and not Path(folder).is_dir():
        raise InputError(f"--data {folder}: no such folder; give the one that holds a folder of each data set, or hub")
    os.environ[ROOT] = folder


def _raw(table: Dataset) -> Dataset:
    """Images and audio as bytes, not decoded."""
    import datasets

    for name, feature in table.features.items():
        if isinstance(feature, datasets.Image | datasets.Audio):
            table = table.cast_column(name, type(feature)(decode=False))
    return table


@cache
def _sums(folder: Path) -> dict[Path, str]:
    """The digests that a SHA256SUMS in the folder lists."""
    file = folder / "SHA256SUMS"
    lines = (line.split(maxsplit=1) for line in (file.read_text().splitlines() if file.is_file() else ()))
    return {(folder / name.lstrip("*")).absolute(): digest for digest, name in lines}
