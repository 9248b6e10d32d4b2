"""`glideslope conform`: all comparisons and traps, in the terminal, and as tables, figures and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.conformance import document
from bench.conformance.factors import LibraryComparison, compared
from bench.conformance.pitfalls import Trap, offsets, tried
from bench.contract import InputError
from bench.report import markup
from bench.report import write as report

if TYPE_CHECKING:
    from rich.console import Console

UNEXPLAINED = 1


def run(out: Path | None, console: Console) -> int:
    """Compare, print, and write to the folder `out` unless it is None; 1 if a deviation is unexplained, else 0.

    Raises:
        InputError: `out` cannot be written.
    """
    comparisons = compared()
    traps = [*tried(), *offsets(comparisons)]
    show(comparisons, traps, console)
    if out:
        console.print(f"Report: {write(out, comparisons, traps)}", highlight=False, markup=False, soft_wrap=True)
    return 0 if all(comparison.explained for comparison in comparisons) else UNEXPLAINED


def show(comparisons: Sequence[LibraryComparison], traps: Sequence[Trap], console: Console) -> None:
    """Print the main tables and the summary."""
    report.print_table(document.matrix(comparisons), console)
    with_reason = [comparison for comparison in comparisons if comparison.equivalent.why]
    report.print_table(document.deviations(with_reason, "Deviations"), console)
    report.print_table(document.trap_table(traps), console)
    unexplained = [comparison for comparison in comparisons if not comparison.explained]
    if unexplained:
        report.print_table(document.deviations(unexplained, "Unexplained", "worse"), console)
    versions = ", ".join(f"{name} {version}" for name, version in document.versions(comparisons).lines)
    for line in (*document.summary(comparisons, traps), f"Read: {versions}."):
        console.print(line, highlight=False, markup=False)


def write(out: Path, comparisons: Sequence[LibraryComparison], traps: Sequence[Trap]) -> Path:
    """Write `table.md`, `table.csv`, `traps.csv`, `figures/` and `report.html` to `out`; the page's path."""
    from bench.conformance import figures  # here, because matplotlib is slow to import
    from bench.report import page

    folder = out / "figures"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in [*folder.glob("*.svg"), *folder.glob("*.pdf")]:
            old.unlink()
        sections = document.document(comparisons, traps, figures.draw(comparisons, folder))
        files = {
            "table.md": markup.markdown(sections),
            "table.csv": document.rows(comparisons),
            "traps.csv": document.trap_rows(traps),
            "report.html": page.html(sections, folder),
        }
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror}; give a folder that can be written") from None
    return out / "report.html"
