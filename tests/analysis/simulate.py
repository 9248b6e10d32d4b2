"""Simulated experiments of the size of `core`, without any true difference, as variable and as correlated as `core` is.

    python -m tests.analysis.simulate 1000

In each experiment a task's strategies are all one in truth (A/A): they have the means and standard deviations, at each
peak LR and budget, on control and on test, of one strategy of the published ledger, drawn again. Deviations have the
correlations between budgets, peak LRs and splits that the task's strategies show together, and part of them is the
seed's, alike for all strategies: how large a part is estimated from the task. They are normal on a scale where the
metric has no bounds, and accuracies come in whole test examples.
E experiments, K strategies, N seeds, L peak LRs, B budgets.
"""

import sys
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from bench.analysis.comparison import Comparison
from bench.analysis.primary import ALPHA
from bench.analysis.results import Study
from bench.analysis.stats.intervals import choose, t_quantile
from bench.analysis.stats.power import detectable
from bench.analysis.stats.tests import holm, sign_flip
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


@dataclass
class Model:
    """Model that a task's results are drawn from. The axes of a draw are [E, K, N, split, L, B]."""

    strategies: tuple[str, ...]
    metric: str
    grain: float  # spacing of the values that are drawn
    mean: np.ndarray  # [K, split, L, B], on the scale
    spread: np.ndarray  # [K, split, L, B], standard deviations over seeds
    common: np.ndarray  # [K * N, split, L, B], deviations of all strategies over their standard deviations
    alike: float  # share of their variance that is the seed's, for all strategies

    @classmethod
    def of(cls, study, task):
        tries, facts = [t for t in study.tries if t.task == task], study.tasks[task]
        names, budgets = study.of_task(task), study.budgets(task)
        peaks, seeds = sorted({t.peak_lr for t in tries}), sorted({t.seed for t in tries})
        seen = np.full((len(names), len(seeds), 2, len(peaks), len(budgets)), np.nan)
        for t in tries:
            at = (names.index(t.strategy), seeds.index(t.seed), slice(None))
            seen[(*at, peaks.index(t.peak_lr), budgets.index(t.budget))] = t.control, t.final
        examples, metric = facts.sizes["test"], facts.metric
        edge = 0.5 / examples if facts.direction == "max" else -np.inf  # an accuracy of 1 is finite on the scale
        seen = SCALES[metric][0](np.clip(seen, edge if metric != "matthews" else -1 + edge, 1 - edge))
        mean, spread = seen.mean(1), seen.std(1, ddof=1)
        common = (seen - mean[:, None]) / np.where(spread, spread, 1)[:, None]
        common = common.reshape(-1, *mean.shape[1:]) / np.sqrt((common**2).sum((0, 1)))
        grain, alike = Comparison(study).grain(task), _alike(finals(seen[None])[0, :, :, -1])
        return cls(names, metric, grain, mean, spread, common, alike)

    def draw(self, experiments, draw):
        """(values, higher is better; the strategy [E] that all are in truth)."""
        k, m = len(self.strategies), len(self.common)
        n, world = m // k, draw.integers(0, k, experiments)
        weight = np.sqrt(self.alike) * draw.normal(size=(experiments, 1, n, m))
        weight = weight + np.sqrt(1 - self.alike) * draw.normal(size=(experiments, k, n, m))
        noise = np.tensordot(weight, self.common, 1) * self.spread[world][:, None, None]
        seen = SCALES[self.metric][1](self.mean[world][:, None, None] + noise)
        if self.grain:
            seen = np.round(seen / self.grain) * self.grain
        return (-seen if self.metric in ("mse", "excess") else seen), world


def _alike(values_KN):
    """Intraclass correlation of strategies with the same seed, strategies of equal values counted once, 0 at least."""
    values_KN = np.unique(values_KN, axis=0)
    k, n = values_KN.shape
    left = values_KN - values_KN.mean(1, keepdims=True)
    seeds = k * (left.mean(0) ** 2).sum() / (n - 1)
    rest = ((left - left.mean(0)) ** 2).sum() / ((k - 1) * (n - 1))
    return max(0.0, (seeds - rest) / (seeds + (k - 1) * rest))


