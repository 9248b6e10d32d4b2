"""Provenance of the numbers: what was run, with which code, on what, and what sharing saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.comparison import Comparison
from bench.analysis.results import Try
from bench.ledger.rows import AttemptRow
from bench.report.numbers import number, quantity


def sharing(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Savings by training cells together."""
    plan = comparison.study.plan
    yield "planned", _saved(plan.cell_steps, plan.looks)
    yield "optimum", f"{plan.optimum:,} looks; splitting into cohorts loses {plan.split_loss:,}"
    cohorts = comparison.study.cohorts
    steps, looks = sum(c.cell_steps for c in cohorts), sum(c.looks for c in cohorts)
    yield "done", f"{_saved(steps, looks)}, in {len(cohorts):,} of {plan.cohorts:,} cohorts"


def _saved(cell_steps: int, looks: int) -> str:
    saved = f" ({1 - looks / cell_steps:.1%} saved)".replace("%", " %") if cell_steps else ""
    return f"{cell_steps:,} cell-steps in {looks:,} looks{saved}"


def sources(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Suite, cells, notes, and code and machine of each attempt."""
    study, plan = comparison.study, comparison.study.plan
    yield "suite", f"{plan.suite}, plan {plan.plan}"
    yield "cells", f"{len(study.tries):,} of {plan.cells:,} recorded"
    for note in plan.notes:
        yield "note", note
    if publication := study.published:
        yield "published", f"{publication.source} ({publication.licence}); {publication.citation}"
        names = [f"{text}: {name}" for text, name in (plan.known_as or {}).items() if text != name]
        yield "called there", "\n".join(names)
    for attempt in dict.fromkeys(map(_attempt, study.attempts)):
        yield "ran with", attempt


def _attempt(attempt: AttemptRow) -> str:
    state = " with uncommitted changes" if attempt.dirty else ""
    versions = ", ".join(f"{name} {version}" for name, version in attempt.versions.items() if version)
    machine = f"{attempt.processor}, device {attempt.device}, threads per worker: {attempt.threads}"
    return f"commit {attempt.commit or 'unknown'}{state}; {machine}; {versions}"


def grid(comparison: Comparison, task: str) -> Iterator[tuple[str, str]]:
    """Metric, grid, optimizer and data of a task."""
    study, facts = comparison.study, comparison.study.tasks[task]
    splits = "choices, too, are made on it" if study.published else "on test; choices on control"
    yield "metric", f"{facts.metric} ({facts.direction}) {splits}"
    yield "cells recorded", _recorded([t for t in study.tries if t.task == task])
    yield "budgets", f"of {quantity(facts.epochs, facts.unit)}"
    if facts.batch_size:
        yield "updates per epoch", f"{facts.epoch_steps:,} of {facts.batch_size:,} examples"
    if facts.margin:
        yield "margin", f"{facts.margin.value:g}"
    decay = facts.weight_decay
    yield "optimizer", f"{facts.optimizer}, weight decay {'not told' if decay is None else f'{decay:g}'}"
    if facts.optimizers and len(facts.optimizers) > 1:
        yield "optimizers", "; ".join(facts.optimizers)
    if facts.sizes:
        yield "splits", ", ".join(f"{name} {size:,}" for name, size in facts.sizes.items())
    if baseline := facts.baseline:
        yield "trivial baseline", f"{baseline.name}: {number(baseline.value)}"
    if facts.chance:
        yield "chance", facts.chance
    yield "source", facts.source
    if facts.digest:
        yield "data digest", facts.digest
    yield "engine", facts.engine


def _recorded(tries: Sequence[Try]) -> str:
    """Number of cells, and of those that diverged or failed."""
    failed = sum(t.error is not None for t in tries)
    diverged = sum(t.final is None for t in tries) - failed
    return f"{len(tries):,}, of which {diverged:,} diverged" + f" and {failed:,} failed" * bool(failed)
