"""The protocol on many experiments at once: the slow twin of nothing, but held to `PrimaryTest` and `sequential`.

E experiments, H strategies but the reference, T tasks, N seeds, B budgets, R readings of test, P patterns of signs.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from bench.analysis.protocol.primary import ALPHA
from bench.analysis.stats.intervals import LEVEL, t_quantile
from bench.analysis.stats.spending import levels
from bench.analysis.stats.tests import DRAWS, EXACT, step_down, testable

BATCH = 10_000
"""Patterns of signs that are looked at together."""

OPEN = 0.1
"""Largest p that all patterns are drawn for: what lies clearly above it after the first ones is never significant."""

NEAR = 1.5
"""Times the level up to which an adjusted p of sign flips is looked at by swaps."""

WORDS = ("undecided", "better", "worse", "equal", "BatchNorm statistics only", "too few blocks", "not tested")
UNDECIDED, BETTER, WORSE, EQUAL, STALE, FEW, ABSENT = range(7)
DECIDED = (BETTER, WORSE, EQUAL)


class Paired(NamedTuple):
    """Differences of a task from the reference, above 0 where better, at one number of seeds."""

    d: np.ndarray  # [E, H, N, B, R]
    counts: np.ndarray  # [E, H, B], whether a budget takes part
    margin: float
    grain: float


class Blocks(NamedTuple):
    """A task's part in the primary test at one number of seeds."""

    share: np.ndarray  # [E, H, R, N], block values over their root mean square and N
    mean: np.ndarray  # [E, H, R], in margins
    variance: np.ndarray  # [E, H, R], of that mean
    present: np.ndarray  # [E, H]
    settled: np.ndarray  # [E, H], whether the strategy is equal to the reference at every budget
    n: np.ndarray  # [E, 1], number of seeds


class Tested(NamedTuple):
    """The primary test of all experiments."""

    word: np.ndarray  # [E, H], places in WORDS
    adjusted: np.ndarray  # [E, H], both readings together; 1 where surely not significant
    mean: np.ndarray  # [E, H], effect in margins, final reading
    half: np.ndarray  # [E, H]


def paired(model, finals, names):
    """Differences of a task's strategies, at their places among all names; NaN where the task did not run one.

    Without BatchNorm both readings are one.
    """
    e, _, n, b, _ = finals.values.shape
    d, counts = np.full((e, len(names), n, b, 2), np.nan), np.zeros((e, len(names), b), bool)
    for k, name in enumerate(model.strategies):
        if k != model.reference:
            d[:, names.index(name)] = finals.values[:, k] - finals.values[:, model.reference]
            counts[:, names.index(name)] = ~(finals.edge[:, k] | finals.edge[:, model.reference])
    return Paired(d, counts, model.margin, model.grains[1])


def _standard(d, axis):
    size = np.sqrt((d**2).mean(axis, keepdims=True))
    return d / np.where(size > 0, size, 1)


def half(d, grain=0.0, axis=-1):
    """Half of the 95 % t interval of paired differences: `intervals.paired`."""
    n, s = d.shape[axis], d.std(axis, ddof=1)
    return t_quantile(n) * np.where(s > 1e-12, s, grain / np.sqrt(6)) / np.sqrt(n)


def blocks(pairs):
    """A task's part in the test: budgets that count are pooled to one block a seed."""
    d = np.nan_to_num(pairs.d)
    e, _, n, *_ = d.shape
    counts = pairs.counts[:, :, None, :, None]
    budgets = np.maximum(counts.sum(3), 1)
    pooled = (_standard(d, 2) * counts).sum(3) / budgets
    share = np.moveaxis(_standard(pooled, 2) / n, 2, 3)
    means = (d * counts).sum(3) / budgets / pairs.margin
    wide = half(d, pairs.grain, 2)
    equal = (np.abs(d.mean(2)) + wide < pairs.margin).all(-1)
    settled, seeds = (equal | ~pairs.counts).all(2), np.full((e, 1), n)
    return Blocks(share, means.mean(2), means.var(2, ddof=1) / n, pairs.counts.any(2), settled, seeds)


