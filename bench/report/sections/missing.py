"""Losses of a study, in words: cells not trained yet, cohorts and cells that failed, runs that diverged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bench.analysis.results import Study
from bench.ledger.rows import FailureRow
from bench.report.numbers import listed


def losses(study: Study) -> Iterator[str]:
    """One sentence for each kind of loss that occurred."""
    if study.missing:
        yield f"Not finished: {study.missing:,} of {study.plan.cells:,} planned cells have no row yet."
    failures: dict[tuple[str, str], list[FailureRow]] = {}
    for cohort in study.failures:
        failures.setdefault((cohort.task, cohort.error), []).append(cohort)
    for (task, error), cohorts in failures.items():
        seeds = listed([str(seed) for seed in sorted({cohort.seed for cohort in cohorts})])
        cells = sum(cohort.cells for cohort in cohorts)
        yield f"Failed, so that {cells:,} of these cells are missing: {task}, seed {seeds} ({error})."
    errors = Counter((t.strategy, t.error) for t in study.tries if t.error is not None)
    for (strategy, error), count in errors.items():
        yield f"{count:,} cells of {strategy} failed, and rank as if they had diverged ({error})."
    diverged = sum(t.final is None and t.error is None for t in study.tries)
    if diverged:
        yield f"{diverged:,} of {len(study.tries):,} cells diverged; a strategy that lost a chosen seed ranks last."
