"""How often the protocol is wrong, and how often it finds what is there, on experiments like a published ledger.

    python -m tests.analysis.simulate 2000 [DIR]

Experiments are drawn by `simulation.experiments` from the ledger of DIR (`results/core`), without any true
difference; differences are planted in the final values.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.analysis.protocol.primary import ALPHA
from bench.analysis.stats.intervals import t_quantile
from bench.analysis.stats.power import detectable, detectable_mean
from bench.analysis.stats.swaps import Curves, swap_test
from tests.analysis.simulation import experiments, protocol
from tests.analysis.simulation.protocol import ABSENT, BETTER, DECIDED, EQUAL, WORSE

LOOKS = (8, 12, 16, 24)
CHUNK = 250

ROUGH = 20_000
"""Patterns of signs where a p need not be exact."""

FLIPS = 0.04
"""Level at which sign flips, which are fast, find about as much as swaps do at `ALPHA`: a lead of one margin in 38.4 %
of 500 experiments with 8 seeds, and swaps in 38.3 % of 200; one of two margins in 90 and 91 %.
"""


@dataclass
class Drawn:
    """Experiments of all tasks, at each look's number of seeds."""

    models: dict
    seen: dict  # values by task [E, K, N, S, L, B], of the most seeds
    finals: dict  # by look, then task
    looks: tuple = LOOKS

    @classmethod
    def of(cls, models, seen, looks, worlds=None):
        """Experiments of these values; `worlds` by task are the strategies [E] that all are in truth."""
        parts = {n: {task: [] for task in models} for n in looks}
        for n, task in product(looks, models):
            for start in range(0, len(seen[task]), CHUNK):
                some = seen[task][start : start + CHUNK, :, :n]
                world = worlds and worlds[task][start : start + CHUNK]
                parts[n][task].append(models[task].finals(some, world))
        finals = {
            n: {task: experiments.Finals(*map(np.concatenate, zip(*some, strict=True))) for task, some in each.items()}
            for n, each in parts.items()
        }
        return cls(models, seen, finals, looks)

    @classmethod
    def anew(cls, models, count, seed=0, looks=LOOKS):
        draw, drawn = np.random.default_rng(seed), {}
        for task, model in models.items():
            chunks = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
            drawn[task] = list(map(np.concatenate, zip(*(model.draw(n, looks[-1], draw) for n in chunks), strict=True)))
        seen, worlds = ({task: both[i] for task, both in drawn.items()} for i in (0, 1))
        return cls.of(models, seen, looks, worlds)

    @cached_property
    def count(self):
        return len(next(iter(self.seen.values())))

    @cached_property
    def names(self):
        every = dict.fromkeys(s for m in self.models.values() for s in m.strategies)
        return [s for s in every if s != next(iter(self.models.values())).study.reference]

    @cached_property
    def pairs(self):
        """Differences of each task at each number of seeds."""
        return {
            n: {task: protocol.paired(self.models[task], f, self.names) for task, f in each.items()}
            for n, each in self.finals.items()
        }

    def swaps(self, seeds_TE, shift=lambda task, pairs: 0.0):
        """Function (experiment, strategy, reading) to the p by swaps, with these numbers of seeds."""
        by_task = list(self.models)

        def p(e, h, reading):
            tasks = []
            for task, n in zip(by_task, seeds_TE[:, e].tolist(), strict=True):
                pairs, model = self.pairs[n][task], self.models[task]
                counts = pairs.counts[e, h]
                if not counts.any():
                    continue
                both = [model.strategies.index(self.names[h]), model.reference]
                values = np.moveaxis(self.seen[task][e][both][:, :n][..., counts], 2, 0)  # [S, 2, N, L, B]
                test = values[min(1 + reading, len(values) - 1)].copy()
                lead = np.broadcast_to(shift(task, pairs), pairs.d.shape)[e, h, 0, :, reading]
                test[0] += lead[counts]
                tasks.append(Curves(values[0].swapaxes(1, 2), test.swapaxes(1, 2), np.ones(counts.sum())))
            return swap_test(tasks).p

        return p

    def swaps_at(self, n, shift=lambda task, pairs: 0.0):
        """The same with one number of seeds."""
        return self.swaps(np.full((len(self.models), self.count), n), shift)

    def truth(self, n):
        """Effect of each strategy at the chosen peak LRs [E, H], in margins, over the tasks and budgets that count."""
        total, tasks = 0.0, 0
        for task, p in self.pairs[n].items():
            model, it = self.models[task], self.finals[n][task].truth
            at = [self.names.index(s) for s in model.strategies if s in self.names]
            rest = [k for k in range(len(model.strategies)) if k != model.reference]
            lead = np.zeros(p.counts.shape)
            lead[:, at] = it[:, rest] - it[:, [model.reference]]
            total = total + (lead * p.counts).sum(2) / np.maximum(p.counts.sum(2), 1) / model.margin
            tasks = tasks + p.counts.any(2)
        return total / np.maximum(tasks, 1)

    def deviation(self, task):
        """Standard deviation of a task's paired differences [B]."""
        return np.sqrt(np.nanmean(self.pairs[self.looks[0]][task].d[..., 0].var(2, ddof=1), (0, 1)))

    def blocks(self, n, shift: Callable = lambda task, pairs: 0.0):
        """Blocks by task, with `shift(task, pairs)` added to the differences."""
        return [protocol.blocks(p._replace(d=p.d + shift(task, p))) for task, p in self.pairs[n].items()]

    def by_look(self, shift=lambda task, pairs: 0.0):
        return [self.blocks(n, shift) for n in self.looks]


