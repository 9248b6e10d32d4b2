"""Kinds of file with published runs. Another kind is a function from a file to runs, and a line in `FORMATS`."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import schedules
from bench.call import choose
from bench.contract import InputError
from bench.evidence.published import EPOCH_STEPS, Run, Source, rows
from bench.record.deposit import deposit
from bench.record.lines import Row


class Format(NamedTuple):
    """A kind of file that can be imported."""

    about: Source
    read: Callable[[Path], list[Run]]


COLUMNS = "dataset model parameters scheduler decay_type cooldown_fraction final_lr peak_lr steps warmup_steps seed"


def _llama(file: Path) -> list[Run]:
    """One line a run; its columns are those of the published logs' own configurations."""
    with file.open(newline="", encoding="utf-8") as text:
        lines = csv.DictReader(text)
        missing = {*COLUMNS.split(), "final_val_loss"} - set(lines.fieldnames or ())
        if missing:
            raise InputError(f"{file} is no llama-csv: it lacks the columns {', '.join(sorted(missing))}")
        runs = list(_runs(file, lines))
    if not runs:
        raise InputError(f"{file} holds no run")
    return runs


def _runs(file: Path, lines: Iterator[dict[str, str]]) -> Iterator[Run]:
    for number, line in enumerate(lines, 2):
        try:
            yield _run(line)
        except (TypeError, ValueError) as error:
            raise InputError(f"{file}, line {number}: {error}") from None


def _run(line: Mapping[str, str]) -> Run:
    task = f"{line['dataset']}(model={line['model']!r}, parameters={int(line['parameters'])})"
    peak_lr, total, warmup = float(line["peak_lr"]), int(line["steps"]), int(line["warmup_steps"])
    if not (0 < peak_lr < math.inf and total > 0 and warmup >= 0):
        raise ValueError("peak_lr and steps should be above 0, warmup_steps 0 or more")
    strategy, name = _strategy(line, warmup)
    loss, group = float(line["final_val_loss"]), line.get("group") or "main"
    return Run(task, strategy, name, "adamw", peak_lr, total, int(line["seed"]), loss, group)


def _strategy(line: Mapping[str, str], warmup: int) -> tuple[str, str]:
    """(our schedule, the source's name). A published cooldown is a share of all updates, warmup and all."""

    def after(inner: str) -> str:
        return schedules.parse(f"warmup({inner}, epochs={warmup / EPOCH_STEPS!r})" if warmup else inner).text

    kind, shape, end = line["scheduler"], line["decay_type"], line["final_lr"]
    if kind == "wsd":
        share = float(line["cooldown_fraction"])
        if share == 0:
            return after("constant"), "constant"
        text = f"cooldown({after('constant')}, fraction={share!r}, shape={shape!r})"
        return schedules.parse(text).text, f"WSD {shape} {100 * share:g} %"
    if kind == "cos" and end:
        to_zero = float(end) >= 0  # 1e-7 is a trillionth of a gradient; -1 stands for a tenth of the peak
        return (after("cosine"), "cosine to 0") if to_zero else (after("cosine(floor=0.1)"), "cosine to 10 %")
    return (f"{kind}(end unknown)", "cosine, its end not told") if kind == "cos" else (kind, kind)


FORMATS = {
    "llama-csv": Format(
        Source(
            "logs of github.com/fabian-sp/lr-scheduling at 8ace3a3",
            "Schaipp et al. 2025, The Surprising Agreement Between Convex Optimization Theory and Learning-Rate "
            "Scheduling for Large Model Training, arXiv:2501.18965",
            "MIT",
            "warmup(cosine, epochs=0.3)",
        ),
        _llama,
    )
}
"""What can be imported."""


def bring(file: Path, form: str, directory: Path) -> list[Row]:
    """Import a file into a ledger of its own under `directory`; its rows. The same file again changes nothing.

    Raises:
        InputError: no such format, a file that is not of it, or a directory with another ledger.
    """
    kind: Format = choose(form, FORMATS, "format")
    if not file.is_file():
        raise InputError(f"{file} is not there: give the file to import")
    made = rows(kind.read(file), kind.about, f"published: {file.stem}")
    deposit(directory, made)
    return made
