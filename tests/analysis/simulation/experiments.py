"""Experiments without any true difference (A/A), drawn as variable and as correlated as a published ledger.

In each experiment a task's strategies are all one in truth: they have the means and standard deviations, at each peak
LR and budget, on control and on test, of one strategy of the ledger, drawn again. Deviations have the correlations
between budgets, peak LRs and splits that the task's strategies show together, and part of them is the seed's, alike for
all strategies: how large a part is estimated from the task. They are normal on a scale where the metric has no bounds,
and shares come in whole examples.
E experiments, K strategies, N seeds, S splits (control, test, test with recalibrated BatchNorm), L peak LRs, B budgets,
R readings of test (final, recalibrated).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtri

import tasks
from bench.analysis.comparison import Comparison
from bench.analysis.results import Study, Try
from bench.analysis.stats.intervals import choose, choosers
from bench.ledger import ledger
from tests.runs import ROOT

SCALES = {
    "accuracy": (logit, expit),
    "map": (logit, expit),
    "matthews": (np.arctanh, np.tanh),
    "mse": (lambda v: -np.log(v), lambda v: np.exp(-v)),
    "excess": (lambda v: -np.arcsinh(100 * v), lambda v: np.sinh(-v) / 100),  # on a finite test split it can be below 0
}
"""From a metric to a scale without bounds on which higher is better, and back."""

LOST = 0.01
"""Quantile of a task's values at a budget that stands for a diverged try: next to the worst that did not diverge."""


class Finals(NamedTuple):
    """What the report reads of drawn experiments: test values at the chosen peak LRs, higher is better."""

    values: np.ndarray  # [E, K, N, B, R]
    truth: np.ndarray  # [E, K, B], expected value at the chosen peak LRs, final reading
    edge: np.ndarray  # [E, K, B], whether all seeds together choose an end of the grid


