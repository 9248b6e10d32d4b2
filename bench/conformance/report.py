"""`glideslope conform`: every claim judged, every trap tried; in the terminal, and as tables, figures and one page."""

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
    """Compare, print, and write under `out` if it is given; 1 if a deviation is unexplained, else 0.

    Raises:
        InputError: `out` cannot be written.
    """
    found = compared()
    traps = [*tried(), *offsets(found)]
    show(found, traps, console)
    if out:
        console.print(f"Report: {write(out, found, traps)}", highlight=False, markup=False, soft_wrap=True)
    return 0 if all(it.explained for it in found) else UNEXPLAINED


def show(found: Sequence[LibraryComparison], traps: Sequence[Trap], console: Console) -> None:
    """Print what a terminal has room for."""
    report.put(document.matrix(found), console)
    report.put(document.deviations([it for it in found if it.claim.why], "Deviations"), console)
    report.put(document.trapped(traps), console)
    wrong = [it for it in found if not it.explained]
    if wrong:
        report.put(document.deviations(wrong, "Unexplained", "bad"), console)
    versions = ", ".join(f"{name} {version}" for name, version in document.read(found).lines)
    for line in (*document.summary(found, traps), f"Read: {versions}."):
        console.print(line, highlight=False, markup=False)


def write(out: Path, found: Sequence[LibraryComparison], traps: Sequence[Trap]) -> Path:
    """Write `table.md`, `table.csv`, `traps.csv`, `figures/` and `report.html` under `out`; the page's path."""
    from bench.conformance import figures  # matplotlib takes a while to import
    from bench.report import page

    folder = out / "figures"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in [*folder.glob("*.svg"), *folder.glob("*.pdf")]:
            old.unlink()
        pages = document.document(found, traps, figures.draw(found, folder))
        files = {
            "table.md": markup.markdown(pages),
            "table.csv": document.rows(found),
            "traps.csv": document.trap_rows(traps),
            "report.html": page.html(pages, folder),
        }
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror}; give a folder that can be written") from None
    return out / "report.html"
