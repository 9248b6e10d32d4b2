"""The comparison as CSV, in full precision; missing values are empty. `results/README.md` explains the columns."""

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

TEST_COLUMNS = """
    strategy tasks blocks effect p p_holm significant blocks_better blocks_better_low blocks_better_high
    tasks_better tasks_worse tasks_equal
"""


def table_csv(comparison: Comparison) -> str:
    """One line for each task, budget and strategy."""
    lines = []
    worths = {task: reference.worths(comparison, task) for task in comparison.study.tasks}
    for (task, budget), group in comparison.verdicts.items():
        against = group.get(comparison.reference(task) or "")
        detectable = reference.visible(comparison, task, budget)
        for strategy, verdict in group.items():
            line: dict[str, object] = {"task": task, "strategy": strategy, "detectable": detectable}
            line |= _results(verdict) | _about(comparison, task, verdict)
            if against and against != verdict:
                line |= _over(verdict.score, against.score, comparison.direction(task))
            lines.append(line | _worth(worths[task].get((strategy, budget))))
    return csv_text(COLUMNS, lines)


def _results(verdict: Verdict) -> dict[str, object]:
    score, first = verdict.score, verdict.score.tries[0]
    line: dict[str, object] = {
        "budget": first.budget,
        "epochs": first.epochs,
        "total": first.total,
        "n": len(score.selected),
    }
    if final := score.final:
        line |= {"mean": final.mean, "low": final.low, "high": final.high, "half": final.half}
    for field in ("best", "best_epoch", "recalibrated", "control"):
        if over_seeds := score.over_seeds(field):
            line["best_mean" if field == "best" else field] = over_seeds.mean
    if behind := verdict.behind:
        line |= {"behind": behind.mean, "behind_half": behind.half}
    return line | {
        "chosen_peak_lrs": _joined([t.peak_lr for t in score.selected]),
        "rank": verdict.rank,
        "identical_to": _joined(verdict.identical),
        "verdict": verdict.word,
        "diverged": score.diverged,
        "tries": len(score.tries),
        "edge": _joined(score.edges),
    }


def _about(comparison: Comparison, task: str, verdict: Verdict) -> dict[str, object]:
    final, examples = verdict.score.final, comparison.examples(task)
    return {
        "metric": comparison.study.tasks[task].metric,
        "direction": comparison.direction(task),
        "binomial_half": binomial_half(final.mean, examples) if final and examples else None,
    }


def _over(score: Score, against: Score, direction: str) -> dict[str, object]:
    over = against.behind(score, direction)
    return {"over_reference": over.mean, "over_reference_half": over.half} if over else {}


def _worth(worth: Worth | None) -> dict[str, object]:
    return {"worth": worth.share, "worth_low": worth.low, "worth_high": worth.high} if worth else {}


def tests_csv(tests: Iterable[ReferenceTest]) -> str:
    """One line for each strategy tested against the reference."""
    lines = []
    for test in tests:
        flip, share = test.flip, test.improvement
        fields = [test.strategy, flip.tasks, flip.blocks, flip.effect, flip.p, test.adjusted, test.significant]
        fields += [share.share, share.low, share.high, *test.tasks]
        lines.append(dict(zip(TEST_COLUMNS.split(), fields, strict=True)))
    return csv_text(TEST_COLUMNS, lines)


def csv_text(columns: str, lines: Iterable[Mapping[str, object]]) -> str:
    """Lines as CSV, with these columns."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns.split(), lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    return text.getvalue()


def _joined(parts: Sequence[object]) -> str:
    return "; ".join(map(str, parts))
