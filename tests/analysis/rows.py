"""Synthetic ledgers: rows as training writes them, from a rule that says what each cell reached."""

import random

from bench.ledger.lines import Row
from bench.suites import EVERY

STRATEGIES = EVERY
BUDGETS = (0.1, 0.25, 0.5, 1.0)
PEAKS = (0.03, 0.1, 0.3)


def task(strategies=STRATEGIES, budgets=BUDGETS, peak_lrs=PEAKS, seeds=3, **changes):
    """Facts of a task in the plan."""
    facts = {
        "family": "image",
        "metric": "accuracy",
        "direction": "max",
        "baseline": {"name": "majority class", "value": 0.1},
        "epochs": 20,
        "epoch_steps": 30,
        "eval_epochs": 1,
        "batch_size": 32,
        "source": "scikit-learn's digits (BSD-3-Clause)",
        "chance": "majority class: 0.10",
        "digest": "0123456789ab",
        "sizes": {"train": 960, "control": 400, "test": 437},
        "layers": "mlp",
        "engine": "stacked",
        "optimizer": "sgd(momentum=0.9)",
        "weight_decay": 0.0005,
        "seeds": list(range(seeds)),
        "budgets": sorted(budgets),
        "peak_lrs": sorted(peak_lrs),
        "schedules": list(strategies),
    }
    return facts | changes


def reached(name, strategy, budget, peak_lr, seed):
    """(control, final, best) of a cell, or None when it diverges: plausible, and the same at every call."""
    draw = random.Random(f"{name}{strategy}{budget}{peak_lr}{seed}")
    alike = random.Random(f"{name}{seed}")
    skill = 0.002 * (len(strategy) % 7) + 0.05 * budget**0.5 - 0.03 * abs(peak_lr - 0.1)
    if strategy == "onecycle" and peak_lr > 0.2 and seed == 0:
        return None
    final = 0.9 + skill + 0.004 * alike.gauss(0, 1) + 0.002 * draw.gauss(0, 1)
    return final + 0.003 * draw.gauss(0, 1), final, final + 0.002 * draw.random()


def excess(name, strategy, budget, peak_lr, seed):
    """The same for a task whose metric shrinks to next to nothing."""
    seen = reached(name, strategy, budget, peak_lr, seed)
    return seen and tuple(10.0 ** (-4 * (v - 0.9) / 0.07) / 10 for v in seen)


def ledger(tasks, outcome=reached, tied=(("constant", "step"),), keep=lambda cell: True, anew=None, **declared):
    """All rows of a run. `tied` strategies ride one member at the smallest budget; `keep` drops cells.

    `declared` are further fields of the plan's row.

    `outcome` says what a cell of a task with direction max reaches; `anew` maps it to the recalibrated value.
    """
    rows, cell_steps, planned = [], 0, 0
    for place, (name, facts) in enumerate(tasks.items()):
        judge = excess if facts["direction"] == "min" and outcome is reached else outcome
        for seed in facts["seeds"]:
            cohort, segments, steps = f"cohort{place}{seed}", {}, 0
            for cell in _cells(name, facts, seed, cohort):
                planned += 1
                steps += cell["total"]
                ride = cell["schedule"]
                if cell["budget"] == min(facts["budgets"]):
                    ride = next((pair[0] for pair in tied if ride in pair), ride)
                where = (ride, cell["budget"], cell["peak_lr"])
                cell["segment"] = segments.setdefault(where, len(segments))
                results = _results(judge(name, *where, seed), facts["metric"], cell["epochs"], anew)
                if keep(cell):
                    rows.append(row("cell", cell["cell"], cell | results))
            looks = steps // 2
            cell_steps += steps
            rows.append(row("cohort", cohort, _cohort(cohort, name, seed, facts, steps, looks)))
    plan = _plan(tasks, planned, cell_steps) | declared
    return [row("plan", "plan0", plan), row("attempt", "attempt0", ATTEMPT), *rows]


def row(kind, key, payload):
    return Row(kind, key, "attempt0", payload)


def _cells(name, facts, seed, cohort):
    for peak_lr in facts["peak_lrs"]:
        for schedule in facts["schedules"]:
            for budget in facts["budgets"]:
                total = round(facts["epochs"] * facts["epoch_steps"] * budget)
                yield {
                    "cell": f"{name}/{schedule}/{budget}/{peak_lr}/{seed}",
                    "task": name,
                    "family": facts["family"],
                    "schedule": schedule,
                    "optimizer": facts["optimizer"],
                    "weight_decay": facts["weight_decay"],
                    "peak_lr": peak_lr,
                    "budget": budget,
                    "epochs": total / facts["epoch_steps"],
                    "total": total,
                    "seed": seed,
                    "data": facts["digest"],
                    "cohort": cohort,
                    "engine": facts["engine"],
                }


def _results(seen, metric, epochs, anew):
    if seen is None:
        return {"status": "diverged", "first_bad_step": 3}
    control, final, best = seen
    return {
        "status": "done",
        "final": {metric: final, "loss": 0.3},
        "best": {"epoch": max(1.0, epochs - 1), "control": control, "test": best},
        "control": {metric: control, "loss": 0.3},
        "recalibrated": anew and {metric: anew(final), "loss": 0.3},
    }


def _cohort(cohort, name, seed, facts, steps, looks):
    return {
        "cohort": cohort,
        "task": name,
        "seed": seed,
        "engine": facts["engine"],
        "threads": 1,
        "cells": 1,
        "cell_steps": steps,
        "looks": looks,
        "moves": looks,
        "segments": 9,
    }


def _plan(tasks, cells, cell_steps):
    strategies = dict.fromkeys(s for facts in tasks.values() for s in facts["schedules"])
    progress = [i / 50 for i in range(50)]
    curve = {"progress": progress, "factor": [1 - p for p in progress]}
    return {
        "suite": "synthetic",
        "plan": "plan0",
        "cells": cells,
        "cohorts": sum(len(facts["seeds"]) for facts in tasks.values()),
        "cell_steps": cell_steps,
        "looks": cell_steps // 2,
        "optimum": cell_steps // 2 - 2,
        "split_loss": 2,
        "notes": [],
        "tasks": tasks,
        "curves": {s: curve for s in strategies if not s.startswith("plateau")},
    }


ATTEMPT = {
    "plan": "plan0",
    "host": "somewhere",
    "process": 1,
    "time": "2026-01-01T00:00:00Z",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": True,
    "versions": {"torch": "2.15.0", "numpy": "2.4.6", "python": "3.12.0"},
    "device": "cpu",
    "processor": "Some Processor",
    "threads": 1,
    "fingerprint": "f",
}
