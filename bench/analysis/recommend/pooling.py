"""One comparison from several ledgers: each task once, at one budget, and no run twice. No text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench.analysis.comparison import Comparison
from bench.analysis.recommend.evidence import Evidence
from bench.analysis.results import Study, Try
from bench.contract import LARGEST
from bench.ledger.rows import TaskFacts


class PooledEvidence(NamedTuple):
    """Evidence on several tasks, one of each, in one comparison; and all directories that a task's runs come from."""

    evidence: tuple[Evidence, ...]
    sources: dict[str, tuple[Path, ...]]


def best(evidence: Sequence[Evidence]) -> list[Evidence]:
    """The first evidence of each task."""
    first: dict[str, Evidence] = {}
    for e in evidence:
        first.setdefault(e.task, e)
    return list(first.values())


def pool(selection: Sequence[Evidence], every: Sequence[Evidence]) -> PooledEvidence:
    """The chosen evidence in one comparison with one reference: that of most of its ledgers.

    Strategies that a task's own ledger lacks come from the others that ran the task under the same conditions.
    """
    reference = Counter(e.comparison.study.reference for e in selection).most_common(1)[0][0]
    tries, facts, sources = list[Try](), dict[str, TaskFacts](), dict[str, tuple[Path, ...]]()
    for e in selection:
        own = _tries(e, reference)
        directories = [e.directory]
        for other in (o for o in every if o.task == e.task and _alike(e, o)):
            if more := _lacking(own, _tries(other, reference), {v.seed for v in own}):
                own += [t._replace(budget=e.budget) for t in more]
                directories.append(other.directory)
        tries += own
        schedules = [*e.facts.schedules, *(t.strategy for t in own)]
        facts[e.task] = replace(e.facts, budgets=[e.budget], schedules=list(dict.fromkeys(schedules)))
        sources[e.task] = tuple(directories)
    first = selection[0].comparison.study
    plan = replace(first.plan, tasks=facts, reference=reference, primary=LARGEST, cells=len(tries))
    cohorts = tuple(c for e in selection for c in e.comparison.study.cohorts if c.task == e.task)
    comparison = Comparison(Study(plan, tuple(tries), cohorts, first.attempts))
    return PooledEvidence(tuple(e._replace(comparison=comparison) for e in selection), sources)


def _tries(e: Evidence, reference: str) -> list[Try]:
    every = (t for t in e.comparison.study.tries if t.task == e.task and t.budget == e.budget)
    return [t._replace(reference=t.strategy == reference) for t in every]


def _alike(one: Evidence, other: Evidence) -> bool:
    """True if the same seed is the same initial weights, batches and number of updates in two ledgers."""

    def conditions(e: Evidence) -> tuple[object, ...]:
        f = e.facts
        arithmetic = f.engine.partition(" (")[2]
        return f.digest, f.code, f.metric, f.epoch_steps, f.batch_size, f.optimizer, f.weight_decay, arithmetic

    same = conditions(one) == conditions(other) and one.facts.digest is not None
    return same and one.directory != other.directory and math.isclose(one.epochs, other.epochs)


def _lacking(own: Sequence[Try], others: Sequence[Try], seeds: set[int]) -> list[Try]:
    """Tries of the strategies that are not there yet, of those that have these seeds and no more peak LRs."""
    present, most = {t.strategy for t in own}, len({t.peak_lr for t in own if t.reference})
    by_strategy: dict[str, list[Try]] = {}
    for t in others:
        if t.strategy not in present and t.seed in seeds:
            by_strategy.setdefault(t.strategy, []).append(t)
    return [
        t
        for block in by_strategy.values()
        if {t.seed for t in block} == seeds and len({t.peak_lr for t in block}) <= most
        for t in block
    ]