@cache
def signs(columns):
    """Random patterns of signs [P, columns]: one set for all experiments."""
    draw = np.random.default_rng(0)
    return (draw.integers(0, 2, (DRAWS, columns), dtype=np.int8) * 2 - 1).astype(np.float32)


def p_values(share_XB, patterns=DRAWS):
    """Two-sided p [X] of sign flips: those of `sign_flip` beyond 32 blocks, with one set of signs.

    What is clearly not significant after the first patterns, or was not reached by 20,000, is not looked at further.
    """
    share, sign_PB = share_XB.astype(np.float32), signs(share_XB.shape[1])[:patterns]
    bound, reach, seen = np.abs(share.sum(1)) - 1e-6, np.zeros(len(share)), np.zeros(len(share))
    live = np.arange(len(share))
    for start in range(0, patterns, BATCH):
        for part in np.array_split(live, len(live) // 500 + 1):
            reach[part] += (np.abs(sign_PB[start : start + BATCH] @ share[part].T) >= bound[part]).sum(0)
        seen[live] += len(sign_PB[start : start + BATCH])
        rare = (reach[live] == 0) & (start >= BATCH)
        live = live[(reach[live] / seen[live] <= OPEN) & ~rare]
    return (reach + 1) / (seen + 1)


def primary_test(by_task, alpha=ALPHA, level=LEVEL, patterns=DRAWS, swaps=None):
    """The primary test, of blocks by task: `PrimaryTest`, of experiments whose runs all differ and have learnt.

    `swaps(experiment, strategy, reading)` gives the p of the report. It is slow, so it is asked only of what sign
    flips, which reject more easily, call significant at this level or nearly; without it theirs are used.
    """
    present = np.stack([b.present for b in by_task], -1)
    tasks = np.maximum(present.sum(-1), 1)[:, :, None]
    share = np.concatenate([b.share * b.present[:, :, None, None] for b in by_task], -1) / tasks[..., None]
    size = sum(b.present * b.n for b in by_task)
    direction = share.sum(-1)
    differ = (share[:, :, 0] != share[:, :, 1]).any(-1)
    wanted = np.stack([present.any(-1), present.any(-1) & differ], -1)
    p = np.ones(wanted.shape)
    p[wanted] = p_values(share[wanted], patterns)
    running, agree = p[..., 0], direction[..., 0] * direction[..., 1] > 0
    joint = np.where(differ, np.where(agree, p.max(-1), 1.0), running)
    floor = np.where(size <= EXACT, 2.0 ** (1 - size), np.maximum(2.0 ** (1 - size), 1 / (DRAWS + 1)))
    if swaps:
        near = _corrected(running, floor, size > 0, NEAR * alpha) <= NEAR * alpha
        running, joint = _swapped(swaps, (running, joint), differ, near)
    mean, wide = _effects(by_task, present, level)
    adjusted, stale = (_corrected(p, floor, size > 0, alpha) for p in (joint, running))
    able = _able(floor, size > 0, alpha)
    word = np.where(able, UNDECIDED, FEW)
    word = np.where(stale <= alpha, STALE, word)
    word = np.where(adjusted <= alpha, np.where(direction[..., 0] > 0, BETTER, WORSE), word)
    word = np.where((np.abs(mean) + wide < 1).all(-1), EQUAL, word)
    word = np.where(present.any(-1), word, ABSENT)
    return Tested(word, adjusted, mean[..., 0], wide[..., 0])


def _swapped(swaps, p, differ, near):
    """The p values of both readings by swaps, of hypotheses that are `near` to significant."""
    running, joint = (each.copy() for each in p)
    for e, h in zip(*np.nonzero(near), strict=True):
        running[e, h] = swaps(e, h, 0)
        other = swaps(e, h, 1) if differ[e, h] and joint[e, h] < 1 else joint[e, h] if differ[e, h] else 0.0
        joint[e, h] = max(running[e, h], other)
    return running, joint


def _effects(by_task, present, level):
    """Means over tasks in margins and half-widths [E, H, R]: `stratified`."""
    tasks = np.maximum(present.sum(-1), 1)[:, :, None]
    parts = [np.where(b.present[:, :, None], b.variance, 0) / tasks**2 for b in by_task]
    variance = sum(parts)
    freedom = variance**2 / np.maximum(
        sum(v**2 / (b.n[:, :, None] - 1) for v, b in zip(parts, by_task, strict=True)), 1e-300
    )
    wide = stdtrit(np.maximum(freedom, 1), (1 + level) / 2) * np.sqrt(variance)
    mean = sum(np.where(b.present[:, :, None], b.mean, 0) for b in by_task) / tasks
    return mean, wide


def _corrected(p, floor, there, alpha):
    """Adjusted p [E, H] by `step_down`; 1 in experiments in which none could be significant."""
    adjusted = np.ones(p.shape)
    for e in np.flatnonzero(((p <= alpha) & there).any(1)):
        at = np.flatnonzero(there[e])
        adjusted[e, at] = step_down(p[e, at].tolist(), floor[e, at].tolist(), alpha)
    return adjusted


def _able(floor, there, alpha):
    able = np.ones(floor.shape, bool)
    for e in np.flatnonzero((there & (floor * floor.shape[1] > alpha)).any(1)):
        at = np.flatnonzero(there[e])
        able[e, at] = testable(floor[e, at].tolist(), alpha)
    return able


@dataclass
class Course:
    """Experiments that are looked at until all is decided."""

    word: np.ndarray  # [E, H], as the first look found it that decided it, else the last one
    false: np.ndarray  # [E], whether any look had a significant p, whatever the words
    cost: np.ndarray  # [E, H], seeds times tasks of the strategy's tasks when it was decided
    spent: np.ndarray  # [E], seeds times tasks in all
    n: np.ndarray  # [E, T], seeds of each task at the end


def pick(by_look, look):
    """Blocks of a task at each experiment's own look [E]; seeds that are not there are 0."""
    most = max(b.share.shape[-1] for b in by_look)
    padded = [np.pad(b.share, (*[(0, 0)] * 3, (0, most - b.share.shape[-1]))) for b in by_look]
    fields = [(share, *b[1:]) for share, b in zip(padded, by_look, strict=True)]
    return Blocks(*(np.stack(f)[look, np.arange(len(look))] for f in zip(*fields, strict=True)))


def sequential(by_look_task, looks, alpha=ALPHA, spread=True, patterns=DRAWS, swaps=None):
    """`sequential.verdicts`, with seeds added as the runner does. `by_look_task[look][task]` are blocks.

    `spread` false takes the 95 % interval at every look, true that of the look's own level.
    `swaps(seeds [T, E])` gives the function that `primary_test` takes.
    """
    tasks, (e, h) = len(by_look_task[0]), by_look_task[0][0].present.shape
    at, word = np.zeros((tasks, e), int), np.full((e, h), UNDECIDED)
    false, cost = np.zeros(e, bool), np.zeros((e, h))
    widths = [1 - x for x in levels(looks, 1 - LEVEL)] if spread else [LEVEL] * len(looks)
    for look, level in enumerate(levels(looks, alpha)):
        now = [pick([by_task[t] for by_task in by_look_task], at[t]) for t in range(tasks)]
        exact = swaps and swaps(np.array(looks)[at])
        found = primary_test(now, level, widths[look], patterns, exact)
        undecided = ~np.isin(word, DECIDED)
        cost = np.where(undecided, sum(b.present * b.n for b in now), cost)
        word = np.where(undecided, found.word, word)
        false |= (found.adjusted <= level).any(1)
        needs = ~np.isin(word, (*DECIDED, ABSENT))
        more = np.stack([(needs & b.present & ~b.settled).any(1) for b in now])
        if look + 1 < len(looks):
            at = np.where(more & (at == look), at + 1, at)
    n = np.array(looks)[at]
    return Course(word, false, cost, n.sum(0), n.T)
