"""Shares of pairs of a task and a strategy in which the choice of a peak LR matters, or misses the best one.

Pairs where nothing was learnt, and decays that are one run with constant LR, are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from bench.analysis.comparison import Comparison, Score
from bench.analysis.diagnostics import Seeds, behind, finals_by_peak, region
from bench.analysis.protocol.primary import PrimaryTest
from bench.analysis.results import SEPARATOR
from bench.analysis.stats.equivalence import decide
from bench.analysis.stats.intervals import interval, leader
from bench.analysis.textbook.claim_tasks import FAMILIES, ClaimTask, is_constant
from bench.analysis.textbook.claims import MOST, SOME, Word
from bench.analysis.textbook.lr_cost import Costs

COST = 0.01
"""Lowest share of an update's time at which deciding its LR is called a cost."""

SURE = 0.9
"""Lowest share of pairs within the margin at which a best peak LR is not missed."""

UNTUNED = {"prodigy": 1.0, "dadapt_sgd": 1.0, "dadapt_adam": 1.0, "momo": 1.0, "momo_adam": 1e-2}
"""Optimizers that promise to need no tuned LR, with their authors' LR."""


class Pairs(NamedTuple):
    """Count of the pairs in which a claim is seen."""

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


def _count(hits: Iterable[tuple[str, bool]]) -> Pairs:
    pairs = list(hits)
    return Pairs(sum(hit for _, hit in pairs), len(pairs), len({task for task, _ in pairs}))


def _decays(entry: ClaimTask) -> list[str]:
    """Decays of a task that learnt something, and are not one run with constant LR."""
    verdicts = entry.verdicts
    return [s for s in entry.decays() if entry.learns and entry.constant not in verdicts[s].identical]


def _constant(entry: ClaimTask) -> list[str]:
    return [entry.constant] if entry.learns else []


def tuning(tasks: Sequence[ClaimTask], constant: bool = False) -> Pairs:
    """Pairs where some peak LR of the grid ends clearly worse than the best one: of decays, or of constant LR."""
    hits = []
    for entry, strategy in _pairs(tasks, constant):
        score = entry.score(strategy)
        if good := region(score, entry.comparison.direction(entry.task)):
            hits.append((entry.task, (good.low, good.high) != (score.peak_lrs[0], score.peak_lrs[-1])))
    return _count(hits)


def _pairs(tasks: Sequence[ClaimTask], constant: bool) -> list[tuple[ClaimTask, str]]:
    return [(entry, s) for entry in tasks for s in (_constant if constant else _decays)(entry)]


# ------------------------------------------------------------------------------------------------- regret

Miss = Literal["missed", "within the margin", "edge of the grid", "open"]
"""Regret of a pair: clearly above the margin, shown to lie below it, not known as the best peak LR may lie outside the
grid, or not decided."""


class Misses(NamedTuple):
    """Regret of the chosen peak LRs against the best in hindsight, in pairs of a task and a strategy."""

    regrets: tuple[tuple[str, Miss], ...]  # (task, regret) of each pair whose task states a margin
    unstated: int  # pairs of tasks without a margin

    def number(self, miss: Miss) -> int:
        return sum(m == miss for _, m in self.regrets)

    @property
    def tasks(self) -> int:
        return len({task for task, _ in self.regrets})

    @property
    def word(self) -> Word:
        """Verdict: missed in at least half of the pairs, or shown to be within the margin in nine of ten."""
        if not self.regrets:
            return "not testable with this measure" if self.unstated else "not tested"
        if self.number("missed") >= MOST * len(self.regrets):
            return "holds"
        return "does not hold" if self.number("within the margin") >= SURE * len(self.regrets) else "not clear"


def missing(tasks: Sequence[ClaimTask], constant: bool = False) -> Misses:
    """Pairs with a regret that can be known: three peak LRs and two seeds or more; of decays, or of constant LR."""
    regrets: list[tuple[str, Miss]] = []
    unstated = 0
    for entry, strategy in _pairs(tasks, constant):
        score, margin = entry.score(strategy), entry.comparison.margin(entry.task)
        if len(score.peak_lrs) < 3 or len(score.selected) < 2 or not finals_by_peak(score):
            continue
        if margin is None:
            unstated += 1
        else:
            regrets.append((entry.task, _miss(score, entry.sign, margin)))
    return Misses(tuple(regrets), unstated)


def _miss(score: Score, sign: float, margin: float) -> Miss:
    """Regret on test of the peak LRs chosen on control, against the best mean in hindsight, with its interval."""
    if score.edges:
        return "edge of the grid"
    by_peak, finals = finals_by_peak(score), _finals(score)
    top = by_peak[leader(by_peak, (t.seed for t in score.selected), "max" if sign > 0 else "min")]
    if len(finals) < len(score.selected):
        return "missed"  # a chosen run diverged, and another peak LR did not
    regret = interval([sign * (top[s] - finals[s]) for s in sorted(top)])
    low, high = regret.mean - (regret.half or 0.0), regret.mean + (regret.half or 0.0)
    if low > margin:
        return "missed"
    return "within the margin" if decide(low, high, margin) == "equal" else "open"


def _finals(score: Score) -> Seeds:
    """Final values by seed, at the peak LRs chosen; without runs that diverged."""
    return {t.seed: t.final for t in score.selected if t.final is not None}


# ------------------------------------------------------------------------------------- without a tuned LR


def untuned(ledgers: Iterable[Comparison]) -> Pairs:
    """Pairs where an optimizer of `UNTUNED`, at its authors' constant LR, ends clearly worse than the best tuned decay.

    The best decay is the one that ranks first at the largest declared budget. Pairs are of a task and an optimizer.
    """
    hits: list[tuple[str, bool]] = []
    for comparison in ledgers:
        test = PrimaryTest(comparison)
        for task in comparison.study.tasks:
            entry = ClaimTask(task, "", test)
            best = _best_decay(entry)
            for strategy, lr in _untuned(entry) if best else ():
                tries = {t.seed: t.final for t in entry.score(strategy).tries if t.peak_lr == lr}
                if len(best) > 1 and best.keys() <= tries.keys():
                    finals = {seed: final for seed, final in tries.items() if final is not None}
                    diverged = not best.keys() <= finals.keys()
                    hits.append((task, diverged or behind(best, finals, entry.sign, comparison.grain(task))))
    return _count(hits)


def _best_decay(entry: ClaimTask) -> Seeds:
    """Final values by seed of the best decay of a task; {} where the task takes no part or has no decay."""
    if entry.family not in FAMILIES or not entry.test.declared(entry.task) or not entry.constant or not entry.learns:
        return {}
    ranked = [(v.rank, s) for s, v in entry.verdicts.items() if v.rank is not None and s in entry.decays()]
    return _finals(entry.score(min(ranked, key=lambda pair: pair[0])[1])) if ranked else {}


def _untuned(entry: ClaimTask) -> Iterator[tuple[str, float]]:
    """(strategy, its authors' LR) of each optimizer of `UNTUNED` that ran with a constant schedule."""
    for strategy in entry.verdicts:
        schedule, _, more = strategy.partition(SEPARATOR)
        optimizer = more.partition("(")[0]
        if schedule == "constant" and optimizer in UNTUNED:
            yield strategy, UNTUNED[optimizer]


def costly(costs: Costs) -> Pairs:
    """Pairs where deciding the LR takes `COST` of an update or more."""
    hits = [share >= COST for _, schedule, share in costs.shares() if not is_constant(schedule)]
    return Pairs(sum(hits), len(hits), len(costs.updates))
