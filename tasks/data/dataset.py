"""Records of data sets: their location, layout and checks, with one-line errors for missing or damaged files.

`--data DIR`, or the environment variable GLIDESLOPE_DATA, names the folder that holds one folder for each set. With
`--data hub` the `datasets` library downloads them from the hub into its own cache. Otherwise nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import InputError
from tasks.data import checksums, inventory

if TYPE_CHECKING:
    from datasets import Dataset

ROOT = "GLIDESLOPE_DATA"
HUB = "hub"


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A data set in its publishers' layouts."""

    name: str  # of its folder
    title: str  # its usual name
    layouts: tuple[str, ...]  # of the folder, in words
    published: bool = True  # not a folder of the user's own
    get: str  # a command that downloads it into DIR, or its source
    size: str
    licence: str
    check: str  # how its files are checked, in words
    hub: str = ""  # its repository on the hub
    revision: str = ""  # of the repository, if not the main one
    titled: tuple[str, ...] = ()  # names of its publishers' folders, which may lie directly in DIR
    rows: Mapping[str, int] = field(default_factory=dict)  # examples of each official part
    sums: Mapping[str, str] = field(default_factory=dict)  # MD5 or SHA-256 of files, by name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def source(self) -> str:
        """Text for a task's `source`: title and licence."""
        return f"{self.title} ({self.licence})"

    @property
    def on_hub(self) -> bool:
        """True if it comes from the hub, by `--data hub`."""
        return bool(self.hub) and root() == HUB

    @property
    def folder(self) -> Path:
        """The set's own folder, which need not exist. Only this folder and those of `titled` are read for the set."""
        return Path(self._root()) / self.name

    def places(self, *places: str) -> list[Path]:
        """Candidate paths: in the set's own folder, or directly in DIR if the first folder is one of `titled`."""
        above = [
            Path(self._root()) / place
            for place in places
            if Path(place).parts[:1] and Path(place).parts[0] in self.titled
        ]
        return [*(self.folder / place for place in places), *above]

    def find(self, *places: str) -> Path | None:
        """The first of `places` that exists, or None."""
        return next((path for path in self.places(*places) if path.exists()), None)

    def absent(self) -> InputError:
        """The error for missing data, with instructions to get them."""
        folder = self.folder
        ways = f"put {' or '.join(self.layouts)} into {folder} ({self.get})" + (
            f", or give --data {HUB}" if self.hub else ""
        )
        alike = "" if folder.is_dir() else inventory.near(self.name, folder.parent)
        return InputError(
            f"{self.name}: no data: {ways}" + (f"; there is no folder {self.name}{alike}" if alike else "")
        )

    def wrong(self, path: object, what: str) -> InputError:
        """The error for a damaged or unexpected file; `what` describes the fault."""
        return InputError(f"{self.name}: {path}: {what}; {self.remedy}")

    @property
    def remedy(self) -> str:
        """Advice for a damaged file."""
        return f"get it anew ({self.get})" if self.published else "mend it, or get it anew"

    def table(self, part: str, config: str = "") -> Dataset:
        """A part (`train`, `test`, ...) in the hub's layout, or from the hub itself: see `parquet`.

        Images and audio are left as bytes. Files are checked against `sums` and DIR's SHA256SUMS.

        Raises:
            InputError: it is missing, does not match its digest, or cannot be read.
        """
        import datasets

        datasets.disable_progress_bars()
        datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # else each table costs a call to a server
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
        columns = {file: self._columns(file) for file in files}
        for file, schema in columns.items():
            if schema != columns[files[0]]:
                raise self.wrong(
                    file,
                    f"has the columns {_schema_text(schema)}, and {files[0].name} {_schema_text(columns[files[0]])}",
                )
        try:
            return _raw(datasets.load_dataset("parquet", data_files={part: [str(f) for f in files]}, split=part))
        except (datasets.exceptions.DatasetGenerationError, OSError, ValueError) as error:
            raise self._unread(files, error) from None

    def _columns(self, file: Path) -> Mapping[str, Any]:
        """Columns of a table, with their types and the names of classes."""
        import datasets
        import pyarrow
        from pyarrow import parquet

        try:
            return dict(datasets.Features.from_arrow_schema(parquet.read_schema(file)))
        except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError):
            raise self.wrong(file, "is no whole parquet file of such columns") from None

    def _unread(self, files: list[Path], error: Exception) -> InputError:
        """The error to raise when `datasets` fails: it blames one of the files, or the cache folder."""
        import datasets
        import pyarrow
        from pyarrow import parquet

        for file in files:
            try:
                with parquet.ParquetFile(file) as table:
                    if not table.metadata.num_rows:
                        return self.wrong(file, "has no rows")
                    for _ in table.iter_batches():
                        pass
            except (pyarrow.ArrowException, OSError, ValueError):
                return self.wrong(file, "is no whole parquet file of such columns")
        while error.__cause__ is not None and isinstance(error.__cause__, Exception):
            error = error.__cause__
        reason = (str(error) or type(error).__name__).split("\n")[0]
        return InputError(
            f"{self.name}: its files are whole, and `datasets` cannot put them into its cache, "
            f"{datasets.config.HF_DATASETS_CACHE} ({reason}); set HF_HOME to a folder that can be written"
        )

    def _which(self, part: str, config: str) -> dict[str, Any]:
        """Arguments of `load_dataset` for a repository. A revision that consists of tables has no configurations."""
        if not self.revision:
            return {"name": config or None}
        return {"revision": self.revision, "data_files": {part: f"{config}/{part}/*.parquet"}}

    def parquet(self, part: str, config: str = "") -> list[Path]:
        """See `inventory.shards`. If digests of tables are known, other tables are refused."""
        files = inventory.shards(self.folder / config, part, self.wrong)
        tables = {name for name in self.sums if name.endswith(".parquet")}
        for file in files:
            if tables and file.name not in tables:
                raise self.wrong(file, f"is not one of {', '.join(sorted(tables))}, whose digests are known")
        return files

    def verify(self, path: Path) -> None:
        """Compare a file with its known digest, from this record or from SHA256SUMS in DIR.

        Raises:
            InputError: its content differs.
        """
        if path.is_dir():
            raise self.wrong(path, "is a folder, where a file should be")
        for digest in (self.sums.get(path.name), checksums.listed(Path(self._root())).get(path.absolute())):
            if digest:
                self.compare(path, path.read_bytes(), digest)

    def compare(self, path: object, content: bytes, digest: str) -> None:
        """Refuse content with another MD5 or SHA-256; the length of `digest` tells which of the two it is.

        Raises:
            InputError: naming the file.
        """
        kind = "md5" if len(digest) == 32 else "sha256"
        actual = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
        if actual != digest.lower():
            raise self.wrong(path, f"its {kind.upper()} is {actual[:8]}..., not {digest[:8].lower()}...")

    def _root(self) -> str:
        folder = root()
        if not folder or (folder == HUB and not self.hub):
            raise InputError(
                f"{self.name}: no data: give --data DIR or set {ROOT}, with {' or '.join(self.layouts)} in "
                f"DIR/{self.name} ({self.get})" + (f", or give --data {HUB}" if self.hub else "")
            )
        return folder


def root() -> str:
    """The folder of all data sets, or HUB; empty if none is set."""
    return os.environ.get(ROOT, "")


def use(folder: str) -> None:
    """Set the folder of all data sets, for this process and its children.

    Raises:
        InputError: it does not exist.
    """
    if folder != HUB and not Path(folder).is_dir():
        raise InputError(f"--data {folder}: no such folder; give the one that holds a folder of each data set, or hub")
    os.environ[ROOT] = folder


def _raw(table: Dataset) -> Dataset:
    """The table with images and audio as bytes, not decoded."""
    import datasets

    for name, feature in table.features.items():
        if isinstance(feature, datasets.Image | datasets.Audio):
            table = table.cast_column(name, type(feature)(decode=False))
    return table


def _schema_text(columns: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} ({getattr(kind, 'names', None) or getattr(kind, 'dtype', kind)})" for name, kind in columns.items()
    )
