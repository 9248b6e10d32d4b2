"""What a textbook claims of learning-rate decay, judged on the ledgers at hand. No text but what is claimed.

Every claim is judged by a rule that stood before its evidence: a family of tests of decays against constant LR, or a
share of (task, decay) pairs. `results/README.md` says the rules in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from bench.analysis import reference
from bench.analysis.claim_tasks import FAMILIES, ClaimTask, is_constant
from bench.analysis.comparison import Comparison, Score
from bench.analysis.diagnostics import Diagnostics, Seeds, behind, finals_by_peak, region
from bench.analysis.lr_cost import Costs
from bench.analysis.reference import ALPHA
from bench.analysis.results import SEPARATOR
from bench.analysis.stats.tests import Flip, holm, sign_flip

Word = Literal["holds", "holds in part", "mixed", "does not hold", "not clear", "not tested"]

MOST, SOME = 0.5, 0.1
"""Shares of pairs from which a claim holds, and holds in part."""

COST = 0.01
"""Share of an update from which deciding its LR is called a cost."""

UNTUNED = {"prodigy": 1.0, "dadapt_sgd": 1.0, "dadapt_adam": 1.0, "momo": 1.0, "momo_adam": 1e-2}
"""Optimizers that promise to need no tuned LR, and the one that their authors give them."""


# --------------------------------------------------------------------------- decays against constant LR


class ClaimPanel(NamedTuple):
    """Decays tested against constant LR for one claim, Holm's correction over them. Effects above 0 speak for it."""

    flips: dict[str, Flip]
    adjusted: dict[str, float]
    tasks: tuple[str, ...]

    @property
    def blocks(self) -> int:
        """Pairs of task and seed of the decay that has the most."""
        return max((flip.blocks for flip in self.flips.values()), default=0)

    def significant(self, sign: int) -> list[str]:
        return [s for s, p in self.adjusted.items() if p <= ALPHA and self.flips[s].effect * sign > 0]

    @property
    def blind(self) -> bool:
        """Whether so few blocks could have told nothing."""
        return all(flip.floor * len(self.flips) > ALPHA for flip in self.flips.values())

    @property
    def word(self) -> Word:
        """Holds if most decays are significantly for it and none against."""
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


Measure = Callable[[ClaimTask, str], Sequence[float]]  # differences [N] from constant LR; above 0 speaks for the claim


def panel(tasks: Sequence[ClaimTask], measure: Measure) -> ClaimPanel:
    """Test the decays that at least half of these tasks ran, each over the tasks that tell something of it."""
    strata: dict[str, dict[str, Sequence[float]]] = {}
    for entry in tasks:
        for schedule, strategy in entry.decays().items():
            if len(values := measure(entry, strategy)) > 1:
                strata.setdefault(schedule, {})[entry.task] = values
    told = {task for by in strata.values() for task in by}
    flips = {s: sign_flip(list(by.values())) for s, by in strata.items() if 2 * len(by) >= len(told)}
    adjusted = dict(zip(flips, holm([flip.p for flip in flips.values()]), strict=True))
    return ClaimPanel(flips, adjusted, tuple(e.task for e in tasks if e.task in told))


def quality(entry: ClaimTask, strategy: str) -> Sequence[float]:
    """How much better the decay ended."""
    return reference.differences(entry.comparison, entry.task, entry.budget, strategy)


def overfitting(entry: ClaimTask, strategy: str) -> Sequence[float]:
    """How much smaller its gap between test and training loss is."""
    return _less(entry.diagnostics.gaps(entry.score(entry.constant)), entry.diagnostics.gaps(entry.score(strategy)))


def gradients(entry: ClaimTask, strategy: str) -> Sequence[float]:
    """By how many octaves its gradient norm is kept better."""
    return _less(
        entry.diagnostics.declines(entry.score(strategy)), entry.diagnostics.declines(entry.score(entry.constant))
    )


def _less(a: Seeds, b: Seeds) -> list[float]:
    return [a[s] - b[s] for s in sorted(a.keys() & b.keys())]


# ------------------------------------------------------------------------------------- shares of pairs


