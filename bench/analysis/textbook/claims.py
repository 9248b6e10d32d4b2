"""Textbook claims about learning-rate decay, judged on ledgers. No text but the verdicts.

Each claim is judged by a rule fixed before its evidence: here by the primary test's own procedure, of decays against
constant LR over the tasks of several ledgers; in `lr_choice` by counts. `results/README.md` explains the rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench.analysis.comparison import Reading, Score, read
from bench.analysis.diagnostics import Seeds
from bench.analysis.protocol.primary import Hypothesis, TaskBlocks, weigh
from bench.analysis.protocol.primary import Word as TestWord
from bench.analysis.protocol.reference import curves_of
from bench.analysis.results import Try
from bench.analysis.stats.intervals import leader
from bench.analysis.stats.swaps import Curves
from bench.analysis.textbook.claim_tasks import ClaimTask

Word = Literal[
    "holds",
    "holds in part",
    "mixed",
    "does not hold",
    "equal",
    "BatchNorm statistics only",
    "not clear",
    "too few blocks",
    "not tested",
    "not testable with this measure",
]

MOST, SOME = 0.5, 0.1
"""Lowest shares at which a claim holds, and holds in part."""

READINGS: tuple[Reading, ...] = ("final", "recalibrated")


class ClaimPanel(NamedTuple):
    """Tests of decays against constant LR for one claim in one place. Effects above 0 support the claim."""

    hypotheses: tuple[Hypothesis, ...]
    tasks: tuple[str, ...]  # that count for some decay
    rest: tuple[str, ...] = ()  # decays that are not tested, as fewer than half of the tasks count for them

    @property
    def blocks(self) -> int:
        """Number of (task, seed) pairs of the decay that has most."""
        return max((h.flip.blocks for h in self.hypotheses), default=0)

    def of(self, *words: TestWord) -> list[Hypothesis]:
        return [h for h in self.hypotheses if h.word in words]

    @property
    def word(self) -> Word:
        """Verdict: the claim holds if most decays are significantly for it and none against."""
        return self._verdict[0]

    @property
    def alone(self) -> str | None:
        """The one task that the verdict rests on; None where it rests on several."""
        tasks = {task for h in self.of(*self._verdict[1]) for task in h.tasks}
        return tasks.pop() if len(tasks) == 1 else None

    @property
    def _verdict(self) -> tuple[Word, tuple[TestWord, ...]]:
        """Verdict, and the words of the hypotheses that it rests on."""
        n = {word: len(self.of(word)) for word in EVERY}
        most = MOST * len(self.hypotheses)
        verdict: tuple[Word, tuple[TestWord, ...]] = "not clear", EVERY
        if not self.hypotheses:
            verdict = "not tested", ()
        elif n["better"] and n["worse"]:
            verdict = "mixed", ("better", "worse")
        elif n["worse"]:
            verdict = "does not hold", ("worse",)
        elif n["better"]:
            verdict = "holds" if n["better"] >= most else "holds in part", ("better",)
        elif n["equal"] >= most:
            verdict = "equal", ("equal",)
        elif n["BatchNorm statistics only"]:
            verdict = "BatchNorm statistics only", ("BatchNorm statistics only",)
        elif not n["undecided"] and n["too few blocks"]:
            verdict = "too few blocks", ("too few blocks",)
        return verdict


EVERY: tuple[TestWord, ...] = (
    "better",
    "worse",
    "equal",
    "undecided",
    "BatchNorm statistics only",
    "too few blocks",
)

Measure = Callable[[ClaimTask, str], TaskBlocks | None]  # blocks of a decay beside constant LR; above 0 supports


def panels(places: Mapping[str, Sequence[ClaimTask]], measure: Measure) -> dict[str, ClaimPanel]:
    """Test the decays in each place (a family, say), corrected for the hypotheses of all places together.

    A decay is tested where at least half of the place's tasks count for it.
    """
    groups: dict[tuple[str, str], list[TaskBlocks]] = {}
    for place, tasks in places.items():
        for entry in tasks:
            for decay in entry.decays():
                if blocks := measure(entry, decay):
                    groups.setdefault((decay, place), []).append(blocks)
    tasks_of = {
        place: {b.task for key, blocks in groups.items() if key[1] == place for b in blocks} for place in places
    }
    usual = {key: blocks for key, blocks in groups.items() if len(blocks) >= MOST * len(tasks_of[key[1]])}
    every = weigh(usual)
    return {
        place: ClaimPanel(
            tuple(h for h in every if h.group == place),
            tuple(e.task for e in tasks if e.task in tasks_of[place]),
            tuple(decay for decay, where in groups if where == place and (decay, where) not in usual),
        )
        for place, tasks in places.items()
    }


# ------------------------------------------------------------------------------------------------ measures


def quality(entry: ClaimTask, strategy: str) -> TaskBlocks | None:
    """Final quality, as the primary test has it: declared budgets pooled."""
    return entry.test.blocks(entry.task, strategy)


def overfitting(entry: ClaimTask, strategy: str) -> TaskBlocks | None:
    """Gap between test and training loss: how much smaller the decay's is."""

    def gaps(score: Score, reading: Reading) -> Seeds:
        return entry.diagnostics.gaps(score, reading)

    blocks = _less(entry, strategy, gaps, None)
    if blocks is None or entry.score(strategy).peak_lrs != entry.score(entry.constant).peak_lrs:
        return blocks
    return blocks._replace(curves={reading: _gap_curves(entry, strategy, reading) for reading in READINGS})