def margins(effect):
    """Shift by so many margins, of all strategies or of each experiment and strategy [E, H]."""
    return lambda task, pairs: np.asarray(effect)[..., None, None, None] * pairs.margin


def deviations(drawn, effect):
    """Shift by so many standard deviations of a paired difference."""
    return lambda task, pairs: effect * drawn.deviation(task)[:, None]


def false_alarms(drawn, n, alphas=(ALPHA,)):
    """Shares of experiments with anything significant at each level: by swaps, and by sign flips of what was chosen."""
    blocks, found = drawn.blocks(n), []
    for swaps in (drawn.swaps_at(n), None):
        it = protocol.primary_test(blocks, max(alphas), swaps=swaps)
        found.append([(it.adjusted <= alpha).any(1).mean() for alpha in alphas])
    return found


def false_alarms_of_looks(drawn):
    """Shares of experiments with anything significant at any look: by p alone, and by the words that end it."""
    course = protocol.sequential(drawn.by_look(), drawn.looks, swaps=drawn.swaps)
    return course.false.mean(), np.isin(course.word, (BETTER, WORSE)).any(1).mean()


def coverage(drawn, n):
    """By task, shares of 95 % intervals [B] that hold the truth.

    Of a strategy's mean and of a difference, both at the peak LRs that were chosen; and of a difference when the choice
    is part of the strategy (0): the noise of choosing, which all seeds of a task share, is in no interval over seeds.
    """
    found = {}
    for task, model in drawn.models.items():
        f, grain = drawn.finals[n][task], model.grains[1]
        values, reference = f.values[..., 0], [model.reference]
        rest = np.delete(np.arange(len(model.strategies)), reference)
        means = t_quantile(n) * np.sqrt((values.var(2, ddof=1) + grain**2 / 12) / n)
        d, truth = values[:, rest] - values[:, reference], f.truth[:, rest] - f.truth[:, reference]
        size = protocol.half(d, grain, 2)
        held = np.abs(values.mean(2) - f.truth) <= means, np.abs(d.mean(2) - truth) <= size, np.abs(d.mean(2)) <= size
        found[task] = [h.mean((0, 1)) for h in held]
    return found


def pooled_coverage(drawn, n):
    """Shares of pooled intervals that hold the truth: at the peak LRs that were chosen, and 0."""
    it, truth = protocol.primary_test(drawn.blocks(n)), drawn.truth(n)
    there = it.word != ABSENT
    return tuple((np.abs(it.mean - x) <= it.half)[there].mean() for x in (truth, 0.0))


def equal_by_task(drawn, n):
    """By task, share of differences of one margin that `decide` calls equal [B]."""
    found = {}
    for task, p in drawn.pairs[n].items():
        d = p.d[:, ~np.isnan(p.d).any((0, 2, 3, 4))]
        equal = np.abs(d.mean(2) + p.margin) + protocol.half(d, p.grain, 2) < p.margin
        found[task] = equal.all(-1).mean((0, 1))
    return found


def said(word, what):
    """Share of the tested hypotheses with a word."""
    return np.isin(word, what)[word != ABSENT].mean()


def equal_pooled(drawn, spread):
    """Shares called equal at a true difference of one margin: (first look alone, all looks, experiments with any)."""
    fixed = protocol.primary_test(drawn.blocks(drawn.looks[0], margins(1.0)), patterns=ROUGH)
    course = protocol.sequential(drawn.by_look(margins(1.0)), drawn.looks, spread=spread, patterns=ROUGH)
    return said(fixed.word, EQUAL), said(course.word, EQUAL), (course.word == EQUAL).any(1).mean()


def power_by_task(drawn, n, most=300):
    """By task, share of planted differences of the printed detectable size that the rule of comparison finds [B]."""
    found = {}
    for task, f in drawn.finals[n].items():
        hits = []
        for values_KNB, d_HNB in zip(f.values[:most, ..., 0], drawn.pairs[n][task].d[:most, ..., 0], strict=True):
            size = np.array([detectable(v.tolist()) for v in np.moveaxis(values_KNB, 2, 0)])
            d = d_HNB[~np.isnan(d_HNB).any((1, 2))] + size
            hits.append((d.mean(1) > protocol.half(d, drawn.models[task].grains[1], 1)).mean(0))
        found[task] = np.mean(hits, 0)
    return found