class Pairs(NamedTuple):
    """In how many of the pairs of a task and a decay the claim is seen."""

    seen: int
    pairs: int
    tasks: int

    @property
    def word(self) -> Word:
        if not self.pairs:
            return "not tested"
        share = self.seen / self.pairs
        return "holds" if share >= MOST else "holds in part" if share >= SOME else "does not hold"


def _pairs(tasks: Sequence[ClaimTask], see: Callable[[ClaimTask, Score], bool | None]) -> Pairs:
    found = [(e.task, see(e, e.score(s))) for e in tasks for s in e.decays().values()]
    told = [(task, seen) for task, seen in found if seen is not None]
    return Pairs(sum(bool(seen) for _, seen in told), len(told), len({task for task, _ in told}))


def tuning(tasks: Sequence[ClaimTask]) -> Pairs:
    """Where some peak LR of the grid ends clearly worse than the best one: it can't be left to chance."""

    def see(entry: ClaimTask, score: Score) -> bool | None:
        good = region(score, entry.comparison.direction(entry.task))
        return good and (good.low, good.high) != (score.peak_lrs[0], score.peak_lrs[-1])

    return _pairs(tasks, see)


def missing(tasks: Sequence[ClaimTask]) -> tuple[Pairs, Pairs]:
    """Where the peak LR chosen on control ends clearly worse on test than the best one in hindsight; and on edges.

    The second is where most seeds chose the lowest or highest of three or more peak LRs: the best may lie outside.
    """

    def regret(entry: ClaimTask, score: Score) -> bool | None:
        by = finals_by_peak(score)
        if len(score.peak_lrs) < 2 or len(score.selected) < 2 or not by:
            return None
        best = max(by.values(), key=lambda finals: entry.sign * math.fsum(finals.values()))
        chosen = {t.seed: t.final for t in score.selected if t.final is not None}
        return len(chosen) < len(score.selected) or behind(best, chosen, entry.sign, score.grain)

    def edge(entry: ClaimTask, score: Score) -> bool | None:
        grid = score.peak_lrs
        if len(grid) < 3 or not score.selected:
            return None
        return 2 * sum(t.peak_lr in (grid[0], grid[-1]) for t in score.selected) > len(score.selected)

    return _pairs(tasks, regret), _pairs(tasks, edge)


def untuned(ledgers: Iterable[Comparison]) -> Pairs:
    """Where an optimizer of `UNTUNED`, at its authors' LR held constant, ends clearly worse than the best decay, tuned.

    The best decay is the one that ranks first at the largest budget; pairs are of a task and an optimizer.
    """
    found = []
    for it in ledgers:
        for task in it.study.tasks:
            entry = ClaimTask(task, "", it, Diagnostics(it))
            told = entry.family in FAMILIES and it.reference(task)
            decays = [s for s in it.standing(task) if s in entry.decays().values()] if told else []
            for strategy, lr in _untuned(it, task):
                tries = {t.seed: t.final for t in it.full(task)[strategy].score.tries if t.peak_lr == lr}
                best = (
                    {t.seed: t.final for t in entry.score(decays[0]).selected if t.final is not None} if decays else {}
                )
                if len(best) > 1 and best.keys() <= tries.keys():
                    finals = {seed: final for seed, final in tries.items() if final is not None}
                    lost = not best.keys() <= finals.keys()
                    found.append((task, lost or behind(best, finals, entry.sign, it.grain(task))))
    return Pairs(sum(seen for _, seen in found), len(found), len({task for task, _ in found}))


def _untuned(it: Comparison, task: str) -> Iterator[tuple[str, float]]:
    for strategy in it.full(task):
        schedule, _, more = strategy.partition(SEPARATOR)
        optimizer = more.partition("(")[0]
        if schedule == "constant" and optimizer in UNTUNED:
            yield strategy, UNTUNED[optimizer]


def costly(costs: Costs) -> Pairs:
    """Where deciding the LR takes `COST` of an update or more."""
    seen = [share >= COST for _, schedule, share in costs.shares() if not is_constant(schedule)]
    return Pairs(sum(seen), len(seen), len(costs.updates))
