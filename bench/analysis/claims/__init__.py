"""Textbook claims about learning-rate decay, judged on ledgers. No text but the verdicts.

Each claim is judged by a rule fixed before its evidence: a family of tests of decays against constant LR, or a share of
(task, decay) pairs. `results/README.md` explains the rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from bench.analysis import reference
from bench.analysis.claims.claim_tasks import FAMILIES, ClaimTask, is_constant
from bench.analysis.claims.lr_cost import Costs
from bench.analysis.comparison import Comparison, Score
from bench.analysis.diagnostics import Diagnostics, Seeds, behind, finals_by_peak, region
from bench.analysis.reference import ALPHA
from bench.analysis.results import SEPARATOR
from bench.analysis.stats.tests import Flip, holm, sign_flip

Word = Literal["holds", "holds in part", "mixed", "does not hold", "not clear", "not tested"]

MOST, SOME = 0.5, 0.1
"""Lowest shares of pairs at which a claim holds, and holds in part."""

COST = 0.01
"""Lowest share of an update's time at which deciding its LR is called a cost."""

UNTUNED = {"prodigy": 1.0, "dadapt_sgd": 1.0, "dadapt_adam": 1.0, "momo": 1.0, "momo_adam": 1e-2}
"""Optimizers that promise to need no tuned LR, with their authors' LR."""


# --------------------------------------------------------------------------- decays against constant LR


class ClaimPanel(NamedTuple):
    """Tests of decays against constant LR for one claim, with Holm's correction. Effects above 0 support the claim."""

    flips: dict[str, Flip]
    adjusted: dict[str, float]
    tasks: tuple[str, ...]

    @property
    def blocks(self) -> int:
        """Number of (task, seed) pairs of the decay that has most."""
        return max((flip.blocks for flip in self.flips.values()), default=0)

    def significant(self, sign: int) -> list[str]:
        return [s for s, p in self.adjusted.items() if p <= ALPHA and self.flips[s].effect * sign > 0]

    @property
    def blind(self) -> bool:
        """True where no result could have been significant, with so few blocks."""
        return all(flip.floor * len(self.flips) > ALPHA for flip in self.flips.values())

    @property
    def word(self) -> Word:
        """Verdict: the claim holds if most decays are significantly for it and none against."""
        up, down = len(self.significant(1)), len(self.significant(-1))
        if not self.flips:
            return "not tested"
        if up and down:
            return "mixed"
        if down:
            return "does not hold"
        if up:
            return "holds" if up >= MOST * len(self.flips) else "holds in part"
        return "not clear"


Measure = Callable[[ClaimTask, str], Sequence[float]]  # differences [N] from constant LR; above 0 supports the claim


def panel(tasks: Sequence[ClaimTask], measure: Measure) -> ClaimPanel:
    """Test the decays that at least half of the measured tasks ran, each over the tasks that measured it."""
    strata: dict[str, dict[str, Sequence[float]]] = {}
    for entry in tasks:
        for schedule, strategy in entry.decays().items():
            if len(values := measure(entry, strategy)) > 1:
                strata.setdefault(schedule, {})[entry.task] = values
    measured = {task for by_task in strata.values() for task in by_task}
    flips = {s: sign_flip(list(by_task.values())) for s, by_task in strata.items() if 2 * len(by_task) >= len(measured)}
    adjusted = dict(zip(flips, holm([flip.p for flip in flips.values()]), strict=True))
    return ClaimPanel(flips, adjusted, tuple(e.task for e in tasks if e.task in measured))


def quality(entry: ClaimTask, strategy: str) -> Sequence[float]:
    """Differences [N] in final quality: how much better the decay ended."""
    return reference.differences(entry.comparison, entry.task, entry.budget, strategy)


def overfitting(entry: ClaimTask, strategy: str) -> Sequence[float]:
    """Differences [N] of the gap between test and training loss: how much smaller the decay's is."""
    diagnostics = entry.diagnostics
    return _less(diagnostics.gaps(entry.score(entry.constant)), diagnostics.gaps(entry.score(strategy)))


def gradients(entry: ClaimTask, strategy: str) -> Sequence[float]:
    """Differences [N] of the decline of the gradient norm, in octaves: how much less the decay's falls."""
    diagnostics = entry.diagnostics
    return _less(diagnostics.declines(entry.score(strategy)), diagnostics.declines(entry.score(entry.constant)))


def _less(a: Seeds, b: Seeds) -> list[float]:
    return [a[s] - b[s] for s in sorted(a.keys() & b.keys())]


# ------------------------------------------------------------------------------------- shares of pairs