@dataclass
class Model:
    """Model that a task's results are drawn from. The axes of a draw are [E, K, N, S, L, B]."""

    task: str
    study: Study
    strategies: tuple[str, ...]
    peak_lrs: tuple[float, ...]
    budgets: tuple[float, ...]  # those of the primary test
    mean: np.ndarray  # [K, S, L, B], on the scale
    spread: np.ndarray  # [K, S, L, B], standard deviations over seeds
    factor: np.ndarray  # [rank, S, L, B], of the correlation of deviations
    alike: float  # share of their variance that is the seed's, for all strategies

    @classmethod
    def of(cls, study, task, budgets):
        tries, facts, names = [t for t in study.tries if t.task == task], study.tasks[task], study.of_task(task)
        peaks, seeds = sorted({t.peak_lr for t in tries}), sorted({t.seed for t in tries})
        splits = 3 if any(t.recalibrated is not None for t in tries) else 2
        seen = np.full((len(names), len(seeds), splits, len(peaks), len(budgets)), np.nan)
        for t in tries:
            if t.budget in budgets and t.final is not None:
                at = names.index(t.strategy), seeds.index(t.seed), slice(None), peaks.index(t.peak_lr)
                seen[(*at, budgets.index(t.budget))] = (t.control, t.final, t.recalibrated)[:splits]
        worst = np.nanquantile(seen, LOST if facts.direction == "max" else 1 - LOST, axis=(0, 1, 3))
        seen = np.where(np.isnan(seen), worst[:, None], seen)
        edge = 0.5 / facts.sizes["test"] if facts.direction == "max" else -np.inf  # an accuracy of 1 is finite there
        seen = SCALES[facts.metric][0](np.clip(seen, edge if facts.metric != "matthews" else edge - 1, 1 - edge))
        mean, spread = seen.mean(1), seen.std(1, ddof=1)
        common = (seen - mean[:, None]) / np.where(spread, spread, 1)[:, None]
        common = common.reshape(-1, mean[0].size) / np.sqrt(np.maximum((common**2).sum((0, 1)), 1e-12)).ravel()
        _, size, shape = np.linalg.svd(common, full_matrices=False)
        factor = (size[:, None] * shape)[size > 1e-9].reshape(-1, *mean.shape[1:])
        model = cls(task, study, names, tuple(peaks), budgets, mean, spread, factor, 0.0)
        values = model.finals(SCALES[facts.metric][1](seen)[None] * model.sign).values[0, :, :, :, 0]
        alike = np.mean([_alike(values[:, :, b]) for b in range(len(budgets))])
        return replace(model, alike=float(alike))

    @property
    def sign(self):
        return 1.0 if self.study.tasks[self.task].direction == "max" else -1.0

    @property
    def reference(self):
        return self.strategies.index(self.study.reference)

    @cached_property
    def margin(self):
        """The task's margin; ledgers from before there was one have that of the catalogue."""
        own = Comparison(self.study).margin(self.task)
        return own or tasks.parse(self.task).margin.value

    @cached_property
    def grains(self):
        """Spacing of the values on each split [S]; 0 where the metric is no share."""
        sizes, splits = self.study.tasks[self.task].sizes, self.mean.shape[1]
        share = Comparison(self.study).grain(self.task) > 0
        return np.array([1 / sizes["control"], *[1 / sizes["test"]] * (splits - 1)]) * share

    def seen(self, scale):
        """Values, higher is better, of deviations on the scale [..., S, L, B], in whole examples."""
        values = SCALES[self.study.tasks[self.task].metric][1](scale)
        if self.grains[0]:
            grain = self.grains[:, None, None]
            values = np.round(values / grain) * grain
        return self.sign * values

    @cached_property
    def expected(self):
        """Mean of the values of each strategy [K, S, L, B]."""
        z = ndtri((np.arange(1000) + 0.5) / 1000)[:, None, None, None, None]
        return self.seen(self.mean + z * self.spread).mean(0)

    def draw(self, experiments, n, draw):
        """(values [E, K, N, S, L, B] of n seeds, higher is better; the strategy [E] that all are in truth)."""
        k, rank = len(self.strategies), len(self.factor)
        world = draw.integers(0, k, experiments)
        weight = np.sqrt(self.alike) * draw.normal(size=(experiments, 1, n, rank))
        weight = weight + np.sqrt(1 - self.alike) * draw.normal(size=(experiments, k, n, rank))
        noise = np.tensordot(weight, self.factor, 1) * self.spread[world][:, None, None]
        return self.seen(self.mean[world][:, None, None] + noise), world

    def finals(self, seen, world=None):
        """Test values at the peak LRs that control values choose, as `choose` and `Score` do."""
        control = seen[:, :, :, 0]
        if self.grains[0]:
            control = np.rint(control / self.grains[0])  # sums of whole numbers tie exactly
        voted = np.moveaxis(np.tensordot(choosers(seen.shape[2]) * 1.0, control, (1, 2)), 0, 2)
        row = voted.argmax(3)[:, :, :, None]  # the lower LR where two are equal
        values = np.stack(
            [np.take_along_axis(at, row, 3)[:, :, :, 0] for at in np.moveaxis(seen[:, :, :, 1:], 3, 0)], -1
        )
        together, most = control.sum(2).argmax(2), len(self.peak_lrs) - 1
        edge = ((together == 0) | (together == most)) if most > 1 else np.zeros_like(together, bool)
        truth = values[:, :, 0, :, 0]
        if world is not None:
            reach = np.broadcast_to(self.expected[world][:, None, None, 1], (*row.shape[:3], *seen.shape[4:]))
            truth = np.take_along_axis(reach, row, 3)[:, :, :, 0].mean(2)
        return Finals(values, truth, edge)

    def tries(self, seen_K):
        """Tries of one experiment [K, N, S, L, B], as a ledger has them."""
        for k, seed, p, b in product(*map(range, (*seen_K.shape[:2], *seen_K.shape[3:]))):
            control, final, *anew = (self.sign * seen_K[k, seed, :, p, b]).tolist()
            name, ride = self.strategies[k], (f"{self.task}/{seed}", (k * 99 + p) * 99 + b, 1, "none")
            yield Try(
                self.task, name, self.budgets[b], self.peak_lrs[p], seed, 1, 1.0, ride, control, final,
                recalibrated=next(iter(anew), None), reference=k == self.reference,
            )  # fmt: skip


def _alike(values_KN):
    """Intraclass correlation of strategies with the same seed, strategies of equal values counted once, 0 at least."""
    values_KN = np.unique(values_KN, axis=0)
    k, n = values_KN.shape
    left = values_KN - values_KN.mean(1, keepdims=True)
    seeds = k * (left.mean(0) ** 2).sum() / (n - 1)
    rest = ((left - left.mean(0)) ** 2).sum() / ((k - 1) * (n - 1))
    return max(0.0, (seeds - rest) / (seeds + (k - 1) * rest))


def chosen_one_by_one(seen):
    """Final values [E, K, N, B] by `choose` itself."""
    e, k, n, _, _, b = seen.shape
    found = np.empty((e, k, n, b))
    for i, j, x in np.ndindex(e, k, b):
        for seed, row in enumerate(choose(seen[i, j, :, 0, :, x].T, "max")):
            found[i, j, seed, x] = seen[i, j, seed, 1, row, x]
    return found


def models(directory=ROOT / "results" / "core"):
    """Models of the tasks that the primary test of a ledger looks at, by task."""
    study = Study.of(ledger.read(directory))
    wanted = {task: study.budgets(task) for task, facts in study.tasks.items() if facts.family != "tunnel"}
    declared = study.plan.primary.budgets
    tested = {task: tuple(b for b in own if b in declared) if declared else own[-1:] for task, own in wanted.items()}
    return {task: Model.of(study, task, budgets) for task, budgets in tested.items() if budgets}
