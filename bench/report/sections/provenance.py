"""Where the numbers come from: what was run, with which code, on what, and what sharing saved."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.comparison import Comparison
from bench.ledger.rows import AttemptRow
from bench.report.numbers import number, percent, quantity


def sharing(it: Comparison) -> Iterator[tuple[str, str]]:
    """What training cells together saved."""
    plan = it.study.plan
    yield "planned", _saved(plan.cell_steps, plan.looks)
    yield "optimum", f"{plan.optimum:,} looks; splitting into cohorts loses {plan.split_loss:,}"
    done = it.study.cohorts
    steps, looks = sum(c.cell_steps for c in done), sum(c.looks for c in done)
    yield "done", f"{_saved(steps, looks)}, in {len(done):,} of {plan.cohorts:,} cohorts"


def _saved(cell_steps: int, looks: int) -> str:
    saved = f" ({1 - looks / cell_steps:.1%} saved)".replace("%", " %") if cell_steps else ""
    return f"{cell_steps:,} cell-steps in {looks:,} looks{saved}"


def sources(it: Comparison) -> Iterator[tuple[str, str]]:
    """What was run, with which code, on what."""
    plan = it.study.plan
    yield "suite", f"{plan.suite}, plan {plan.plan}"
    yield "cells", f"{len(it.study.tries):,} of {plan.cells:,} recorded"
    for note in plan.notes:
        yield "note", note
    if about := it.study.published:
        yield "published", f"{about.source} ({about.licence}); {about.citation}"
        known = [f"{text}: {name}" for text, name in (plan.known_as or {}).items() if text != name]
        yield "called there", "\n".join(known)
    for place in dict.fromkeys(map(_place, it.study.attempts)):
        yield "ran with", place


def _place(attempt: AttemptRow) -> str:
    state = {True: " with uncommitted changes", False: "", None: ""}[attempt.dirty]
    versions = ", ".join(f"{name} {version}" for name, version in attempt.versions.items() if version)
    where = f"{attempt.processor}, device {attempt.device}, threads per worker: {attempt.threads}"
    return f"commit {attempt.commit or 'unknown'}{state}; {where}; {versions}"


def grid(it: Comparison, task: str) -> Iterator[tuple[str, str]]:
    """The grid, the data and the judge of a task."""
    its = it.study.tasks[task]
    tries = [t for t in it.study.tries if t.task == task]
    counts = {"strategies": len(it.study.of_task(task)), "budgets": len(its.budgets)}
    counts |= {"peak LRs each": it.study.peak_lrs(task), "seeds": len(its.seeds)}
    judged = "choices, too, are made on it" if it.study.published else "on test; choices on control"
    yield "metric", f"{its.metric} ({its.direction}) {judged}"
    yield "grid", ", ".join(f"{count} {name}" for name, count in counts.items())
    failed = sum(t.error is not None for t in tries)
    lost = f"{sum(t.final is None for t in tries) - failed:,} diverged" + f" and {failed:,} failed" * bool(failed)
    yield "cells recorded", f"{len(tries):,}, of which {lost}"
    yield (
        "budgets",
        ", ".join(percent(b) for b in it.study.budgets(task)) + f" of {quantity(its.epochs, its.unit)}",
    )
    if its.batch_size:
        yield "updates per epoch", f"{its.epoch_steps:,} of {its.batch_size:,} examples"
    yield "peak LRs", ", ".join(f"{lr:g}" for lr in its.peak_lrs)
    yield "seeds", ", ".join(map(str, its.seeds))
    decay = its.weight_decay
    yield "optimizer", f"{its.optimizer}, weight decay {'not told' if decay is None else f'{decay:g}'}"
    if its.optimizers and len(its.optimizers) > 1:
        yield "optimizers", "; ".join(its.optimizers)
    if its.sizes:
        yield "splits", ", ".join(f"{name} {size:,}" for name, size in its.sizes.items())
    if baseline := its.baseline:
        yield "trivial baseline", f"{baseline.name}: {number(baseline.value)}"
    if its.chance:
        yield "chance", its.chance
    yield "source", its.source
    if its.digest:
        yield "data digest", its.digest
    yield "engine", its.engine
