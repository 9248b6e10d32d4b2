"""Tables of the user's own: CSV, TSV, JSON, JSON lines or parquet, read by the builders of `datasets`, and checked.

Values of CSV and TSV are texts, and none stands for a missing value but the empty one: what a text means is decided
where a column is used, by the same rules in every format.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.contract import InputError
from schedules.spec import hint
from tasks.data import inventory
from tasks.data.dataset import HUB
from tasks.data.places import OwnPack
from tasks.own import splits

if TYPE_CHECKING:
    from datasets import Dataset

KINDS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
LAYOUT = f"a file {', '.join(KINDS)}, or a folder of train, validation and test in one of these formats"
SEPARATORS = ",;\t"


class TableRows(NamedTuple):
    """Columns of a table of all parts, one after the other."""

    pack: OwnPack
    columns: Mapping[str, list[Any]]
    parts: list[str]  # of each row
    sizes: Mapping[str, int]  # rows of each file, by its name

    def wrong(self, row: int, what: str) -> InputError:
        """The error for a row of the whole table."""
        for name, size in self.sizes.items():
            if row < size:
                return self.pack.wrong(name, f"row {row} {what}")
            row -= size
        raise IndexError(row)

    def column(self, name: str) -> list[Any]:
        """The values of a column.

        Raises:
            InputError: there is no such column.
        """
        if name not in self.columns:
            near = hint(str(name), self.columns)
            raise self.pack.wrong("its table", f"has no column {name!r}{near}, but {', '.join(self.columns)}")
        return self.columns[name]


def read(pack: OwnPack, split: str) -> TableRows:
    """Read the table of a file, or those of a folder.

    Args:
        pack: The record of the file or folder.
        split: The column that names each row's part; empty if none does.

    Raises:
        InputError: a file is missing, empty, damaged or ragged, tables have different columns, or a part is unknown.
    """
    if pack.hub:
        tables = _hub_tables(pack)
        sources = {part: f"the {part} part" for part in tables}
    else:
        files = _files(pack)
        tables = {part: _table(pack, file) for part, file in files.items()}
        sources = {part: file.name for part, file in files.items()}
    names = {part: sorted(table.column_names) for part, table in tables.items()}
    inventory.agree("columns", names, pack.wrong)
    columns: dict[str, list[Any]] = {}
    for table in tables.values():
        for name in table.column_names:
            columns.setdefault(name, []).extend(_values(table, name))
    sizes = {sources[part]: len(table) for part, table in tables.items()}
    rows = TableRows(pack, columns, [part for part, table in tables.items() for _ in range(len(table))], sizes)
    return rows._replace(parts=_parts(rows, split)) if split else rows


def _hub_tables(pack: OwnPack) -> dict[str, Dataset]:
    """The tables of a data set of the hub, by part; parts of other names than those of PARTS are left out."""
    import datasets

    if not pack.on_hub:
        raise InputError(f"hub: {pack.name}: nothing is downloaded unless you ask: give --data {HUB}")
    try:
        names = datasets.get_dataset_split_names(pack.hub, pack.config or None)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise InputError(f"hub: the hub does not give {pack.name}: {str(error).splitlines()[0]}") from None
    parts = {part: name for name in names if (part := splits.part_of(str(name)))}
    if "train" not in parts:
        raise pack.wrong("its parts", f"are {', '.join(map(str, names)) or 'none'}, and none is train")
    return {part: pack.table(parts[part], pack.config) for part in splits.PARTS if part in parts}


def _files(pack: OwnPack) -> dict[str, Path]:
    """The file of each part; a single file counts as `train`."""
    place = pack.folder
    if place.is_file():
        if place.suffix.lower() not in KINDS:
            raise pack.wrong(place, f"is of no kind that is read here: {', '.join(KINDS)}")
        return {"train": place}
    if not place.is_dir():
        raise pack.absent()
    files: dict[str, Path] = {}
    for path in inventory.visible(place):
        if path.suffix.lower() in KINDS and (part := splits.part_of(path.stem)):
            if part in files:
                raise pack.wrong(path, f"is the {part} part, as {files[part].name} is: keep the right one")
            files[part] = path
        elif path.suffix.lower() in KINDS:
            raise pack.wrong(path, "is no part: name the files train, validation and test, or give one file")
    if not files:
        raise pack.wrong(place, f"holds no table: give {LAYOUT}")
    return {part: files[part] for part in splits.PARTS if part in files}


def _parts(rows: TableRows, split: str) -> list[str]:
    """The part of each row, by a column."""
    if len(rows.sizes) > 1:
        raise rows.pack.wrong("its files", f"name the parts already, so that split={split!r} is one rule too many")
    parts = []
    for row, value in enumerate(rows.column(split)):
        part = splits.part_of(value) if isinstance(value, str) else None
        if part is None:
            raise rows.wrong(row, f"is of the part {value!r}; there are train, validation and test")
        parts.append(part)
    return parts


# --------------------------------------------------------------------------------------------------- one file


def _table(pack: OwnPack, file: Path) -> Dataset:
    """The table of a file, with at least one row."""
    import datasets

    datasets.disable_progress_bars()
    pack.verify(file)
    kind, options = KINDS[file.suffix.lower()], dict[str, Any]()
    if kind == "csv":
        separator, header = _header(pack, file)
        features = datasets.Features({name: datasets.Value("string") for name in header})
        options = {"sep": separator, "features": features, "keep_default_na": False, "encoding": "utf-8-sig"}
    try:
        table = datasets.load_dataset(kind, data_files={"train": [str(file)]}, split="train", **options)
    except (datasets.exceptions.DatasetsError, OSError, ValueError, TypeError, KeyError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if "corresponds to no data" in str(cause):
            raise pack.wrong(file, "has no rows") from None
        if isinstance(cause, OSError) and cause.errno:  # those of pyarrow for a broken file have no number
            cache = datasets.config.HF_DATASETS_CACHE
            raise InputError(
                f"{file}: `datasets` cannot write its cache, {cache}; set HF_HOME to another folder"
            ) from None
        raise pack.wrong(file, f"is no table of {kind} ({str(cause).splitlines()[0][:80]})") from None
    return table


def _header(pack: OwnPack, file: Path) -> tuple[str, list[str]]:
    """Separator and names of the columns of a CSV file: the separator is the one that the first line holds most of.

    Raises:
        InputError: the file is no text, two columns have one name, or a row has more or fewer fields than the first.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            separator = max(SEPARATORS, key=first.count)
            lines.seek(0)
            reader = csv.reader(lines, delimiter=separator, strict=True)
            header = next(reader, [])
            if len(set(header)) < len(header) or not all(name.strip() for name in header) or not header:
                raise pack.wrong(file, f"has the columns {', '.join(header) or 'none'}: each needs a name of its own")
            for fields in reader:
                if fields and len(fields) != len(header):
                    fault = f"line {reader.line_num} has {len(fields)} fields, and the first has {len(header)}"
                    raise pack.wrong(file, fault)
    except (UnicodeDecodeError, csv.Error) as error:
        raise pack.wrong(file, f"is no table in UTF-8 with one separator ({error})") from None
    return separator, header