def power_pooled(drawn, n, strategy):
    """(share of planted effects of the printed size that are significantly better, median size in margins)."""
    h = drawn.names.index(strategy)
    plain = protocol.primary_test(drawn.blocks(n))
    there = plain.word[:, h] != ABSENT
    effect = np.zeros(plain.half.shape)
    tested = (plain.word != ABSENT).sum(1)
    effect[:, h] = [detectable_mean(x, ALPHA / k) for x, k in zip(plain.half[:, h], tested, strict=True)]
    plant = margins(effect)
    it = protocol.primary_test(drawn.blocks(n, plant), swaps=drawn.swaps_at(n, plant))
    found = (it.adjusted[:, h] <= ALPHA) & (it.mean[:, h] > 0)
    return found[there].mean(), np.median(effect[there, h])


def costs(drawn, shift):
    """What looks cost beside one test of the most seeds, and what they decide; by sign flips at `FLIPS`."""
    course = protocol.sequential(drawn.by_look(shift), drawn.looks, FLIPS, patterns=ROUGH)
    most, there = drawn.looks[-1], course.word != ABSENT
    blocks = drawn.blocks(most, shift)
    full = sum(b.present * b.n for b in blocks)
    return Costs(
        np.median(course.cost[there] / full[there].clip(1)),
        np.median(course.spent) / (most * len(drawn.models)),
        *(said(course.word, what) for what in (DECIDED, BETTER, EQUAL)),
        said(protocol.primary_test(blocks, FLIPS, patterns=ROUGH).word, DECIDED),
    )


class Costs(NamedTuple):
    """Costs of looks as shares of all seeds of all tasks, and shares of hypotheses."""

    one: float  # median over hypotheses, when each was decided
    all: float  # median over experiments, when all were
    decided: float
    better: float
    equal: float
    fixed: float  # decided by one test of the most seeds


def spans(by_task):
    """Mean over everything and the least of shares by task [B]."""
    shares = np.concatenate([np.ravel(x) for x in by_task])
    return f"mean {shares.mean():.1%}, from {shares.min():.1%} to {shares.max():.1%}"


def report(count, directory):
    drawn = Drawn.anew(experiments.models(directory), count)
    for part in (alarms, intervals, equality, power, looks):
        for line in part(drawn):
            print(line, flush=True)


def alarms(drawn):
    for n in (drawn.looks[0], drawn.looks[-1]):
        swaps, flips = (", ".join(f"{x:.1%}" for x in found) for found in false_alarms(drawn, n, (0.04, 0.05)))
        yield f"false alarms at 4 and 5 %, {n} seeds: {swaps}; by sign flips {flips}"
    significant, words = false_alarms_of_looks(drawn)
    yield f"false alarms at {ALPHA:.0%}, looks at {drawn.looks}: {significant:.1%}, words {words:.1%}"


def intervals(drawn):
    for n in (drawn.looks[0], drawn.looks[-1]):
        means, chosen, whole = zip(*coverage(drawn, n).values(), strict=True)
        pooled, all_of_it = pooled_coverage(drawn, n)
        yield f"coverage, {n} seeds: means {spans(means)}"
        yield f"  differences at the chosen peak LRs {spans(chosen)}; pooled {pooled:.1%}"
        yield f"  with the noise of the choice {spans(whole)}; pooled {all_of_it:.1%}"


def equality(drawn):
    first = drawn.looks[0]
    yield f"equal at one margin, {first} seeds, by task: {spans(equal_by_task(drawn, first).values())}"
    for spread in (False, True):
        fixed, looks, some = equal_pooled(drawn, spread)
        level = "of the look's level" if spread else "of 95 %"
        yield f"equal at one margin, pooled: {fixed:.1%}; looks, intervals {level}: {looks:.1%}, of any {some:.1%}"


def power(drawn):
    first = drawn.looks[0]
    yield f"printed differences of a task found, {first} seeds: {spans(power_by_task(drawn, first).values())}"
    for strategy in ("cosine", "rex"):
        found, size = power_pooled(drawn, first, strategy)
        yield f"printed effect of {strategy} ({size:.2f} margins) found, {first} seeds: {found:.1%}"


def looks(drawn):
    for unit, plant in (("margins", margins), ("standard deviations", lambda x: deviations(drawn, x))):
        for effect in (0.3, 0.5, 1.0):
            it = costs(drawn, plant(effect))
            yield (
                f"{effect} {unit}: {it.one:.0%} of the cost for one, {it.all:.0%} for all; decided {it.decided:.0%} "
                f"(better {it.better:.0%}, equal {it.equal:.0%}), by one test {it.fixed:.0%}"
            )


if __name__ == "__main__":
    report(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else experiments.ROOT / "results" / "core")
