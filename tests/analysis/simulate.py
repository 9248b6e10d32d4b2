"""How often the protocol is wrong, and how often it finds what is there, on experiments like a published ledger.

    python -m tests.analysis.simulate 2000 [DIR]

Experiments are drawn by `simulation.experiments` from the ledger of DIR (`results/core`), without any true
difference; differences are planted in the final values.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.analysis.protocol.primary import ALPHA
from bench.analysis.stats.intervals import t_quantile
from bench.analysis.stats.power import detectable, detectable_mean
from tests.analysis.simulation import experiments, protocol
from tests.analysis.simulation.protocol import ABSENT, BETTER, DECIDED, EQUAL

LOOKS = (8, 12, 16, 24)
CHUNK = 250

ROUGH = 20_000
"""Patterns of signs where a p need not be exact."""


@dataclass
class Drawn:
    """Experiments of all tasks, at each look's number of seeds."""

    models: dict
    count: int
    seed: int = 0
    looks: tuple = LOOKS
    finals: dict = field(init=False)  # by look, then task

    def __post_init__(self):
        draw, parts = np.random.default_rng(self.seed), {n: {task: [] for task in self.models} for n in self.looks}
        for task, model in self.models.items():
            for start in range(0, self.count, CHUNK):
                seen, world = model.draw(min(CHUNK, self.count - start), self.looks[-1], draw)
                for n in self.looks:
                    parts[n][task].append(model.finals(seen[:, :, :n], world))
        self.finals = {
            n: {task: experiments.Finals(*map(np.concatenate, zip(*some, strict=True))) for task, some in each.items()}
            for n, each in parts.items()
        }

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


def false_alarms(drawn, alpha):
    """Shares of experiments with anything significant: (first look alone, all looks, all looks by their words)."""
    fixed = protocol.primary_test(drawn.blocks(drawn.looks[0]), alpha)
    course = protocol.sequential(drawn.by_look(), drawn.looks, alpha)
    words = np.isin(course.word, (protocol.BETTER, protocol.WORSE)).any(1)
    return (fixed.adjusted <= alpha).any(1).mean(), course.false.mean(), words.mean()


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
    it = protocol.primary_test(drawn.blocks(n, margins(effect)))
    found = (it.adjusted[:, h] <= ALPHA) & (it.mean[:, h] > 0)
    return found[there].mean(), np.median(effect[there, h])


def costs(drawn, shift):
    """What looks cost beside one test of the most seeds, and what they decide."""
    course = protocol.sequential(drawn.by_look(shift), drawn.looks, patterns=ROUGH)
    most, there = drawn.looks[-1], course.word != ABSENT
    full = sum(b.present * b.n for b in drawn.blocks(most))
    decided = {
        n: said(protocol.primary_test(drawn.blocks(n, shift), patterns=ROUGH).word, DECIDED) for n in drawn.looks
    }
    ratio = course.cost[there] / np.maximum(full[there], 1)
    return {
        "one": np.median(ratio),
        "all": np.median(course.spent) / (most * len(drawn.models)),
        "decided": said(course.word, DECIDED),
        "better": said(course.word, BETTER),
        "equal": said(course.word, EQUAL),
        "fixed": decided,
    }


def spans(by_task):
    """Mean over everything and the least of shares by task [B]."""
    shares = np.concatenate([np.ravel(x) for x in by_task])
    return f"mean {shares.mean():.1%}, from {shares.min():.1%} to {shares.max():.1%}"


def report(experiments_drawn, directory):
    drawn = Drawn(experiments.models(directory), experiments_drawn)
    first, most = drawn.looks[0], drawn.looks[-1]
    print(f"{experiments_drawn} experiments of {len(drawn.models)} tasks and {len(drawn.names)} strategies")
    for alpha in sorted({0.05, 0.04, ALPHA}):
        fixed, looks, words = false_alarms(drawn, alpha)
        print(f"false alarms at {alpha:g}: {first} seeds {fixed:.1%}; all looks {looks:.1%}, said {words:.1%}")
    for n in (first, most):
        means, chosen, differences = zip(*coverage(drawn, n).values(), strict=True)
        print(f"intervals, {n} seeds: means {spans(means)}; differences at the chosen peak LRs {spans(chosen)}")
        pooled, whole = pooled_coverage(drawn, n)
        print(f"  pooled {pooled:.1%}; with the choice's noise {spans(differences)}; pooled {whole:.1%}")
    print(f"equal at one margin, {first} seeds, by task: {spans(equal_by_task(drawn, first).values())}")
    for spread in (False, True):
        fixed, looks, some = equal_pooled(drawn, spread)
        print(f"equal at one margin, pooled: {fixed:.1%}; looks, spread {spread}: {looks:.1%}, any strategy {some:.1%}")
    print(f"printed detectable differences found, {first} seeds: {spans(power_by_task(drawn, first).values())}")
    for strategy in ("cosine", "rex"):
        found, size = power_pooled(drawn, first, strategy)
        print(f"printed effect of {strategy} ({size:.2f} margins): found {found:.1%}")
    for unit, plant in (("margins", margins), ("deviations", lambda x: deviations(drawn, x))):
        for effect in (0.3, 0.5, 1.0):
            print(f"{effect} {unit}: {costs(drawn, plant(effect))}", flush=True)


if __name__ == "__main__":
    report(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else experiments.ROOT / "results" / "core")
