"""The comparison as CSV, in full precision; what is not there is empty. `results/README.md` says what a column is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from bench.analysis import reference
from bench.analysis.comparison import Comparison, Score, Verdict
from bench.analysis.reference import ReferenceTest
from bench.analysis.stats.equivalent_budget import Worth
from bench.analysis.stats.intervals import binomial_half

COLUMNS = """
    task strategy budget epochs total n mean low high half best_mean best_epoch recalibrated control chosen_peak_lrs
    rank identical_to behind behind_half verdict diverged tries edge metric direction
    over_reference over_reference_half worth worth_low worth_high detectable binomial_half
"""

TESTED = """
    strategy tasks blocks effect p p_holm significant blocks_better blocks_better_low blocks_better_high
    tasks_better tasks_worse tasks_equal
"""


def table_csv(it: Comparison) -> str:
    """One line for each task, budget and strategy."""
    lines, worth = [], {task: reference.worths(it, task) for task in it.study.tasks}
    for (task, budget), group in it.verdicts.items():
        against = group.get(it.reference(task) or "")
        seen = reference.visible(it, task, budget)
        for strategy, verdict in group.items():
            line = (
                {"task": task, "strategy": strategy, "detectable": seen} | _results(verdict) | _about(it, task, verdict)
            )
            line |= _over(verdict.score, against.score, it.direction(task)) if against and against != verdict else {}
            lines.append(line | _worth(worth[task].get((strategy, budget))))
    return csv_text(COLUMNS, lines)


def _results(verdict: Verdict) -> dict[str, object]:
    score, first = verdict.score, verdict.score.tries[0]
    final, behind = score.final, verdict.behind
    means = {f: score.over_seeds(f) for f in ("best", "best_epoch", "recalibrated", "control")}
    return {
        "budget": first.budget,
        "epochs": first.epochs,
        "total": first.total,
        "n": len(score.selected),
        **({"mean": final.mean, "low": final.low, "high": final.high, "half": final.half} if final else {}),
        **{{"best": "best_mean"}.get(f, f): m.mean for f, m in means.items() if m},
        "chosen_peak_lrs": _joined([t.peak_lr for t in score.selected]),
        "rank": verdict.rank,
        "identical_to": _joined(verdict.identical),
        **({"behind": behind.mean, "behind_half": behind.half} if behind else {}),
        "verdict": verdict.word,
        "diverged": score.diverged,
        "tries": len(score.tries),
        "edge": _joined(score.edges),
    }


def _about(it: Comparison, task: str, verdict: Verdict) -> dict[str, object]:
    final, examples = verdict.score.final, it.examples(task)
    return {
        "metric": it.study.tasks[task].metric,
        "direction": it.direction(task),
        "binomial_half": binomial_half(final.mean, examples) if final and examples else None,
    }


def _over(score: Score, against: Score, direction: str) -> dict[str, object]:
    over = against.behind(score, direction)
    return {"over_reference": over.mean, "over_reference_half": over.half} if over else {}


def _worth(it: Worth | None) -> dict[str, object]:
    return {"worth": it.share, "worth_low": it.low, "worth_high": it.high} if it else {}


def tests_csv(tests: Iterable[ReferenceTest]) -> str:
    """One line for each strategy tested against the reference."""
    lines = []
    for it in tests:
        flip, share = it.flip, it.improvement
        tested = [it.strategy, flip.tasks, flip.blocks, flip.effect, flip.p, it.adjusted, it.significant]
        tested += [share.share, share.low, share.high, *it.tasks]
        lines.append(dict(zip(TESTED.split(), tested, strict=True)))
    return csv_text(TESTED, lines)


def csv_text(columns: str, lines: Iterable[Mapping[str, object]]) -> str:
    """Lines as CSV, with these columns."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns.split(), lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    return text.getvalue()


def _joined(parts: Sequence[object]) -> str:
    return "; ".join(map(str, parts))