def _gap_curves(entry: ClaimTask, strategy: str, reading: Reading) -> Curves | None:
    """Gaps of all runs of a decay and of constant LR; None where one of them has none."""

    def value(t: Try) -> float | None:
        return None if (gap := entry.diagnostics.gap(t, reading)) is None else -gap

    runs = curves_of([[entry.score(s) for s in (strategy, entry.constant)]], [1.0], entry.sign, value)
    return runs if runs is not None and np.isfinite(runs.test).all() and np.isfinite(runs.control).all() else None


def sensitivity(entry: ClaimTask, strategy: str) -> TaskBlocks | None:
    """Loss of quality when the peak LR is left to chance: how much larger the decay's is."""
    if (
        len(entry.score(strategy).peak_lrs) < 2
        or entry.score(strategy).peak_lrs != entry.score(entry.constant).peak_lrs
    ):
        return None

    def spared(score: Score, reading: Reading) -> Seeds:
        return {seed: -loss for seed, loss in untuned_loss(entry, score, reading).items()}

    return _less(entry, strategy, spared, entry.comparison.margin(entry.task))


def untuned_loss(entry: ClaimTask, score: Score, reading: Reading = "final") -> Seeds:
    """By seed, how far the mean over the peak LRs of the grid ends behind the one with the best mean over seeds.

    Where a run diverged, the worst value of the task and budget stands in.
    """
    every = [read(t, reading) for v in entry.verdicts.values() for t in v.score.tries]
    worst = min((entry.sign * value for value in every if value is not None), default=0.0)
    seeds = [t.seed for t in score.selected]
    at: dict[float, Seeds] = {}
    for t in score.tries:
        value = read(t, reading)
        at.setdefault(t.peak_lr, {})[t.seed] = worst if value is None else entry.sign * value
    top = at[leader(at, seeds, "max")] if seeds else {}
    return {s: top[s] - math.fsum(values[s] for values in at.values()) / len(at) for s in seeds}


def _less(
    entry: ClaimTask, strategy: str, measure: Callable[[Score, Reading], Seeds], margin: float | None
) -> TaskBlocks | None:
    """Differences by seed at the largest declared budget: how much less a decay has of something than constant LR."""
    if not entry.counts(strategy):
        return None
    every: dict[Reading, list[list[float]]] = {}
    for reading in READINGS:
        own, constant = (measure(entry.score(s), reading) for s in (strategy, entry.constant))
        every[reading] = [[constant[s] - own[s] for s in sorted(own.keys() & constant.keys())]]
    return TaskBlocks.of(entry.task, every, margin) if len(every["final"][0]) > 1 else None