class Pairs(NamedTuple):
    """Count of the (task, decay) pairs in which a claim is seen."""

    hits: int
    pairs: int
    tasks: int

    @property
    def word(self) -> Word:
        if not self.pairs:
            return "not tested"
        share = self.hits / self.pairs
        if share >= MOST:
            return "holds"
        return "holds in part" if share >= SOME else "does not hold"


def _pairs(tasks: Sequence[ClaimTask], see: Callable[[ClaimTask, Score], bool | None]) -> Pairs:
    """Count the pairs in which `see` is true, of those where it is not None."""
    every = [(e.task, see(e, e.score(s))) for e in tasks for s in e.decays().values()]
    return _count((task, bool(hit)) for task, hit in every if hit is not None)


def _count(hits: Iterable[tuple[str, bool]]) -> Pairs:
    pairs = list(hits)
    return Pairs(sum(hit for _, hit in pairs), len(pairs), len({task for task, _ in pairs}))


def tuning(tasks: Sequence[ClaimTask]) -> Pairs:
    """Pairs where some peak LR of the grid ends clearly worse than the best one: it has to be tuned."""

    def see(entry: ClaimTask, score: Score) -> bool | None:
        good = region(score, entry.comparison.direction(entry.task))
        return good and (good.low, good.high) != (score.peak_lrs[0], score.peak_lrs[-1])

    return _pairs(tasks, see)


def missing(tasks: Sequence[ClaimTask]) -> tuple[Pairs, Pairs]:
    """Pairs where the peak LR chosen on control ends clearly worse on test than the best in hindsight; and edges.

    An edge is a pair where most seeds chose the lowest or highest of three or more peak LRs: the best may lie outside.
    """

    def regret(entry: ClaimTask, score: Score) -> bool | None:
        by_peak = finals_by_peak(score)
        if len(score.peak_lrs) < 2 or len(score.selected) < 2 or not by_peak:
            return None
        best = max(by_peak.values(), key=lambda finals: entry.sign * math.fsum(finals.values()))
        finals = _finals(score)
        return len(finals) < len(score.selected) or behind(best, finals, entry.sign, score.grain)

    def edge(entry: ClaimTask, score: Score) -> bool | None:
        grid = score.peak_lrs
        if len(grid) < 3 or not score.selected:
            return None
        return 2 * sum(t.peak_lr in (grid[0], grid[-1]) for t in score.selected) > len(score.selected)

    return _pairs(tasks, regret), _pairs(tasks, edge)


def untuned(ledgers: Iterable[Comparison]) -> Pairs:
    """Pairs where an optimizer of `UNTUNED`, at its authors' constant LR, ends clearly worse than the best tuned decay.

    The best decay is the one that ranks first at the largest budget. Pairs are of a task and an optimizer.
    """
    hits: list[tuple[str, bool]] = []
    for comparison in ledgers:
        for task in comparison.study.tasks:
            best = _best_decay(comparison, task)
            sign = 1.0 if comparison.direction(task) == "max" else -1.0
            for strategy, lr in _untuned(comparison, task):
                tries = {t.seed: t.final for t in comparison.full(task)[strategy].score.tries if t.peak_lr == lr}
                if len(best) > 1 and best.keys() <= tries.keys():
                    finals = {seed: final for seed, final in tries.items() if final is not None}
                    diverged = not best.keys() <= finals.keys()
                    hits.append((task, diverged or behind(best, finals, sign, comparison.grain(task))))
    return _count(hits)


def _best_decay(comparison: Comparison, task: str) -> Seeds:
    """Final values by seed of the best decay of a task; {} where the task takes no part or has no decay."""
    entry = ClaimTask(task, "", comparison, Diagnostics(comparison))
    if entry.family not in FAMILIES or not comparison.reference(task):
        return {}
    decays = entry.decays().values()
    first = next((s for s in comparison.standing(task) if s in decays), None)
    return _finals(entry.score(first)) if first else {}


def _finals(score: Score) -> Seeds:
    """Final values by seed, at the peak LRs chosen; without runs that diverged."""
    return {t.seed: t.final for t in score.selected if t.final is not None}


def _untuned(comparison: Comparison, task: str) -> Iterator[tuple[str, float]]:
    """(strategy, its authors' LR) of each optimizer of `UNTUNED` that ran with a constant schedule."""
    for strategy in comparison.full(task):
        schedule, _, more = strategy.partition(SEPARATOR)
        optimizer = more.partition("(")[0]
        if schedule == "constant" and optimizer in UNTUNED:
            yield strategy, UNTUNED[optimizer]


def costly(costs: Costs) -> Pairs:
    """Pairs where deciding the LR takes `COST` of an update or more."""
    hits = [share >= COST for _, schedule, share in costs.shares() if not is_constant(schedule)]
    return Pairs(sum(hits), len(hits), len(costs.updates))
