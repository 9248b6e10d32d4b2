"""Logs of language models by Schaipp et al. 2025, as CSV: a function from a file to runs, and their source."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import schedules
from bench.analysis.published.rows import EPOCH_STEPS, PublishedRun, Source, rows
from bench.contract import InputError
from bench.ledger.deposit import deposit
from bench.ledger.lines import Row

SOURCE = Source(
    "logs of github.com/fabian-sp/lr-scheduling at 8ace3a3",
    "Schaipp et al. 2025, The Surprising Agreement Between Convex Optimization Theory and Learning-Rate "
    "Scheduling for Large Model Training, arXiv:2501.18965",
    "MIT",
    "warmup(cosine, epochs=0.3)",
)

COLUMNS = "dataset model parameters scheduler decay_type cooldown_fraction final_lr peak_lr steps warmup_steps seed"

ZERO = 1e-6
"""Largest final LR that counts as 0: the published 1e-7 is a thousandth of the lowest peak LR."""


def read_runs(file: Path) -> list[PublishedRun]:
    """Read a table with one line for each run. Its columns are those of the published logs' configurations."""
    lines = csv.DictReader(io.StringIO(_text(file), newline=""), skipinitialspace=True, strict=True)
    try:
        head = [name.strip() for name in lines.fieldnames or ()]
    except csv.Error as error:
        raise InputError(f"{file}, line 1: {error}") from None
    if missing := {*COLUMNS.split(), "final_val_loss"} - set(head):
        raise InputError(f"{file} is no llama-csv: it lacks the columns {', '.join(sorted(missing))}")
    if twice := [name for name in head if head.count(name) > 1]:
        raise InputError(f"{file} has the column {twice[0]} twice")
    lines.fieldnames = head
    runs = list(_runs(file, lines))
    if not runs:
        raise InputError(f"{file} holds no run")
    return runs


def _text(file: Path) -> str:
    """Text of a file, without the byte-order mark that some programs write."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is no text in UTF-8: save it as such") from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from None


def _runs(file: Path, lines: csv.DictReader[str]) -> Iterator[PublishedRun]:
    first: dict[tuple[str, ...], int] = {}
    try:
        for line in lines:
            if None in line or None in line.values():
                raise ValueError(f"has not the {len(lines.fieldnames or ())} fields that line 1 names")
            fields = {name: text.strip() for name, text in line.items()}
            if (earlier := first.setdefault(tuple(fields.values()), lines.line_num)) != lines.line_num:
                raise ValueError(f"is line {earlier} again")
            yield _run(fields)
    except ValueError as error:
        raise InputError(f"{file}, line {lines.line_num}: {error}") from None
    except csv.Error as error:  # raised before the line is counted
        raise InputError(f"{file}, line {lines.line_num + 1}: {error}") from None


def _run(line: Mapping[str, str]) -> PublishedRun:
    if absent := [name for name in ("dataset", "model", "scheduler") if not line[name]]:
        raise ValueError(f"{absent[0]} is empty")
    parameters, total, warmup, seed = (_whole(line, name) for name in ("parameters", "steps", "warmup_steps", "seed"))
    peak_lr, loss = _number(line, "peak_lr"), _number(line, "final_val_loss")
    if not (0 < peak_lr < math.inf and total > 0 and parameters > 0):
        raise ValueError("peak_lr, steps and parameters should be above 0")
    if not (0 <= warmup < total and seed >= 0):
        raise ValueError("warmup_steps should be 0 or more and fewer than steps, seed 0 or more")
    if loss < 0:
        raise ValueError(f"final_val_loss is a mean cross-entropy, which {loss:g} cannot be")
    task = f"{line['dataset']}(model={line['model']!r}, parameters={parameters})"
    strategy, name = _strategy(line, warmup)
    return PublishedRun(task, strategy, name, "adamw", peak_lr, total, seed, loss, line.get("group") or "main")


def _number(line: Mapping[str, str], name: str) -> float:
    try:
        return float(line[name])
    except ValueError:
        raise ValueError(f"{name} is {line[name]!r}, not a number such as 0.001") from None


def _whole(line: Mapping[str, str], name: str) -> int:
    value = _number(line, name)
    if not value.is_integer():
        raise ValueError(f"{name} is {line[name]!r}, not a whole number")
    return int(value)


def _strategy(line: Mapping[str, str], warmup: int) -> tuple[str, str]:
    """Pair (our schedule, the source's name). A published cooldown is a share of all updates, including warmup."""

    def after(inner: str) -> str:
        return schedules.parse(f"warmup({inner}, epochs={warmup / EPOCH_STEPS!r})" if warmup else inner).text

    kind, shape, end = line["scheduler"], line["decay_type"], line["final_lr"]
    if kind == "wsd":
        share = _number(line, "cooldown_fraction")
        if not 0 <= share <= 1:
            raise ValueError(f"cooldown_fraction is {share:g}, not from 0 to 1")
        if share == 0:
            return after("constant"), "constant"
        text = f"cooldown({after('constant')}, fraction={share!r}, shape={shape!r})"
        return schedules.parse(text).text, f"WSD {shape} {100 * share:g} %"
    if kind == "cos" and end:
        to_zero = 0 <= _number(line, "final_lr") <= ZERO
        if not to_zero and float(end) != -1:  # which stands for a tenth of the peak
            raise ValueError(f"final_lr is {end}; known are 0 to {ZERO:g}, -1 for a tenth of peak_lr, and none")
        return (after("cosine"), "cosine to 0") if to_zero else (after("cosine(floor=0.1)"), "cosine to 10 %")
    if kind in schedules.CATALOGUE:  # the source doesn't give its warmup and settings
        return f"{kind}(settings unknown)", kind
    return (f"{kind}(end unknown)", "cosine, its end not told") if kind == "cos" else (kind, kind)


def import_log(file: Path, directory: Path) -> list[Row]:
    """Import a file into a ledger of its own under `directory` and return its rows. Importing it twice changes nothing.

    Raises:
        InputError: a file that does not have the format, or a directory with another ledger.
    """
    if not file.is_file():
        raise InputError(f"{file} is not there: give the file to import")
    imported = rows(read_runs(file), SOURCE, f"published: {file.stem}")
    deposit(directory, imported)
    return imported