def _values(table: Dataset, name: str) -> list[Any]:
    """Values of a column, with the names of its classes where it has some."""
    values: list[Any] = table.with_format(None)[name][:]
    names: Sequence[str] | None = getattr(table.features[name], "names", None)
    return values if names is None else [names[v] if v is not None and v >= 0 else None for v in values]


# --------------------------------------------------------------------------------------- meanings of values


def number(value: Any) -> float | None:
    """A finite number, given as one or as text; None for everything else. Truth values are 0 and 1."""
    if isinstance(value, str):
        value = {"true": "1", "false": "0"}.get(value.strip().lower(), value)
    try:
        result = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def is_missing(value: Any) -> bool:
    """True for no value: None, NaN, an empty text, or the text `nan`."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan")
    return value is None or (isinstance(value, float) and math.isnan(value))


def classes(rows: TableRows, column: str) -> tuple[list[int], tuple[str, ...]]:
    """(class of each row, names of the classes) of a column of texts, truth values or whole numbers.

    Classes are in the order of their numbers, or of their names.

    Raises:
        InputError: a row has no label, or numbers are not whole.
    """
    values = rows.column(column)
    for row, value in enumerate(values):
        if is_missing(value):
            raise rows.wrong(row, f"has no label in {column}")
        if not isinstance(value, str | int | float):
            raise rows.wrong(row, f"has {str(value)[:40]!r} in {column}, which is no label")
    figures = [number(value) for value in values]
    for row, figure in enumerate(figures):
        if figure is not None and figure != round(figure):
            raise rows.wrong(row, f"has {values[row]} in {column}: a class has a name or a whole number")
    if None not in figures:
        order = sorted({figure for figure in figures if figure is not None})
        place = {figure: i for i, figure in enumerate(order)}
        return [place[f] for f in figures if f is not None], tuple(f"{figure:.0f}" for figure in order)
    texts = [str(value).strip() for value in values]
    names = sorted(set(texts))
    return [names.index(text) for text in texts], tuple(names)
