"""Every number of the published `core`, computed again from its ledger's lines by numpy and scipy alone.

Nothing of Glideslope is imported here: the rules of results/README.md are written out a second time.
"""

import csv
import gzip
import json
import math
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

CORE = Path(__file__).resolve().parent.parent / "results" / "core"
DRAWS = 20_000


def read():
    """(the plan, cells that finished as dictionaries) of the ledger."""
    parts = [gzip.decompress(part.read_bytes()) for part in sorted((CORE / "ledger").iterdir())]
    lines = [json.loads(line) for part in parts for line in part.splitlines()]
    plans = [row["payload"] for row in lines if row["kind"] == "plan"]
    extended = {plan.get("extends") for plan in plans}
    (plan,) = [p for p in plans if p["plan"] not in extended]
    return plan, list({row["key"]: row["payload"] for row in lines if row["kind"] == "cell"}.values())


def table(name):
    with (CORE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


PLAN, CELLS = read()
BY_COLUMN = defaultdict(list)
for c in CELLS:
    BY_COLUMN[c["task"], c["budget"], c["schedule"]].append(c)
TABLE = {(line["task"], float(line["budget"]), line["strategy"]): line for line in table("table.csv")}


@cache
def values(task, budget, strategy, split):
    """[L, N] of the headline metric, peak LRs ascending; NaN where a run diverged."""
    found = BY_COLUMN[task, budget, strategy]
    peaks, seeds = sorted({c["peak_lr"] for c in found}), sorted({c["seed"] for c in found})
    metric, grid = PLAN["tasks"][task]["metric"], np.full((len(peaks), len(seeds)), np.nan)
    for c in found:
        if c["status"] == "done" and c.get(split):
            grid[peaks.index(c["peak_lr"]), seeds.index(c["seed"])] = c[split][metric]
    return grid, peaks


def sign(task):
    return 1 if PLAN["tasks"][task]["direction"] == "max" else -1


def best_row(control, task):
    """Fewest diverged, then the best mean up to a relative difference of 1e-9, then the lower LR."""
    lost = np.isnan(control).sum(1)
    mean = np.array(
        [sign(task) * np.nanmean(line) if n < len(line) else 0.0 for line, n in zip(control, lost, strict=True)]
    )
    fewest = lost == lost.min()
    return next(i for i in np.flatnonzero(fewest) if math.isclose(mean[i], mean[fewest].max(), rel_tol=1e-9))


def nexts(seed, n):
    """The five seeds after one, around the end: they choose its peak LR."""
    return [(seed + k) % n for k in range(1, 6)]


@cache
def chosen(task, budget, strategy):
    """(final values [N] at the chosen peak LRs, recalibrated ones, the peak LRs, the common choice's place, sizes)."""
    control, peaks = values(task, budget, strategy, "control")
    n = control.shape[1]
    rows = [best_row(control[:, nexts(i, n)] if n > 5 else control, task) for i in range(n)]
    final, again = values(task, budget, strategy, "final")[0], values(task, budget, strategy, "recalibrated")[0]
    at = (rows, range(n))
    again = np.where(np.isnan(again[at]), final[at], again[at])
    return final[at], again, [peaks[r] for r in rows], best_row(control, task), len(peaks)


def half(d, grain=0.0):
    """Half of the 95 % t interval of a mean."""
    n = len(d)
    return scipy.stats.t.ppf(0.975, n - 1) * math.sqrt((np.var(d, ddof=1) + grain**2 / 12) / n)


def grain(task):
    facts = PLAN["tasks"][task]
    return 1 / facts["sizes"]["test"] if facts["metric"] == "accuracy" else 0.0


def rides(task, budget, strategy, peaks):
    """The runs behind the chosen cells: equal ones are one run."""
    found = BY_COLUMN[task, budget, strategy]
    by_seed = {(c["seed"], c["peak_lr"]): (c["cohort"], c["segment"]) for c in found}
    return [by_seed[seed, peak] for seed, peak in enumerate(peaks)]


@pytest.mark.parametrize("key", TABLE, ids=lambda key: f"{key[0]}, {100 * key[1]:g} %, {key[2]}")
def test_a_line_of_the_table(key):
    task, budget, strategy = key
    line, (final, _, peaks, _, _) = TABLE[key], chosen(*key)
    assert [float(p) for p in line["chosen_peak_lrs"].split("; ")] == peaks
    assert int(line["diverged"]) == np.isnan(final).sum()
    if np.isnan(final).any():
        return
    assert float(line["mean"]) == pytest.approx(final.mean(), rel=1e-12)
    assert float(line["half"]) == pytest.approx(half(final, grain(task)), rel=1e-9)
    other, _, other_peaks, _, _ = chosen(task, budget, "constant")
    if strategy == "constant" or np.isnan(other).any():
        return
    d = sign(task) * (final - other)
    d[np.isclose(final, other, rtol=1e-9, atol=0)] = 0
    assert float(line["over_reference"]) == pytest.approx(d.mean(), rel=1e-9, abs=1e-15)
    if rides(task, budget, strategy, peaks) == rides(task, budget, "constant", other_peaks):
        assert line["against_reference"] == "identical run"
    elif len(np.unique(d.round(12))) > 1:
        assert float(line["over_reference_half"]) == pytest.approx(half(d), rel=1e-9)


# ------------------------------------------------------------------------------------------ the primary test


def columns(task, strategy):
    """Declared budgets of a task at which both peak LRs are interior, something was learnt, and the runs differ."""
    for budget in sorted(set(PLAN["tasks"][task]["budgets"]) & set(PLAN["primary"]["budgets"])):
        if learnt(task, budget) and interior(task, budget, "constant") and interior(task, budget, strategy):
            runs = [rides(task, budget, s, chosen(task, budget, s)[2]) for s in (strategy, "constant")]
            if runs[0] != runs[1]:
                yield budget


@cache
def learnt(task, budget):
    baseline = PLAN["tasks"][task]["baseline"]["value"]
    for s in PLAN["tasks"][task]["schedules"]:
        final = chosen(task, budget, s)[0]
        if not np.isnan(final).any() and sign(task) * (final.mean() - baseline) > half(final, grain(task)):
            return True
    return False


def interior(task, budget, strategy):
    _, _, _, row, size = chosen(task, budget, strategy)
    return size < 3 or 0 < row < size - 1


def differences(task, budget, strategy, reading):
    mine, other = chosen(task, budget, strategy)[reading], chosen(task, budget, "constant")[reading]
    d = sign(task) * (mine - other)
    d[np.isclose(mine, other, rtol=1e-9, atol=0)] = 0
    assert not np.isnan(d).any(), "a run diverged: the rule for that is not written out here"
    return d


def rms(d):
    return d / (np.sqrt(np.mean(d**2)) or 1.0)


def strata(strategy, reading):
    """For each task its blocks, and its mean differences in margins."""
    found = {}
    for task, facts in PLAN["tasks"].items():
        if facts["family"] == "tunnel" or strategy not in facts["schedules"]:
            continue
        d_B = [differences(task, b, strategy, reading) for b in columns(task, strategy)]
        if d_B:
            found[task] = np.mean([rms(d) for d in d_B], 0), np.mean(d_B, 0) / facts["margin"]["value"]
    return found


def p_value(strategy, tasks, reading):
    """(effect, p) of swaps: all runs of some seeds change hands, peak LRs are chosen again. By patterns drawn here."""
    every = [statistics(task, strategy, reading) / len(tasks) for task in tasks]
    effect, draw = sum(line[0] for line in every), np.random.default_rng(7)
    drawn = sum(line[draw.integers(0, len(line), DRAWS)] for line in every)
    return effect, np.mean(np.abs(drawn) >= abs(effect) - 1e-12)


@cache
def statistics(task, strategy, reading):
    """Mean of the standardised blocks of a task under each of the 2^N swaps, the first of which swaps nothing."""
    budgets, sides = list(columns(task, strategy)), []
    for budget in budgets:
        control = [values(task, budget, s, "control")[0] for s in (strategy, "constant")]
        test = [values(task, budget, s, "final")[0] for s in (strategy, "constant")]
        if reading:
            anew = [values(task, budget, s, "recalibrated")[0] for s in (strategy, "constant")]
            test = [np.where(np.isnan(a), t, a) for a, t in zip(anew, test, strict=True)]
        sides.append((control, test))
    n = sides[0][0][0].shape[1]
    found = []
    for pattern in range(2**n):
        swap = (pattern >> np.arange(n) & 1).astype(bool)
        d_B = [difference(task, *(np.where(swap, (b, a), (a, b)) for a, b in both)) for both in sides]
        found.append(rms(np.mean([rms(d) for d in d_B], 0)).mean())
    return np.array(found)


def difference(task, control, test):
    """Differences [N] at the peak LRs that the control values [2, L, N] choose for each seed by the next five."""
    n, ends = control.shape[2], []
    for mine in (0, 1):
        lost = np.isnan(control[mine])
        total = np.where(lost, 0, control[mine]) * sign(task)
        gone = np.stack([lost[:, nexts(i, n)].sum(1) for i in range(n)], 1)
        mean = np.stack([total[:, nexts(i, n)].sum(1) for i in range(n)], 1) / np.maximum(5 - gone, 1)
        mean = np.where(gone == gone.min(0), mean, -np.inf)
        good = np.isclose(mean, mean.max(0), rtol=1e-9, atol=0)
        ends.append(test[mine][good.argmax(0), np.arange(n)])
    d = sign(task) * (ends[0] - ends[1])
    assert not np.isnan(d).any(), "a run diverged: the rule for that is not written out here"
    d[np.isclose(*ends, rtol=1e-9, atol=0)] = 0
    return d


@pytest.mark.parametrize("line", table("tests.csv"), ids=lambda line: line["strategy"])
def test_a_line_of_the_tests(line):
    found = strata(line["strategy"], 0)
    assert int(line["tasks"]) == len(found)
    assert int(line["blocks"]) == sum(len(d) for d, _ in found.values())
    effect, p = p_value(line["strategy"], list(found), 0)
    other, p_again = p_value(line["strategy"], list(found), 1)
    p = max(p, p_again) if effect * other > 0 else 1.0
    assert float(line["effect"]) == pytest.approx(effect, rel=1e-9)
    spread = 4 * math.sqrt(max(p * (1 - p), 1e-4) / DRAWS)
    assert float(line["p"]) == pytest.approx(p, abs=spread)
    means = [m.mean() for _, m in found.values()]
    parts = [m.var(ddof=1) / len(m) / len(found) ** 2 for _, m in found.values()]
    freedom = sum(parts) ** 2 / sum(v**2 / (len(m) - 1) for v, (_, m) in zip(parts, found.values(), strict=True))
    width = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert float(line["in_margins"]) == pytest.approx(np.mean(means), rel=1e-9)
    assert float(line["in_margins_high"]) == pytest.approx(np.mean(means) + width, rel=1e-6)
    better = np.concatenate([d for d, _ in found.values()])
    assert float(line["blocks_better"]) == pytest.approx(np.mean((better > 0) + 0.5 * (better == 0)))


def test_the_corrected_p_and_the_words():
    lines = sorted(table("tests.csv"), key=lambda line: float(line["p"]))
    floors = [max(2.0 ** (1 - int(line["blocks"])), 1e-5 if int(line["blocks"]) > 32 else 0) for line in lines]
    running = 0.0
    for k, line in enumerate(lines):  # Holm's steps over those that can be significant at all (Tarone)
        able = next(n for n in range(1, len(lines) + 1) if sum(f <= 0.05 / n for f in floors[k:]) <= n)
        running = max(running, min(1.0, able * float(line["p"])))
        assert float(line["p_adjusted"]) == pytest.approx(running, rel=1e-9)
        low, high = float(line["in_margins_low"]), float(line["in_margins_high"])
        word = "equal" if max(-low, high) < 1 else None
        if word is None and running <= 0.05:
            word = "better" if float(line["effect"]) > 0 else "worse"
        if word is not None:
            assert line["verdict"] == word
        else:
            assert line["verdict"] in ("undecided", "BatchNorm statistics only", "too few blocks")


def test_every_recorded_cell_is_in_the_table():
    assert {key: len(found) for key, found in BY_COLUMN.items()} == {
        key: int(line["tries"]) for key, line in TABLE.items()
    }