def finals(seen):
    """Test values [E, K, N, B] at the peak LR that the control values of the other seeds choose."""
    control = seen[:, :, :, 0]
    others = np.stack([np.delete(control, i, 2).sum(2) for i in range(control.shape[2])], 2)
    row = others.argmax(3)[:, :, :, None]  # the lower LR where two are equal
    return np.take_along_axis(seen[:, :, :, 1], row, 3)[:, :, :, 0]


def chosen_one_by_one(seen):
    """The same by `choose` itself."""
    e, k, n, _, _, b = seen.shape
    found = np.empty((e, k, n, b))
    for i, j, x in np.ndindex(e, k, b):
        for seed, row in enumerate(choose(seen[i, j, :, 0, :, x].T, "max")):
            found[i, j, seed, x] = seen[i, j, seed, 1, row, x]
    return found


def half(values_N, grain=0.0):
    """Half of the 95 % t interval over the last axis, of values that have this spacing."""
    n = values_N.shape[-1]
    return t_quantile(n) * np.sqrt((values_N.var(-1, ddof=1) + grain**2 / 12) / n)


def models():
    study = Study.of(ledger.read(ROOT / "results" / "core"))
    return {task: Model.of(study, task) for task in study.tasks}


def family_wise(by_task, drawn):
    """(share of experiments in which anything is significant after Holm, share of single tests with p <= 5 %)."""
    order = list(dict.fromkeys(s for m in by_task.values() for s in m.strategies))
    experiments = len(next(iter(drawn.values())))
    p = np.array(
        [
            [sign_flip(list(_differences(by_task, drawn, e, s))).p for s in order if s != "constant"]
            for e in range(experiments)
        ]
    )
    return np.mean([min(holm(line)) <= ALPHA for line in p.tolist()]), np.mean(p <= 0.05)


def _differences(by_task, drawn, e, strategy):
    for task, model in by_task.items():
        if strategy in model.strategies:
            values = drawn[task][e, :, :, -1]  # at the full budget
            yield values[model.strategies.index(strategy)] - values[model.strategies.index("constant")]


def coverage(seen, world, grain):
    """Share of 95 % intervals [B] that hold the truth: of a strategy's mean, and of the difference of two (0).

    A mean is of the peak LRs that were chosen, so its truth is the mean of what those reach.
    """
    values, reach = finals(seen), seen.copy()
    for w in set(world.tolist()):
        reach[world == w, :, :, 1] = seen[world == w, :, :, 1].mean((0, 1, 2))
    truth = finals(reach).mean(2)
    values = values.swapaxes(2, 3)  # [E, K, B, N]
    d = values[:, 1:] - values[:, :1]
    held = np.abs(values.mean(-1) - truth) <= half(values, grain), np.abs(d.mean(-1)) <= half(d)
    return [h.mean((0, 1)) for h in held]


def detection_power(values):
    """Share of experiments [E, K, N] in which the rule finds a planted difference of the printed detectable size."""
    hits = []
    for values_KN in values:
        d = values_KN[1] - values_KN[0] + detectable(values_KN.tolist())
        hits.append(d.mean() > half(d))
    return np.mean(hits)


def report(experiments):
    by_task, draw = models(), np.random.default_rng(0)
    seen = {task: model.draw(experiments, draw) for task, model in by_task.items()}
    drawn = {task: finals(values) for task, (values, _) in seen.items()}
    rejected, single = family_wise(by_task, drawn)
    print(f"{experiments} experiments: significant after Holm in {rejected:.1%}, single tests {single:.1%}")
    for task, values in drawn.items():
        means, differences = coverage(*seen[task], by_task[task].grain)
        power = detection_power(values[:300, :, :, -1])
        print(
            f"{task}: alike {by_task[task].alike:.2f}, means {means.round(3)}, differences {differences.round(3)}, "
            f"power {power:.1%}"
        )


if __name__ == "__main__":
    report(int(sys.argv[1]))
