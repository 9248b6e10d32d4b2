"""`glideslope publish DIR`: W&B is brought to the state of a ledger, checked against it, and given a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.contract import InputError
from bench.ledger import ledger
from bench.preempt import DONE, FAILED
from bench.tracking.runs import Book
from bench.tracking.server import Server
from bench.tracking.sync import Publisher, cohort_batch, describe_error, scores_batch
from bench.tracking.writer import RunWriter

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 10
"""Differences that are printed."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for; None leaves wandb's own choice, and its environment variables."""

    directory: Path
    entity: str | None = None
    project: str | None = None
    report: bool = False
    final: bool = False


def publish(wish: Wish, console: Console) -> int:
    """Bring all finished cohorts to W&B, and say what was done and what differs; 0 if nothing does, else 1.

    Raises:
        InputError: no ledger there, or no key is configured.
    """
    if wish.final and not wish.report:
        raise InputError("--final publishes the report: give it with --report")
    rows = ledger.read(wish.directory)
    it, book = Comparison(Study.of(rows)), Book(wish.directory, rows)
    server, writer = Server(wish.entity, wish.project), RunWriter(None, wish.entity, wish.project)
    publisher = Publisher(wish.directory, server, writer)
    wrong: dict[str, str] = {}
    try:
        with console.status("W&B"):
            for n, cohort in enumerate(book.finished, 1):
                batch = cohort_batch(book, cohort)
                missing = publisher.bring(batch)
                wrong |= missing
                if len(missing) == len(batch.runs):
                    wrong = {cell: "not tried" for c in book.finished[n:] for cell in book.cells(c)} | wrong
                    break
            page = _report(wish, it, publisher) if wish.report and not wrong else ""
    except Exception as error:  # of wandb: many kinds, and a report is no reason for a traceback
        wrong["report"], page = describe_error(error), ""
    finally:
        writer.close()
    for line in _lines(book, publisher, wrong, page):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return FAILED if wrong else DONE


def _report(wish: Wish, it: Comparison, publisher: Publisher) -> str:
    from bench.tracking import artifact, report, scores

    plan, place = it.study.plan.plan, publisher.server.place()
    if missing := publisher.bring(scores_batch(plan, list(scores.of_comparison(it)))):
        raise RuntimeError(f"{len(missing)} runs of scores are not there ({next(iter(missing.values()))})")
    return report.publish(it, place, artifact.upload(wish.directory, place, plan), final=wish.final)


def _lines(book: Book, publisher: Publisher, wrong: dict[str, str], page: str) -> list[str]:
    cells = sum(len(book.cells(cohort)) for cohort in book.finished)
    there = cells - len(wrong.keys() - {"report"})
    lines = [
        f"W&B: {there} of {cells} runs are there as in the ledger; {len(publisher.written)} were written now, "
        f"and {len(publisher.deleted)} that differed were deleted"
    ]
    if book.waiting:
        lines.append(f"note: {book.waiting} more cells are planned; their cohorts are not finished")
    lines += [f"differs: {name}: {why}" for name, why in list(wrong.items())[:SHOWN]]
    if len(wrong) > SHOWN:
        lines.append(f"and {len(wrong) - SHOWN} more. The same command tries again")
    return lines + ([f"Report on W&B: {page}"] if page else [])
