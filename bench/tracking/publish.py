"""`glideslope publish DIR`: bring W&B to the state of a ledger, check it against the ledger, and write a report."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.contract import InputError
from bench.ledger import ledger
from bench.preempt import DONE, FAILED
from bench.tracking.runs import CohortIndex
from bench.tracking.server import Server
from bench.tracking.sync import Publisher, cohort_batch, describe_error, scores_batch
from bench.tracking.writer import RunWriter

if TYPE_CHECKING:
    from rich.console import Console

LIST_LIMIT = 10
"""Most differences printed."""


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """The user's options; None leaves a value to wandb and its environment variables."""

    directory: Path
    entity: str | None = None
    project: str | None = None
    report: bool = False
    final: bool = False


def publish(wish: PublishOptions, console: Console) -> int:
    """Bring all finished cohorts to W&B, and print what was written and what differs; 0 if nothing differs, else 1.

    Raises:
        InputError: the directory holds no ledger, or no key is configured.
    """
    if wish.final and not wish.report:
        raise InputError("--final publishes the report: give it with --report")
    rows = ledger.read(wish.directory)
    comparison, book = Comparison(Study.of(rows)), CohortIndex(wish.directory, rows)
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
                    untried = chain.from_iterable(map(book.cells, book.finished[n:]))
                    wrong = dict.fromkeys(untried, "not tried") | wrong
                    break
            page = _report(wish, comparison, publisher) if wish.report and not wrong else ""
    except Exception as error:  # wandb raises many kinds, and a report is no reason for a traceback
        wrong["report"], page = describe_error(error), ""
    finally:
        writer.close()
    for line in _lines(book, publisher, wrong, page):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return FAILED if wrong else DONE


def _report(wish: PublishOptions, comparison: Comparison, publisher: Publisher) -> str:
    from bench.tracking import artifact, report, scores

    plan, place = comparison.study.plan.plan, publisher.server.place()
    if missing := publisher.bring(scores_batch(plan, list(scores.of_comparison(comparison)))):
        raise RuntimeError(f"{len(missing)} runs of scores are not there ({next(iter(missing.values()))})")
    version = artifact.upload(wish.directory, place, plan)
    return report.publish(comparison, place, version, final=wish.final)


def _lines(book: CohortIndex, publisher: Publisher, wrong: dict[str, str], page: str) -> list[str]:
    cells = sum(len(book.cells(cohort)) for cohort in book.finished)
    equal = cells - len(wrong.keys() - {"report"})
    lines = [
        f"W&B: {equal} of {cells} runs equal the ledger; {len(publisher.written_ids)} were written now, "
        f"and {len(publisher.deleted_ids)} that differed were deleted"
    ]
    if book.waiting:
        lines.append(f"note: {book.waiting} more cells are planned; their cohorts are not finished")
    lines += [f"differs: {name}: {reason}" for name, reason in list(wrong.items())[:LIST_LIMIT]]
    if len(wrong) > LIST_LIMIT:
        lines.append(f"and {len(wrong) - LIST_LIMIT} more. The same command tries again")
    return lines + ([f"Report on W&B: {page}"] if page else [])
